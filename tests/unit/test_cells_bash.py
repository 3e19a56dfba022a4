"""`%%bash`: streamed, failing with its commands, without a terminal, and nothing outlives the kernel."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

from k8s101.errors import CommandFailed, Problem
from k8s101.lesson.api import environment, session
from k8s101.lesson.cells import bash, kernel, needs, processes, recorded
from k8s101.notebook.document import write_atomically
from tests.waiting import eventually


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch) -> Iterator[InteractiveShell]:
    """A shell as a kernel begins with it, and a lesson that is open."""
    monkeypatch.setattr(session, "_current", [object()])
    made = InteractiveShell.instance()
    kernel.load_ipython_extension(made)
    yield made
    InteractiveShell.clear_instance()


def printed(script: str) -> str:
    with capture_output() as captured:
        bash.run(script)
    return str(captured.stdout)


def failure(script: str) -> str:
    with capture_output(), pytest.raises(CommandFailed) as caught:
        bash.run(script)
    return str(caught.value)


def test_both_streams_come_in_their_order() -> None:
    assert printed("echo one; echo two >&2; echo three") == "one\ntwo\nthree\n"


def test_lines_come_as_they_are_printed() -> None:
    arrived: list[tuple[float, bytes]] = []
    processes.run("echo one; sleep 0.6; echo two", os.environ, lambda chunk: arrived.append((time.monotonic(), chunk)))
    times = {chunk: at for at, chunk in arrived if chunk}
    assert times[b"two\n"] - times[b"one\n"] > 0.3


def test_a_character_in_two_pieces_is_one_character() -> None:
    assert printed(r"printf '\xe2\x80'; sleep 0.1; printf '\xa6\n'") == "…\n"


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo a\nfalse\necho b", "exit code 1: false"),
        ("false | cat", "exit code 1: false | cat"),
        ("exit 3", "exit code 3"),
        ("echo $nosuch", "exit code 1"),
        ("nosuch-command --now", "exit code 127: nosuch-command --now"),
        ("if true; then", "exit code 2"),
        ("kill -TERM $$", "SIGTERM"),
    ],
)
def test_a_failing_command_fails_the_cell_and_is_named(script: str, message: str) -> None:
    assert failure(script) == message


def test_what_is_caught_is_no_failure() -> None:
    assert printed("false || echo caught; if ! false; then echo tested; fi") == "caught\ntested\n"


def test_the_cell_fails_in_a_sentence(shell: InteractiveShell) -> None:
    with capture_output() as captured:
        result = shell.run_cell("%%bash\nfalse")
    assert isinstance(result.error_in_exec, CommandFailed)
    assert "Traceback" not in captured.stdout + captured.stderr


def test_refuses_until_a_lesson_is_open(shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "_current", [])
    with capture_output() as captured:
        result = shell.run_cell("%%bash\necho never")
    assert isinstance(result.error_in_exec, Problem)
    assert "no lesson is open yet" in str(result.error_in_exec)
    assert captured.stdout.count("never") == 0


def test_unknown_options_are_said(shell: InteractiveShell) -> None:
    with capture_output():
        error = shell.run_cell("%%bash --out result\necho never").error_in_exec
    assert isinstance(error, Problem) and "no option --out" in error.found


def test_a_folder_that_is_gone_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "06"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    with pytest.raises(Problem, match="the lesson's folder has been removed"):
        bash.run("echo never")


def test_there_is_no_input() -> None:
    assert failure("read -r answer") == "exit code 1: read -r answer"


def test_a_cell_that_the_cluster_cannot_serve_shows_its_recording(
    shell: InteractiveShell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = "%%bash --needs containers\nkubectl logs hello\n"
    entry = {"source": recorded.digest(source), "outputs": [{"output_type": "stream", "text": "GET / 200\n"}]}
    write_atomically(recorded.file_of(tmp_path / "notebooks/recorded", "03"), recorded.render({"03-logs": entry}))
    monkeypatch.setattr(bash, "ROOT", tmp_path)
    monkeypatch.setattr(needs, "cluster_capabilities", lambda: {"containers": False})
    monkeypatch.setattr(needs, "current_module", lambda: "03")
    with capture_output() as captured:
        assert shell.run_cell(source).success
    assert captured.stdout.splitlines() == [
        "Not run: this cluster lacks containers. Recorded on a full cluster:",
        "GET / 200",
        "End of the recording.",
    ]


def test_a_cell_runs_where_the_cluster_has_what_it_needs(
    shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(needs, "cluster_capabilities", lambda: {"containers": True})
    with capture_output() as captured:
        assert shell.run_cell("%%bash --needs containers\necho here").success
    assert captured.stdout == "here\n"


def test_a_wrong_capability_is_said(shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(needs, "cluster_capabilities", lambda: {"containers": True})
    with capture_output():
        error = shell.run_cell("%%bash --needs container\necho never").error_in_exec
    assert isinstance(error, Problem) and "%%bash --needs names an unknown capability: container" in error.found


def test_a_background_process_does_not_hang_the_cell_and_may_go_on_writing(tmp_path: Path) -> None:
    mark = tmp_path / "still here"
    began = time.monotonic()
    printed(f"(sleep 1; echo more; echo more; touch '{mark}'; sleep 60) &\necho done")
    assert time.monotonic() - began < 30
    eventually("it went on writing", mark.exists, 60)


def kubectl(tmp_path: Path, line: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the kubectl of cells with a stand-in for the real one."""
    real = tmp_path / "kubectl"
    real.write_text('#!/bin/sh\necho "real: $*"\n')
    real.chmod(0o755)
    path = f"{environment.PROGRAMS}:{os.environ['PATH']}"
    surroundings = {"PATH": path, "_K8S101_KUBECTL": str(real), "_K8S101_CELL": "1", **variables}
    return subprocess.run(["bash", "-c", line], env=surroundings, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "line",
    [
        "kubectl edit deployment/hello",
        "kubectl -n edit edit deployment hello",
        "kubectl exec -it hello -- sh",
        "kubectl exec -ti hello -c app -- sh",
        "kubectl exec hello --stdin --tty -- sh",
        "kubectl attach -it hello",
        "kubectl run test -it --rm --image=k8s101.test/toolbox:1.0 -- sh",
        "kubectl debug -it hello --image=k8s101.test/toolbox:1.0",
    ],
)
def test_what_wants_a_terminal_ends_at_once_and_says_so(tmp_path: Path, line: str) -> None:
    done = kubectl(tmp_path, line)
    assert done.returncode == 1 and not done.stdout
    assert "needs a terminal, which a cell does not have" in done.stderr and done.stderr.count("\n") == 1
    assert kubectl(tmp_path, line, _K8S101_CELL="").stdout.startswith("real: ")


@pytest.mark.parametrize(
    "line",
    [
        "kubectl get pods -n edit",
        "kubectl exec hello -- test -t 0",
        "kubectl exec -i hello -- cat",
        "kubectl run edit --image=k8s101.test/toolbox:1.0",
        "kubectl logs -f hello",
        "kubectl apply -f edit",
    ],
)
def test_other_commands_pass_unchanged(tmp_path: Path, line: str) -> None:
    assert kubectl(tmp_path, line).stdout == line.replace("kubectl", "real:") + "\n"


def test_marks_stand_only_in_what_goes_straight_to_the_cell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = tmp_path / "kubectl"
    real.write_text("#!/bin/sh\necho real\n")
    real.chmod(0o755)
    path = f"{environment.PROGRAMS}:{os.environ['PATH']}"
    surroundings = {"PATH": path, "_K8S101_KUBECTL": str(real), "_K8S101_CELL": "1"}
    script = "kubectl get pods\nkubectl get pods | cat\nx=$(kubectl get pods); echo $x"
    live: list[bytes] = []
    stored: list[bytes] = []
    processes.run(script, surroundings, live.append)
    processes.run(script, {**surroundings, environment.STABLE: "1"}, stored.append)
    assert b"".join(live) == b"real\n" * 3
    assert b"".join(stored) == b"\x1ebegin\x1fget\x1fpods\x1e\nreal\n\x1eend\x1e\n" + b"real\n" * 2


@pytest.mark.parametrize("name", environment.TOOLS)
def test_a_tool_is_made_when_it_is_called_for_the_first_time(tmp_path: Path, name: str) -> None:
    real, making = tmp_path / f"real-{name}", tmp_path / "bin"
    making.mkdir()
    (making / "python3").write_text(
        f"#!/bin/sh\n[ \"$*\" = '-P -m k8s101.cluster.programs.binaries {name}' ] || exit 9\n"
        f"echo making it >&2\nprintf '#!/bin/sh\\necho \"{name}: $*\"\\n' >{real}\nchmod +x {real}\necho {real}\n"
    )
    (making / "python3").chmod(0o755)
    surroundings = {"PATH": f"{environment.PROGRAMS}:{making}:{os.defpath}", f"_K8S101_{name.upper()}": str(real)}
    surroundings["K9S_CONFIG_DIR"] = str(tmp_path / "k9s")
    for told in ("making it\n", ""):
        done = subprocess.run([name, "list", "a b"], env=surroundings, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (0, f"{name}: list a b\n", told)


def test_k9s_is_refused_in_a_cell() -> None:
    surroundings = {"PATH": os.defpath, "_K8S101_K9S": "/nowhere/k9s", "_K8S101_CELL": "1"}
    done = subprocess.run([environment.PROGRAMS / "k9s"], env=surroundings, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (
        1,
        "k9s needs a terminal, which a cell does not have: open one (File, New, Terminal)\n",
    )


@pytest.mark.parametrize("name", environment.TOOLS)
def test_a_tool_outside_of_lessons_says_where_it_works(name: str) -> None:
    done = subprocess.run([environment.PROGRAMS / name], env={"PATH": os.defpath}, capture_output=True, text=True)
    assert done.returncode and f"{name} works in cells of a lesson" in done.stderr
