"""`python -m k8s101.notebook`: what authors and tests do with notebooks."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from difflib import unified_diff
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import click

from k8s101.cluster.facade import cluster, reset
from k8s101.errors import Problem
from k8s101.lesson.cells import needs
from k8s101.notebook import coverage as coverage_module
from k8s101.notebook import lab, learner, lessons, pool, runs
from k8s101.notebook import presenter as presenter_module
from k8s101.notebook import text as text_module
from k8s101.notebook.document import Tree, number_of, read, render, write_atomically
from k8s101.notebook.environment import running_backend
from k8s101.notebook.execute import REFERENCE, without_outputs
from k8s101.notebook.execute import execute as execute_one
from k8s101.notebook.lint import registry
from k8s101.notebook.normalise import normalise_file, normalised_text

DETAIL_LINES = 60

Result = TypeVar("Result")


class Commands(click.Group):
    """A group whose commands end with a three-part message instead of a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; exit 1 on a problem."""
        try:
            return super().invoke(ctx)
        except Problem as problem:
            click.secho(f"error: {problem}", fg="red", err=True)
            ctx.exit(1)


Command = Callable[..., None]


def numbers(command: Command) -> Command:
    """Add the argument that chooses modules."""
    return click.argument("chosen", metavar="[NN]…", nargs=-1)(command)


def at_once(command: Command) -> Command:
    """Add the option how many notebooks run side by side."""
    text = "How many run side by side; those with alone: true in lessons.yml never do."
    option = click.option("--jobs", type=click.IntRange(1), default=pool.AT_ONCE, show_default=True, help=text)
    return option(command)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Run, normalise, check and test the notebooks; NN is a module number, none means all."""
    # kernels and scratch directories go then as they do after Ctrl-C
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@main.command()
@numbers
def execute(chosen: tuple[str, ...]) -> None:
    """Run notebooks on the reference cluster and store their outputs."""
    tree = Tree()
    for path in tree.paths(chosen):
        _tidy_up()
        changed = execute_one(path, tree)
        click.echo(f"{path.name}: {'stored' if changed else 'unchanged'}")


def _tidy_up() -> None:
    """Remove what an earlier run that failed has left: outputs tell what is created."""
    found = cluster.find()
    if found is not None and found.settings.backend == REFERENCE:
        reset.reset(found, lambda line: None)


@main.command()
@numbers
def normalise(chosen: tuple[str, ...]) -> None:
    """Bring notebooks into the form in which they are committed."""
    tree = Tree()
    for path in tree.paths(chosen):
        click.echo(f"{path.name}: {'rewritten' if normalise_file(path, tree) else 'unchanged'}")


@main.command()
@numbers
def check(chosen: tuple[str, ...]) -> None:
    """Tell whether notebooks are normalised, follow the frame and cover what they owe; exit 1 if not."""
    tree = Tree()
    lines, failed = check_all(tree, tree.paths(chosen))
    for line in lines:
        click.echo(line)
    click.echo(f"{len(tree.paths(chosen))} notebooks, {failed} errors")
    sys.exit(1 if failed else 0)


def check_all(tree: Tree, paths: list[Path]) -> tuple[list[str], int]:
    """Return what is wrong with notebooks, line by line, and how many lines are errors.

    Args:
        tree: the checkout.
        paths: the notebooks.
    """
    lines: list[str] = []
    failed = 0
    for path in paths:
        lines += (difference := _difference(path, tree))
        found = registry.lint(path, tree)
        lines += [str(finding) for finding in found]
        failed += bool(difference) + sum(not finding.warning for finding in found)
    missing = [
        f"{lesson.number} notebook: {lesson.file} does not exist; write it or mark the module planned: true"
        for lesson in lessons.load(tree.notebooks / "lessons.yml").landed
        if not (tree.notebooks / lesson.file).exists()
    ]
    uncovered = [f"coverage {fault}" for fault in coverage_module.faults(tree)]
    return lines + missing + uncovered, failed + len(missing) + len(uncovered)


def _difference(path: Path, tree: Tree) -> list[str]:
    old = path.read_text(encoding="utf-8").splitlines()
    new = normalised_text(path, tree).splitlines()
    if old == new:
        return []
    head = f"{path.name} is not normalised; run: python -m k8s101.notebook normalise"
    return [head, *list(unified_diff(old, new, "stored", "normalised", lineterm="", n=1))[:DETAIL_LINES]]


@main.command()
@numbers
def clear(chosen: tuple[str, ...]) -> None:
    """Remove outputs and counts, for work on a notebook before it is executed again."""
    tree = Tree()
    for path in tree.paths(chosen):
        write_atomically(path, render(without_outputs(read(path))))
        click.echo(f"{path.name}: cleared")


@main.command()
@numbers
def text(chosen: tuple[str, ...]) -> None:
    """Print notebooks as text, with their outputs."""
    for path in Tree().paths(chosen):
        click.echo(text_module.as_text(read(path)))


@main.command()
@click.option("--slides", is_flag=True, help="Print the notebook itself, for: jupyter nbconvert --to slides --stdin")
@numbers
def presenter(slides: bool, chosen: tuple[str, ...]) -> None:
    """Print a presenter's script: seconds, what to say, what the room answers wrong, what to skip."""
    listed = lessons.load(Tree().notebooks / "lessons.yml")
    for path in Tree().paths(chosen):
        nb = read(path)
        click.echo(
            render(presenter_module.slides(nb)) if slides else presenter_module.script(nb, listed.find(path.name[:2]))
        )


@main.command()
def prepare() -> None:
    """Make the programs and images of the clusters that this user can have, without starting one."""
    from k8s101.cluster.backends import kinds

    # where the fuller cluster does not start, the simpler one must not need a compiler
    for kind in dict.fromkeys([kinds.most_real(), "simulated"]):
        lab.prepare(kind)


@main.command()
@click.option("--fresh", metavar="NN", help="Begin this module anew; your old copy is kept.")
def copies(fresh: str | None) -> None:
    """Make the learner's copies in work/."""
    for path, result in learner.make_copies(Tree(), fresh).items():
        click.echo(f"{path.name}: {result}")


@main.command()
@click.option("--strict/--lax", default=True, help="Compare every output, or only those true everywhere.")
@at_once
@numbers
def test(strict: bool, jobs: int, chosen: tuple[str, ...]) -> None:
    """Run notebooks and compare what they print with what is stored."""
    tree = Tree()
    tasks = [_task(path, tree, partial(runs.strict, path, tree, lax=not strict)) for path in tree.paths(chosen)]
    _finish(pool.run(tasks, _tell, width=jobs, end=runs.end_children))


@main.command()
@click.option("--copy", is_flag=True, help="Also run a learner's copy of each.")
@click.option("--name", help="Directory of the results below artifacts/; the kind of cluster if left out.")
@at_once
@numbers
def papermill(copy: bool, name: str | None, jobs: int, chosen: tuple[str, ...]) -> None:
    """Run notebooks end to end on any cluster; results stand in artifacts/."""
    tree, able = Tree(), needs.cluster_capabilities()
    backend = name or running_backend()

    def end_to_end(path: Path) -> list[runs.Run]:
        # both work in the lesson's one namespace
        return [
            runs.end_to_end(path, tree, backend, able, copy=as_copy)
            for as_copy in ((False, True) if copy else (False,))
        ]

    def tell(found: list[runs.Run]) -> None:
        for run in found:
            _tell(run)
            runs.save_summary(run, tree, backend)

    tasks = [_task(path, tree, partial(end_to_end, path)) for path in tree.paths(chosen)]
    done = [run for found in pool.run(tasks, tell, width=jobs, end=runs.end_children) for run in found]
    click.echo(f"kept in {tree.artifacts / backend}")
    _finish(done)


@main.command()
@click.option("--times", default=20, show_default=True, help="How many runs of each.")
@numbers
def soak(times: int, chosen: tuple[str, ...]) -> None:
    """Repeat strict runs and count."""
    tree = Tree()
    counts = runs.soak(tree.paths(chosen), tree, times, _tell)
    for name, passed in counts.items():
        click.echo(f"{name}: {passed} of {times} passed")
    sys.exit(0 if set(counts.values()) == {times} else 1)


def _task(path: Path, tree: Tree, work: Callable[[], Result]) -> pool.Task[Result]:
    lesson = lessons.load(tree.notebooks / "lessons.yml").find(number_of(path))
    return pool.Task(path.stem, lambda cluster: work(), alone=bool(lesson and lesson.alone))


def _tell(run: runs.Run) -> None:
    details = [f"    {line}" for line in run.details.splitlines()[-DETAIL_LINES:]]
    click.echo("\n".join([run.line(), *details]))


def _finish(done: list[runs.Run]) -> None:
    passed = sum(run.passed for run in done)
    click.echo(f"{passed} of {len(done)} passed")
    sys.exit(0 if done and passed == len(done) else 1)


@main.command()
def coverage() -> None:
    """Fill in which cells cover which row of the source."""
    tree = Tree()
    write_atomically(tree.notebooks / "coverage.yml", coverage_module.filled(tree))
    for fault in coverage_module.faults(tree):
        click.echo(fault)


@main.command()
def table() -> None:
    """Print README's table of modules."""
    click.echo(lessons.table(lessons.load(Tree().notebooks / "lessons.yml")), nl=False)


if __name__ == "__main__":
    main(prog_name="python -m k8s101.notebook")
