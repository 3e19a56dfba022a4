"""What a person sees while programs are made: one bar on a terminal, plain lines in a log."""

from __future__ import annotations

import io

from rich.console import Console

from k8s101.cluster.values.progress import Progress, display


def shown(*moments: Progress, terminal: bool) -> str:
    text = io.StringIO()
    with display(Console(file=text, force_terminal=terminal, width=100)) as report:
        for moment in moments:
            report(moment)
    return text.getvalue()


def at(done: int, total: int = 200, left: int = 2) -> Progress:
    return Progress("etcd", "etcdctl", done, total, "building etcdctl v3", left)


def test_plain_lines_tell_each_tenth_once() -> None:
    lines = shown(*(at(n) for n in range(201)), terminal=False).splitlines()
    assert lines == [f"building etcdctl v3 (2 projects left) {n} %" for n in range(0, 101, 10)]


def test_plain_lines_tell_the_last_component_and_an_unknown_total() -> None:
    assert shown(at(0, 0, 1), terminal=False) == "building etcdctl v3 (1 project left)\n"


def test_a_terminal_gets_one_bar_that_goes_away() -> None:
    text = shown(at(0), at(50), terminal=True)
    assert "building etcdctl v3 (2 projects left)" in text
    assert "25%" in text
    assert text.endswith("\x1b[1A\x1b[2K")
