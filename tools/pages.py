"""The derived parts of README.md, docs/ and tests/: tables, and one picture.

`python -m tools.pages` rewrites them between their markers; with `--check` it only says whether they are true.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click
import yaml

from k8s101.cluster.values.settings import ROOT
from k8s101.notebook import kinds, lessons
from k8s101.notebook.document import Tree
from tools import floors, stages

README = ROOT / "README.md"
ARCHITECTURE = ROOT / "docs/architecture.md"
TESTS = ROOT / "tests/README.md"
LESSONS = ROOT / "notebooks/lessons.yml"
RESULTS = ROOT / "benchmarks/results.json"


def modules() -> str:
    """Return the table of modules; a module that is not written yet has no link."""
    rows = ["| | module | after it you can | minutes |", "|---|---|---|---|"]
    for module in yaml.safe_load(LESSONS.read_text())["modules"]:
        path = f"notebooks/{module['number']}-{module['slug']}.ipynb"
        name = f"{module['name']} (planned)" if module.get("planned") else f"[{module['name']}]({path})"
        rows.append(f"| {module['number']} | {name} | {module['summary']} | {module['minutes']} |")
    return "\n".join(rows)


def benchmarks() -> str:
    """Return the table of measurements, or one sentence where nothing was measured yet."""
    if not RESULTS.exists():
        return "Not measured yet: `make bench`."
    results: dict[str, Any] = json.loads(RESULTS.read_text())
    rows = [
        f"Median of {results['rounds']} rounds on {results['date']}: {results['machine']}. The last column compares",
        "with `kwokctl create cluster` (a control plane without containers) on the same binaries in the same round.",
        "",
        "| cluster | what | measured | target | times kwokctl's |",
        "|---|---|---|---|---|",
    ]
    for backend, figures in results["figures"].items():
        for name, row in figures.items():
            unit, ratio = row["unit"], row["ratio"] or ""
            cells = (f"`{backend}`", name, f"{row['median']:g} {unit}", f"≤ {row['most']:g} {unit}", f"{ratio}")
            rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def binder() -> str:
    """Return what to know about Binder, with a link where the repository is public."""
    listed = lessons.load(LESSONS)
    if not listed.repository:
        return "On Binder, `binder/Dockerfile` gives a session the guest's real nodes; no Binder has built it yet."
    first = lessons.binder_link(listed.landed[0], listed)
    return f"On Binder everybody gets the guest's real nodes: [begin there]({first}), without an account."


PAGES: dict[Path, dict[str, Callable[[], str]]] = {
    README: {"binder": binder, "modules": modules, "kinds": lambda: kinds.table(Tree()), "benchmarks": benchmarks},
    ARCHITECTURE: {"floors": floors.table},
    TESTS: {"stages": stages.table},
}


def render(text: str, parts: Mapping[str, Callable[[], str]]) -> str:
    """Return a page with its derived parts made anew.

    Args:
        text: the page.
        parts: name of a part, and what makes it.

    Raises:
        ValueError: a marker is missing.
    """
    for name, make in parts.items():
        pattern = re.compile(rf"(<!-- {name} -->\n).*?(\n<!-- end {name} -->)", re.DOTALL)
        if not pattern.search(text):
            raise ValueError(f"the page has no part <!-- {name} -->")
        # a backslash in the text would be taken for a group
        made = make().replace("\\", r"\\")
        text = pattern.sub(rf"\g<1>{made}\g<2>", text)
    return text


def derived() -> dict[Path, str]:
    """Return every file that is derived, as it should be."""
    pages = {path: render(path.read_text(), parts) for path, parts in PAGES.items()}
    return pages | {floors.PICTURE: floors.picture()}


@click.command()
@click.option("--check", is_flag=True, help="Only say whether the files are true.")
def main(check: bool) -> None:
    """Make the derived parts of README.md and docs/ anew."""
    outdated = {path: text for path, text in derived().items() if not path.exists() or path.read_text() != text}
    for path, text in outdated.items():
        if check:
            click.echo(f"{path.relative_to(ROOT)} is out of date; run: python -m tools.pages", err=True)
        else:
            path.write_text(text)
    if check and outdated:
        sys.exit(1)


if __name__ == "__main__":
    main()
