"""The user's cache of programs and images: who owns its files, and who may write them."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from k8s101.cluster.values.settings import cache_dir, invoking_user
from k8s101.errors import Problem


def hand_over(path: Path) -> None:
    """Make a file, or a directory with all it holds, belong to the user behind sudo."""
    user = invoking_user()
    if os.getuid() != 0 or user.uid == 0:
        return
    os.chown(path, user.uid, user.gid, follow_symlinks=False)
    if path.is_dir() and not path.is_symlink():
        for child in path.iterdir():
            hand_over(child)


def make_dir(path: Path) -> Path:
    """Make a directory and its parents, each new one owned by the user behind sudo."""
    if not path.is_dir():
        make_dir(path.parent)
        path.mkdir(exist_ok=True)
        hand_over(path)
    return path


@contextmanager
def locked(path: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold a lock file, so that two runs do not write the same files.

    Args:
        path: the lock file, which stays.
        waiting: called once when another run holds the lock.
    """
    make_dir(path.parent)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        waiting()
        lock.acquire()
    try:
        hand_over(path)
        yield
    finally:
        lock.release()


@contextmanager
def scratch(place: Path, name: str) -> Iterator[Path]:
    """Make a temporary directory beside the final one, for files that are not complete yet.

    The caller holds the lock of this name: what a killed run left under the name is removed first.

    Args:
        place: the directory to make it in, on the file system of the final place.
        name: what it is for.
    """
    for left_over in make_dir(place).glob(f".{name}.tmp-*"):
        shutil.rmtree(left_over, ignore_errors=True)
    path = Path(tempfile.mkdtemp(prefix=f".{name}.tmp-", dir=place))
    try:
        hand_over(path)
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextmanager
def explained() -> Iterator[None]:
    """Turn a full disk and a cache that others own into a Problem."""
    try:
        yield
    except OSError as error:
        where = str(error.filename or cache_dir())
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise Problem(
                "the disk is full", where=where, then="free some space (df -h shows where) and run this again"
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise Problem(
                "the cache cannot be written",
                where=where,
                then=f'run: sudo chown -R "$USER" {cache_dir()}; or set K8S101_CACHE to another directory',
            ) from error
        raise
