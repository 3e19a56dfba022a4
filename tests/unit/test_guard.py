"""The guard's list of sessions: what is forgotten twice, or was never watched, does not make it grow."""

from __future__ import annotations

import os
import subprocess

import pytest

from k8s101.lesson.api.guard import GUARD, Guard, members
from tests.waiting import eventually

SECONDS = 10
LOOP = GUARD.partition("\n[ ")[0] + '\nprintf "%s" "$watched"\n'


@pytest.mark.parametrize(
    ("told", "left"),
    [
        ("watch 1\nwatch 2\nwatch 3\nforget 2\n", " 1 3 "),
        ("watch 1\nforget 1\nforget 1\n", " "),
        ("watch 12\nforget 1\n", " 12 "),
        ("".join(f"watch {n}\nforget {n}\nforget {n}\n" for n in range(1000)), " "),
    ],
)
def test_only_what_is_watched_is_kept(told: str, left: str) -> None:
    done = subprocess.run(["sh", "-c", LOOP], input=told, capture_output=True, text=True, timeout=SECONDS)
    assert done.stdout == left, done.stderr


def test_a_script_is_known_before_its_first_command() -> None:
    keeper = Guard()
    script = f"{keeper.watching} sleep 1000 >/dev/null & echo $$"
    started = subprocess.run(
        ["bash", "-c", script], stdout=subprocess.PIPE, pass_fds=[keeper.pipe], start_new_session=True, check=True
    )
    session = int(started.stdout)
    assert members(session)
    os.close(keeper.pipe)  # as when this process ends
    eventually("what the script left has ended", lambda: not members(session))
