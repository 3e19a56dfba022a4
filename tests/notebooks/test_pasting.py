"""Every `%%bash` cell of module 06 is pasted into a terminal of `k8s101 shell`, and shows there what the page shows."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
import pexpect
import pytest
from nbclient import NotebookClient

from k8s101.lesson.api.environment import STABLE
from k8s101.lesson.cells import files, stable
from k8s101.notebook.document import Cell, Tree, code_cells, output_texts, read
from k8s101.notebook.environment import KERNEL, kernel_environment, teach_kernels
from tests.notebooks.test_sanitize import sanitised

pytestmark = pytest.mark.cluster

CELL_SECONDS = 240
END = "-- end of the cell:"
QUIET = "bind 'set enable-bracketed-paste off'; set +o emacs +o history; stty -echo; PS1= PS2= PROMPT_COMMAND="
"""What makes an interactive bash show only what its commands print."""


class Terminal:
    """A terminal with `k8s101 shell`.

    Args:
        number: the module.
    """

    def __init__(self, number: str) -> None:
        command = [sys.executable, "-m", "k8s101.cli", "shell", number]
        self._child = pexpect.spawn(command[0], command[1:], encoding="utf-8", dimensions=(50, 400), timeout=60)
        self._child.sendline(QUIET)
        # with these two, kubectl says which command printed what, as it does in cells
        self.paste(f"export {STABLE}=1 _K8S101_OUT=$(readlink /proc/$$/fd/1)")
        self.folder = Path(self.paste("pwd").strip())

    def paste(self, text: str) -> str:
        """Return what lines print, one of which must not fail last."""
        self._child.sendline(f"{text}\necho '{END}' $?")
        self._child.expect(re.escape(END) + r" (\d+)\r\n", timeout=CELL_SECONDS)
        printed: str = self._child.before.replace("\r\n", "\n")
        assert self._child.match[1] == "0", printed
        return printed

    def close(self) -> None:
        self._child.close(force=True)


@contextmanager
def kernel(nb: nbformat.NotebookNode, directory: Path) -> Iterator[NotebookClient]:
    """A kernel in which the page's Python cells run."""
    teach_kernels()
    path = str(Tree().notebooks)
    client = NotebookClient(nb, timeout=CELL_SECONDS, kernel_name=KERNEL, resources={"metadata": {"path": path}})
    environment = kernel_environment(str(directory))
    environment.pop(STABLE, None)  # else the kernel would work in a folder of its own
    with client.setup_kernel(env=environment):
        yield client


def test_the_page_in_a_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(files.WORK, str(tmp_path / "work"))  # where the kernel has its files, too
    nb = read(Tree().paths(["06"])[0])
    stored = {cell.id: "".join(text for _, text in output_texts(cell)) for cell in code_cells(nb)}
    terminal: Terminal | None = None
    pasted = 0
    with kernel(nb, tmp_path) as client:
        for cell in code_cells(nb):
            if cell.magic != "bash":
                client.execute_cell(cell.raw, cell.index)
                continue
            terminal = terminal or Terminal("06")
            printed = shown(terminal, cell)
            assert sanitised(printed) == sanitised(stored[cell.id]), cell.id
            pasted += 1
    assert terminal is not None and terminal.folder == tmp_path / "work/06-deployments"
    terminal.close()
    assert pasted > 20


def shown(terminal: Terminal, cell: Cell) -> str:
    """Return what a cell prints in a terminal, as a page stores it."""
    script = cell.body
    return stable.stabilise(terminal.paste(script), stable.chosen_ports(script, terminal.folder))
