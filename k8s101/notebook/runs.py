"""Test runs of notebooks, each in a process of its own: strict comparison, end to end, and many times."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from xml.etree import ElementTree

import psutil

from k8s101.notebook.document import Cell, Tree, code_cells, number_of, read, render, write_atomically
from k8s101.notebook.environment import CELL_SECONDS, KERNEL, STARTUP_SECONDS, kernel_environment, teach_kernels
from k8s101.notebook.execute import is_recording
from k8s101.notebook.kinds import Kinds, expected, split
from k8s101.notebook.learner import learner_copy

NOTEBOOK_SECONDS = 900
"""Deadline of one notebook, over the cells' own deadlines; a hang anywhere ends here."""


@dataclass(frozen=True)
class Run:
    """What one run of a notebook showed.

    Args:
        notebook: file name.
        cells: number of code cells.
        real: cells that ran on real nodes.
        simulated: cells that ran on simulated nodes.
        recorded: cells that showed a recording.
        seconds: duration.
        fault: what went wrong, empty if nothing did.
        details: the tool's own words about it.
    """

    notebook: str
    cells: int
    seconds: float
    real: int = 0
    simulated: int = 0
    recorded: int = 0
    fault: str = ""
    details: str = ""

    @property
    def passed(self) -> bool:
        """Whether every cell did what it should."""
        return not self.fault

    def line(self) -> str:
        """Return the run as one line of a summary."""
        shown = str(Kinds(self.real, self.simulated, self.recorded))
        counts = f"{self.cells} cells{f' ({shown})' if shown else ''}"
        verdict = "passed" if self.passed else f"FAILED: {self.fault}"
        return f"{self.notebook:<34} {counts:<36} {self.seconds:6.1f} s  {verdict}"


def strict(path: Path, tree: Tree, *, lax: bool = False) -> Run:
    """Run a notebook with nbval and compare each output with the stored one.

    Args:
        path: the committed notebook.
        tree: the checkout.
        lax: compare only cells tagged nbval-check-output, for clusters that are not the reference.
    """
    with tempfile.TemporaryDirectory(prefix="k8s101-") as scratch:
        report = Path(scratch) / "report.xml"
        arguments = [
            *("--nbval-lax" if lax else "--nbval", "--nbval-current-env"),
            *("--nbval-sanitize-with", str(tree.root / "tests/notebooks/sanitize.cfg")),
            *("--nbval-cell-timeout", str(CELL_SECONDS)),
            *("--nbval-kernel-startup-timeout", str(STARTUP_SECONDS)),
            *("-p", "no:cacheprovider", "-o", "addopts=", f"--junitxml={report}", "-q", str(path)),
        ]
        began = time.monotonic()
        code, output = _python(["-m", "pytest", *arguments], tree.root, scratch)
        seconds = time.monotonic() - began
        return _strict_result(path, report, code, output, seconds)


def _strict_result(path: Path, report: Path, code: int | None, output: str, seconds: float) -> Run:
    expected = len(code_cells(read(path)))
    if code is None:
        return Run(path.name, expected, seconds, fault=f"no end within {NOTEBOOK_SECONDS} s")
    if not report.exists():
        return Run(path.name, expected, seconds, fault="pytest gave no report", details=output)
    cases = list(ElementTree.parse(report).getroot().iter("testcase"))
    bad = [case for case in cases if any(child.tag in ("failure", "error", "skipped") for child in case)]
    if bad:
        first = ElementTree.tostring(bad[0], encoding="unicode", method="text").strip()
        fault = f"{len(bad)} of {expected} cells, the first is {bad[0].get('name', '?').split('::')[-1]}"
        return Run(path.name, expected, seconds, fault=fault, details=_differences(first))
    if code or len(cases) != expected or not expected:
        fault = f"{len(cases)} of {expected} cells were run"
        return Run(path.name, expected, seconds, fault=fault, details=output)
    return Run(path.name, expected, seconds, real=expected)


def _differences(said: str) -> str:
    """Return what nbval says of a cell without the lines of the output that are as they should be."""
    head, mark, compared = said.partition("assert reference_output == test_output failed:")
    return head + mark + "\n".join(line for line in compared.splitlines() if not line.startswith("    "))


def end_to_end(path: Path, tree: Tree, backend: str, capabilities: Mapping[str, bool], *, copy: bool = False) -> Run:
    """Run a notebook, or a learner's copy of it, with papermill; keep the result below artifacts.

    Args:
        path: the committed notebook.
        tree: the checkout.
        backend: the running cluster's backend, which names the directory of the results.
        capabilities: what that cluster can do.
        copy: run a freshly generated learner's copy, in the directory of such copies.
    """
    suffix = ".copy" if copy else ""
    result = tree.artifacts / backend / f"{path.stem}{suffix}.ipynb"
    directory = tree.work if copy else tree.notebooks
    for needed in (result.parent, directory):
        needed.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="k8s101-") as scratch:
        source = path
        if copy:
            source = Path(scratch) / path.name
            write_atomically(source, render(learner_copy(read(path), number_of(path))))
        arguments = [
            *("-m", "papermill", str(source), str(result), "--cwd", str(directory), "--kernel", KERNEL),
            *("--execution-timeout", str(CELL_SECONDS), "--start-timeout", str(STARTUP_SECONDS)),
            "--no-progress-bar",
        ]
        result.unlink(missing_ok=True)
        began = time.monotonic()
        code, output = _python(arguments, directory, scratch)
        nb = read(source)
        run = Run(result.name, len(code_cells(nb)), time.monotonic() - began, details=output)
        return _judge(run, result, expected(nb, capabilities), capabilities, code)


def _judge(run: Run, result: Path, wanted: Kinds, capabilities: Mapping[str, bool], code: int | None) -> Run:
    if not result.exists():
        return replace(run, fault="papermill wrote no notebook")
    executed = code_cells(read(result))
    recordings = sum(is_recording(cell) for cell in executed)
    done = sum(cell.count is not None for cell in executed) - recordings
    found = split(done, recordings, capabilities)
    faults = [f"cell {cell.id} {fault}" for cell in executed if (fault := _cell_fault(cell))]
    if len(executed) != run.cells:
        faults.append(f"{len(executed)} of {run.cells} cells in the result")
    if code is None:
        faults.insert(0, f"no end within {NOTEBOOK_SECONDS} s")
    elif code:
        faults.append(f"papermill ended with {code}")
    elif not faults and found != wanted:
        faults.append(f"{found}; by what the cells need and the cluster can do: {wanted}")
    details = run.details if faults else ""
    fault = faults[0] if faults else ""
    return replace(run, **asdict(found), fault=fault, details=details)


def _cell_fault(cell: Cell) -> str:
    """Return what is wrong with an executed cell; papermill alone calls some of these a success."""
    state = cell.raw.metadata.get("papermill", {})
    errors = [output for output in cell.outputs if output.output_type == "error"]
    if errors:
        return f"raised {errors[0].ename}: {errors[0].evalue}"
    if state.get("exception"):
        return "failed"
    if cell.count is None or state.get("status") != "completed":
        return "was not executed"
    return ""


def save_summary(run: Run, tree: Tree, backend: str) -> Path:
    """Write the counts of an end-to-end run as JSON beside its notebook.

    Args:
        run: what ran.
        tree: the checkout.
        backend: the backend it ran on.
    """
    path = (tree.artifacts / backend / run.notebook).with_suffix(".json")
    entry = asdict(run) | {"backend": backend, "seconds": round(run.seconds, 1), "passed": run.passed}
    del entry["details"]
    write_atomically(path, json.dumps(entry, indent=2) + "\n")
    return path


def soak(paths: Sequence[Path], tree: Tree, times: int, report: Callable[[Run], object]) -> dict[str, int]:
    """Repeat strict runs and count those that pass, per notebook.

    Args:
        paths: the notebooks.
        tree: the checkout.
        times: how many runs of each.
        report: is told each run.
    """
    passed = {path.name: 0 for path in paths}
    for _ in range(times):
        for path in paths:
            run = strict(path, tree)
            passed[path.name] += run.passed
            report(run)
    return passed


def _python(arguments: list[str], directory: Path, scratch: str) -> tuple[int | None, str]:
    """Run Python with a clean environment; return its exit code (None after the deadline) and what it printed."""
    teach_kernels()
    process = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=directory,
        # a kernel that is killed leaves its connection file
        env={**kernel_environment(scratch), "TMPDIR": scratch},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        output = process.communicate(timeout=NOTEBOOK_SECONDS)[0]
        return process.returncode, output
    except subprocess.TimeoutExpired:
        return None, ""
    finally:
        if process.poll() is None:  # deadline or Ctrl-C: kernels have sessions of their own and would live on
            _end_tree(process.pid)
        process.wait()


def end_children() -> None:
    """End every process below this one; kernels have sessions of their own and would live on after Ctrl-C."""
    _end(psutil.Process().children(recursive=True))


def _end_tree(root: int) -> None:
    top = psutil.Process(root)
    _end([*top.children(recursive=True), top])


def _end(processes: list[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
