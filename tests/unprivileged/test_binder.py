"""What a Binder session does to a cluster: started behind JupyterLab, left alone, its processes killed."""

from __future__ import annotations

import json
import time

from k8s101.cluster.values.settings import ROOT
from tests.small_machine import SmallMachine
from tests.waiting import eventually

PATH = f"{ROOT / '.venv/bin'}:/usr/bin:/bin"
LESSON = "from k8s101 import connect; connect('deployments')"
AGAIN = "its processes had ended and run again; objects are kept"


def lesson(machine: SmallMachine) -> str:
    """Do what a lesson's first cell does, in a process of its own as a kernel is; return what it prints."""
    return machine.python("-c", LESSON).good().out


def kept(machine: SmallMachine) -> bool:
    return machine.kubectl("get", "configmap", "kept").status == 0


def supervisor(machine: SmallMachine) -> str:
    return (machine.state() / "supervisord.pid").read_text().strip()


def test_what_the_image_needs_is_made_beforehand(machine: SmallMachine) -> None:
    machine.python("-m", "k8s101.notebook", "prepare").good()


def test_a_session_from_launch_to_the_third_kernel(machine: SmallMachine) -> None:
    """JupyterLab does not wait, the first cell does; killed processes come back with their objects."""
    began = time.monotonic()
    shown = machine.run(str(ROOT / "binder/start"), "printenv", "K8S101_INTERACTIVE", PATH=PATH).good()
    seconds = time.monotonic() - began
    assert shown.out == "1\n"
    assert not (machine.state() / "supervisord.pid").exists(), f"JupyterLab would wait, {seconds:.1f} s so far"
    eventually("the start has begun", machine.state().with_name("k8s101.lock").exists)
    first = lesson(machine)
    print(
        f"\nfirst cell done {time.monotonic() - began:.1f} s after the launch, {machine.memory_peak():.0f} MB at most"
    )
    assert first.startswith("cluster k8s101 · v1.") and "3 nodes ready" in first
    machine.kubectl("create", "configmap", "kept", "--from-literal=a=b").good()

    before = supervisor(machine)
    assert AGAIN not in lesson(machine), "a new kernel finds the running cluster"
    assert supervisor(machine) == before and kept(machine)

    machine.run("sh", "-c", "kill -KILL -1")
    eventually("every process of the user ended", lambda: machine.processes() == [])
    began = time.monotonic()
    assert AGAIN in lesson(machine)
    print(f"a cell brings a killed cluster back in {time.monotonic() - began:.1f} s")
    assert supervisor(machine) != before and kept(machine)

    machine.run("kill", "-KILL", supervisor(machine)).good()
    eventually("the cluster's processes ended with it", lambda: machine.processes() == [])
    assert AGAIN in lesson(machine) and kept(machine)
    status = json.loads(machine.k8s101("status", "--json").good().out)
    assert {part["state"] for part in status["parts"]} == {"RUNNING"}
    assert machine.times_out_of_memory() == 0


def test_without_a_cluster_a_lesson_says_what_to_type(machine: SmallMachine) -> None:
    done = machine.python("-c", LESSON)
    assert done.status == 1 and "no cluster is running" in done.err and "k8s101 up" in done.err
    assert not machine.state().with_name("k8s101.lock").exists()
