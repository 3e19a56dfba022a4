"""Become the guest: start its network beside it, then turn into the kernel.

`python -m k8s101.cluster.guest.launch STATE` is run by the host supervisor. The network and the kernel end
together: a kernel whose network is gone cannot get another one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

from tenacity import Retrying, stop_after_delay, wait_fixed

from k8s101.cluster.components import cable
from k8s101.cluster.guest import confinement, uml
from k8s101.cluster.values.settings import Settings

NETWORK_SECONDS = 20
_TOGETHER = 'setpriv --pdeathsig KILL -- "$@"; kill -KILL "$PPID"'


def main(state: Path) -> None:
    """Start the network and become the kernel."""
    settings, directory = Settings.load(state), state / cable.DIRECTORY
    plan = json.loads((directory / "guest.json").read_text())
    os.chdir(directory)
    for name in (cable.NETWORK_SOCKET, cable.SERVICE_SOCKET, cable.CONTROL_SOCKET):
        Path(name).unlink(missing_ok=True)
    network = cable.command(settings, Path(plan["tools"]["cable"]))
    together = ("setpriv", "--pdeathsig", "KILL", "--", "sh", "-c", _TOGETHER, "sh", *network)
    subprocess.Popen(together, preexec_fn=lambda: confinement.confine_network(settings, Path(network[0])))
    for attempt in Retrying(stop=stop_after_delay(NETWORK_SECONDS), wait=wait_fixed(0.01), reraise=True):
        with attempt:
            Path(cable.NETWORK_SOCKET).stat()
    init = (sys.executable, "-m", "k8s101.cluster.guest.init", "boot", quote(str(state)))
    command = uml.command(
        Path(plan["kernel"]),
        init,
        memory_mib=plan["memory"],
        disks=("disk.img", "images.img:ro"),
        network=cable.NETWORK_SOCKET,
    )
    confinement.confine_kernel(settings, [Path(path) for path in plan["readable"]])
    os.execve(command[0], command, uml.ENVIRONMENT)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
