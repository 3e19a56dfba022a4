"""Find the pinned upstream programs, or download or build them.

Run as a program, `python -m k8s101.cluster.programs.binaries [TOOL…]` does that and prints their paths.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import click

from k8s101.cluster.programs import builds, downloads, wheels
from k8s101.cluster.programs.cache import explained, locked
from k8s101.cluster.programs.projects import PROJECTS
from k8s101.cluster.programs.toolchain import Program, Project
from k8s101.cluster.values.progress import Progress, Report, display, quiet
from k8s101.cluster.values.settings import cache_dir
from k8s101.errors import Problem

Missing = dict[Project, list[Program]]


def default_tools(projects: Sequence[Project] = PROJECTS) -> list[str]:
    """Return the names of the programs that every real cluster needs."""
    return [tool.name for project in projects for tool in project.tools if tool.always]


def bin_dir(project: Project) -> Path:
    """Return the directory of a project's programs in the cache."""
    return cache_dir() / "bin" / project.cache_name


def places(projects: Sequence[Project] = PROJECTS) -> dict[str, Path]:
    """Return where in the cache every program is, or will be once it is made."""
    return {program.name: bin_dir(project) / program.name for project in projects for program in project.tools}


def ensure(names: Iterable[str], report: Report = quiet, projects: Sequence[Project] = PROJECTS) -> dict[str, Path]:
    """Return the absolute path of each named program, after making the ones that are missing.

    Looked for in this order: the directory K8S101_BIN, PATH (only with the pinned version), the user's
    cache, the project's official release file (not with K8S101_DOWNLOAD=never), a build from source.

    Args:
        names: names of programs, such as `kubelet`.
        report: called with the progress of downloads and builds.
        projects: the table to look in.

    Raises:
        Problem: a name is unknown, or a program could not be made.
    """
    wanted = {name: _entry(name, projects) for name in names}
    missing: Missing = {}
    paths: dict[str, Path] = {}
    for name, (project, tool) in wanted.items():
        found = _explicit(tool) or _on_path(project, tool)
        paths[name] = found or bin_dir(project) / name
        if not paths[name].is_file():
            missing.setdefault(project, []).append(tool)
    with explained():
        if missing and downloads.allowed():
            missing = _download(missing, report)
        if missing := _install(missing, report):
            _build(missing, report)
    return paths


def project_of(name: str, projects: Sequence[Project] = PROJECTS) -> Project:
    """Return the project that a program is from.

    Raises:
        Problem: the name is unknown.
    """
    return _entry(name, projects)[0]


def _entry(name: str, projects: Sequence[Project]) -> tuple[Project, Program]:
    for project in projects:
        for tool in project.tools:
            if tool.name == name:
                return project, tool
    known = ", ".join(tool.name for project in projects for tool in project.tools)
    raise Problem(f"there is no program {name}", where="the list of programs", then=f"take one of: {known}")


def _explicit(tool: Program) -> Path | None:
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


def _on_path(project: Project, tool: Program) -> Path | None:
    found = shutil.which(tool.name)
    if found is None:
        return None
    # no settings of the user: some vendor's kubectl asks the current cluster before it tells its own version,
    # and keeps the answer in its home directory
    with tempfile.TemporaryDirectory(prefix="k8s101-") as home:
        env = {"PATH": os.environ.get("PATH", os.defpath), "HOME": home, "KUBECONFIG": os.devnull}
        try:
            answer = subprocess.run(
                [found, *tool.asks], capture_output=True, text=True, errors="replace", timeout=5, env=env
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
    return Path(found).absolute() if tells(answer.stdout + answer.stderr, project.tag) else None


def tells(output: str, version: str) -> bool:
    """Tell whether a program's output names exactly this version, and no pre-release or vendor's variant."""
    number = re.escape(version.removeprefix("v"))
    return re.search(rf"(?<![\w.])v?{number}(?![\w+~-]|\.\w)", output) is not None


def _still_missing(project: Project, tools: Sequence[Program]) -> list[Program]:
    return [tool for tool in tools if not (bin_dir(project) / tool.name).is_file()]


def _lock(project: Project) -> Path:
    return cache_dir() / "bin" / f".{project.name}.lock"


def _counted(missing: Missing) -> list[tuple[int, Project, list[Program]]]:
    """Number the projects down, so that the last one has 1 left."""
    return [(len(missing) - n, project, missing[project]) for n, project in enumerate(missing)]


def _download(missing: Missing, report: Report) -> Missing:
    """Download what can be had and return what is still missing."""
    rest: Missing = {}
    for left, project, tools in _counted(missing):
        meter = _Meter(project, 0, 0, 0, left, report)
        with locked(_lock(project), meter.waiting):
            try:
                downloads.download(project, tools, bin_dir(project), left, report)
            except downloads.Unavailable as reason:
                meter.say(f"{project.name} will be built: {reason}")
                rest[project] = _still_missing(project, tools)
    return rest


def _install(missing: Missing, report: Report) -> Missing:
    """Install what comes as a wheel and return what is still missing."""
    for left, project, tools in _counted(missing):
        if project.wheel:
            meter = _Meter(project, 0, 0, 0, left, report)
            with locked(_lock(project), meter.waiting):
                if still := _still_missing(project, tools):
                    wheels.install(project, still, bin_dir(project), meter.say)
    return {project: tools for project, tools in missing.items() if not project.wheel}


def _build(missing: Missing, report: Report) -> None:
    if any(project.cgo for project in missing):
        builds.check_c_toolchain()
    go = builds.find_go(max(project.go_version for project in missing), report)
    plan = [_plan(go, project, tools, left, report) for left, project, tools in _counted(missing)]
    done = 0
    for (left, project, tools), share in zip(_counted(missing), plan, strict=True):
        meter = _Meter(project, done, share, sum(plan), left, report)
        with locked(_lock(project), meter.waiting):
            for tool in _still_missing(project, tools):
                meter.start(tool)
                builds.build(go, project, tool, bin_dir(project) / tool.name, meter.line)
        done += share


def _plan(go: str, project: Project, tools: list[Program], left: int, report: Report) -> int:
    """Fetch the sources of what is missing and return how many packages have to be compiled."""
    meter = _Meter(project, 0, 0, 0, left, report)
    with locked(_lock(project), meter.waiting):
        meter.say(f"fetching the sources of {project.name}")
        return builds.count_stale(go, project, tools, cache_dir() / "bin", lambda _: None)


class _Meter:
    """Counts the packages that the Go command says it compiles."""

    def __init__(self, project: Project, done: int, share: int, total: int, left: int, report: Report) -> None:
        self.project, self.left, self.total, self.report = project, left, total, report
        self.done, self.end = done, done + share
        self.tool = ""

    def start(self, tool: Program) -> None:
        self.tool = tool.name
        self.say(f"building {tool.name} {self.project.version}")

    def line(self, text: str) -> None:
        if " " not in text:
            self.done = min(self.done + 1, self.end)
            self.say(f"building {self.tool} {self.project.version}")

    def waiting(self) -> None:
        self.say(f"waiting for another run to make {self.project.name}")

    def say(self, message: str) -> None:
        self.report(Progress(self.project.name, self.tool, self.done, self.total, message, self.left))


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
