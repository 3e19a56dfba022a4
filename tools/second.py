"""A second cluster of real nodes, in a network of its own: what must be alone on its cluster runs on both."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from k8s101.cluster.values.settings import ROOT
from tools.place import state_dir

NETWORK = "k8s101-test-second"
NETWORKS = Path("/run/netns")
SAID_LINES = 3


class Second:
    """The second cluster: there while stages run that use it.

    Args:
        network: name of the network namespace in which it is.
    """

    def __init__(self, network: str = NETWORK) -> None:
        self.state = state_dir().with_name(network)
        self.running = False
        self._network = network

    def open(self) -> str:
        """Bring it up; what an earlier run has left of it goes first.

        Returns:
            Why there is none, empty if it runs.
        """
        self._remove()
        # nsenter, for `ip netns exec` would hide the cgroups
        steps = (
            ("ip", "netns", "add", self._network),
            self.inside(("ip", "link", "set", "lo", "up")),
            self.inside((sys.executable, "-m", "k8s101.cli", "up")),
        )
        for step in steps:
            if said := self._said(step):
                self._remove()
                return said
        self.running = True
        return ""

    def close(self) -> None:
        """Take it down, if this run has brought it up, and its network."""
        if self.running:
            self.running = False
            self._remove()

    def _remove(self) -> None:
        if (NETWORKS / self._network).exists():
            self._said(self.inside((sys.executable, "-m", "k8s101.cli", "down")))
            self._said(("ip", "netns", "delete", self._network))

    def inside(self, arguments: Sequence[str]) -> list[str]:
        """Return a command as it is typed on this machine, so that it runs in the cluster's network."""
        return ["nsenter", f"--net={NETWORKS / self._network}", "--", *arguments]

    def environment(self) -> dict[str, str]:
        """Return the environment of a command that uses the cluster; nothing can be downloaded in its network."""
        return os.environ | {"K8S101_STATE": str(self.state), "K8S101_DOWNLOAD": "never"}

    def _said(self, command: Sequence[str]) -> str:
        """Run a command; return the end of what it said if it failed."""
        try:
            done = subprocess.run(
                command, cwd=ROOT, env=self.environment(), capture_output=True, text=True, stdin=subprocess.DEVNULL
            )
        except OSError as error:  # a program is missing
            return str(error)
        said = " · ".join((done.stderr or done.stdout).strip().splitlines()[-SAID_LINES:])
        return "" if done.returncode == 0 else said or f"{command[0]} ended with {done.returncode}"
