"""A control plane without privileges: processes of an ordinary user that listen on loopback only."""

from __future__ import annotations

import dataclasses
import random
import socket
from collections.abc import Iterable
from pathlib import Path

from k8s101.cluster.host import host
from k8s101.cluster.supervisor.process import SUPERVISORD, Process
from k8s101.cluster.values.settings import LOOPBACK, Ports, Settings

PORT_RANGE = range(16000, 30000)
"""Below the ports that the kernel gives to outgoing connections, and below those of NodePorts."""

KUBECONFIGS = ("kubeconfig", "pki/kube-controller-manager.kubeconfig", "pki/kube-scheduler.kubeconfig")


def free_ports() -> Ports:
    """Return ports on which nothing listens."""
    names = [field.name for field in dataclasses.fields(Ports)]
    candidates = (port for port in random.sample(PORT_RANGE, len(PORT_RANGE)) if is_free(port))
    return Ports(**dict(zip(names, candidates, strict=False)))


def is_free(port: int) -> bool:
    """Tell whether a program could listen on this port of loopback now."""
    with socket.socket() as probe:
        # as servers do: connections that have just ended do not count
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((str(LOOPBACK), port))
        except OSError:
            return False
    return True


def start(settings: Settings, programs: Iterable[Process], etcdctl: Path, control: str = host.CONTROL) -> None:
    """Start the supervisor and with it these programs.

    Args:
        settings: the cluster's settings.
        programs: what it runs.
        etcdctl: the program with which its control socket reads keys.
        control: what makes the interface of its control socket.

    Raises:
        Problem: it ended at once.
    """
    host.write_config(settings, programs, etcdctl, control)
    host.launch(settings, (*SUPERVISORD, "--configuration", str(settings.state / "supervisord.conf")))


def renew_ports(settings: Settings, kubeconfigs: Iterable[str] = KUBECONFIGS) -> Settings:
    """Take other ports where somebody took one while the cluster was stopped; return the settings that hold.

    Args:
        settings: the settings of a cluster that does not run.
        kubeconfigs: files below the state directory that name the API server, to be written anew.
    """
    if all(is_free(port) for port in dataclasses.astuple(settings.ports)):
        return settings
    renewed = dataclasses.replace(settings, ports=free_ports())
    for name in kubeconfigs:
        (settings.state / name).unlink(missing_ok=True)
    renewed.save()
    return renewed
