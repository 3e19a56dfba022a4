"""The files of a lesson, which a learner reads, edits and applies: copies of its manifests."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

from k8s101.cluster.values.settings import ROOT, invoking_user

WORK = "_K8S101_WORK"
"""Set by runs that nobody watches: the directory in which each lesson gets fresh copies."""

NOTES = ".origins.json"
"""What the copies held when they were made, by which an edited one is known."""


def folder_name(slug: str, root: Path = ROOT) -> str:
    """Return the name of a lesson's folder, `NN-slug`, or the slug where no notebook has it.

    Args:
        slug: the lesson.
        root: the top of the checkout.
    """
    found = sorted((root / "notebooks").glob(f"[0-9][0-9]-{slug}.ipynb"))
    return found[0].stem if found else slug


def lay_out(slug: str, root: Path = ROOT, *, anew: bool = True) -> Path:
    """Make sure that a lesson's files are there, and return their folder.

    A learner's folder is `work/NN-slug`, where nothing that was edited is ever overwritten. A run that nobody
    watches gets fresh copies in a directory of its own.

    Args:
        slug: the lesson.
        root: the top of the checkout.
        anew: whether such fresh copies replace those that are there.
    """
    name = folder_name(slug, root)
    scratch = os.environ.get(WORK)
    if scratch:
        folder = Path(scratch) / name
        if anew:
            shutil.rmtree(folder, ignore_errors=True)
    else:
        folder = root / "work" / name
    copy(root / "manifests" / name, folder)
    return folder


def copy(source: Path, folder: Path) -> None:
    """Copy a lesson's files into a folder; what was edited there stays, what was not is brought up to date.

    Args:
        source: the lesson's manifests; may be missing.
        folder: the folder, made if it is missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    origins = _origins(folder)
    for file in sorted(source.rglob("*")):
        name = str(file.relative_to(source))
        target = folder / name
        if file.is_dir() or (target.exists() and origins.get(name) != _digest(target)):
            continue
        if not target.exists() or _digest(target) != _digest(file):
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
        origins[name] = _digest(file)
    (folder / NOTES).write_text(json.dumps(origins, indent=1) + "\n")
    _hand_over(folder)


def edited(folder: Path) -> bool:
    """Tell whether a learner has changed, added or removed something in a folder; one that is missing is as made."""
    if not folder.exists():
        return False
    here = {str(file.relative_to(folder)): _digest(file) for file in folder.rglob("*") if file.is_file()}
    here.pop(NOTES, None)
    return here != _origins(folder)


def _origins(folder: Path) -> dict[str, str]:
    try:
        return dict(json.loads((folder / NOTES).read_text()))
    except (OSError, ValueError, TypeError):
        return {}  # then every file that is there counts as edited


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()[:16]


def _hand_over(folder: Path) -> None:
    """Give what root made behind sudo to the person who typed it."""
    user = invoking_user()
    if os.getuid() == 0 and user.uid != 0:
        for path in [folder, *folder.rglob("*")]:
            os.chown(path, user.uid, user.gid, follow_symlinks=False)
