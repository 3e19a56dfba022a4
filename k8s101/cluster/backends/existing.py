"""The `existing` backend: a cluster that others made and run; the workshop touches only namespaces of its own."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import requests

from k8s101.cluster.access import holding, identity, probe
from k8s101.cluster.access.api import Api, Get
from k8s101.cluster.backends.base import Capabilities, Finding, Supplies, Traits
from k8s101.cluster.programs.binaries import ensure
from k8s101.cluster.supervisor.process import Process
from k8s101.cluster.values.progress import Report
from k8s101.cluster.values.settings import Settings
from k8s101.errors import Problem

NAMESPACE_SECONDS = 60
HELD_SECONDS = 15
"""After so long a namespace that does not go is looked into."""

TRAITS = Traits(
    Capabilities(containers=True, host_network=False, control_plane_faults=False, node_faults=False, pulls_images=True),
    ours=False,
)
"""What clusters of kind, k3d, minikube and clouds can do; each one is probed."""

KUBE_SYSTEM = "/api/v1/namespaces/kube-system"


def check() -> None:
    """Nothing is needed of this machine."""


def examine(settings: Settings | None) -> list[Finding]:
    """Say whose cluster it is."""
    return [Finding(True, "kind of cluster: existing")]


def create(state: Path, node_count: int) -> Settings:
    """Refuse: such a cluster is not made but named.

    Raises:
        Problem: always.
    """
    raise Problem("which cluster is not said", where="k8s101 up --backend existing", then="k8s101 up --kubeconfig FILE")


def prepare(report: Report) -> Supplies:
    """Find or make kubectl."""
    return Supplies(ensure(["kubectl"], report))


def running(settings: Settings) -> bool:
    """Say yes: whether others run it shows when it is asked."""
    return True


def processes(settings: Settings, tools: Mapping[str, Path]) -> list[Process]:
    """Others run it."""
    return []


def start(settings: Settings, parts: Supplies) -> None:
    """Others start it."""


def connect(settings: Settings) -> None:
    """Check that the confirmed cluster answers.

    Raises:
        Problem: it does not, or another one does.
    """
    api = Api(settings.kubeconfig)
    with probe.answering(api.server):
        verify(settings, api.find)


def verify(settings: Settings, get: Get) -> None:
    """Compare server, authority and the UID of kube-system with what was confirmed.

    Raises:
        Problem: another cluster answers.
    """
    known = probe.load(settings.state)
    if known.server != identity.server(settings.kubeconfig) or known.authority != identity.fingerprint(
        settings.kubeconfig
    ):
        raise identity.another(settings, str(settings.kubeconfig))
    if get(KUBE_SYSTEM).get("metadata", {}).get("uid") != known.uid:
        raise identity.another(settings, "namespace kube-system")


def populate(settings: Settings, api: Api) -> None:
    """Leave the cluster as it is; lessons make their own namespaces."""


def waits(settings: Settings) -> dict[str, Callable[[], bool]]:
    """Nothing more is waited for."""
    return {}


def capabilities(settings: Settings) -> Capabilities:
    """Return what the probe found."""
    known = probe.load(settings.state)
    return dataclasses.replace(TRAITS.usual, containers=known.containers, host_network=known.host_network)


def stop(settings: Settings) -> None:
    """Refuse.

    Raises:
        Problem: always.
    """
    raise Problem(
        "this cluster is run by others",
        where=probe.load(settings.state).server,
        then="k8s101 down forgets it and removes the workshop's namespaces",
    )


def forget(settings: Settings, report: Callable[[str], None]) -> None:
    """Remove the workshop's namespaces, if the confirmed cluster answers."""
    try:
        connect(settings)
        remove_namespaces(settings)
    except Problem as problem:
        report(f"namespaces with the label {identity.LABEL}={identity.read(settings)} may be left: {problem.found}")


def remove_namespaces(settings: Settings) -> int:
    """Delete the namespaces that bear our label and wait until they are gone; return how many there were.

    Raises:
        Problem: one did not go.
    """
    api = Api(settings.kubeconfig)

    def namespaces() -> list[str]:
        selector = f"{identity.LABEL}={identity.read(settings)}"
        return [n["metadata"]["name"] for n in api.get(f"/api/v1/namespaces?labelSelector={selector}")["items"]]

    names = namespaces()
    for name in names:
        answer = api.call("DELETE", f"/api/v1/namespaces/{name}")
        if answer.status_code == requests.codes.forbidden:
            raise Problem(f"namespace {name} may not be deleted", where=api.server, then="ask who runs the cluster")
    began = time.monotonic()

    def gone() -> bool:
        left = namespaces()
        if left and time.monotonic() > began + HELD_SECONDS and (problem := holding.held(api, left[0])):
            raise problem
        return not left

    api.wait("the workshop's namespaces deleted", gone, NAMESPACE_SECONDS)
    return len(names)
