"""What a team sets up once to build on other machines: manifests, certificates, addresses. Pure.

Kubernetes: the API reference of 1.30 and later (``appArmorProfile``). BuildKit: its
``docs/rootless.md`` and ``examples/kubernetes``, which have no volume and no configuration.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dockyard.buildkitd_config import MOST_OF_DISK, buildkit_config
from dockyard.errors import SettingsError

if TYPE_CHECKING:
    from dockyard.settings import Settings

__all__ = [
    "Cluster",
    "pod_endpoint",
    "pod_names",
    "render_certificates",
    "render_kubernetes",
    "sticky_pod",
    "volume_gib",
]

GIB = 2**30
PORT = 1234
AUTHORITY_DAYS, CERTIFICATE_DAYS = 3650, 365
_AUTHORITY_PLACE = Path("/etc/buildkit/authority.pem")
# https://kubernetes.io/docs/concepts/overview/working-with-objects/names/#dns-label-names
_LABEL = re.compile(r"[a-z](?:[a-z0-9-]{0,40}[a-z0-9])?")
# https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
_QUANTITY = re.compile(r"(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:m|k|M|G|T|Ki|Mi|Gi|Ti)?")
_HOST = re.compile(r"(?:\*\.)?[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9-]+)*")


@dataclass(frozen=True)
class Cluster:
    """The BuildKits of a cluster; ``cpu``, ``memory`` as Kubernetes' quantities, of each pod."""

    name: str = "buildkitd"
    namespace: str = "buildkit"
    replicas: int = 2
    cpu: str = "2"
    memory: str = "4Gi"
    rootless: bool = False
    storage_class: str = ""

    def check(self) -> None:
        """Raise SettingsError naming everything that Kubernetes would refuse."""
        from dockyard.errors import Problem

        problems = [
            Problem(f"“{value}” is not {expects}", where=f"--{option}")
            for option, value, pattern, expects in (
                ("name", self.name, _LABEL, "a name (lower case letters, digits and “-”)"),
                ("namespace", self.namespace, _LABEL, "a namespace"),
                ("cpu", self.cpu, _QUANTITY, "a quantity (2, 500m)"),
                ("memory", self.memory, _QUANTITY, "a quantity (4Gi, 512Mi)"),
            )
            if not pattern.fullmatch(value)
        ]
        if self.storage_class and not re.fullmatch(r"[a-z0-9][a-z0-9.-]*", self.storage_class):
            problems.append(
                Problem(f"“{self.storage_class}” is no storage class", where="--storage-class")
            )
        if self.replicas < 1:
            problems.append(Problem("there has to be one pod at least", where="--replicas"))
        if problems:
            raise SettingsError(*problems)


def volume_gib(budget: int) -> int:
    """Size a volume in GiB, so that a cache of ``budget`` bytes is what it may fill of a disk."""
    return max(1, -(-budget * 100 // (MOST_OF_DISK * GIB)))


def render_kubernetes(settings: Settings, cluster: Cluster, authority: str | None = None) -> str:
    """Render the manifest: configuration, services, disruption budget and StatefulSet.

    ``authority`` is the text of DOCKYARD_CA_FILE, which BuildKit trusts registries by. The size of
    the volumes and the garbage collection follow DOCKYARD_CACHE_BUDGET.
    """
    cluster.check()
    storage = volume_gib(settings.cache_budget)
    placed = replace(settings, ca_file=_AUTHORITY_PLACE if authority else None)
    config = buildkit_config(placed, disk=storage * GIB).render().rstrip()
    if settings.max_parallelism is None:
        # What a pod is promised: more steps at once would only wait for each other.
        config = config.replace(
            "[worker.oci]", f"[worker.oci]\n  max-parallelism = {_steps(cluster.cpu)}", 1
        )
    rootless = cluster.rootless
    return _render(
        "kubernetes.yaml.jinja",
        name=cluster.name,
        namespace=cluster.namespace,
        replicas=cluster.replicas,
        cpu=cluster.cpu,
        memory=cluster.memory,
        rootless=rootless,
        storage_class=cluster.storage_class,
        storage=f"{storage}Gi",
        port=PORT,
        image=_image(settings.buildkit_image, rootless=rootless),
        config=config,
        authority=(authority or "").rstrip(),
        digest=hashlib.sha256(f"{config}\n{authority or ''}".encode()).hexdigest()[:16],
        socket="/run/user/1000/buildkit/buildkitd.sock"
        if rootless
        else "/run/buildkit/buildkitd.sock",
        state="/home/user/.local/share/buildkit" if rootless else "/var/lib/buildkit",
    )


def _steps(cpu: str) -> int:
    """How many steps run at once on so many processors: twice as many, as downloads wait."""
    whole = float(cpu[:-1]) / 1000 if cpu.endswith("m") else float(re.sub(r"[^0-9.]", "", cpu))
    return max(2, round(2 * whole))


def _image(reference: str, *, rootless: bool) -> str:
    """Name BuildKit's image; the rootless one has another tag, and then no digest that is known."""
    named = reference.partition("@")[0]
    if not rootless or named.endswith("rootless"):
        return reference
    if ":" not in named.rpartition("/")[2]:
        return f"{named}:rootless"
    return f"{named}-rootless"


def pod_names(cluster: Cluster) -> tuple[str, ...]:
    """List the pods, by the numbers that a StatefulSet gives them."""
    return tuple(f"{cluster.name}-{number}" for number in range(cluster.replicas))


def sticky_pod(key: str, pods: Sequence[str]) -> str:
    """Choose the pod of a key: always the same one, and another only where that is gone.

    Rendezvous hashing (Thaler and Ravishankar, 1998): of n + 1 pods the new one takes the keys of
    1/(n + 1), and no other key moves. Raises ValueError without pods.
    """
    return max(pods, key=lambda pod: hashlib.sha256(f"{pod}\0{key}".encode()).digest())


def pod_endpoint(cluster: Cluster, key: str) -> str:
    """Return the address, for DOCKYARD_BUILDER_ENDPOINT, of the pod that has a key's cache."""
    pod = sticky_pod(key, pod_names(cluster))
    return f"tcp://{pod}.{cluster.name}.{cluster.namespace}.svc:{PORT}"


def render_certificates(hosts: Sequence[str], cluster: Cluster | None = None) -> str:
    """Render a script that makes certificates with openssl, for daemons at these hosts.

    With a ``cluster`` also for its pods and services. Raises SettingsError for what is neither a
    host's name nor an address.
    """
    names = list(hosts)
    if cluster:
        cluster.check()
        place = f"{cluster.namespace}.svc"
        names += [f"*.{cluster.name}.{place}", f"{cluster.name}.{place}"]
        names += [f"{cluster.name}-any.{place}"]
    if not names:
        raise SettingsError(
            "a certificate needs the name that clients reach the daemon by", where="--host"
        )
    return _render(
        "certificates.sh.jinja",
        alternative_names=[_alternative_name(name) for name in dict.fromkeys(names)],
        authority_days=AUTHORITY_DAYS,
        days=CERTIFICATE_DAYS,
    )


def _alternative_name(name: str) -> str:
    try:
        return f"IP:{ipaddress.ip_address(name)}"
    except ValueError:
        pass
    if not _HOST.fullmatch(name):
        raise SettingsError(f"“{name}” is neither a host's name nor an address", where="--host")
    return f"DNS:{name}"


def _render(template: str, /, **values: Any) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    made = Environment(
        loader=PackageLoader("dockyard"),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - YAML and shell, not HTML
    )
    made.filters["quoted"] = shlex.quote
    return made.get_template(f"machines/{template}").render(**values)
