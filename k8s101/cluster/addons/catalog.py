"""What can be added to a cluster: the directories of `addons/`, each with an `addon.yml`, read and checked."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from k8s101.cluster.images.packing import Packing
from k8s101.cluster.values.settings import ROOT
from k8s101.errors import Problem

DIRECTORY = ROOT / "addons"
FILE = "addon.yml"
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_KEYS = {"summary", "images", "manifests", "ready", "needs", "gives", "help"}
_NECESSARY = {"summary", "manifests", "ready"}


@dataclass(frozen=True)
class Manifest:
    """One file of an add-on.

    Args:
        path: where it is.
        ours_only: whether it fits only clusters whose address ranges are known, those that the workshop made.
    """

    path: Path
    ours_only: bool = False


@dataclass(frozen=True)
class Addon:
    """One add-on.

    Args:
        name: the name of its directory.
        summary: what it brings, one line.
        images: how its programs become images.
        manifests: its files, in the order in which they are applied.
        ready: what must be ready: an object (`apiVersion`, `kind`, `name`, `namespace`, `condition`), or
            the `path` of a list that must not be empty.
        needs: the capabilities that the cluster must have.
        gives: what the cluster can do afterwards.
        help: what to do if it does not become ready.
    """

    name: str
    summary: str
    images: tuple[Packing, ...]
    manifests: tuple[Manifest, ...]
    ready: tuple[dict[str, str], ...]
    needs: tuple[str, ...] = ()
    gives: tuple[str, ...] = ()
    help: str = ""


def catalog(directory: Path = DIRECTORY) -> dict[str, Addon]:
    """Return all add-ons by name.

    Raises:
        Problem: a description is wrong.
    """
    return {path.parent.name: read(path) for path in sorted(directory.glob(f"*/{FILE}"))}


def find(name: str, directory: Path = DIRECTORY) -> Addon:
    """Return one add-on.

    Raises:
        Problem: there is none of that name.
    """
    known = catalog(directory)
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise Problem(f"no add-on is called {name!r}{hint}", where=str(directory), then="k8s101 addons list")
    return known[name]


def read(path: Path) -> Addon:
    """Read one description.

    Raises:
        Problem: it is wrong, or a file that it names is missing.
    """
    try:
        data = yaml.safe_load(path.read_text())
        if wrong := (data.keys() - _KEYS) | (_NECESSARY - data.keys()):
            raise ValueError(f"wrong or missing: {', '.join(sorted(wrong))}")
        addon = Addon(
            path.parent.name,
            data["summary"],
            tuple(Packing(**entry) for entry in data.get("images", [])),
            tuple(_manifest(path.parent, entry) for entry in data["manifests"]),
            tuple(data["ready"]),
            tuple(data.get("needs", [])),
            tuple(data.get("gives", [])),
            data.get("help", ""),
        )
    except (yaml.YAMLError, ValueError, TypeError, LookupError, AttributeError) as error:
        raise Problem(
            f"this describes no add-on ({error})", where=str(path), then="addons/README.md says how"
        ) from None
    if missing := [file.path.name for file in addon.manifests if not file.path.is_file()]:
        raise Problem(f"missing: {', '.join(missing)}", where=str(path), then="add the file, or take its name out")
    return addon


def _manifest(directory: Path, entry: str | dict[str, str]) -> Manifest:
    if isinstance(entry, str):
        return Manifest(directory / entry)
    if entry.keys() != {"file", "clusters"} or entry["clusters"] != "ours":
        raise ValueError(f"{entry} should be a name, or {{file: NAME, clusters: ours}}")
    return Manifest(directory / entry["file"], ours_only=True)


def objects(text: str) -> list[dict[str, Any]]:
    """Return the objects of a file, in order."""
    return [entry for entry in yaml.load_all(text, _Loader) if entry]
