"""Flags that the clients of the API server in the control plane share: who they are, and where they listen."""

from __future__ import annotations

from pathlib import Path

from k8s101.cluster.values.settings import LOOPBACK


def authentication(kubeconfig: Path, port: int) -> tuple[str, ...]:
    """Return the flags of a component that has this kubeconfig and listens on this port of loopback."""
    return (
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        # all start together: the API server may not answer yet
        "--authentication-tolerate-lookup-failure=true",
        f"--bind-address={LOOPBACK}",
        f"--secure-port={port}",
        "--leader-elect=false",
        "--profiling=false",
    )
