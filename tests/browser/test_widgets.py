"""JupyterLab, its kernel and the lessons' one control, without a cluster."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from k8s101.cluster.facade import place
from k8s101.cluster.values.settings import ROOT
from tests.browser.page import Page, printed

PICTURES = ROOT / "artifacts" / "browser"

ASK = """\
from k8s101.lesson.quiz.bank import Option, Question
from k8s101.lesson.quiz.widgets import choice
said = []
options = {key: Option(key, "") for key in ("one", "three", "five")}
box = choice(Question("answer", "How many copies run?", options, "three"), said.append)"""


def test_kernel_is_that_of_this_environment(
    write_notebook: Callable[..., Path], open_page: Callable[..., Page]
) -> None:
    page = open_page(
        write_notebook(
            "surroundings",
            "import os, sys; print(sys.prefix)",
            "print(os.getcwd().endswith('/work'), os.path.isdir('../manifests'))",
            "print(os.environ['K8S101_INTERACTIVE'], os.environ['KUBECONFIG'])",
        )
    )
    page.run_all()
    assert page.errors() == []
    prefix, places, variables = (printed(cell).strip() for cell in page.code_cells())
    assert Path(prefix).resolve() == (ROOT / ".venv").resolve() or "envs" in prefix
    assert places == "True True"
    assert variables == f"1 {place.state_dir() / 'kubeconfig'}"


def test_errors_are_seen(write_notebook: Callable[..., Path], open_page: Callable[..., Page]) -> None:
    """The test of the tests: a cell that fails does not pass."""
    page = open_page(write_notebook("failing", "1 / 0", "print('not reached')"))
    page.run_all()
    assert page.errors() == ["1 / 0: ZeroDivisionError: division by zero"]


def test_question_is_answered_by_keyboard(write_notebook: Callable[..., Path], open_page: Callable[..., Page]) -> None:
    page = open_page(write_notebook("question", ASK, "print('you said', *said)"))
    page.step()
    page.choose(0, "one")
    page.choose(0, "three")
    page.screenshot(PICTURES / "question.png")
    page.step()
    assert printed(page.code_cells()[1]).split() == ["you", "said", "one", "three"]


def test_a_wide_table_is_not_broken(write_notebook: Callable[..., Path], open_page: Callable[..., Page]) -> None:
    page = open_page(write_notebook("wide", "print('column ' * 60)"))
    page.run_all()
    page.screenshot(PICTURES / "wide.png")
    assert page.heights("stdout") == [1]
