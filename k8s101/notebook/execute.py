"""Run a notebook from top to bottom on the reference cluster and store what it printed."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from k8s101.errors import Problem
from k8s101.lesson.cells import recorded
from k8s101.lesson.cells.needs import MARK
from k8s101.notebook import lessons as lessons_module
from k8s101.notebook.document import (
    Cell,
    Tree,
    cells,
    code_cells,
    number_of,
    output_texts,
    read,
    render,
    write_atomically,
)
from k8s101.notebook.environment import (
    CELL_SECONDS,
    KERNEL,
    STARTUP_SECONDS,
    kernel_environment,
    running_backend,
    teach_kernels,
)
from k8s101.notebook.normalise import normalise, title_for
from k8s101.notebook.timing import Stopwatch

REFERENCE = "nodes"


def execute(path: Path, tree: Tree, backend: Callable[[], str] = running_backend) -> bool:
    """Run a notebook, bring it into the committed form and store it with its recordings.

    Nothing is written unless every cell ran; a failed run is kept below artifacts.

    Args:
        path: a notebook of the tree.
        tree: the checkout.
        backend: tells on which backend the cluster runs.

    Returns:
        Whether the stored file changed.

    Raises:
        Problem: the cluster is not the reference, or a cell failed.
    """
    kind = backend()
    if kind != REFERENCE:
        raise Problem(
            f"stored outputs come from the {REFERENCE} backend, this cluster is {kind}",
            where=path.name,
            then="k8s101 down, then sudo k8s101 up; or run it without storing: "
            f"python -m k8s101.notebook papermill {number_of(path)}",
        )
    number = number_of(path)
    title = title_for(number, lessons_module.load(tree.notebooks / "lessons.yml"))
    nb = without_outputs(normalise(read(path), number, title))
    run(nb, path, tree, tree.artifacts / kind / "failed")
    _require_complete(nb, path)
    return _store(normalise(nb, number, title), path, tree)


def without_outputs(nb: NotebookNode) -> NotebookNode:
    """Return a notebook as if it had never been run; it is changed in place.

    Args:
        nb: the notebook.
    """
    for cell in code_cells(nb):
        cell.raw.outputs, cell.raw.execution_count = [], None
    return nb


def run(nb: NotebookNode, path: Path, tree: Tree, failed: Path) -> None:
    """Run all cells in a fresh kernel in the notebooks' directory; outputs and seconds replace those in `nb`.

    Args:
        nb: the notebook, changed in place.
        path: its file, for messages.
        tree: the checkout.
        failed: directory where a failed run is kept.

    Raises:
        Problem: a cell failed, took too long, or ended the kernel.
    """
    teach_kernels()
    with _progress() as progress, tempfile.TemporaryDirectory(prefix="k8s101-") as ipython_dir:
        task = progress.add_task(path.stem, total=len(nb.cells))
        at = 0
        watch = Stopwatch()

        def started(cell: NotebookNode, cell_index: int) -> None:
            nonlocal at
            at = cell_index
            progress.update(task, completed=cell_index)

        client = NotebookClient(
            nb,
            timeout=CELL_SECONDS,
            startup_timeout=STARTUP_SECONDS,
            kernel_name=KERNEL,
            extra_arguments=["--log-level=40"],  # a warning on TCP would drown the progress
            record_timing=False,
            store_widget_state=False,
            raise_on_iopub_timeout=True,
            resources={"metadata": {"path": str(tree.notebooks)}},
            on_cell_start=started,
            on_cell_execute=watch.start,
            on_cell_executed=watch.stop,
        )
        try:
            client.execute(env=kernel_environment(ipython_dir))
        except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
            kept = failed / path.name
            write_atomically(kept, render(nb))
            raise _problem(error, cells(nb)[at], path, kept) from None


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def _problem(error: Exception, cell: Cell, path: Path, kept: Path) -> Problem:
    if isinstance(error, CellExecutionError):
        what = f"{error.ename}: {error.evalue}"
    elif isinstance(error, CellTimeoutError):
        what = f"it did not end within {CELL_SECONDS} s"
    else:
        what = "the kernel ended"
    source = "\n".join(f"    {line}" for line in cell.source.splitlines())
    return Problem(
        f"cell {cell.id} failed: {what}",
        where=f"{path}\n{source}",
        then=f"look at the run in {kept}; the stored notebook is unchanged",
    )


def _require_complete(nb: NotebookNode, path: Path) -> None:
    for cell in code_cells(nb):
        if cell.count is None:
            raise Problem(
                f"cell {cell.id} was not executed", where=str(path), then="give the cell some code, or remove it"
            )
        if is_recording(cell):
            raise Problem(
                f"cell {cell.id} did not run: the cluster lacks what it needs",
                where=str(path),
                then="k8s101 status; stored outputs need a full cluster",
            )


def is_recording(cell: Cell) -> bool:
    """Tell whether what a cell put out is a recording.

    Args:
        cell: an executed code cell.
    """
    return any(kind == "stdout" and text.startswith(MARK) for kind, text in output_texts(cell))


def _store(nb: NotebookNode, path: Path, tree: Tree) -> bool:
    recordings = {
        cell.id: {"source": recorded.digest(cell.source), "outputs": _without_counts(cell)}
        for cell in code_cells(nb)
        if cell.needs
    }
    target = recorded.file_of(tree.recorded, number_of(path))
    if recordings:
        write_atomically(target, recorded.render(recordings))
    else:
        target.unlink(missing_ok=True)
    text = render(nb)
    changed = text != path.read_text(encoding="utf-8")
    if changed:
        write_atomically(path, text)
    return changed


def _without_counts(cell: Cell) -> list[dict[str, object]]:
    return [
        {name: value for name, value in output.items() if name not in ("execution_count", "metadata")}
        for output in cell.outputs
    ]
