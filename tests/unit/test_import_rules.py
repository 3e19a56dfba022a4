"""The two import rules of the package: components know no backend, lessons know the cluster by its front doors."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from k8s101.cluster.values.settings import ROOT

PACKAGE = ROOT / "k8s101"
FRONT_DOORS = {
    "k8s101.cluster.facade.cluster",  # the facade
    "k8s101.cluster.values.settings",  # plain values
    "k8s101.cluster.access.identity",  # the label by which the workshop knows its own namespaces
    "k8s101.cluster.programs.binaries",  # the path of a program
    "k8s101.cluster.access.kubeconfig",  # what the official client connects with
}


def imported(source: str, module: str) -> Iterator[str]:
    """Yield the full names that a module's text imports, wherever the import stands.

    Args:
        source: the text.
        module: the module's own full name, for relative imports.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = module.split(".")[: -node.level] if node.level else []
            base = ".".join([*package, *([node.module] if node.module else [])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


def modules(directory: str) -> list[Path]:
    return sorted((PACKAGE / directory).rglob("*.py"))


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def imports_of(path: Path) -> set[str]:
    return set(imported(path.read_text(), name_of(path)))


def wrong_in_component(names: set[str]) -> set[str]:
    return {name for name in names if name.startswith("k8s101.cluster.backends")}


def wrong_in_lesson(names: set[str]) -> set[str]:
    inside = {name for name in names if name.startswith("k8s101.cluster")}
    return {n for n in inside if not any(n == door or n.startswith(f"{door}.") for door in FRONT_DOORS)}


@pytest.mark.parametrize("path", modules("cluster/components"), ids=name_of)
def test_components_do_not_import_backends(path: Path) -> None:
    assert wrong_in_component(imports_of(path)) == set()


@pytest.mark.parametrize("path", modules("lesson"), ids=name_of)
def test_lessons_import_front_doors_only(path: Path) -> None:
    assert wrong_in_lesson(imports_of(path)) == set()


@pytest.mark.parametrize(
    "line",
    [
        "from ..backends import nodes",
        "from k8s101.cluster import backends",
        "import k8s101.cluster.backends.nodes",
        "def f():\n    from ..backends.base import FULL",
    ],
)
def test_a_wrong_component_is_found(line: str) -> None:
    assert wrong_in_component(set(imported(line, "k8s101.cluster.components.etcd")))


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("from k8s101.cluster import cluster", False),
        ("from k8s101.cluster.values.settings import ROOT", False),
        ("from ..cluster.cluster import Component", False),
        ("from k8s101.cluster import process", True),
        ("from ..cluster.backends.base import FULL", True),
        ("import k8s101.cluster.access.pki", True),
    ],
)
def test_a_wrong_lesson_is_found(line: str, wrong: bool) -> None:
    assert bool(wrong_in_lesson(set(imported(line, "k8s101.lesson.pictures.draw")))) is wrong
