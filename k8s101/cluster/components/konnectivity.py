"""Konnectivity, through which the API server reaches kubelets, Pods and webhooks that it has no route to.

The agent among the nodes dials out to the server beside the API server, and connections travel back through
that (https://kubernetes.io/docs/tasks/extend-kubernetes/setup-konnectivity/). Flags follow version 0.34.
"""

from __future__ import annotations

from pathlib import Path

import yaml

from k8s101.cluster.access.private import write_private
from k8s101.cluster.supervisor.process import Process
from k8s101.cluster.values.settings import LOOPBACK, Settings

TOOLS = ("konnectivity-server", "konnectivity-agent")


def socket_path(settings: Settings) -> Path:
    """Return the Unix socket at which the API server asks for connections."""
    return settings.state / "egress.sock"


def flags(settings: Settings) -> tuple[str, ...]:
    """Return the flags with which the API server uses it."""
    return (f"--egress-selector-config-file={_egress(settings)}",)


def _egress(settings: Settings) -> Path:
    return settings.state / "egress.yaml"


def write_files(settings: Settings) -> None:
    """Make identities and the API server's configuration."""
    # a guest only starts the agent, and need not load a library of cryptography
    from k8s101.cluster.access.pki import Authority

    authority = Authority(settings.pki, "konnectivity-ca")
    hosts = [str(settings.ranges.host)]
    authority.issue_files(settings.pki, "konnectivity-server", "konnectivity-server", hosts=hosts, server=True)
    authority.issue_files(settings.pki, "konnectivity-agent", "konnectivity-agent", client=True)
    transport = {"uds": {"udsName": str(socket_path(settings))}}
    configuration = {
        "apiVersion": "apiserver.k8s.io/v1beta1",
        "kind": "EgressSelectorConfiguration",
        "egressSelections": [
            {"name": "cluster", "connection": {"proxyProtocol": "GRPC", "transport": transport}},
        ],
    }
    write_private(_egress(settings), yaml.safe_dump(configuration, sort_keys=False))


def server(settings: Settings, binary: Path) -> Process:
    """Return the server, for agents on loopback only and for the API server at a socket."""
    pki, ports = settings.pki, settings.ports
    return Process(
        "konnectivity-server",
        (
            str(binary),
            "--mode=grpc",
            f"--uds-name={socket_path(settings)}",
            "--delete-existing-uds-file",
            "--server-port=0",
            f"--agent-bind-address={LOOPBACK}",
            f"--agent-port={ports.konnectivity}",
            f"--health-bind-address={LOOPBACK}",
            f"--health-port={ports.konnectivity_health}",
            f"--admin-bind-address={LOOPBACK}",
            f"--admin-port={ports.konnectivity_admin}",
            f"--cluster-cert={pki / 'konnectivity-server.crt'}",
            f"--cluster-key={pki / 'konnectivity-server.key'}",
            f"--cluster-ca-cert={pki / 'konnectivity-ca.crt'}",
        ),
        priority=15,
    )


def agent(settings: Settings, binary: Path, pki: Path) -> Process:
    """Return the agent.

    Args:
        settings: the cluster's settings.
        binary: its program.
        pki: where it finds the files of `write_files`.
    """
    return Process(
        "konnectivity-agent",
        (
            str(binary),
            f"--proxy-server-host={settings.ranges.host}",
            f"--proxy-server-port={settings.ports.konnectivity}",
            f"--ca-cert={pki / 'konnectivity-ca.crt'}",
            f"--agent-cert={pki / 'konnectivity-agent.crt'}",
            f"--agent-key={pki / 'konnectivity-agent.key'}",
            f"--health-server-host={LOOPBACK}",
            f"--admin-bind-address={LOOPBACK}",
            "--sync-interval=1s",
            "--sync-interval-cap=2s",
            "--probe-interval=1s",
        ),
        priority=10,
    )
