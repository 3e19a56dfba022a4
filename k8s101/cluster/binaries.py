"""Find the pinned upstream programs, or download or build them.

Run as a program, `python -m k8s101.cluster.binaries [TOOL…]` does that and prints their paths.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import click

from k8s101.cluster import builds, downloads
from k8s101.cluster.cache import explained, locked
from k8s101.cluster.progress import Progress, Report, display, quiet
from k8s101.cluster.settings import cache_dir
from k8s101.cluster.toolchain import COMPONENTS, Component, Tool
from k8s101.errors import Problem

Missing = dict[Component, list[Tool]]


def default_tools(components: Sequence[Component] = COMPONENTS) -> list[str]:
    """Return the names of the programs that every real cluster needs."""
    return [tool.name for component in components for tool in component.tools if tool.always]


def bin_dir(component: Component) -> Path:
    """Return the directory of a component's programs in the cache."""
    return cache_dir() / "bin" / component.cache_name


def ensure(
    names: Iterable[str], report: Report = quiet, components: Sequence[Component] = COMPONENTS
) -> dict[str, Path]:
    """Return the absolute path of each named program, after making the ones that are missing.

    Looked for in this order: the directory K8S101_BIN, PATH (only with the pinned version), the user's
    cache, the project's official release file (not with K8S101_DOWNLOAD=never), a build from source.

    Args:
        names: names of programs, such as `kubelet`.
        report: called with the progress of downloads and builds.
        components: the table to look in.

    Raises:
        Problem: a name is unknown, or a program could not be made.
    """
    wanted = {name: _entry(name, components) for name in names}
    missing: Missing = {}
    paths: dict[str, Path] = {}
    for name, (component, tool) in wanted.items():
        found = _explicit(tool) or _on_path(component, tool)
        paths[name] = found or bin_dir(component) / name
        if not paths[name].is_file():
            missing.setdefault(component, []).append(tool)
    with explained():
        if missing and downloads.allowed():
            missing = _download(missing, report)
        if missing:
            _build(missing, report)
    return paths


def _entry(name: str, components: Sequence[Component]) -> tuple[Component, Tool]:
    for component in components:
        for tool in component.tools:
            if tool.name == name:
                return component, tool
    known = ", ".join(tool.name for component in components for tool in component.tools)
    raise Problem(f"there is no program {name}", where="the list of programs", then=f"take one of: {known}")


def _explicit(tool: Tool) -> Path | None:
    directory = os.environ.get("K8S101_BIN")
    if not directory:
        return None
    if not Path(directory).is_dir():
        raise Problem(
            f"{directory} is no directory",
            where="the environment variable K8S101_BIN",
            then="point it to a directory with programs, or unset it",
        )
    path = Path(directory).resolve() / tool.name
    return path if os.access(path, os.X_OK) else None


def _on_path(component: Component, tool: Tool) -> Path | None:
    found = shutil.which(tool.name)
    if found is None:
        return None
    # no settings of the user: some vendor's kubectl asks the current cluster before it tells its own version
    env = {"PATH": os.environ.get("PATH", os.defpath), "HOME": "/nonexistent", "KUBECONFIG": os.devnull}
    try:
        answer = subprocess.run(
            [found, *tool.asks], capture_output=True, text=True, errors="replace", timeout=5, env=env
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return Path(found).absolute() if tells(answer.stdout + answer.stderr, component.version) else None


def tells(output: str, version: str) -> bool:
    """Tell whether a program's output names exactly this version, and no pre-release or vendor's variant."""
    number = re.escape(version.removeprefix("v"))
    return re.search(rf"(?<![\w.])v?{number}(?![\w+~-]|\.\w)", output) is not None


def _still_missing(component: Component, tools: Sequence[Tool]) -> list[Tool]:
    return [tool for tool in tools if not (bin_dir(component) / tool.name).is_file()]


def _lock(component: Component) -> Path:
    return cache_dir() / "bin" / f".{component.name}.lock"


def _counted(missing: Missing) -> list[tuple[int, Component, list[Tool]]]:
    """Number the components down, so that the last one has 1 left."""
    return [(len(missing) - n, component, missing[component]) for n, component in enumerate(missing)]


def _download(missing: Missing, report: Report) -> Missing:
    """Download what can be had and return what is still missing."""
    rest: Missing = {}
    for left, component, tools in _counted(missing):
        meter = _Meter(component, 0, 0, 0, left, report)
        with locked(_lock(component), meter.waiting):
            try:
                downloads.download(component, tools, bin_dir(component), left, report)
            except downloads.Unavailable as reason:
                meter.say(f"{component.name} will be built: {reason}")
                rest[component] = _still_missing(component, tools)
    return rest


def _build(missing: Missing, report: Report) -> None:
    if any(component.cgo for component in missing):
        builds.check_c_toolchain()
    go = builds.find_go(max(component.go_version for component in missing), report)
    plan = [_plan(go, component, tools, left, report) for left, component, tools in _counted(missing)]
    done = 0
    for (left, component, tools), share in zip(_counted(missing), plan, strict=True):
        meter = _Meter(component, done, share, sum(plan), left, report)
        with locked(_lock(component), meter.waiting):
            for tool in _still_missing(component, tools):
                meter.start(tool)
                builds.build(go, component, tool, bin_dir(component) / tool.name, meter.line)
        done += share


def _plan(go: str, component: Component, tools: list[Tool], left: int, report: Report) -> int:
    """Fetch the sources of what is missing and return how many packages have to be compiled."""
    meter = _Meter(component, 0, 0, 0, left, report)
    with locked(_lock(component), meter.waiting):
        meter.say(f"fetching the sources of {component.name}")
        return builds.count_stale(go, component, tools, cache_dir() / "bin", lambda _: None)


class _Meter:
    """Counts the packages that the Go command says it compiles."""

    def __init__(self, component: Component, done: int, share: int, total: int, left: int, report: Report) -> None:
        self.component, self.left, self.total, self.report = component, left, total, report
        self.done, self.end = done, done + share
        self.tool = ""

    def start(self, tool: Tool) -> None:
        self.tool = tool.name
        self.say(f"building {tool.name} {self.component.version}")

    def line(self, text: str) -> None:
        if " " not in text:
            self.done = min(self.done + 1, self.end)
            self.say(f"building {self.tool} {self.component.version}")

    def waiting(self) -> None:
        self.say(f"waiting for another run to make {self.component.name}")

    def say(self, message: str) -> None:
        self.report(Progress(self.component.name, self.tool, self.done, self.total, message, self.left))


@click.command()
@click.argument("tools", nargs=-1)
def main(tools: tuple[str, ...]) -> None:
    """Make sure that the pinned programs are there, and print their paths."""
    try:
        with display() as report:
            paths = ensure(tools or default_tools(), report)
    except Problem as problem:
        click.echo(problem, err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        click.echo("Stopped. The next run goes on where this one was.", err=True)
        sys.exit(130)
    for path in paths.values():
        click.echo(path)


if __name__ == "__main__":
    main()
