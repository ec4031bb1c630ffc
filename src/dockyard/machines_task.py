"""The task ``machines``: prints what a team sets up once to build on other machines."""

from __future__ import annotations

from typing import Any

from invoke.context import Context
from invoke.tasks import task

from dockyard.boundary import emit, reported
from dockyard.task_settings import task_settings

__all__ = ["machines"]


@task(
    help={
        "kubernetes": "print the manifest of BuildKits with volumes, for `kubectl apply -f -`",
        "certificates": "print a shell script that makes the certificates, with openssl",
        "endpoint": "print the address of the pod that keeps this image's cache",
        "host": "a daemon's name or address, for its certificate (may be given several times)",
        "replicas": "how many pods there are (2)",
        "cpu": "processors that a pod is promised, as Kubernetes writes them (2, 500m)",
        "memory": "memory of a pod, as Kubernetes writes it (4Gi)",
        "rootless": "run BuildKit as a user that is not root, in pods that are not privileged",
        "namespace": "the namespace (buildkit)",
        "storage-class": "the class of the volumes; without it, the cluster's own default",
    },
    iterable=["host"],
)
@reported
def machines(
    context: Context,
    kubernetes: bool = False,
    certificates: bool = False,
    endpoint: bool = False,
    host: Any = None,
    replicas: int = 2,
    cpu: str = "2",
    memory: str = "4Gi",
    rootless: bool = False,
    namespace: str = "buildkit",
    storage_class: str = "",
) -> None:
    """Print manifests, certificates' script or addresses for builders on other machines."""
    from dockyard.errors import SettingsError
    from dockyard.machines_templates import (
        Cluster,
        pod_endpoint,
        render_certificates,
        render_kubernetes,
    )

    if kubernetes + certificates + endpoint != 1:
        raise SettingsError(
            "one of --kubernetes, --certificates and --endpoint says what is wanted",
            hint="docs/machines.md shows the steps in their order",
        )
    cluster = Cluster(
        namespace=namespace,
        replicas=replicas,
        cpu=cpu,
        memory=memory,
        rootless=rootless,
        storage_class=storage_class,
    )
    if certificates:
        emit(render_certificates(host or (), None if host else cluster).rstrip())
        return
    settings = task_settings()
    if endpoint:
        from dockyard.project import image_name

        cluster.check()
        emit(pod_endpoint(cluster, image_name(settings)))
        return
    from dockyard.builder_facts import authority_of

    emit(render_kubernetes(settings, cluster, authority_of(settings)).rstrip())
