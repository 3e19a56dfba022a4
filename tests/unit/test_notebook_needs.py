"""`%%needs`: cells run where the cluster can serve them; elsewhere their recording is shown."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path

import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

from k8s101.errors import Problem
from k8s101.lesson.api import session
from k8s101.lesson.cells import needs, recorded
from k8s101.notebook.document import write_atomically

FULL = {"containers": True, "node_faults": True}
BARE = {"containers": False, "node_faults": False}


@pytest.fixture
def shell() -> Iterator[InteractiveShell]:
    yield InteractiveShell.instance()
    InteractiveShell.clear_instance()


@pytest.fixture
def recordings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(needs, "current_module", lambda: "06")
    return tmp_path


def record(directory: Path, number: str, cell_id: str, source: str, *outputs: recorded.Output) -> None:
    cells = recorded.load(directory, number)
    cells[cell_id] = {"source": recorded.digest(source), "outputs": list(outputs)}
    write_atomically(recorded.file_of(directory, number), recorded.render(cells))


def printed(text: str) -> recorded.Output:
    return {"output_type": "stream", "name": "stdout", "text": text}


def test_a_cell_runs_where_the_cluster_has_what_it_needs(shell: InteractiveShell) -> None:
    needs.register(shell, lambda: FULL)
    result = shell.run_cell("%%needs containers, node_faults\nanswer = 6 * 7\nanswer")
    assert result.success and result.result == 42
    assert shell.user_ns["answer"] == 42


def test_errors_are_raised_once_and_from_the_right_line(shell: InteractiveShell) -> None:
    needs.register(shell, lambda: FULL)
    with capture_output() as captured:
        result = shell.run_cell("%%needs containers\na = 1\nraise ValueError('x')")
    assert isinstance(result.error_in_exec, ValueError)
    plain = re.sub(r"\x1b\[[0-9;]*m", "", captured.stdout)
    assert plain.count("ValueError: x") == 1
    assert "----> 3 raise ValueError" in plain


def test_other_cells_do_not_ask_the_cluster(shell: InteractiveShell) -> None:
    def never() -> dict[str, bool]:
        raise AssertionError("asked")

    needs.register(shell, never)
    assert shell.run_cell("1 + 1").result == 2


def test_registering_again_replaces(shell: InteractiveShell) -> None:
    before = len(shell.input_transformers_cleanup)
    needs.register(shell, lambda: BARE)
    needs.register(shell, lambda: FULL)
    assert len(shell.input_transformers_cleanup) == before + 1
    assert shell.run_cell("%%needs containers\n3").result == 3


def test_without_a_shell_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(needs, "_running_shell", lambda: None)
    needs.register()


def test_recording_is_shown_and_marked_and_the_body_does_not_run(shell: InteractiveShell, recordings: Path) -> None:
    source = "%%needs containers\nanswer = 1"
    picture = {"output_type": "display_data", "data": {"text/plain": "tree", "text/html": "<img alt='tree'>"}}
    record(recordings, "06", "06-x", source, printed("three Pods\n"), picture, printed("no newline"))
    needs.register(shell, lambda: BARE, recordings)
    with capture_output() as captured:
        result = shell.run_cell(source + "  \n\n")
    assert result.success and "answer" not in shell.user_ns
    assert captured.stdout.splitlines() == [
        "Not run: this cluster lacks containers. Recorded on a full cluster:",
        "three Pods",
        "no newline",
        "End of the recording.",
    ]
    assert [output.data for output in captured.outputs] == [picture["data"]]


def test_nothing_recorded_is_one_sentence(shell: InteractiveShell, recordings: Path) -> None:
    needs.register(shell, lambda: BARE, recordings)
    with capture_output() as captured:
        assert shell.run_cell("%%needs containers node_faults\nanswer = 1").success
    assert (
        captured.stdout == "Not run: this cluster lacks containers, node faults. Nothing is recorded for this cell.\n"
    )


@pytest.mark.parametrize(
    ("line", "found"),
    [("", "names no capability"), ("container", "unknown capability: container")],
)
def test_wrong_names_are_said(shell: InteractiveShell, line: str, found: str) -> None:
    needs.register(shell, lambda: FULL)
    with capture_output():
        error = shell.run_cell(f"%%needs {line}\nanswer = 1").error_in_exec
    assert isinstance(error, Problem)
    assert found in error.found and error.then == "choose from: containers, node_faults"
    assert "answer" not in shell.user_ns


def test_no_cluster_is_said(shell: InteractiveShell) -> None:
    def nothing() -> dict[str, bool]:
        raise Problem("no cluster is running", where="this cell", then="k8s101 up")

    needs.register(shell, nothing)
    with capture_output():
        error = shell.run_cell("%%needs containers\nanswer = 1").error_in_exec
    assert isinstance(error, Problem) and error.then == "k8s101 up"


def test_the_id_finds_an_edited_cell_and_the_text_one_without_id(recordings: Path) -> None:
    record(recordings, "06", "06-x", "%%needs containers\nold", printed("by id\n"))
    record(recordings, "06", "06-y", "%%needs containers\nnew", printed("by text\n"))
    new = recorded.digest("%%needs containers\nnew")
    assert recorded.find(recordings, None, "06-x", new) == [printed("by id\n")]
    assert recorded.find(recordings, None, "unknown", new) == [printed("by text\n")]
    assert recorded.find(recordings, None, None, new) == [printed("by text\n")]
    assert recorded.find(recordings, None, None, recorded.digest("else")) is None


def test_equal_texts_are_told_apart_by_module(recordings: Path) -> None:
    for number in ("02", "06"):
        record(recordings, number, f"{number}-x", "%%needs containers\nsame", printed(f"{number}\n"))
    same = recorded.digest("%%needs containers\nsame")
    assert recorded.find(recordings, "06", None, same) == [printed("06\n")]
    assert recorded.find(recordings, "02", None, same) == [printed("02\n")]


def test_digest_ignores_blanks_at_line_ends_only() -> None:
    assert recorded.digest("a = 1  \nb\n\n") == recorded.digest("\na = 1\nb")
    assert recorded.digest("a = 1\nb") != recorded.digest("a =  1\nb")
    assert recorded.digest("if a:\n  b") != recorded.digest("if a:\n b")


def test_module_is_that_of_the_open_lesson() -> None:
    buffer = io.StringIO()
    with redirect_stdout(buffer):
        session._current.clear()
        assert needs.current_module() is None
