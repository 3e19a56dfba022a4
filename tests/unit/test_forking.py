"""Processes that are forks of their supervisor: what they keep of it, and what they must not."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import psutil

from k8s101.cluster.supervisor.process import Process, supervisor_config
from tests.waiting import eventually

PARENT = """
import json, os, signal, sys, time
from pathlib import Path
from k8s101.cluster.supervisor import forking

loaded = "by the parent"

def child(place, word):
    facts = {
        "loaded": loaded,
        "word": word,
        "variable": os.environ["OWN"],
        "files": [name for name in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{name}")],
        "handled": [int(n) for n in signal.valid_signals() if callable(signal.getsignal(n)) and n != signal.SIGINT],
        "pid": os.getpid(),
    }
    Path(place, "draft").write_text(json.dumps(facts))
    Path(place, "draft").rename(Path(place, "facts"))
    time.sleep(60)
    return 0

forking.become("--nodaemon", "--configuration", sys.argv[1], programs={"a.module": child})
"""


def test_a_fork_has_what_was_loaded_and_nothing_that_was_open(tmp_path: Path) -> None:
    place = tmp_path / "a place"
    place.mkdir()
    process = Process("child", (sys.executable, "-m", "a.module", str(place), "a word"), {"OWN": "x"})
    text = supervisor_config(
        [process, Process("other", ("sleep", "60"))],
        directory=place,
        logs=place,
        socket_path=tmp_path / "s",
        owner=(0, 0) if psutil.Process().uids().real == 0 else (psutil.Process().uids().real,) * 2,
        interface={"name": "supervisor", "factory": "supervisor.rpcinterface:make_main_rpcinterface"},
    )
    (tmp_path / "conf").write_text(text)
    with subprocess.Popen((sys.executable, "-c", PARENT, str(tmp_path / "conf"))) as parent:
        try:
            eventually("the fork has told", lambda: (place / "facts").exists(), 6)
            facts = json.loads((place / "facts").read_text())
            child = psutil.Process(facts.pop("pid"))
            assert child.ppid() == parent.pid
            assert set(facts.pop("files")) <= {"0", "1", "2"}
            assert facts == {"loaded": "by the parent", "word": "a word", "variable": "x", "handled": []}
        finally:
            parent.send_signal(signal.SIGKILL)
    eventually("the fork has ended, too", lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)
