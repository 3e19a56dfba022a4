"""Small notebooks run for real: executed, compared, run end to end; no cluster is needed for that."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import psutil
import pytest
from click.testing import CliRunner
from jupyter_client.manager import start_new_kernel

from k8s101.cluster.facade import place
from k8s101.errors import Problem
from k8s101.lesson.cells import recorded
from k8s101.notebook import environment, execute, runs
from k8s101.notebook.__main__ import main
from k8s101.notebook.document import Tree, cells, code_cells, make_cell, read, render, write_atomically
from k8s101.notebook.environment import kernel_environment
from k8s101.notebook.learner import make_copies
from k8s101.notebook.normalise import normalised_text
from tests.waiting import eventually

FULL = {"containers": True}
SANITISE = Path(__file__).with_name("sanitize.cfg")
LESSONS = """
repository: ""
modules:
  - {number: "06", slug: tiny, title: Run, name: Tiny, summary: run, minutes: 1}
"""

PREPARE = """
import os
from pathlib import Path
from k8s101.lesson.cells import needs
can = Path("../can.txt").read_text() == "yes"
needs.register(capabilities=lambda: {"containers": can}, directory=Path("../notebooks/recorded"))
"""
CELLS = [
    ("markdown", "title", ["title"], "# Run"),
    ("code", "prepare", ["prepare"], PREPARE.strip()),
    ("code", "pod", ["run"], "%%needs containers\npod = 'hello-6d4cf56db6-x2k7p'\nprint(pod)"),
    ("code", "picture", ["draw"], "%%needs containers\n{'pod': len(pod)}"),
    ("code", "manifest", ["run"], "print(Path('../manifests/hello.yaml').read_text())"),
    ("code", "own", ["exercise"], "replicas = ..."),
    (
        "code",
        "check",
        ["check"],
        "print('attempted' if isinstance(globals().get('replicas'), int) else 'not attempted')",
    ),
    ("code", "solution", ["solution"], "replicas = 4"),
    ("code", "end", ["check"], "print(globals().get('replicas'))"),
]


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    tree = Tree(tmp_path / "checkout")
    write_atomically(tree.notebooks / "lessons.yml", LESSONS)
    write_atomically(tree.manifests / "hello.yaml", "kind: Pod")
    write_atomically(tree.root / "can.txt", "yes")
    sanitise = tree.root / "tests/notebooks/sanitize.cfg"
    sanitise.parent.mkdir(parents=True)
    shutil.copy(SANITISE, sanitise)
    nb = nbformat.v4.new_notebook()
    nb.cells = [make_cell(kind, source, f"06-{name}", tags) for kind, name, tags, source in CELLS]
    write_atomically(path_of(tree), render(nb))
    return tree


def path_of(tree: Tree) -> Path:
    return tree.notebooks / "06-tiny.ipynb"


def run_on_nodes(tree: Tree) -> bool:
    return execute.execute(path_of(tree), tree, lambda: "nodes")


def change(tree: Tree, name: str, source: str) -> None:
    nb = read(path_of(tree))
    next(cell for cell in nb.cells if cell.id == f"06-{name}").source = source
    write_atomically(path_of(tree), render(nb))


def printed(path: Path, name: str) -> str:
    cell = next(cell for cell in code_cells(read(path)) if cell.id == f"06-{name}")
    return "".join(output.get("text", "") for output in cell.outputs)


def test_executing_stores_outputs_and_recordings_and_a_second_time_changes_nothing(tree: Tree) -> None:
    assert run_on_nodes(tree)
    stored = path_of(tree).read_text()
    assert printed(path_of(tree), "pod") == "hello-6d4cf56db6-x2k7p\n"
    assert [cell.count for cell in code_cells(read(path_of(tree)))] == list(range(1, 9))
    assert stored == normalised_text(path_of(tree), tree)
    recordings = recorded.load(tree.recorded, "06")
    assert list(recordings) == ["06-pod", "06-picture"]
    assert not run_on_nodes(tree)
    assert path_of(tree).read_text() == stored
    assert recorded.load(tree.recorded, "06") == recordings


def test_surroundings_of_the_kernel_are_clean(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", "/elsewhere")
    monkeypatch.setenv("K8S101_INTERACTIVE", "1")
    monkeypatch.setenv("NO_PROXY", "example.org,localhost")
    names = ["KUBECONFIG", "K8S101_INTERACTIVE", "PYTEST_CURRENT_TEST", "NO_PROXY"]
    change(tree, "end", f"print(Path.cwd().name, [os.environ.get(name) for name in {names}])")
    run_on_nodes(tree)
    workshop = str(place.state_dir() / "kubeconfig")
    wanted = f"notebooks {[workshop, None, None, 'example.org,localhost,127.0.0.1,::1']}\n"
    assert printed(path_of(tree), "end") == wanted
    result = runs.end_to_end(path_of(tree), tree, "nodes", FULL)
    assert result.passed, result
    assert printed(tree.artifacts / "nodes/06-tiny.ipynb", "end") == wanted


def test_only_the_reference_backend_stores(tree: Tree) -> None:
    before = path_of(tree).read_text()
    with pytest.raises(Problem) as caught:
        execute.execute(path_of(tree), tree, lambda: "simulated")
    assert "this cluster is simulated" in caught.value.found
    assert path_of(tree).read_text() == before


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("raise KeyError('gone')", "cell 06-own failed: KeyError: 'gone'"),
        ("import os\nos.kill(os.getpid(), 9)", "cell 06-own failed: the kernel ended"),
        ("import sys\nsys.exit(0)", "cell 06-own failed: SystemExit: 0"),
        ("", "cell 06-own was not executed"),
    ],
)
def test_a_failing_cell_stores_nothing(tree: Tree, source: str, found: str) -> None:
    run_on_nodes(tree)
    change(tree, "own", source)
    before, recordings = path_of(tree).read_text(), (tree.recorded / "06.json").read_text()
    with pytest.raises(Problem) as caught:
        run_on_nodes(tree)
    assert caught.value.found.startswith(found)
    assert all(line in caught.value.where for line in source.splitlines())
    assert (path_of(tree).read_text(), (tree.recorded / "06.json").read_text()) == (before, recordings)
    if "not executed" not in found:
        kept = read(tree.artifacts / "nodes/failed/06-tiny.ipynb")
        assert printed(tree.artifacts / "nodes/failed/06-tiny.ipynb", "pod")
        assert len(kept.cells) == len(CELLS)


def test_a_cell_that_never_ends_is_stopped(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execute, "CELL_SECONDS", 3)
    change(tree, "own", "import threading\nthreading.Event().wait()")
    with pytest.raises(Problem) as caught:
        run_on_nodes(tree)
    assert caught.value.found == "cell 06-own failed: it did not end within 3 s"


def test_a_cluster_that_lacks_something_stores_nothing(tree: Tree) -> None:
    (tree.root / "can.txt").write_text("no")
    with pytest.raises(Problem) as caught:
        change(tree, "picture", "print('needs nothing')")
        run_on_nodes(tree)
    assert "06-pod did not run: the cluster lacks what it needs" in caught.value.found
    assert not tree.recorded.exists()


def test_recordings_go_when_no_cell_needs_anything(tree: Tree) -> None:
    run_on_nodes(tree)
    change(tree, "pod", "pod = 'x'")
    change(tree, "picture", "len(pod)")
    run_on_nodes(tree)
    assert not (tree.recorded / "06.json").exists()


def test_strict_passes_and_varying_names_do_not_matter(tree: Tree) -> None:
    run_on_nodes(tree)
    stored = path_of(tree).read_text()
    path_of(tree).write_text(stored.replace("x2k7p\\n", "9w4dn\\n"))
    assert path_of(tree).read_text() != stored
    result = runs.strict(path_of(tree), tree)
    assert (result.passed, result.cells, result.real) == (True, 8, 8), result


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("hello-6d4cf56db6-x2k7p\\n", "web-6d4cf56db6-x2k7p\\n"),
        ("kind: Pod\\n", "kind: Job\\n"),
        ("{'pod': 22}", "{'pod': 23}"),
        ("not attempted\\n", "attempted\\n"),
    ],
)
def test_strict_finds_a_planted_difference(tree: Tree, old: str, new: str) -> None:
    run_on_nodes(tree)
    stored = path_of(tree).read_text()
    assert old in stored
    path_of(tree).write_text(stored.replace(f'"{old}"', f'"{new}"'))
    assert path_of(tree).read_text() != stored
    result = runs.strict(path_of(tree), tree)
    assert not result.passed
    assert result.fault.startswith("1 of 8 cells, the first is Cell ")
    assert "assert reference_output == test_output failed" in result.details


def test_lax_compares_only_what_holds_everywhere(tree: Tree) -> None:
    run_on_nodes(tree)
    stored = path_of(tree).read_text()
    path_of(tree).write_text(stored.replace("kind: Pod\\n", "kind: Job\\n"))
    assert runs.strict(path_of(tree), tree, lax=True).passed
    nb = read(path_of(tree))
    next(cell for cell in nb.cells if cell.id == "06-manifest").metadata.tags.append("nbval-check-output")
    write_atomically(path_of(tree), render(nb))
    assert not runs.strict(path_of(tree), tree, lax=True).passed


def test_strict_says_when_a_recording_was_shown(tree: Tree) -> None:
    run_on_nodes(tree)
    (tree.root / "can.txt").write_text("no")
    assert runs.strict(path_of(tree), tree).fault.startswith("2 of 8 cells")


def test_strict_needs_cells(tree: Tree) -> None:
    nb = nbformat.v4.new_notebook()
    nb.cells = [make_cell("markdown", "# Run", "06-title", ["title"])]
    write_atomically(path_of(tree), render(nb))
    assert not runs.strict(path_of(tree), tree).passed


@pytest.mark.parametrize("copy", [False, True])
def test_end_to_end_counts_what_ran(tree: Tree, copy: bool) -> None:
    run_on_nodes(tree)
    result = runs.end_to_end(path_of(tree), tree, "nodes", FULL, copy=copy)
    assert result.passed, result
    wanted = 7 if copy else 8
    assert (result.cells, result.real, result.simulated, result.recorded) == (wanted, wanted, 0, 0)
    kept = tree.artifacts / "nodes" / f"06-tiny{'.copy' if copy else ''}.ipynb"
    assert printed(kept, "end") == ("Ellipsis\n" if copy else "4\n")
    assert printed(kept, "manifest") == "kind: Pod\n"


def test_end_to_end_shows_recordings_where_something_is_missing(tree: Tree) -> None:
    run_on_nodes(tree)
    (tree.root / "can.txt").write_text("no")
    result = runs.end_to_end(path_of(tree), tree, "simulated", {"containers": False})
    assert result.passed, result
    assert (result.real, result.simulated, result.recorded) == (0, 6, 2)
    kept = tree.artifacts / "simulated/06-tiny.ipynb"
    assert printed(kept, "pod") == (
        "Not run: this cluster lacks containers. Recorded on a full cluster:\n"
        "hello-6d4cf56db6-x2k7p\nEnd of the recording.\n"
    )
    picture = next(cell for cell in cells(read(kept)) if cell.id == "06-picture")
    assert [output.data["text/plain"] for output in picture.outputs if "data" in output] == ["{'pod': 22}"]
    summary = json.loads(runs.save_summary(result, tree, "simulated").read_text())
    assert summary == {
        "notebook": "06-tiny.ipynb",
        "backend": "simulated",
        "cells": 8,
        "seconds": summary["seconds"],
        "real": 0,
        "simulated": 6,
        "recorded": 2,
        "fault": "",
        "passed": True,
    }


def test_end_to_end_compares_with_what_the_cluster_can_do(tree: Tree) -> None:
    run_on_nodes(tree)
    (tree.root / "can.txt").write_text("no")
    result = runs.end_to_end(path_of(tree), tree, "nodes", FULL)
    assert result.fault == "6 real, 2 recorded; by what the cells need and the cluster can do: 8 real"


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("raise KeyError('gone')", "cell 06-own raised KeyError: 'gone'"),
        ("import sys\nsys.exit(0)", "cell 06-own raised SystemExit: 0"),
        # whether the kernel told the killed cell's count before it died is a race
        ("import os\nos.kill(os.getpid(), 9)", r"cell 06-(own|check) was not executed"),
        ("", "cell 06-own was not executed"),
    ],
)
def test_end_to_end_sees_what_papermill_overlooks(tree: Tree, source: str, fault: str) -> None:
    change(tree, "own", source)
    result = runs.end_to_end(path_of(tree), tree, "nodes", FULL)
    assert re.fullmatch(fault, result.fault)
    assert (tree.artifacts / "nodes/06-tiny.ipynb").exists()


def test_end_to_end_sees_a_kernel_that_ends_with_its_last_cell(tree: Tree) -> None:
    change(tree, "end", "import os\nos.kill(os.getpid(), 9)")
    assert runs.end_to_end(path_of(tree), tree, "nodes", FULL).fault


def test_end_to_end_stops_a_cell_that_never_ends(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "CELL_SECONDS", 3)
    change(tree, "own", "import threading\nthreading.Event().wait()")
    assert "06-own" in runs.end_to_end(path_of(tree), tree, "nodes", FULL).fault


def test_a_run_past_its_deadline_leaves_no_process(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {process.pid for process in psutil.process_iter()}
    marker = tree.root / "kernel.pid"
    change(
        tree,
        "own",
        f"Path({str(marker)!r}).write_text(str(os.getpid()))\nimport threading\nthreading.Event().wait()",
    )
    monkeypatch.setattr(runs, "NOTEBOOK_SECONDS", 30)
    result = runs.strict(path_of(tree), tree)
    assert result.fault == "no end within 30 s"
    kernel = int(marker.read_text())
    assert kernel not in before
    assert not psutil.pid_exists(kernel) or psutil.Process(kernel).status() == psutil.STATUS_ZOMBIE


ENDED = """
import sys
from functools import partial
from pathlib import Path
from k8s101.notebook import __main__
from k8s101.notebook.document import Tree
__main__.Tree = partial(Tree, Path(sys.argv[1]))
__main__.main(["test", "06"])
"""


def test_a_run_that_is_ended_leaves_nothing(tree: Tree, tmp_path: Path) -> None:
    scratch, marker = tmp_path / "scratch", tree.root / "kernel.pid"
    scratch.mkdir()
    ending = f"Path({str(marker)!r}).write_text(str(os.getpid()))\nimport threading\nthreading.Event().wait()"
    change(tree, "own", ending)
    environment = {**os.environ, "TMPDIR": str(scratch)}
    with subprocess.Popen([sys.executable, "-c", ENDED, tree.root], env=environment) as run:
        try:
            eventually("the cell runs", lambda: marker.exists() and bool(marker.read_text()), 120)
        finally:
            run.terminate()
        assert run.wait(60)
    kernel = int(marker.read_text())
    # whose parent has ended before it: it is there until the machine's first process has asked for its end
    eventually("the kernel has ended", lambda: not psutil.pid_exists(kernel), 30)
    assert not list(scratch.iterdir())


def test_a_front_end_that_tells_the_cell_is_believed_even_if_the_learner_changed_it(tree: Tree) -> None:
    run_on_nodes(tree)
    (tree.root / "can.txt").write_text("no")
    manager, client = start_new_kernel(cwd=str(tree.notebooks))
    try:
        client.execute_interactive(PREPARE, timeout=60)
        outputs: list[str] = []
        content = {"code": "%%needs containers\nprint('my own')", "silent": False, "stop_on_error": True}
        for told in ({"cellId": "06-pod"}, {}):
            request = client.session.msg("execute_request", content, metadata=told)
            client.shell_channel.send(request)
            texts = []
            while True:
                message = client.get_iopub_msg(timeout=60)
                if message["parent_header"].get("msg_id") != request["header"]["msg_id"]:
                    continue
                if message["msg_type"] == "stream":
                    texts.append(message["content"]["text"])
                if message["content"].get("execution_state") == "idle":
                    break
            outputs.append("".join(texts))
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    assert "hello-6d4cf56db6-x2k7p\n" in outputs[0]
    assert outputs[1].endswith("Nothing is recorded for this cell.\n")


def test_soak_counts(tree: Tree) -> None:
    run_on_nodes(tree)
    count = tree.root / "count.txt"
    count.write_text("0")
    nb = read(path_of(tree))
    nb.cells[-1].source = f"path = Path({str(count)!r})\npath.write_text(str(int(path.read_text()) + 1))"
    nb.cells[-1].outputs = [nbformat.v4.new_output("execute_result", {"text/plain": "1"}, execution_count=8)]
    nb.cells[-2].source = f"assert Path({str(count)!r}).read_text() != '1'"
    nb.cells[-2].outputs = []
    write_atomically(path_of(tree), render(nb))
    told: list[runs.Run] = []
    counts = runs.soak([path_of(tree)], tree, 3, told.append)
    assert [run.passed for run in told] == [True, False, True]
    assert counts == {"06-tiny.ipynb": 2}


def test_copies_made_for_learners_run_from_their_directory(tree: Tree) -> None:
    run_on_nodes(tree)
    (copied,) = make_copies(tree)
    assert copied.parent == tree.work
    nb = read(copied)
    execute.run(nb, copied, Tree(tree.root), tree.artifacts)
    assert all(cell.count for cell in code_cells(nb))


def test_environment_keeps_what_is_not_dropped() -> None:
    given = {"PATH": "/bin", "K8S101_STATE": "/state", "COLUMNS": "80", "no_proxy": "a,b"}
    found = kernel_environment("/dir", given)
    assert found["PATH"] == "/bin" and found["K8S101_STATE"] == "/state" and "COLUMNS" not in found
    assert found["no_proxy"] == "a,b,localhost,127.0.0.1,::1" and found["IPYTHONDIR"] == "/dir"


class TestCommands:
    """The command line over the same functions."""

    @pytest.fixture(autouse=True)
    def checkout(self, tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Tree.__init__, "__defaults__", (tree.root,))
        monkeypatch.setattr("k8s101.notebook.execute.execute.__defaults__", (lambda: "nodes",))
        monkeypatch.setattr("k8s101.notebook.__main__.running_backend", lambda: "nodes")
        monkeypatch.setattr("k8s101.lesson.cells.needs.cluster_capabilities", lambda: FULL)

    def call(self, *arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(main, arguments)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
        return result.exit_code, result.output

    def test_from_execute_to_soak(self, tree: Tree) -> None:
        assert self.call("execute", "06") == (0, "06-tiny.ipynb: stored\n")
        assert self.call("execute") == (0, "06-tiny.ipynb: unchanged\n")
        assert self.call("normalise") == (0, "06-tiny.ipynb: unchanged\n")
        code, output = self.call("test", "--strict", "6")
        assert code == 0 and "8 cells (8 real)" in output and "1 of 1 passed" in output
        code, output = self.call("papermill", "--copy")
        assert code == 0 and "2 of 2 passed" in output
        for name in ("06-tiny", "06-tiny.copy"):
            assert json.loads((tree.artifacts / f"nodes/{name}.json").read_text())["passed"] is True
        code, output = self.call("soak", "06", "--times", "2")
        assert code == 0 and output.endswith("06-tiny.ipynb: 2 of 2 passed\n")
        assert "```text\nkind: Pod\n```" in self.call("text", "06")[1]
        assert self.call("clear") == (0, "06-tiny.ipynb: cleared\n")
        assert not any(cell.outputs for cell in code_cells(read(path_of(tree))))
        code, output = self.call("copies", "--fresh", "06")
        assert code == 0 and output == "06-tiny.ipynb: new\n"

    def test_faults_end_with_code_1_and_three_parts(self, tree: Tree) -> None:
        change(tree, "own", "raise KeyError('gone')")
        code, output = self.call("execute", "06")
        assert code == 1 and "error: cell 06-own failed: KeyError: 'gone'\n  where: " in output
        assert "    raise KeyError('gone')" in output and "\n  next:  look at the run in " in output
        code, output = self.call("test")
        assert code == 1 and "FAILED" in output and "0 of 1 passed" in output
        code, output = self.call("papermill")
        assert code == 1 and "KeyError" in output
        code, output = self.call("soak", "--times", "1")
        assert code == 1 and "0 of 1 passed" in output
        code, output = self.call("test", "42")
        assert code == 1 and "next:  give one of: 06" in output

    def test_check_shows_the_difference_and_fails(self, tree: Tree) -> None:
        write_atomically(tree.notebooks / "coverage.yml", "rows: []\n")
        code, output = self.call("check")
        assert code == 1
        assert "06-tiny.ipynb is not normalised; run: python -m k8s101.notebook normalise" in output
        assert "06 notebook: no goals part; add: " in output
        self.call("normalise")
        assert "is not normalised" not in self.call("check")[1]

    def test_table(self) -> None:
        assert self.call("table")[1].endswith("| [06 Tiny](notebooks/06-tiny.ipynb) | run | 1 | any cluster |\n")


def test_deadlines_leave_room() -> None:
    assert environment.CELL_SECONDS < runs.NOTEBOOK_SECONDS
