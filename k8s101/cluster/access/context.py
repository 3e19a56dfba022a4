"""One context of a person's kubeconfig, found in one or several files as kubectl finds it."""

from __future__ import annotations

import base64
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from k8s101.cluster.access.kubeconfig import FIELDS
from k8s101.errors import Problem

REFUSED = {
    "user": ("as", "as-groups", "as-uid", "as-user-extra", "auth-provider", "username", "password"),
    "cluster": (),
}
"""Fields that kubectl knows and the notebooks' own client does not, or not so."""

PROXIES = ("http", "https")


def only_context(path: Path, name: str | None) -> dict[str, Any]:
    """Return a kubeconfig with one context of a file, and with the contents of the files that it names.

    Args:
        path: the file; or several, with colons between them as in KUBECONFIG: the first to name a thing counts.
        name: the context; the files' current one if left out.

    Raises:
        Problem: a file cannot be read, has no such context, or a field of it cannot be used.
    """
    try:
        files = [(file, yaml.safe_load(file.read_text()) or {}) for file in _files(path)]
        contexts = {entry["name"]: entry["context"] for _, entry in _entries(files, "contexts")}
        name = name or next(filter(None, (config.get("current-context") for _, config in files)), "")
        if name not in contexts:
            known = ", ".join(sorted(contexts)) or "there is none"
            raise Problem(f"no context is called {name!r}", where=str(path), then=f"--context, one of: {known}")
        parts = {kind: _part(files, kind, contexts[name][kind]) for kind in ("cluster", "user")}
    except OSError as error:
        raise Problem(
            f"the kubeconfig cannot be read: {error.strerror}", where=str(error.filename), then="name another file"
        ) from None
    except (yaml.YAMLError, AttributeError, KeyError, TypeError, StopIteration) as error:
        raise Problem(f"this is no usable kubeconfig ({error!r})", where=str(path), then="name another file") from None
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": parts["cluster"]}],
        "users": [{"name": name, "user": parts["user"]}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }


def _files(path: Path) -> list[Path]:
    """Return the files that are meant; of several those that exist, as kubectl takes them."""
    several = [Path(part) for part in str(path).split(os.pathsep) if part]
    if path.exists() or len(several) < 2:
        return [path]
    return [file for file in several if file.exists()] or several[:1]


def _entries(files: Iterable[tuple[Path, dict[str, Any]]], key: str) -> list[tuple[Path, dict[str, Any]]]:
    """Return the entries of all files, those that count last."""
    found = [(file, entry) for file, config in files for entry in config.get(key) or []]
    return found[::-1]


def _part(files: list[tuple[Path, dict[str, Any]]], kind: str, name: str) -> dict[str, Any]:
    found = [(file, entry) for file, entry in _entries(files, f"{kind}s") if entry["name"] == name]
    file, entry = next(reversed(found))
    _refuse(file, kind, name, entry[kind])
    return _inline(entry[kind], file.parent)


def _refuse(file: Path, kind: str, name: str, entry: dict[str, Any]) -> None:
    for field in REFUSED[kind]:
        if entry.get(field):
            raise Problem(
                f"the field {field} of {kind} {name} cannot be used by the notebooks; nothing was written",
                where=str(file),
                then="name a context whose user has a certificate, a token or a program that fetches one (exec)",
            )
    program = str(entry.get("exec", {}).get("command", ""))
    if program and not shutil.which(program if "/" not in program else file.parent / program):
        raise Problem(
            f"{program}, which fetches the credentials of {kind} {name}, is not there; nothing was written",
            where=f"{file}, field exec.command",
            then="install it, or put it on PATH",
        )
    proxy = str(entry.get("proxy-url") or "")
    if proxy and urlsplit(proxy).scheme not in PROXIES:
        raise Problem(
            f"the field proxy-url of {kind} {name} is {proxy}, and the notebooks know only HTTP proxies; "
            "nothing was written",
            where=str(file),
            then="name an HTTP proxy in it, or lead a port to the API server: ssh -L",
        )


def _inline(entry: dict[str, Any], directory: Path) -> dict[str, Any]:
    """Replace names of files by their contents, and make the other paths absolute."""
    result = {key: value for key, value in entry.items() if key not in FIELDS}
    for key in set(FIELDS) & entry.keys():
        result[f"{key}-data"] = base64.b64encode((directory / entry[key]).read_bytes()).decode()
    if "tokenFile" in result:
        result["tokenFile"] = str((directory / result["tokenFile"]).absolute())
    if "/" in (command := result.get("exec", {}).get("command", "")):
        result["exec"] = result["exec"] | {"command": str((directory / command).absolute())}
    return result
