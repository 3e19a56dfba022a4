"""A program that is started once files are there."""

from __future__ import annotations

import subprocess
from pathlib import Path

from k8s101.cluster.supervisor import after
from tests.waiting import eventually


def test_it_waits_for_all_files_and_becomes_the_program(tmp_path: Path) -> None:
    files = [tmp_path / "one", tmp_path / "another"]
    command = after.command(map(str, files), ("sh", "-c", 'echo "$1 $$" > "$0"', str(tmp_path / "done"), "two words"))
    with subprocess.Popen(command) as process:
        files[0].touch()
        assert process.poll() is None
        files[1].touch()
        eventually("it has run", lambda: process.poll() == 0, 20)
    assert (tmp_path / "done").read_text() == f"two words {process.pid}\n"


def test_after_a_while_it_does_not_wait_any_more(tmp_path: Path) -> None:
    command = after.command([str(tmp_path / "never")], ("true",), most_seconds=1)
    subprocess.run(command, check=True, timeout=20)
