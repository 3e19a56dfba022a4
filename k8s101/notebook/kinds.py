"""What a module is on each kind of cluster: how many of its cells are real, simulated or shown as recorded.

Nothing of it is typed in: a cell says what it needs (`%%needs`), a backend says what it can do.
`python -m k8s101.notebook papermill` fails when a run shows other numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from nbformat import NotebookNode

from k8s101.cluster.backends.kinds import BACKENDS
from k8s101.notebook import lessons
from k8s101.notebook.document import Tree, code_cells, read


@dataclass(frozen=True)
class Kinds:
    """How many code cells of a notebook do what.

    Args:
        real: run, on nodes that run containers.
        simulated: run, on nodes that only exist in the API.
        recorded: show what a full cluster printed.
    """

    real: int = 0
    simulated: int = 0
    recorded: int = 0

    def __str__(self) -> str:
        return ", ".join(f"{count} {kind}" for kind, count in asdict(self).items() if count)


def able(backend: str) -> dict[str, bool]:
    """Return what a kind of cluster can do; of clusters that others made, what they usually can.

    Args:
        backend: name of the backend.
    """
    return asdict(BACKENDS[backend].TRAITS.usual)


def split(done: int, recorded: int, capabilities: Mapping[str, bool]) -> Kinds:
    """Return the kinds of cells that ran and of cells that showed a recording.

    Args:
        done: how many ran.
        recorded: how many showed a recording.
        capabilities: what their cluster can do.
    """
    real, simulated = (done, 0) if capabilities["containers"] else (0, done)
    return Kinds(real, simulated, recorded)


def expected(nb: NotebookNode, capabilities: Mapping[str, bool]) -> Kinds:
    """Return what the cells of a notebook will be on a cluster.

    Args:
        nb: the notebook.
        capabilities: what the cluster can do.
    """
    code = code_cells(nb)
    recorded = sum(not all(capabilities[need] for need in cell.needs) for cell in code)
    return split(len(code) - recorded, recorded, capabilities)


def table(tree: Tree) -> str:
    """Return README's table: each written module on each kind of cluster, in Markdown.

    Args:
        tree: the checkout.
    """
    rows = [f"| | module | {' | '.join(f'`{name}`' for name in BACKENDS)} |", "|---" * (len(BACKENDS) + 2) + "|"]
    for lesson in lessons.load(tree.notebooks / "lessons.yml").landed:
        nb = read(tree.notebooks / lesson.file)
        counts = [str(expected(nb, able(name))) for name in BACKENDS]
        rows.append(f"| {lesson.number} | {lesson.name} | {' | '.join(counts)} |")
    return "\n".join(rows)
