"""What a cell has started ends with an interrupt, and with its kernel at the latest."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from k8s101.errors import CommandFailed
from k8s101.lesson.api.guard import members
from k8s101.lesson.cells import bash, processes
from tests.waiting import eventually


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_outlives_the_kernel(how: signal.Signals, tmp_path: Path) -> None:
    file = tmp_path / "pid"
    program = f"""
        from k8s101.lesson.cells import bash
        bash.run("sleep 1000 & echo $! >{file}.new; mv {file}.new {file}")
        bash.run("sleep 1000")
    """
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(program)])
    eventually("the cell runs", file.exists, 60)
    background = int(file.read_text())
    assert os.getsid(background) != os.getsid(0)
    process.send_signal(how)
    process.wait()
    eventually("it has ended", lambda: not runs(background), 60)


def runs(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


@pytest.fixture
def interruptible() -> Iterator[None]:
    """As kernels do; what a shell runs in the background begins with this signal ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


SCRIPT = """
sleep 1000 &
echo $! $$ >'{0}.new'
mv '{0}.new' '{0}'
sleep 1000
"""


def interrupted_cell(file: Path) -> None:
    """Run a cell that writes who it is, and see it interrupted and all of it ended."""
    with pytest.raises(CommandFailed, match="^interrupted: all commands of this cell have been ended$"):
        bash.run(SCRIPT.format(file))
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    eventually("all have ended", lambda: not any(runs(int(pid)) for pid in file.read_text().split()), 60)


def test_an_interrupt_ends_all_that_the_cell_started(tmp_path: Path, interruptible: None) -> None:
    file = tmp_path / "pids"
    main = threading.main_thread().ident
    assert main is not None

    def interrupt() -> None:
        eventually("the cell runs", file.exists, 60)
        signal.pthread_kill(main, signal.SIGINT)

    threading.Thread(target=interrupt).start()
    interrupted_cell(file)


def test_an_interrupt_before_bash_is_known_ends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interruptible: None
) -> None:
    file = tmp_path / "pids"
    start = subprocess.Popen

    def interrupted(*args: Any, **options: Any) -> subprocess.Popen[bytes]:
        process = start(*args, **options)
        eventually("the cell runs", file.exists, 60)
        signal.raise_signal(signal.SIGINT)
        return process

    monkeypatch.setattr(subprocess, "Popen", interrupted)
    interrupted_cell(file)


def test_a_second_interrupt_does_not_keep_the_first_from_ending_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interruptible: None
) -> None:
    file = tmp_path / "pids"
    main = threading.main_thread().ident
    assert main is not None

    def interrupted(session: int) -> list[int]:
        signal.raise_signal(signal.SIGINT)
        return members(session)

    def interrupt() -> None:
        eventually("the cell runs", file.exists, 60)
        monkeypatch.setattr(f"{processes.__name__}.members", interrupted)
        signal.pthread_kill(main, signal.SIGINT)

    threading.Thread(target=interrupt).start()
    interrupted_cell(file)
