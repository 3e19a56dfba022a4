"""Names, homes and languages as people have them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from k8s101.cluster.values.settings import cache_dir
from k8s101.lesson.cells import files
from tests.machine import Machine, assert_problem

AS_IN_JUPYTER = """
import os, sys
from k8s101.notebook import lab
from k8s101.lesson.cells import files
work = {files.WORK: os.environ[files.WORK]}
os.execve(sys.executable, [sys.executable, sys.argv[1]], lab.jupyter_environment() | work)
"""
LESSON = """
from k8s101 import connect
from k8s101.lesson.cells.bash import run
api = connect("start-here")
run("kubectl create configmap words --from-literal=word=größer")
run("kubectl get configmap words -o yaml")
print("well", api.get("configmap/words")["data"]["word"] == "gr\\u00f6\\u00dfer")
"""


@pytest.fixture(scope="module")
def latin(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A locale of Western Europe as it was, made for this test only."""
    place = tmp_path_factory.mktemp("locales")
    if shutil.which("localedef") is None or not Path("/usr/share/i18n/locales").is_dir():
        pytest.skip("localedef and its sources are not there")
    name = "de_DE.ISO-8859-1"
    subprocess.run(("localedef", "-i", "de_DE", "-f", "ISO-8859-1", place / name), check=True)
    return {"LOCPATH": str(place), "LC_ALL": name}


LOCALES = {
    "unknown": {"LC_ALL": "xx_YY.UTF-8", "LANG": "xx_YY.UTF-8"},
    "POSIX": {"LC_ALL": "POSIX"},
    "ASCII": {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
}


@pytest.mark.parametrize("which", ["Latin-1", *LOCALES])
def test_a_locale_that_is(running: Machine, request: pytest.FixtureRequest, which: str) -> None:
    environment = LOCALES.get(which) or request.getfixturevalue("latin")
    for command in ("status", "doctor", "addons list", "up"):
        result = running.k8s101(*command.split(), env=environment)
        assert result.returncode == 0, result.stdout + result.stderr
    script = running.directory / "lesson.py"
    script.write_text(LESSON, encoding="utf-8")
    own = {files.WORK: str(running.directory / "work")}
    result = running.run(sys.executable, "-c", AS_IN_JUPYTER, script, env=environment | own)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "well True" in result.stdout
    assert "cannot change locale" not in result.stderr


@contextmanager
def home(machine: Machine, name: str) -> Iterator[dict[str, str]]:
    """Give a person a home with the programs in its cache; yield the environment of their commands."""
    place = machine.directory / name
    cache = place / ".cache/k8s101"
    cache.mkdir(parents=True)
    subprocess.run(("mount", "--bind", cache_dir(), cache), check=True)
    try:
        yield {"HOME": str(place), "K8S101_CACHE": "", "K8S101_STATE": "", "USER": name, "XDG_CACHE_HOME": ""}
    finally:
        subprocess.run(("umount", "--lazy", cache), check=True)


@pytest.mark.parametrize("name", ["José Müller", "jdoe@CORP.example", "o=jane doe"])
def test_a_home_that_is_named(machine: Machine, name: str) -> None:
    with home(machine, name) as environment:
        environment |= {"K8S101_STATE": str(machine.directory / name / ".local/state/k8s101")}
        for kind in ("simulated", "nodes"):
            result = machine.k8s101("up", "--backend", kind, env=environment)
            assert "self-check: 3" in result.stdout, result.stderr
            assert machine.k8s101("down", env=environment).returncode == 0


@pytest.mark.parametrize("name", ["CORP\\jdoe", "com,ma", "per%cent", "x" * 70])
def test_a_home_that_cannot_hold_a_cluster_is_named(machine: Machine, name: str) -> None:
    with home(machine, name) as environment:
        own = {"K8S101_STATE": str(machine.directory / name / ".local/state/k8s101")}
        assert_problem(machine.k8s101("up", env=environment | own), "the path of the state directory", "$(id -u)")
        # as it says, with the programs still in that home
        other = {"K8S101_STATE": str(machine.state)}
        result = machine.k8s101("up", env=environment | other)
        assert "self-check: 3 nodes Ready" in result.stdout, result.stderr
        assert machine.k8s101("down", env=environment | other).returncode == 0


def test_a_home_behind_a_link(machine: Machine) -> None:
    with home(machine, "real") as environment:
        link = machine.directory / "link"
        link.symlink_to(machine.directory / "real")
        environment |= {"HOME": str(link), "K8S101_STATE": str(link / ".local/state/k8s101")}
        result = machine.k8s101("up", env=environment)
        assert "self-check: 3 nodes Ready" in result.stdout, result.stderr
        assert machine.k8s101("down", env=environment).returncode == 0
