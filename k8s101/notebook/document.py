"""Notebook files: where they are, how they are read and written, and a typed view of their cells."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from k8s101.cluster.values.settings import ROOT
from k8s101.errors import Problem
from k8s101.notebook.tags import CODE_TAGS, PARTS, ROLES

TEMPLATE = "template"
MAGIC_LINE = re.compile(r"%%(\w+)[ \t]*(.*)")
NEEDS_OPTION = re.compile(r"--needs[ =](.*)")


@dataclass(frozen=True)
class Tree:
    """The directories of one checkout that notebook commands read and write.

    Args:
        root: the top of the checkout.
    """

    root: Path = ROOT

    @property
    def notebooks(self) -> Path:
        """The committed notebooks, with outputs."""
        return self.root / "notebooks"

    @property
    def manifests(self) -> Path:
        """The manifests that notebooks show and apply."""
        return self.root / "manifests"

    @property
    def recorded(self) -> Path:
        """Outputs of cells that not every cluster can run."""
        return self.notebooks / "recorded"

    @property
    def work(self) -> Path:
        """The learner's copies."""
        return self.root / "work"

    @property
    def artifacts(self) -> Path:
        """What runs leave behind for people to look at."""
        return self.root / "artifacts"

    def paths(self, numbers: Sequence[str] = ()) -> list[Path]:
        """Return the notebooks with these numbers; without numbers every module, in order.

        Args:
            numbers: module numbers such as `06` or `6`, or `template`.

        Raises:
            Problem: a number has no notebook, or more than one.
        """
        if not numbers:
            return sorted(self.notebooks.glob("[0-9][0-9]-*.ipynb"))
        return [self._path(number) for number in numbers]

    def _path(self, number: str) -> Path:
        if number == TEMPLATE:
            return self.notebooks / "_template.ipynb"
        found = sorted(self.notebooks.glob(f"{number.zfill(2)}-*.ipynb")) if number.isdigit() else []
        if len(found) == 1:
            return found[0]
        known = " ".join(number_of(path) for path in self.paths())
        raise Problem(
            f"{len(found) or 'no'} notebooks have the number {number}",
            where=str(self.notebooks),
            then=f"give one of: {known or '(there is no notebook yet)'}",
        )


def number_of(path: Path) -> str:
    """Return the module number of a notebook's file name, or `template`.

    Args:
        path: a file named `NN-slug.ipynb` or `_template.ipynb`.
    """
    return TEMPLATE if path.stem == "_template" else path.stem[:2]


@dataclass(frozen=True)
class Cell:
    """One cell as the tools look at it.

    Args:
        index: position in the notebook, from 0.
        raw: the cell of nbformat.
    """

    index: int
    raw: NotebookNode

    @property
    def id(self) -> str:
        """The cell's id."""
        return str(self.raw.get("id", f"#{self.index}"))

    @property
    def is_code(self) -> bool:
        """Whether this is a code cell."""
        return bool(self.raw.cell_type == "code")

    @property
    def is_markdown(self) -> bool:
        """Whether this is a Markdown cell."""
        return bool(self.raw.cell_type == "markdown")

    @property
    def source(self) -> str:
        """The text of the cell."""
        return str(self.raw.source)

    @property
    def tags(self) -> list[str]:
        """The cell's tags."""
        return list(self.raw.metadata.get("tags", []))

    @property
    def part(self) -> str | None:
        """The part of the frame that this cell belongs to by its own tag."""
        return next((tag for tag in self.tags if tag in PARTS), "step" if "break-it" in self.tags else None)

    @property
    def role(self) -> str | None:
        """What the cell does inside its part."""
        return next((tag for tag in self.tags if tag in ROLES or (self.is_code and tag in CODE_TAGS)), None)

    @property
    def acts(self) -> bool:
        """Whether the cell does a step's work, as opposed to asking and showing."""
        return self.is_code and self.role == "run"

    @property
    def outputs(self) -> list[NotebookNode]:
        """The stored outputs, none for Markdown."""
        return list(self.raw.get("outputs", []))

    @property
    def count(self) -> int | None:
        """The execution count, if the cell was executed."""
        count = self.raw.get("execution_count")
        return int(count) if count is not None else None

    @property
    def needs(self) -> frozenset[str]:
        """The capabilities on the cell's `%%needs` line, or behind `%%bash --needs`."""
        name, rest = self._magic
        if name == "bash" and (option := NEEDS_OPTION.match(rest)):
            rest = option.group(1)
        elif name != "needs":
            return frozenset()
        return frozenset(split_names(rest))

    @property
    def _magic(self) -> tuple[str, str]:
        match = MAGIC_LINE.match(self.source) if self.is_code else None
        return (match.group(1), match.group(2)) if match else ("", "")

    @property
    def magic(self) -> str:
        """The name on the cell's first line behind `%%`, empty if there is none."""
        return self._magic[0]

    @property
    def is_shell(self) -> bool:
        """Whether the cell is one for bash."""
        return self.magic == "bash"

    @property
    def written_file(self) -> str | None:
        """The file that a `%%writefile` cell writes."""
        name, rest = self._magic
        return rest.split()[-1] if name == "writefile" and rest else None

    @property
    def language(self) -> str:
        """What the cell is written in: `python`, `bash` or `yaml`."""
        return {"bash": "bash", "writefile": "yaml"}.get(self.magic, "python")

    @property
    def body(self) -> str:
        """The source without its `%%` line, which becomes an empty line."""
        return MAGIC_LINE.sub("", self.source, count=1) if self.magic else self.source

    @property
    def python(self) -> str:
        """The Python of the cell, empty if it is written in something else."""
        return self.body if self.magic in ("", "needs") and self.is_code else ""


def split_names(line: str) -> list[str]:
    """Return capability names that are separated by commas or blanks."""
    return [name for name in re.split(r"[,\s]+", line.strip()) if name]


def cells(nb: NotebookNode) -> list[Cell]:
    """Return the cells of a notebook in order."""
    return [Cell(index, raw) for index, raw in enumerate(nb.cells)]


def code_cells(nb: NotebookNode) -> list[Cell]:
    """Return the code cells of a notebook in order."""
    return [cell for cell in cells(nb) if cell.is_code]


def output_texts(cell: Cell) -> Iterator[tuple[str, str]]:
    """Yield kind (stream name or mime type) and text of everything textual that a cell put out."""
    for output in cell.outputs:
        if output.output_type == "stream":
            yield output.name, output.text
        elif output.output_type == "error":
            yield "error", f"{output.ename}: {output.evalue}"
        else:
            for mime, data in output.data.items():
                yield mime, data if isinstance(data, str) else json.dumps(data)


def read(path: Path) -> NotebookNode:
    """Read a notebook in format 4.

    Args:
        path: the notebook file.

    Raises:
        Problem: the file is missing or is no notebook.
    """
    try:
        found: NotebookNode = nbformat.read(path, as_version=4)
        return found
    except FileNotFoundError:
        raise Problem("the notebook does not exist", where=str(path), then="check the number and the slug") from None
    except (nbformat.reader.NotJSONError, nbformat.ValidationError, AttributeError, KeyError, TypeError) as error:
        reason = (str(error).splitlines() or ["it is empty"])[0][:120]
        raise Problem(
            f"the file is not a notebook: {reason}", where=str(path), then=f"git checkout {path.name}"
        ) from None


def render(nb: NotebookNode) -> str:
    """Return the text of a notebook as it stands in a file."""
    found: str = nbformat.writes(nb).rstrip("\n") + "\n"
    return found


def write_atomically(path: Path, text: str) -> None:
    """Replace a file in one step, so that a reader or an interrupt never meets half of it.

    Args:
        path: the file; its directory is made if missing.
        text: the whole new content.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        temporary.chmod(path.stat().st_mode & 0o777 if path.exists() else 0o644)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def make_cell(kind: str, source: str, cell_id: str, tags: Sequence[str] = ()) -> NotebookNode:
    """Return a new cell.

    Args:
        kind: `code` or `markdown`.
        source: its text.
        cell_id: its id.
        tags: its tags.
    """
    new: Any = nbformat.v4.new_code_cell if kind == "code" else nbformat.v4.new_markdown_cell
    metadata = {"tags": list(tags)} if tags else {}
    found: NotebookNode = new(source, id=cell_id, metadata=metadata)
    return found
