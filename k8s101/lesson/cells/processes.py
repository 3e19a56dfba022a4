"""Run a script so that what it starts can be waited for, interrupted, and ended with the kernel at the latest."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import FrameType

from k8s101.lesson.api.guard import guard, members

BASH = ("bash", "--noprofile", "--norc", "-euo", "pipefail", "-c")
END_SECONDS = 3
"""How long a command may take to end after an interrupt before it is killed."""

READ_BYTES = 65536


@dataclass(frozen=True)
class Ended:
    """How a script ended.

    Args:
        code: its exit code; negative for a signal, 0 for success.
        line: the line that failed, counted from 1; None if bash cannot tell.
    """

    code: int
    line: int | None = None


def run(script: str, environment: Mapping[str, str], write: Callable[[bytes], object]) -> Ended:
    """Run a script in bash and hand on what it writes, both streams in their order, as it comes.

    The script has no terminal and no input. What it leaves running in the background neither delays the return
    nor fails when it writes later, and ends with this process.

    Args:
        script: the script.
        environment: its variables, and `_K8S101_OUT` is added: the name of what it writes to.
        write: gets the bytes.

    Raises:
        KeyboardInterrupt: somebody interrupted; everything that the script started is ended.
    """
    output, outlet = os.pipe()
    failures, failure = os.pipe()
    keeper = guard()
    # the script may run before this process knows whom it would have to end
    let_through = _put_interrupts_off()
    try:
        process = subprocess.Popen(
            # it reports itself to the guard: this process may be killed before it could, while the script runs
            # already; the same line, so that bash counts the script's lines as a reader does
            [*BASH, f"{keeper.watching} trap 'echo $LINENO >&{failure}' ERR; {script}"],
            stdin=subprocess.DEVNULL,
            stdout=outlet,
            stderr=outlet,
            pass_fds=[failure, keeper.pipe],
            env={**environment, "_K8S101_OUT": f"pipe:[{os.fstat(outlet).st_ino}]"},
            start_new_session=True,
        )
    except OSError:
        let_through()
        raise
    finally:
        os.close(outlet)
        os.close(failure)
    try:
        let_through()
        _copy(process, output, write)
    except BaseException:
        # people press the button twice
        let_through = _put_interrupts_off()
        _end(process)
        os.close(output)
        os.close(failures)
        let_through()
        raise
    numbers = _rest(failures).split()
    _follow_leftovers(process.pid, output, failures)
    return Ended(process.returncode, int(numbers[-1]) if numbers else None)


def _put_interrupts_off() -> Callable[[], None]:
    """Put interrupts off; return what lets them through again, and then the one that came meanwhile."""
    handler = signal.getsignal(signal.SIGINT)
    # other threads are never interrupted; a signal that is ignored stays so, in what is started, too
    if threading.current_thread() is not threading.main_thread() or not callable(handler):
        return lambda: None
    came: list[tuple[int, FrameType | None]] = []
    signal.signal(signal.SIGINT, lambda number, frame: came.append((number, frame)))

    def let_through() -> None:
        signal.signal(signal.SIGINT, handler)
        if came:
            handler(*came[0])

    return let_through


def _copy(process: subprocess.Popen[bytes], output: int, write: Callable[[bytes], object]) -> None:
    """Hand on what arrives until the script itself has ended."""
    ended, end = os.pipe()

    def wait() -> None:
        process.wait()
        os.close(end)

    threading.Thread(target=wait, name="k8s101 waits for bash", daemon=True).start()
    try:
        open_ends = [output, ended]
        while True:
            ready = select.select(open_ends, [], [])[0]
            if output in ready:
                if chunk := os.read(output, READ_BYTES):
                    write(chunk)
                else:
                    open_ends = [ended]
            elif ended in ready:
                break
        write(_rest(output))
    finally:
        os.close(ended)


def _rest(descriptor: int) -> bytes:
    """Return what is in a pipe now."""
    os.set_blocking(descriptor, False)
    found = b""
    with contextlib.suppress(BlockingIOError):
        while chunk := os.read(descriptor, READ_BYTES):
            found += chunk
    return found


def _follow_leftovers(session: int, *pipes: int) -> None:
    """Keep the pipes of a script open as long as something that it left behind could write to them."""
    if not members(session):
        guard().forget(session)
        for pipe in pipes:
            os.close(pipe)
        return

    def drain() -> None:
        left = set(pipes)
        while left:
            for pipe in select.select(left, [], [])[0]:
                if not _rest_or_end(pipe):
                    os.close(pipe)
                    left.discard(pipe)
        if not members(session):
            guard().forget(session)

    threading.Thread(target=drain, name=f"k8s101 follows session {session}", daemon=True).start()


def _rest_or_end(pipe: int) -> bool:
    """Throw away what is in a pipe; return whether more may come."""
    try:
        return bool(os.read(pipe, READ_BYTES))
    except BlockingIOError:
        return True


def _end(process: subprocess.Popen[bytes]) -> None:
    """End everything of a session: politely, and then not."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        for pid in members(process.pid):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            # background processes of a script ignore SIGINT
            process.wait(END_SECONDS)
    guard().forget(process.pid)
