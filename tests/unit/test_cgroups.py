"""Paths of cgroups as a container sees them."""

from __future__ import annotations

import pytest

from k8s101.cluster.linux import cgroups


@pytest.mark.parametrize(
    ("path", "root", "seen"),
    [
        ("/", "/", "/"),
        ("/user.slice", "/", "/user.slice"),
        ("/docker/a", "/docker/a", "/"),
        ("/docker/a/b.slice", "/docker/a", "/b.slice"),
        ("/docker/ab", "/docker/a", "/docker/ab"),
        ("/elsewhere", "/docker/a", "/elsewhere"),
    ],
)
def test_a_path_is_told_from_the_cgroup_that_is_mounted(path: str, root: str, seen: str) -> None:
    assert cgroups._below(path, root) == seen
