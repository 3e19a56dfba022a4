"""What README and CONTRIBUTING say is so: derived parts, links, commands, variables."""

from __future__ import annotations

import json
import re
from pathlib import Path

import click
import pytest

from k8s101 import cli
from k8s101.cluster.values.settings import ROOT
from k8s101.notebook import kinds
from k8s101.notebook.document import code_cells, read
from tools import pages

TEXTS = ("README.md", "CONTRIBUTING.md")
PAGES = (*TEXTS, "SECURITY.md", "docs/architecture.md")
LINK = re.compile(r"\]\(([^)#\s]+)")
VARIABLE = re.compile(r"\bK8S101_[A-Z]+\b")
"""What people may set; what the workshop's own processes tell each other begins with an underscore."""

MAKE = re.compile(r"`?\bmake ([a-z][a-z-]*)\b")
COMMAND = re.compile(r"^ {4}k8s101 ([a-z]+)|`k8s101 ([a-z]+)", re.MULTILINE)
PROGRAMS = ("k8s101", "scripts", "binder", "Makefile", ".ci")


def text(name: str) -> str:
    return (ROOT / name).read_text()


def sources() -> list[Path]:
    """Return the program files that may read a variable."""
    found = [path for name in PROGRAMS for path in [ROOT / name, *(ROOT / name).rglob("*")]]
    return [path for path in found if path.is_file() and path.suffix in ("", ".py") and "__pycache__" not in path.parts]


def test_derived_parts_are_up_to_date() -> None:
    for path, wanted in pages.derived().items():
        assert path.read_text() == wanted, f"{path.name}: python -m tools.pages"


def test_a_missing_marker_is_found() -> None:
    with pytest.raises(ValueError, match="modules"):
        pages.render(text("README.md").replace("<!-- modules -->", ""), pages.PAGES[pages.README])


def test_measurements_become_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    up = {"median": 4.21, "most": 6, "unit": "s", "peer": "kwokctl create cluster", "ratio": 0.9}
    memory = {"median": 1234.5, "most": 1400, "unit": "MB", "peer": "", "ratio": None}
    figures = {"nodes": {"up": up, "memory": memory}}
    results = {"date": "2026-01-02", "machine": "2 cores", "rounds": 5, "figures": figures}
    file = tmp_path / "results.json"
    file.write_text(json.dumps(results))
    monkeypatch.setattr(pages, "RESULTS", file)
    table = pages.benchmarks()
    assert "2 cores" in table
    assert "| `nodes` | up | 4.21 s | ≤ 6 s | 0.9 |" in table
    assert "| 1234.5 MB | ≤ 1400 MB |  |" in table
    monkeypatch.setattr(pages, "RESULTS", tmp_path / "none.json")
    assert "make bench" in pages.benchmarks()


def test_binder_has_a_link_where_the_repository_is_public(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = re.sub(r"^repository: .*$", 'repository: "someone/course"', pages.LESSONS.read_text(), flags=re.MULTILINE)
    file = tmp_path / "lessons.yml"
    file.write_text(lines)
    monkeypatch.setattr(pages, "LESSONS", file)
    assert "https://mybinder.org/v2/gh/someone/course/HEAD?urlpath=lab/tree/work/00-start-here.ipynb" in pages.binder()
    file.write_text(lines.replace('"someone/course"', '""'))
    assert "://" not in pages.binder()


def test_what_is_real_follows_from_needs_and_capabilities() -> None:
    full, bare = kinds.able("nodes"), kinds.able("simulated")
    assert [name for name, can in full.items() if not can] == ["pulls_images"]
    assert not bare["containers"]
    nb = read(ROOT / "notebooks/06-deployments.ipynb")
    code = code_cells(nb)
    assert kinds.expected(nb, full) == kinds.Kinds(real=len(code))
    recorded = len([cell for cell in code if "containers" in cell.needs])
    assert kinds.expected(nb, bare) == kinds.Kinds(simulated=len(code) - recorded, recorded=recorded)
    assert kinds.expected(nb, kinds.able("existing")).real == len(code)


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(name: str) -> None:
    relative = [link for link in LINK.findall(text(name)) if "://" not in link]
    assert relative
    assert [link for link in relative if not ((ROOT / name).parent / link).exists()] == []


@pytest.mark.parametrize("name", TEXTS)
def test_make_verbs_exist(name: str) -> None:
    verbs = set(re.findall(r"^([a-z][a-z-]*):", text("Makefile"), re.MULTILINE))
    mentioned = set(MAKE.findall(text(name)))
    assert mentioned
    assert mentioned - verbs == set()


@pytest.mark.parametrize("name", TEXTS)
def test_commands_exist(name: str) -> None:
    mentioned = {first or second for first, second in COMMAND.findall(text(name))}
    assert isinstance(cli.main, click.Group)
    assert mentioned
    assert mentioned - set(cli.main.commands) == set()


def test_every_variable_is_explained_and_every_explained_one_is_read() -> None:
    read = {name for path in sources() for name in VARIABLE.findall(path.read_text(errors="replace"))}
    explained = set(re.findall(r"^\| `(K8S101_[A-Z]+)`", text("README.md"), re.MULTILINE))
    assert read == explained


def test_licences_are_complete() -> None:
    assert "Version 2.0, January 2004" in text("LICENSE")
    assert "END OF TERMS AND CONDITIONS" in text("LICENSE")
    assert "Section 8 -- Interpretation." in text("LICENSES/CC-BY-4.0.txt")
