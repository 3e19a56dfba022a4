"""Where a cluster's state is, whether it can be there, and who may change it now."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock

from k8s101.cluster.access import identity
from k8s101.cluster.values.settings import SYSTEM_STATE, Settings, user_state_dir
from k8s101.errors import Problem

LONGEST_STATE = 80
"""In bytes: a Unix socket below it must fit into 107, with what the supervisor adds to its name."""

PLAIN_PATH = re.compile(r"[\w /.@+=~-]+")
"""Others are separators in options of mounts and in flags, or stand for something in configuration files."""

FREE_MIB = 400
"""Space that a cluster takes soon after its start."""

DRAFTS = {"identity", "settings.json.new"}
"""What a start that was interrupted may leave in a state directory without settings."""


def state_dir() -> Path:
    """Return the state directory that commands use.

    It is `K8S101_STATE`; for root the machine's one; for others their own, or else the machine's one if
    they started that cluster with sudo.
    """
    if explicit := os.environ.get("K8S101_STATE"):
        return Path(explicit).absolute()
    own = user_state_dir()
    if os.getuid() == 0:
        return SYSTEM_STATE
    if not (own / "settings.json").exists() and os.access(SYSTEM_STATE / "kubeconfig", os.R_OK):
        return SYSTEM_STATE
    return own


def lay_out(state: Path, mode: int, create: Callable[[], Settings]) -> Settings:
    """Make a state directory and save the settings of a new cluster in it.

    Args:
        state: the directory.
        mode: who may look into it.
        create: returns the settings.

    Raises:
        Problem: the directory cannot hold a cluster.
    """
    _check_place(state)
    settings = create()
    state.mkdir(parents=True, exist_ok=True)
    state.chmod(mode)
    identity.create(state)
    make_lessons(settings)
    settings.save()
    return settings


def make_lessons(settings: Settings) -> None:
    """Make the directory in which the learner's notebooks and terminals note the lesson that is open."""
    settings.lessons.mkdir(mode=0o700, exist_ok=True)
    if os.getuid() != settings.owner[0]:
        os.chown(settings.lessons, *settings.owner)


def _check_place(state: Path) -> None:
    # names from a directory service have what a path must not have
    other = "export K8S101_STATE=/tmp/k8s101-$(id -u), for every command, then k8s101 up"
    if len(os.fsencode(state)) > LONGEST_STATE:
        raise Problem("the path of the state directory is too long for a Unix socket", where=str(state), then=other)
    if not PLAIN_PATH.fullmatch(str(state)):
        raise Problem("the path of the state directory has unusual characters", where=str(state), then=other)
    if state.exists() and (not state.is_dir() or {entry.name for entry in state.iterdir()} - DRAFTS):
        # `down` removes the whole directory
        raise Problem("there is something else in the place of the state directory", where=str(state), then=other)


def check_space(state: Path) -> None:
    """Refuse a full disk, on which a cluster would end in the middle of its start.

    Raises:
        Problem: too little is free.
    """
    free = shutil.disk_usage(state).free // 2**20
    if free < FREE_MIB:
        raise Problem(
            f"{free} MiB are free, and a cluster needs {FREE_MIB}",
            where=str(state),
            then="df -h shows what is full; free some space or set K8S101_STATE to a directory elsewhere",
        )


@contextmanager
def exclusive(state: Path) -> Iterator[None]:
    """Let one command at a time change the cluster."""
    state.parent.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(f"{state}.lock")
    try:
        with lock.acquire(timeout=300):
            yield
    except filelock.Timeout as error:
        raise Problem(
            "another command has been changing this cluster for five minutes", where=str(state), then="wait for it"
        ) from error
    except PermissionError as error:
        raise Problem("the state directory belongs to root", where=str(state), then="sudo -E k8s101 …") from error
