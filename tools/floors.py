"""The floors of the code, read from the contracts in pyproject.toml and from the modules' own first lines."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

from k8s101.cluster.values.settings import ROOT
from k8s101.lesson.pictures.picture import document, label, rectangle, width_of

PICTURE = ROOT / "docs/floors.svg"

MARGIN, LINE, PADDING, GAP = 16.0, 19.0, 9.0, 24.0
NAMES = width_of("kube_controller_manager")
COLUMNS = 4
"""Modules of a floor that stand side by side in the picture."""


def layers(container: str) -> list[list[str]]:
    """Return the floors of a package from top to bottom; those side by side stand in one list.

    Args:
        container: the package, such as `k8s101.cluster`.
    """
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    found = next(contract["layers"] for contract in contracts if container in contract.get("containers", ()))
    return [[name.strip(" ()") for name in re.split("[:|]", layer)] for layer in found]


def modules(package: str) -> dict[str, str]:
    """Return the modules of a package with the first sentence of what each says of itself.

    Args:
        package: such as `k8s101.cluster.node`.
    """
    directory = ROOT / package.replace(".", "/")
    paths = sorted(path for path in directory.glob("*.py") if path.stem != "__init__")
    return {path.stem: _purpose(path) for path in paths}


def _purpose(path: Path) -> str:
    text = ast.get_docstring(ast.parse(path.read_text())) or ""
    return " ".join(text.split("\n\n")[0].split()).rstrip(".").replace("|", "/")


def table() -> str:
    """Return the table of all floors in Markdown, the upper ones first, then of what has none."""
    rows = ["| floor | module | what it is for |", "|---|---|---|"]
    for container in ("k8s101.lesson", "k8s101.cluster"):
        for names in layers(container):
            for name in names:
                for module, purpose in modules(f"{container}.{name}").items():
                    path = f"{container}.{name}.{module}".replace(".", "/") + ".py"
                    rows.append(f"| `{container.rpartition('.')[2]}/{name}` | [{module}](../{path}) | {purpose} |")
    for package in ("k8s101.notebook", "k8s101.notebook.lint", "tools"):
        name = package.removeprefix("k8s101.").replace(".", "/")
        for module, purpose in modules(package).items():
            rows.append(f"| `{name}` | [{module}](../{package.replace('.', '/')}/{module}.py) | {purpose} |")
    return "\n".join(rows)


def picture() -> str:
    """Return the picture of the cluster's floors: a box a floor, each importing only from those below it."""
    left = MARGIN + width_of("components") + 2 * PADDING
    width = left + COLUMNS * NAMES + MARGIN
    y, parts = MARGIN, []
    for (name,) in layers("k8s101.cluster"):
        inside = list(modules(f"k8s101.cluster.{name}"))
        rows = [inside[start : start + COLUMNS] for start in range(0, len(inside), COLUMNS)]
        height = max(len(rows), 1) * LINE + PADDING
        parts.append(rectangle(MARGIN, y, width - 2 * MARGIN, height, fill="#f4f7fb", stroke="#0072B2"))
        parts.append(label(MARGIN + PADDING, y + LINE - 3, name, font_weight="bold"))
        for number, row in enumerate(rows):
            for column, module in enumerate(row):
                parts.append(label(left + column * NAMES, y + (number + 1) * LINE - 3, module))
        y += height + PADDING / 2
    title = "The floors of k8s101/cluster, the facade on top: each imports only from floors below it"
    parts.append(label(MARGIN, y + LINE - 3, "a module imports only from its own floor and from those below it"))
    return document(width, y + LINE + MARGIN, title, parts) + "\n"
