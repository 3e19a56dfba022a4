"""Rules on stored outputs: complete, clean, and readable without a kernel."""

from __future__ import annotations

from collections.abc import Iterator

from k8s101.lesson.cells.needs import MARK
from k8s101.notebook import coverage
from k8s101.notebook.document import output_texts, render
from k8s101.notebook.lint.module import Hit, Module, Rule
from k8s101.notebook.prose import parse_html
from k8s101.notebook.tags import PREFIXES, values

BYTES = 200_000
UNWANTED = {
    "image/svg+xml": "wrap it as <img src='data:…' alt='…'> in text/html",
    "application/vnd.jupyter.widget-view+json": "show widgets only with K8S101_INTERACTIVE=1",
    "application/javascript": "print text",
}


def executed_in_order(module: Module) -> Iterator[Hit]:
    """Each code cell was executed, from the top down, in one go."""
    if module.is_template:
        return  # a blank form: it has no outputs
    for position, cell in enumerate(module.code, start=1):
        if cell.count != position:
            found = "was not executed" if cell.count is None else f"has the count {cell.count}, not {position}"
            yield cell, f"the cell {found}", f"python -m k8s101.notebook execute {module.number}"


def clean_streams(module: Module) -> Iterator[Hit]:
    """No errors and nothing on the error stream."""
    for cell in module.code:
        for kind, text in output_texts(cell):
            if kind in ("stderr", "error"):
                line = (text.strip().splitlines() or [""])[-1][:80]
                yield cell, f"stored {kind}: {line}", "print to stdout, or remove the cause"


def output_kinds(module: Module) -> Iterator[Hit]:
    """Only kinds of output that every viewer shows, each with a plain text."""
    for cell in module.code:
        for output in cell.outputs:
            data = output.get("data", {})
            for mime in sorted(UNWANTED.keys() & data.keys()):
                yield cell, f"output of kind {mime}", UNWANTED[mime]
            if data and "text/plain" not in data:
                yield cell, "output without text/plain", "give the same facts as text"


def output_pictures(module: Module) -> Iterator[Hit]:
    """Pictures in outputs have a text, too."""
    for cell in module.code:
        for kind, text in output_texts(cell):
            pictures = parse_html(text).images if kind == "text/html" else []
            if any(not (alternative or "").strip() for _, alternative in pictures):
                yield cell, "a picture in the output without alt text", "give draw() something to say"


def no_machine_paths(module: Module) -> Iterator[Hit]:
    """No output names a directory of the machine that made it."""
    for cell in module.code:
        if any(str(module.tree.root) in text for _, text in output_texts(cell)):
            yield cell, "the output names this checkout's directory", "print a relative path"


def not_a_recording(module: Module) -> Iterator[Hit]:
    """Committed outputs come from a full cluster."""
    for cell in module.code:
        if any(text.startswith(MARK) for kind, text in output_texts(cell) if kind == "stdout"):
            then = f"python -m k8s101.notebook execute {module.number}"
            yield cell, "the output is a recording", f"on a full cluster: {then}"


def file_size(module: Module) -> Iterator[Hit]:
    """Small enough to read and review."""
    size = len(render(module.nb).encode())
    if size > BYTES:
        yield None, f"{size} bytes", f"print less, {BYTES} at most"


def covered_rows(module: Module) -> Iterator[Hit]:
    """Tags of coverage name rows that exist."""
    known = {row.tag for row in coverage.load(module.tree)}
    for cell in module.cells:
        for prefix in PREFIXES:
            for value in values(cell.tags, prefix):
                row = f"slide:{value}" if prefix == "corrected" else f"{prefix}:{value}"
                if row not in known and not (prefix == "corrected" and f"demo:{value}" in known):
                    yield cell, f"tag {prefix}:{value} names no row", "look it up in notebooks/coverage.yml"


RULES: tuple[Rule, ...] = (
    executed_in_order,
    clean_streams,
    output_kinds,
    output_pictures,
    no_machine_paths,
    not_a_recording,
    file_size,
    covered_rows,
)
