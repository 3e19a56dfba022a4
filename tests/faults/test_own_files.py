"""Files of a learner's own with names of libraries: the lesson works, and one sentence names the file."""

from __future__ import annotations

import sys

import pytest

from tests.machine import Machine

KERNEL = """
import sys
from jupyter_client.manager import start_new_kernel
manager, client = start_new_kernel(kernel_name="python3", cwd=sys.argv[1])
try:
    for cell in sys.argv[2:]:
        reply = client.execute_interactive(cell, timeout=60)
        assert reply["content"]["status"] == "ok", reply
finally:
    client.stop_channels()
    manager.shutdown_kernel(now=True)
"""
CELL = (
    "from k8s101 import connect; import yaml, kubernetes, random, own; print(yaml.safe_load('well: true'), own.THING)"
)


@pytest.mark.parametrize("name", ["yaml.py", "kubernetes.py", "random.py", "requests/__init__.py"])
def test_a_file_of_ones_own_with_the_name_of_a_library(machine: Machine, name: str) -> None:
    work = machine.directory / "work"
    (work / name).parent.mkdir(parents=True)
    (work / name).write_text("raise SystemExit('the wrong one')\n")
    (work / "own.py").write_text("THING = 'mine'\n")
    result = machine.run(sys.executable, "-c", KERNEL, work, CELL, "print('again')")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "{'well': True} mine" in result.stdout
    top = name.partition("/")[0]
    assert result.stdout.count(f"work/{top} has the name of a library: import {top.partition('.')[0]} gives") == 1
    assert "own.py has" not in result.stdout
    assert "wrong one" not in result.stdout + result.stderr
