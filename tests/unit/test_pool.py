"""Work side by side: what must be alone is, results keep their order, and what is given up ends."""

from __future__ import annotations

import threading
from functools import partial

import pytest

from k8s101.notebook import pool
from k8s101.notebook.pool import Task

SECONDS = 10


class Watch:
    """Counts what runs at the same time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.running: set[str] = set()
        self.beside: dict[str, set[str]] = {}

    def work(self, name: str, barrier: threading.Barrier | None = None) -> str:
        with self._lock:
            self.running.add(name)
            self.beside[name] = set(self.running)
            for other in self.running:
                self.beside[other].add(name)
        if barrier:
            barrier.wait(SECONDS)
        with self._lock:
            self.running.remove(name)
        return name


def test_three_run_at_once_and_one_alone() -> None:
    watch, meeting = Watch(), threading.Barrier(3)
    told: list[str] = []
    together = [Task(name, partial(watch.work, name, meeting)) for name in "abc"]
    alone = [Task(name, partial(watch.work, name), alone=True) for name in "xy"]
    names = pool.run([alone[0], *together, alone[1]], told.append)
    assert names == ["x", "a", "b", "c", "y"]
    assert told[3:] == ["x", "y"] and sorted(told[:3]) == ["a", "b", "c"]
    assert watch.beside["a"] == watch.beside["b"] == {"a", "b", "c"}
    assert watch.beside["x"] == {"x"} and watch.beside["y"] == {"y"}


def test_one_at_a_time_keeps_the_order() -> None:
    watch = Watch()
    told: list[str] = []
    tasks = [Task(name, partial(watch.work, name), alone=name == "b") for name in "cba"]
    assert pool.run(tasks, told.append, width=1) == told == ["c", "b", "a"]


def test_an_error_ends_what_is_under_way_and_begins_nothing_more() -> None:
    stop, watch = threading.Event(), Watch()

    def wait() -> str:
        watch.work("wait")
        assert stop.wait(SECONDS)
        return "ended"

    def fail() -> str:
        raise KeyboardInterrupt

    tasks = [Task("wait", wait), Task("fail", fail), Task("never", partial(watch.work, "never"), alone=True)]
    with pytest.raises(KeyboardInterrupt):
        pool.run(tasks, lambda result: None, width=2, end=stop.set)
    assert set(watch.beside) == {"wait"}
