"""The programs in the images: Go's own tests, and how the real processes start and end."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from k8s101.cluster.images import building
from k8s101.cluster.programs import builds

PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("programs")
    for name in ("hello", "pause"):
        building._build(name, place, lambda _: None)
    return place


@pytest.fixture
def started() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    running: list[subprocess.Popen[str]] = []

    def start(*command: object, **options: object) -> subprocess.Popen[str]:
        running.append(subprocess.Popen([str(c) for c in command], text=True, **options))  # type: ignore[call-overload]
        return running[-1]

    yield start
    for process in running:
        process.kill()
        process.communicate()


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "not within ten seconds"
        time.sleep(0.01)


@pytest.mark.parametrize("name", ["hello", "pause"])
@pytest.mark.parametrize("check", [("vet", "."), ("test", ".")], ids=["vet", "test"])
def test_go(name: str, check: tuple[str, ...]) -> None:
    go = builds.find_go((1, 26), lambda _: None)
    answer = subprocess.run([go, *check], cwd=building.SOURCES / name, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_programs_are_static(programs: Path) -> None:
    assert all(building._is_static(programs / name) for name in ("hello", "pause"))


def test_hello_serves_and_ends_in_good_order(programs: Path, started: Callable[..., subprocess.Popen[str]]) -> None:
    (programs / "version").write_text("2.0.0\n")
    env = {"HELLO_VERSION_FILE": str(programs / "version"), "PORT": "0"}
    hello = started(programs / "hello", env=env, stdout=subprocess.PIPE)
    assert hello.stdout is not None
    first = hello.stdout.readline()
    assert first.startswith("hello 2.0.0 listens on ")
    port = first.strip().rpartition(":")[2]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
        assert answer.read().decode() == f"hello 2.0.0 from {os.uname().nodename}\n"
        assert answer.headers["X-Hello-Version"] == "2.0.0"
    hello.send_signal(signal.SIGTERM)
    rest, _ = hello.communicate(timeout=10)
    assert "GET / 200" in rest and "told to stop" in rest
    assert hello.returncode == 0


def test_hello_names_a_wrong_command_line(programs: Path) -> None:
    answer = subprocess.run([programs / "hello", "countdown", "--from", "x"], capture_output=True, text=True)
    assert answer.returncode == 2
    assert answer.stderr.startswith("hello: countdown: invalid value")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_pause_collects_orphans_and_ends_when_told(
    programs: Path, started: Callable[..., subprocess.Popen[str]], number: signal.Signals
) -> None:
    def prepare() -> None:
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
        # a shell starts its background jobs with SIGINT ignored, and so may this test have been started
        signal.signal(number, signal.SIG_DFL)

    leave_ten = 'for n in 1 2 3 4 5 6 7 8 9 10; do (sleep 0.5 & ); done; exec "$0"'
    pause = started("/bin/sh", "-c", leave_ten, programs / "pause", preexec_fn=prepare)
    process = psutil.Process(pause.pid)
    wait_until(lambda: process.name() == "pause")
    assert len(process.children()) > 0, "the orphans ended too soon to be a test"
    wait_until(lambda: process.children() == [])
    pause.send_signal(number)
    assert pause.wait(10) == 0
