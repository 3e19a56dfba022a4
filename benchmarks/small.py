"""One processor and two gigabytes for a cluster, as a Binder session has."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from k8s101.cluster.values.deadline import until
from tests.small_machine import memory_group

GROUP_SECONDS = 10


@contextmanager
def small_machine() -> Iterator[None]:
    """Give this process, and what it starts meanwhile, one processor and two gigabytes."""
    processors, here = os.sched_getaffinity(0), str(os.getpid())
    group = memory_group(f"k8s101-bench-{here}")
    os.sched_setaffinity(0, {min(processors)})
    if group:
        (group / "cgroup.procs").write_text(here)
    try:
        yield
    finally:
        os.sched_setaffinity(0, processors)
        if group:
            (group.parent / "cgroup.procs").write_text(here)
            until(lambda: [group.rmdir()], GROUP_SECONDS, errors=(OSError,))
