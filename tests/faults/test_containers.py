"""Sessions of hubs: whoever the user is and whatever is mounted over the home, the course is there and runs."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from k8s101.cluster.backends import simulated
from k8s101.cluster.programs.binaries import ensure
from k8s101.cluster.values.settings import ROOT
from tests.small_machine import SmallMachine

STRANGER = 4711
"""A user whom /etc/passwd does not know; hubs take such numbers, and group 0."""

SESSION = """
set -e
ls work | head -1
ls "$HOME/kubernetes-101" | head -1
cd work
for attempt in $(seq 100); do [ -e "$K8S101_STATE/settings.json" ] && break; sleep 0.1; done
python - <<'EOF'
from k8s101 import connect
from k8s101.lesson.cells.bash import run
connect("start-here")
run("kubectl create configmap kept")
EOF
echo "home $HOME"
"""


@pytest.fixture
def image() -> Iterator[SmallMachine]:
    """A container of the image that binder/Dockerfile describes, as far as files and users go."""
    ensure(simulated.TOOLS)
    with SmallMachine() as machine:
        link = machine.checkout / "work"
        shutil.rmtree(link, ignore_errors=True)
        link.symlink_to(machine.directory / "copies")
        for path in (machine.directory, machine.checkout):
            subprocess.run(("chgrp", "--recursive", "--no-dereference", "0", path), check=True)
            subprocess.run(("chmod", "--recursive", "g=u", path), check=True)
        yield machine


def session(machine: SmallMachine, home: Path, uid: int) -> subprocess.CompletedProcess[str]:
    """Do what a session does in a container: its start, then a lesson in the learner's copies."""
    environment = {
        "PATH": f"{ROOT / '.venv/bin'}:/usr/bin:/bin",
        "HOME": str(home),
        "TMPDIR": str(machine.directory / "temporary"),
        "LANG": "C.UTF-8",
        "K8S101_CACHE": str(machine.home() / ".cache/k8s101"),
        "K8S101_STATE": str(machine.directory / "state"),
        "K8S101_DOWNLOAD": "never",
    }
    command = machine.as_root(
        *("setpriv", f"--reuid={uid}", "--regid=0", "--clear-groups", "--bounding-set=-all", "--inh-caps=-all"),
        *("--no-new-privs", "--", "env", "--ignore-environment", "--chdir=/"),
        *(f"{name}={value}" for name, value in environment.items()),
        *(str(ROOT / "binder/start"), "sh", "-c", f"cd {ROOT}; {SESSION}"),
    )
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


HOMES = {"an empty volume": 0o770, "that cannot be written": 0o555}


@pytest.mark.parametrize("what", HOMES)
def test_a_container_of_a_stranger_with_a_home(image: SmallMachine, what: str) -> None:
    (image.directory / "temporary").mkdir(mode=0o777)
    (image.directory / "temporary").chmod(0o1777)
    home = image.directory / "volume"
    home.mkdir()
    home.chmod(HOMES[what])
    result = session(image, home, STRANGER)
    assert result.returncode == 0, result.stdout + result.stderr
    first = "00-start-here"
    assert result.stdout.splitlines()[:2] == [first, first]
    assert "configmap/kept created" in result.stdout
    elsewhere = HOMES[what] == 0o555
    assert (f"home {home}\n" not in result.stdout) == elsewhere
    assert (home / "kubernetes-101/00-start-here.ipynb").exists() != elsewhere
    image.root("sh", "-c", f"pkill -KILL -U {STRANGER} || true")
