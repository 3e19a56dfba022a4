"""What people have set for Jupyter: the address of the workshop's JupyterLab is printed all the same."""

from __future__ import annotations

import re
import signal
import subprocess
import sys

import pytest

from tests.machine import Machine
from tests.waiting import eventually

LAB = """
import sys
from k8s101.notebook import lab
from k8s101.notebook.document import Tree
lab.run_jupyter(Tree(), int(sys.argv[1]), browser=False)
"""
ADDRESS = re.compile(r"JupyterLab: (http://127\.0\.0\.1:(\d+)(\S*)/lab/workspaces/k8s101\S*)")
PASSWORD = "argon2:$argon2id$v=19$m=10240,t=10,p=8$b1L3oYnSPCZ6uNlUOFYzZw$2KZJbLuVJqAA1JPBzoSG2dZGlBFGsiIdSXYFDWo0Vds"
SETTINGS = {
    "nothing": "",
    "a password": f"c.PasswordIdentityProvider.hashed_password = {PASSWORD!r}",
    "a password in the old way": f"c.ServerApp.password = {PASSWORD!r}",
    "a base address": "c.ServerApp.base_url = '/mine/'",
    "an empty token": "c.IdentityProvider.token = ''",
    "an empty token in the old way": "c.ServerApp.token = ''",
    "a token of its own": "c.IdentityProvider.token = 'mine'",
    "no other port": "c.ServerApp.port_retries = 0",
}

FETCH = """
import sys, urllib.request
print(urllib.request.build_opener(urllib.request.ProxyHandler({})).open(sys.argv[1], timeout=20).url)
"""


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_learner_has_set_for_jupyter(machine: Machine, setting: str) -> None:
    config = machine.home / ".jupyter"
    config.mkdir()
    (config / "jupyter_server_config.py").write_text(f"c = get_config()\n{SETTINGS[setting]}\n")
    log = machine.directory / "lab.log"
    with log.open("w") as output:
        holder = machine.start(sys.executable, "-c", HOLD, stdin=subprocess.PIPE)
        assert holder.stdout is not None
        port = holder.stdout.readline().strip()
        lab = machine.start(sys.executable, "-c", LAB, port, stdout=output, stderr=output)
        try:
            eventually("an address, or the end", lambda: ADDRESS.search(log.read_text()) or lab.poll() is not None, 60)
            found = ADDRESS.search(log.read_text())
            assert found, log.read_text()
            assert found[2] != port
            opened = machine.run(sys.executable, "-c", FETCH, found[1])
            assert "/lab/workspaces/k8s101" in opened.stdout, opened.stderr
            assert found[3] == ("/mine" if "base" in setting else "")
            assert ("everybody on this machine" in log.read_text()) == setting.startswith("an empty token")
        finally:
            lab.send_signal(signal.SIGINT)
            lab.communicate(timeout=60)
            holder.communicate(timeout=20)


HOLD = """
import socket, sys
with socket.create_server(("127.0.0.1", 0)) as server:
    print(server.getsockname()[1], flush=True)
    sys.stdin.read()
"""
