"""`%%needs CAPABILITY[, …]`: a cell that runs where the cluster can serve it, and shows a recording elsewhere.

The line is taken off the cell before Python sees it. A cell magic would have to run the body itself and
would print every traceback twice, once with wrong line numbers.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from k8s101.cluster.values.settings import ROOT
from k8s101.errors import Problem
from k8s101.lesson.cells import recorded

MARK = "Not run: this cluster lacks "
"""How the output of a cell begins that was not run; run summaries count it."""

END = "End of the recording."
MODULE = __name__


def cluster_capabilities() -> dict[str, bool]:
    """Return what the running cluster can do.

    Raises:
        Problem: no cluster is running.
    """
    from k8s101.cluster.facade import cluster

    found = cluster.find()
    if found is None:
        raise Problem("no cluster is running", where="this cell", then="k8s101 up, then run the cell again")
    return asdict(found.capabilities)


def current_module() -> str | None:
    """Return the number of the module whose lesson is open in this kernel, if one is."""
    from k8s101.lesson.api import session

    try:
        slug = session.current().slug
    except Problem:
        return None
    found = sorted((ROOT / "notebooks").glob(f"[0-9][0-9]-{slug}.ipynb"))
    return found[0].stem[:2] if found else slug


def missing(line: str, capabilities: dict[str, bool], option: str = "%%needs") -> list[str]:
    """Return the needed capabilities that the cluster lacks, in the order in which the cell names them.

    Args:
        line: what stands behind `%%needs`.
        capabilities: what the cluster can do.
        option: what the learner wrote before them.

    Raises:
        Problem: the line names nothing, or something that no cluster has.
    """
    names = [name for name in line.replace(",", " ").split() if name]
    unknown = [name for name in names if name not in capabilities]
    if unknown or not names:
        raise Problem(
            f"{option} names {'no capability' if not names else 'an unknown capability: ' + unknown[0]}",
            where="the first line of this cell",
            then=f"choose from: {', '.join(sorted(capabilities))}",
        )
    return [name for name in names if not capabilities[name]]


def transform(lines: list[str], capabilities: Callable[[], dict[str, bool]], directory: Path) -> list[str]:
    """Return the lines that run instead of a cell.

    Args:
        lines: the cell, one string with its line end per line.
        capabilities: tells what the cluster can do; asked only if the cell needs something.
        directory: where the recordings are.
    """
    if not lines or not lines[0].startswith("%%needs"):
        return lines
    head = lines[0].removeprefix("%%needs").strip()
    try:
        lacking = missing(head, capabilities())
    except Problem as problem:
        arguments = f"{problem.found!r}, where={problem.where!r}, then={problem.then!r}"
        return [f"raise __import__('k8s101.errors', fromlist=['Problem']).Problem({arguments})\n"]
    if not lacking:
        return ["\n", *lines[1:]]  # the empty line keeps the line numbers of tracebacks right
    arguments = f"{lacking!r}, {recorded.digest(''.join(lines))!r}, {str(directory)!r}"
    return [f"__import__({MODULE!r}, fromlist=['show_recorded']).show_recorded({arguments})\n"]


def show_recorded(lacking: list[str], source: str, directory: str) -> None:
    """Say why a cell did not run and show what a full cluster printed.

    Args:
        lacking: the capabilities that the cluster lacks.
        source: digest of the cell's text.
        directory: where the recordings are.
    """
    words = ", ".join(name.replace("_", " ") for name in lacking)
    outputs = recorded.find(Path(directory), current_module(), _cell_id(), source)
    if outputs is None:
        print(f"{MARK}{words}. Nothing is recorded for this cell.")
        return
    from IPython.display import display

    print(f"{MARK}{words}. Recorded on a full cluster:")
    for output in outputs:
        if output["output_type"] == "stream":
            print(output["text"], end="" if output["text"].endswith("\n") else "\n")
        else:
            display(output["data"], raw=True)
    print(END)


def _running_shell() -> Any:
    if "IPython" not in sys.modules:  # a command line, not a notebook: spare it the import
        return None
    from IPython import get_ipython

    return get_ipython()


def _cell_id() -> str | None:
    shell = _running_shell()
    parent = shell.get_parent() if shell is not None and hasattr(shell, "get_parent") else {}
    cell_id = (parent or {}).get("metadata", {}).get("cellId")
    return str(cell_id) if cell_id else None


def register(
    shell: Any = None,
    capabilities: Callable[[], dict[str, bool]] = cluster_capabilities,
    directory: Path = ROOT / "notebooks" / "recorded",
) -> None:
    """Teach an IPython shell the `%%needs` line; a second call replaces the first; no shell, no effect.

    Args:
        shell: the shell; the running one if left out.
        capabilities: tells what the cluster can do.
        directory: where the recordings are.
    """
    shell = shell or _running_shell()
    if shell is None:
        return

    def needs(lines: list[str]) -> list[str]:
        return transform(lines, capabilities, directory)

    others = [old for old in shell.input_transformers_cleanup if getattr(old, "__module__", "") != MODULE]
    shell.input_transformers_cleanup[:] = [*others, needs]
