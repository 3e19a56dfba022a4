"""A small checkout with one module that breaks no rule, for tests to damage."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nbformat
from nbformat import NotebookNode

from k8s101.lesson.cells import recorded
from k8s101.lesson.quiz.bank import Exercise, Option, Question
from k8s101.notebook import lessons
from k8s101.notebook.document import Tree, cells, code_cells, make_cell, read, render, write_atomically
from k8s101.notebook.normalise import normalise, title_for

LESSONS = """
repository: ""
modules:
  - {number: "00", slug: start, title: Start, name: Start, summary: begin, minutes: 20}
  - {number: "06", slug: deployments, title: Roll out, name: Deployments, summary: roll out, minutes: 30,
     needs: [containers], ci_guest: true}
  - {number: "07", slug: daemonsets, title: Cover, name: DaemonSets, summary: cover, minutes: 20, planned: true}
"""

COVERAGE = """
# kept
rows:
- {row: "slide:deployment", text: what it is, modules: ["06"], proof: it owns Pods, shows: 06-broken, cells: []}
- {row: "slide:rate", text: how fast, modules: ["06"], proof: enough, corrected: something, shows: again, cells: []}
- {row: "slide:greek", text: the name, modules: ["06"], proof: a question, definition: true, cells: []}
- {row: "slide:agents", text: one per node, modules: ["07", "06"], proof: three, cells: []}
- {row: "demo:7", text: three copies, modules: ["06", "07"], proof: three are ready, asserts: true, cells: []}
"""

Spec = tuple[str, str, list[str], str]
"""Kind, id, tags, source."""


FILLER = " Word after word is read here." * 40

QUIZ = SimpleNamespace(
    QUESTIONS=[
        Question(name, "How many?", {key: Option(key, "because") for key in ("one", "two", "three")}, "one")
        for name in ("one", "two", "three", "four")
    ],
    EXERCISES=[
        Exercise(name, lambda api: None, lambda api: (), ("a nudge", "where to look", "almost all"))
        for name in ("change", "generate", "repair")
    ],
)
"""What the module asks and checks."""


def module_cells() -> list[Spec]:
    """Return the cells of a module that breaks no rule."""
    found: list[Spec] = [
        ("markdown", "title", ["title"], "# Roll out"),
        (
            "markdown",
            "goals",
            ["goals", "slide:greek"],
            "**You will** roll out.\n\n- create\n- scale\n- undo\n\n**Know before:** [00](00-start.ipynb).",
        ),
        ("code", "recall", ["recall"], "from x import recall\n\nrecall('start/one', 'start/two')"),
        ("markdown", "prepare-words", ["prepare"], "## Prepare\n\nA fresh namespace."),
        ("code", "prepare", ["prepare"], "from x import check, draw, hint, predict, reveal\n\napi = draw()"),
    ]
    for step, name in enumerate(("one", "two", "three", "four"), start=1):
        breaks = step == 4
        tagged = ["run", "slide:deployment", "demo:7"] if breaks else ["run"]
        show = "%%bash --needs containers\ncat hello.yaml\nkubectl apply -f hello.yaml\n"
        wait = "%%bash\nkubectl rollout status deployment/hello --timeout=60s\n"
        found += [
            (
                "markdown",
                "break" if breaks else f"step-{step}",
                ["step", "break-it"] if breaks else ["step"],
                f"## Step {step}\n\nOne idea, ![a tree](images/tree.svg).",
            ),
            ("code", f"ask-{step}", ["predict"], f"predict('{name}')"),
            ("code", "broken" if breaks else f"list-{step}", tagged, f"{show}[ {step} = {step} ]"),
            ("code", f"more-{step}", ["run"], f"{wait}echo {step}"),
        ]
        if step < 3:
            made = f"%%needs containers\nmade_{step} = api.core.list_node()\nprint('made', {step})"
            found.append(("code", f"make-{step}", ["run"], made))
        if step == 1:
            found.append(("code", "look-1", ["run"], "%%needs containers\nprint(made_1, api)"))
        found += [
            ("code", f"reveal-{step}", ["reveal"], f"reveal('{name}')\ndraw('deployment/hello')"),
            ("markdown", f"seen-{step}", [], f"You saw it.{FILLER}"),
        ]
    for task, name in (("", "change"), ("-2", "generate"), ("-3", "repair")):
        rows = ["slide:rate", "corrected:rate"] if name == "repair" else []
        again = "check-again" if name == "repair" else f"check-again{task or '-1'}"
        found += [
            ("markdown", f"task{task}", ["exercise"], "## Exercise\n\nMake four."),
            ("code", f"own{task}", ["exercise"], f"%%writefile {name}.yaml\nkind: Deployment"),
            ("code", f"check{task}", ["check"], f"check('{name}')"),
            ("code", f"hint{task}", ["hint"], f"hint('{name}')"),
            ("code", f"solution{task}", ["solution"], f"%%bash\nkubectl apply -f {name}.yaml"),
            ("code", again, ["check", *rows], f"check('{name}')"),
        ]
    found += [
        (
            "markdown",
            "own-cluster",
            ["own-cluster"],
            "## On your own cluster\n\n| here | elsewhere |\n|---|---|\n| a | b |\n\n```\nkubectl get pods\n```",
        ),
        ("markdown", "clean", ["clean-up"], "## Clean up\n\nThe namespace goes."),
        ("code", "clean-up", ["clean-up"], "print('deleted')"),
        (
            "markdown",
            "end",
            ["key-points"],
            "## Key points\n\nThree sentences.\n\n**Next:** 07.\n\n**Further reading:** [one](https://example.org/).",
        ),
    ]
    return found


def make_tree(root: Path) -> Tree:
    """Lay out the checkout, with the module executed and recorded."""
    tree = Tree(root)
    write_atomically(tree.notebooks / "lessons.yml", LESSONS)
    write_atomically(tree.notebooks / "coverage.yml", COVERAGE)
    write_atomically(tree.notebooks / "images/tree.svg", "<svg/>")
    write_atomically(tree.manifests / "06-deployments/hello.yaml", "kind: Deployment\n")
    write_notebook(tree, "00-start.ipynb", [("markdown", "title", ["title"], "# Start")])
    write_notebook(tree, "06-deployments.ipynb", module_cells())
    record(tree)
    return tree


def write_notebook(tree: Tree, name: str, specs: list[Spec]) -> Path:
    """Write a normalised notebook whose code cells look executed."""
    number = name[:2]
    nb = nbformat.v4.new_notebook()
    nb.cells = [make_cell(kind, source, f"{number}-{cell_id}", tags) for kind, cell_id, tags, source in specs]
    for cell in code_cells(nb):
        cell.raw.execution_count = 1
        cell.raw.outputs = [stream(f"{cell.id}\n")]
        cell.raw.metadata.seconds = 1
    for cell in cells(nb):
        if cell.part == "step":
            cell.raw.metadata.presenter = {"say": "It takes a moment.", "wrong": "one"}
    path = tree.notebooks / name
    title = title_for(number, lessons.load(tree.notebooks / "lessons.yml"))
    write_atomically(path, render(normalise(nb, number, title)))
    return path


def record(tree: Tree) -> None:
    """Write the recordings of module 06 as they should be."""
    needing = [cell for cell in code_cells(load(tree)) if cell.needs]
    found = {cell.id: {"source": recorded.digest(cell.source), "outputs": cell.outputs} for cell in needing}
    write_atomically(recorded.file_of(tree.recorded, "06"), recorded.render(found))


def stream(text: str, name: str = "stdout") -> NotebookNode:
    found: NotebookNode = nbformat.v4.new_output("stream", name=name, text=text)
    return found


def display(**data: Any) -> NotebookNode:
    """Return a display output; names of kinds have `_` for `/`."""
    found: NotebookNode = nbformat.v4.new_output(
        "display_data", {kind.replace("_", "/", 1): text for kind, text in data.items()}
    )
    return found


def path_of(tree: Tree) -> Path:
    return tree.notebooks / "06-deployments.ipynb"


def load(tree: Tree) -> NotebookNode:
    return read(path_of(tree))


def save(tree: Tree, nb: NotebookNode) -> None:
    write_atomically(path_of(tree), render(nb))


def cell_named(nb: NotebookNode, name: str) -> NotebookNode:
    """Return the raw cell `06-<name>`."""
    return next(cell.raw for cell in cells(nb) if cell.id == f"06-{name}")
