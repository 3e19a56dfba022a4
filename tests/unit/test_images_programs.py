"""The programs in the images: Go's own tests, and how the real processes start and end."""

from __future__ import annotations

import ctypes
import os
import pty
import select
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from k8s101.cluster.images import building
from k8s101.cluster.programs import builds

PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("programs")
    for name in building._OWN:
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
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "not within a minute"
        time.sleep(0.01)


@pytest.mark.parametrize("name", building._OWN)
@pytest.mark.parametrize("check", [("vet", "."), ("test", ".")], ids=["vet", "test"])
def test_go(name: str, check: tuple[str, ...]) -> None:
    go = builds.find_go((1, 26), lambda _: None)
    answer = subprocess.run([go, *check], cwd=building.SOURCES / name, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_programs_are_static(programs: Path) -> None:
    assert all(building._is_static(programs / name) for name in building._OWN)


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


def as_process_1(programs: Path, name: str, *arguments: str) -> list[object]:
    """Return the command that runs a program of the toolbox as containers do: the first of its PID namespace."""
    (programs / "bin").mkdir(exist_ok=True)
    link = programs / "bin" / name
    if not link.is_symlink():
        link.symlink_to(programs / "hello")
    return ["unshare", "--pid", "--fork", "--kill-child", link, *arguments]


@pytest.fixture
def first(
    programs: Path, started: Callable[..., subprocess.Popen[str]]
) -> Callable[..., tuple[subprocess.Popen[str], psutil.Process]]:
    """Start a program of the toolbox as process 1; return unshare, which ends as it ends, and the program."""

    def start(*words: str, **options: object) -> tuple[subprocess.Popen[str], psutil.Process]:
        outside = started(*as_process_1(programs, *words), **options)
        inside = psutil.Process(outside.pid)
        wait_until(lambda: bool(inside.children()))
        process = inside.children()[0]
        wait_until(lambda: process.name() == words[0] and bool(process.children()))
        return outside, process

    return start


needs_root = pytest.mark.skipif(os.getuid() != 0, reason="a PID namespace of one's own needs root")
needs_busybox = pytest.mark.skipif(not Path("/bin/busybox").exists(), reason="the toolbox's place of busybox")


@needs_root
@needs_busybox
@pytest.mark.parametrize(
    "words",
    [
        ("sleep", "infinity"),
        ("sh", "-c", "sleep infinity"),
        ("sh", "-c", "sleep infinity; echo never"),
        ("sh", "-c", "exec sleep infinity"),
        ("sh", "-c", "while true; do sleep 1; done"),
        ("tail", "-f", "/dev/null"),
        ("nc", "-l", "-p", "0"),
    ],
    ids=lambda words: " ".join(words),
)
def test_toolbox_ends_at_once_when_told(first: Callable[..., Any], words: tuple[str, ...]) -> None:
    outside, process = first(*words)
    process.terminate()
    assert outside.wait(10) == 128 + signal.SIGTERM


@needs_root
@needs_busybox
def test_toolbox_lets_a_script_decide(first: Callable[..., Any]) -> None:
    outside, process = first(
        "sh", "-c", 'trap "echo tidy; exit 7" TERM; echo ready; sleep 60 & wait', stdout=subprocess.PIPE
    )
    assert outside.stdout.readline() == "ready\n"
    process.terminate()
    assert outside.stdout.read() == "tidy\n"
    assert outside.wait(10) == 7


@needs_root
@needs_busybox
@pytest.mark.parametrize(("script", "code"), [("exit 0", 0), ("exit 3", 3), ("kill -9 $$", 137), ("nonsense", 127)])
def test_toolbox_ends_as_its_program_ends(programs: Path, script: str, code: int) -> None:
    answer = subprocess.run([*map(str, as_process_1(programs, "sh", "-c", script))], capture_output=True, timeout=10)
    assert answer.returncode == code, answer.stderr


@needs_root
@needs_busybox
def test_toolbox_collects_orphans(first: Callable[..., Any]) -> None:
    outside, process = first("sh", "-c", "for n in 1 2 3 4 5; do (sleep 0.3 &); done; sleep infinity")
    wait_until(lambda: len(process.children()) == 1)
    process.terminate()
    assert outside.wait(10) == 128 + signal.SIGTERM


def descendants(pid: int) -> list[psutil.Process]:
    return [entry for entry in psutil.Process(pid).children(recursive=True) if entry.status() != psutil.STATUS_ZOMBIE]


@needs_root
@needs_busybox
def test_toolbox_at_a_terminal(programs: Path) -> None:
    """A shell that somebody types into has its jobs, and ends all the same when its container is stopped."""
    ours, theirs = pty.openpty()
    command = ["setsid", "--ctty", *map(str, as_process_1(programs, "sh", "-i"))]
    shell = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env={"PS1": "> ", "PATH": "/bin"})
    os.close(theirs)
    seen = b""

    def answers(part: bytes) -> None:
        nonlocal seen
        while part not in seen:
            assert select.select([ours], [], [], 10)[0], seen
            seen += os.read(ours, 1000)
        seen = seen.partition(part)[2]

    try:
        answers(b"> ")
        os.write(ours, b"sleep 100\n")
        # it is the terminal's own by now: what shells start comes to the foreground before it becomes another program
        wait_until(lambda: any(entry.cmdline() == ["sleep", "100"] for entry in descendants(shell.pid)))
        os.write(ours, b"\x03")
        answers(b"> ")
        os.write(ours, b"echo code $?\n")
        answers(b"code 130")
        unshare = psutil.Process(shell.pid)
        unshare.children()[0].terminate()
        assert shell.wait(10) == 128 + signal.SIGHUP
    finally:
        shell.kill()
        shell.wait()
        os.close(ours)


def test_toolbox_names_what_is_missing(programs: Path, tmp_path: Path) -> None:
    (tmp_path / "sh").symlink_to(programs / "hello")
    command = ["unshare", "--map-root-user", "--mount", "sh", "-c"]
    hidden = f"mount -t tmpfs none /bin/ 2>/dev/null || exit 77; exec {tmp_path}/sh"
    answer = subprocess.run([*command, hidden], capture_output=True, text=True, timeout=10)
    if answer.returncode == 77:
        pytest.skip("no user namespaces here")
    assert answer.returncode == 1 and "/bin/busybox" in answer.stderr
