"""Manifests as the Kubernetes API takes them, certificates that hold, and pods that stay."""

from __future__ import annotations

import subprocess
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from dockyard.builder_description import create_arguments, wanted_builder
from dockyard.buildkitd_config import MOST_OF_DISK, buildkit_config
from dockyard.errors import SettingsError
from dockyard.machines_templates import (
    GIB,
    Cluster,
    pod_endpoint,
    pod_names,
    render_certificates,
    render_kubernetes,
    sticky_pod,
    volume_gib,
)
from support.documents import Document
from support.settings import make_settings

REPOSITORY = Path(__file__).resolve().parents[2]
# appArmorProfile is a field since 1.30; the last is the newest that the schemas are of.
API_VERSIONS = ("1.30", "1.33", "1.37")
CLUSTERS = {
    "privileged": Cluster(),
    "rootless": Cluster(rootless=True, replicas=5, storage_class="fast-ssd", cpu="500m"),
}
AUTHORITY = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"


def manifests(cluster: Cluster, authority: str | None = None, **changes: Any) -> dict[str, Any]:
    text = render_kubernetes(make_settings(**changes), cluster, authority)
    return {f"{one['kind']} {one['metadata']['name']}": one for one in yaml.safe_load_all(text)}


def stateful_set(cluster: Cluster, **changes: Any) -> Any:
    return manifests(cluster, **changes)["StatefulSet buildkitd"]


@pytest.mark.parametrize("version", API_VERSIONS)
@pytest.mark.parametrize("cluster", CLUSTERS.values(), ids=CLUSTERS)
@pytest.mark.parametrize("authority", [None, AUTHORITY], ids=["public", "private"])
def test_the_api_takes_every_manifest(
    version: str, cluster: Cluster, authority: str | None
) -> None:
    found = manifests(cluster, authority)
    assert len(found) == 5
    for one in found.values():
        kubernetes_validate.validate(one, version, strict=True)


def test_the_schema_would_refuse_a_field_that_there_is_not() -> None:
    broken = stateful_set(Cluster())
    broken["spec"]["template"]["spec"]["containers"][0]["volumeMount"] = []
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, API_VERSIONS[-1], strict=True)


def test_all_parts_name_each_other() -> None:
    found = manifests(replace(Cluster(), name="builds", namespace="ci"))
    assert {one["metadata"]["namespace"] for one in found.values()} == {"ci"}
    spec = found["StatefulSet builds"]["spec"]
    assert found["Service builds"]["spec"]["clusterIP"] == "None"
    assert spec["serviceName"] == "builds"
    labels = spec["template"]["metadata"]["labels"]
    assert spec["selector"]["matchLabels"] == labels
    for service in ("Service builds", "Service builds-any"):
        assert found[service]["spec"]["selector"] == labels
    assert found["Service builds-any"]["spec"]["sessionAffinity"] == "ClientIP"
    pod = spec["template"]["spec"]
    volumes = {one["name"]: one for one in pod["volumes"]}
    assert (
        volumes["config"]["configMap"]["name"]
        in found["ConfigMap builds-config"]["metadata"]["name"]
    )
    mounted = {one["name"] for one in pod["containers"][0]["volumeMounts"]}
    assert mounted == {*volumes, "state"}
    assert spec["volumeClaimTemplates"][0]["metadata"]["name"] == "state"


def test_a_rootless_pod_has_no_privileges() -> None:
    for cluster, image in ((CLUSTERS["privileged"], ""), (CLUSTERS["rootless"], "-rootless")):
        pod = stateful_set(cluster)["spec"]["template"]["spec"]
        [container] = pod["containers"]
        assert container["image"] == make_settings().buildkit_image + image
        assert container["securityContext"].get("privileged", False) is not cluster.rootless
        assert pod.get("securityContext", {}).get("fsGroup") == (1000 if cluster.rootless else None)
        state = next(one for one in container["volumeMounts"] if one["name"] == "state")
        assert state["mountPath"].startswith("/home/user" if cluster.rootless else "/var/lib")
        assert all(word in container["args"] for word in ("--tlscacert=/certificates/ca.pem",))


def test_volume_and_garbage_collection_follow_the_budget() -> None:
    for budget in (1, 5 * 10**9, 20 * 10**9, 500 * 10**9):
        found = manifests(Cluster(), cache_budget=budget)
        claim = found["StatefulSet buildkitd"]["spec"]["volumeClaimTemplates"][0]
        text = claim["spec"]["resources"]["requests"]["storage"]
        assert text == f"{volume_gib(budget)}Gi"
        assert budget <= volume_gib(budget) * GIB * MOST_OF_DISK // 100
        config = tomllib.loads(found["ConfigMap buildkitd-config"]["data"]["buildkitd.toml"])
        rules = config["worker"]["oci"]["gcpolicy"]
        assert rules[-1]["maxUsedSpace"] == budget
        assert rules[-1]["all"] is True


def test_the_configuration_is_buildkits_own() -> None:
    config = manifests(CLUSTERS["rootless"])["ConfigMap buildkitd-config"]["data"]
    parsed = tomllib.loads(config["buildkitd.toml"])
    assert parsed["worker"]["oci"].pop("max-parallelism") == 2
    plain = buildkit_config(make_settings(), disk=volume_gib(20 * 10**9) * GIB)
    assert parsed == tomllib.loads(plain.render())
    given = manifests(Cluster(), max_parallelism=7)["ConfigMap buildkitd-config"]["data"]
    assert tomllib.loads(given["buildkitd.toml"])["worker"]["oci"]["max-parallelism"] == 7


def test_a_private_authority_goes_along_and_starts_the_pods_again() -> None:
    private = manifests(Cluster(), AUTHORITY)
    data = private["ConfigMap buildkitd-config"]["data"]
    assert data["authority.pem"].strip() == AUTHORITY.strip()
    for registry in tomllib.loads(data["buildkitd.toml"])["registry"].values():
        assert registry["ca"] == ["/etc/buildkit/authority.pem"]

    def digest(found: dict[str, Any]) -> str:
        pod = found["StatefulSet buildkitd"]["spec"]["template"]
        return str(pod["metadata"]["annotations"]["dockyard/config-digest"])

    assert digest(private) != digest(manifests(Cluster()))


@pytest.mark.parametrize(
    ("changes", "option"),
    [
        ({"name": "Build_kit"}, "--name"),
        ({"namespace": "a: b"}, "--namespace"),
        ({"cpu": "two"}, "--cpu"),
        ({"memory": "4 GB"}, "--memory"),
        ({"replicas": 0}, "--replicas"),
        ({"storage_class": "x\ny"}, "--storage-class"),
    ],
)
def test_what_kubernetes_would_refuse_is_refused_here(changes: dict[str, Any], option: str) -> None:
    with pytest.raises(SettingsError) as caught:
        render_kubernetes(make_settings(), replace(Cluster(), **changes))
    assert [one.where for one in caught.value.problems] == [option]


# -------------------- which pod


def test_a_project_keeps_its_pod() -> None:
    keys = [f"project-{number}" for number in range(400)]
    few, more = (pod_names(Cluster(replicas=count)) for count in (4, 5))
    before = {key: sticky_pod(key, few) for key in keys}
    after = {key: sticky_pod(key, more) for key in keys}
    moved = [key for key in keys if before[key] != after[key]]
    assert {after[key] for key in moved} == {"buildkitd-4"}
    assert 0 < len(moved) < len(keys) / 3
    assert min(list(before.values()).count(pod) for pod in few) > len(keys) / 8


def test_a_pods_address() -> None:
    cluster = Cluster(name="builds", namespace="ci", replicas=1)
    assert pod_endpoint(cluster, "shop") == "tcp://builds-0.builds.ci.svc:1234"


# -------------------- certificates


@pytest.mark.spawns
def test_the_certificates_hold_for_what_they_are_for(tmp_path: Path) -> None:
    script = tmp_path / "make.sh"
    script.write_text(render_certificates(["10.0.0.5", "builder.example.com"], Cluster()))
    subprocess.run(["sh", script], cwd=tmp_path, check=True, capture_output=True)

    def verify(which: str, purpose: str, *more: str) -> int:
        command = ["openssl", "verify", "-CAfile", "ca.pem", "-purpose", purpose, *more]
        done = subprocess.run([*command, f"{which}/cert.pem"], cwd=tmp_path, capture_output=True)
        return done.returncode

    for host in ("builder.example.com", "buildkitd-3.buildkitd.buildkit.svc"):
        assert verify("daemon", "sslserver", "-verify_hostname", host) == 0
    assert verify("daemon", "sslserver", "-verify_ip", "10.0.0.5") == 0
    assert verify("daemon", "sslserver", "-verify_hostname", "other.example.com") != 0
    assert verify("client", "sslclient") == 0
    assert verify("client", "sslserver") != 0
    for key in ("ca.key", "daemon/key.pem", "client/key.pem"):
        assert (tmp_path / key).stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("host", ["a b", "$(id)", "x;y", "-x", ""])
def test_a_hosts_name_cannot_be_a_command(host: str) -> None:
    with pytest.raises(SettingsError):
        render_certificates([host])


# -------------------- the page


def test_the_page_shows_what_is_rendered() -> None:
    page = REPOSITORY / "docs/machines.md"
    yaml_blocks = [one.text for one in Document(page).blocks if one.language == "yaml"]
    assert render_kubernetes(make_settings(), Cluster(replicas=3)).strip() in [
        one.strip() for one in yaml_blocks
    ]
    settings = make_settings(
        driver="kubernetes",
        driver_options={
            "namespace": "buildkit",
            "replicas": "3",
            "loadbalance": "sticky",
            "requests.cpu": "2",
            "requests.memory": "4Gi",
            "limits.memory": "4Gi",
        },
    )
    wanted = wanted_builder(
        settings, {}, image=settings.buildkit_image, config=buildkit_config(settings, disk=None)
    )
    shown = [" ".join(one.text.split()) for one in Document(page).blocks]
    assert " ".join(create_arguments(wanted, "buildkitd.toml")) in [
        one.replace("\\ ", "") for one in shown
    ]
