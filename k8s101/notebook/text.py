"""A notebook as plain text, to read and to compare; never stored."""

from __future__ import annotations

from nbformat import NotebookNode

from k8s101.notebook.document import Cell, cells


def as_text(nb: NotebookNode) -> str:
    """Return a notebook as Markdown with its outputs.

    Args:
        nb: the notebook.
    """
    return "\n\n".join(_cell(cell) for cell in cells(nb)) + "\n"


def _cell(cell: Cell) -> str:
    mark = f"<!-- {cell.id}: {', '.join(cell.tags) or 'words'} -->"
    if not cell.is_code:
        return f"{mark}\n{cell.source}"
    blocks = [f"```{cell.language}\n{cell.source}\n```", *(f"```text\n{text}\n```" for text in _outputs(cell))]
    return "\n".join([mark, *blocks])


def _outputs(cell: Cell) -> list[str]:
    found = []
    for output in cell.outputs:
        if output.output_type == "stream":
            found.append(output.text)
        elif output.output_type == "error":
            found.append(f"{output.ename}: {output.evalue}")
        else:
            found.append(str(output.data.get("text/plain", f"({', '.join(sorted(output.data))})")))
    return [text.rstrip("\n") for text in found]
