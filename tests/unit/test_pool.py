"""Work side by side: what must be alone on its cluster is, results keep their order, and what is given up ends."""

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
        self.where: dict[str, int] = {}

    def work(self, name: str, barrier: threading.Barrier | None, cluster: int) -> str:
        with self._lock:
            self.where[name] = cluster
            self.running.add(name)
            self.beside[name] = set(self.running)
            for other in self.running:
                self.beside[other].add(name)
        if barrier:
            barrier.wait(SECONDS)
        with self._lock:
            self.running.remove(name)
        return name

    def here(self, name: str) -> set[str]:
        """What ran on the same cluster at the same time."""
        return {other for other in self.beside[name] if self.where[other] == self.where[name]}


def test_three_run_at_once_and_one_alone() -> None:
    watch, meeting = Watch(), threading.Barrier(3)
    told: list[str] = []
    together = [Task(name, partial(watch.work, name, meeting)) for name in "abc"]
    alone = [Task(name, partial(watch.work, name, None), alone=True) for name in "xy"]
    names = pool.run([alone[0], *together, alone[1]], told.append)
    assert names == ["x", "a", "b", "c", "y"]
    assert told[3:] == ["x", "y"] and sorted(told[:3]) == ["a", "b", "c"]
    assert watch.beside["a"] == watch.beside["b"] == {"a", "b", "c"}
    assert watch.beside["x"] == {"x"} and watch.beside["y"] == {"y"}


def test_one_at_a_time_keeps_the_order() -> None:
    watch = Watch()
    told: list[str] = []
    tasks = [Task(name, partial(watch.work, name, None), alone=name == "b") for name in "cba"]
    assert pool.run(tasks, told.append, width=1) == told == ["c", "b", "a"]


def test_of_two_clusters_one_begins_with_what_must_be_alone() -> None:
    watch, meeting = Watch(), threading.Barrier(3)
    together = [Task(name, partial(watch.work, name, meeting if name in "ab" else None)) for name in "abcd"]
    alone = [Task(name, partial(watch.work, name, meeting if name == "w" else None), alone=True) for name in "wxyz"]
    names = pool.run([*alone, *together], lambda result: None, clusters=2)
    assert names == list("wxyzabcd")
    assert (watch.where["w"], watch.where["a"], watch.where["b"]) == (1, 0, 0)
    assert {"w", "a", "b"} <= watch.beside["w"]
    assert all(watch.here(name) == {name} for name in "wxyz")


def test_two_that_must_be_alone_have_a_cluster_each() -> None:
    watch, meeting = Watch(), threading.Barrier(2)
    tasks = [Task(name, partial(watch.work, name, meeting), alone=True) for name in "wxyz"]
    assert pool.run(tasks, lambda result: None, clusters=2) == list("wxyz")
    assert [watch.where[name] for name in "wx"] == [0, 1]
    assert all(watch.here(name) == {name} for name in "wxyz")


def test_both_clusters_take_what_may_stand_side_by_side_when_nothing_else_is_left() -> None:
    watch, meeting = Watch(), threading.Barrier(3)
    tasks = [Task(name, partial(watch.work, name, meeting)) for name in "abc"]
    assert pool.run(tasks, lambda result: None, clusters=2) == list("abc")
    assert [watch.where[name] for name in "abc"] == [0, 0, 1]


def test_no_more_clusters_than_runs_are_used() -> None:
    watch = Watch()
    tasks = [Task(name, partial(watch.work, name, None), alone=name == "b") for name in "cba"]
    assert pool.run(tasks, lambda result: None, width=1, clusters=2) == ["c", "b", "a"]
    assert set(watch.where.values()) == {0}


def test_an_error_ends_what_is_under_way_and_begins_nothing_more() -> None:
    stop, watch = threading.Event(), Watch()

    def wait(cluster: int) -> str:
        watch.work("wait", None, cluster)
        assert stop.wait(SECONDS)
        return "ended"

    def fail(cluster: int) -> str:
        raise KeyboardInterrupt

    tasks = [Task("wait", wait), Task("fail", fail), Task("never", partial(watch.work, "never", None), alone=True)]
    with pytest.raises(KeyboardInterrupt):
        pool.run(tasks, lambda result: None, width=2, end=stop.set)
    assert set(watch.beside) == {"wait"}
