"""Taking a cluster that others made into use: one context of a kubeconfig, confirmed by a person."""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from k8s101.cluster.access import probe
from k8s101.cluster.access.kubeconfig import FIELDS
from k8s101.cluster.access.pki import write_private
from k8s101.cluster.facade.cluster import find
from k8s101.cluster.facade.place import lay_out
from k8s101.cluster.values.settings import Settings, invoking_user
from k8s101.errors import Problem


def adopt(state: Path, kubeconfig: Path, context: str | None, confirm: Callable[[str], bool]) -> probe.Probe:
    """Look at a cluster, have it confirmed, and remember it as the workshop's.

    Args:
        state: the state directory; nothing is written there before the confirmation.
        kubeconfig: the file that names the cluster; of it only one context is copied.
        context: the context; the file's current one if left out.
        confirm: asked with a description of the cluster.

    Raises:
        Problem: the file, the context or the cluster is not usable, or the answer was no.
    """
    config = only_context(kubeconfig, context)
    text = yaml.safe_dump(config, sort_keys=False)
    with tempfile.TemporaryDirectory(prefix="k8s101-") as scratch:
        path = Path(scratch, "kubeconfig")
        write_private(path, text)
        found = probe.examine(path)
    known = find(state)
    if known and (known.ours or not _same(probe.load(state), found)):
        raise Problem("another cluster is in use here", where=str(state), then="k8s101 down, then this command again")
    if not known and not confirm(f"context {config['current-context']}: {found.description()}"):
        raise Problem("not confirmed; nothing was changed", where=found.server, then="name another --context")
    settings = known.settings if known else lay_out(state, 0o700, lambda: _settings(state))
    write_private(settings.kubeconfig, text)
    probe.save(state, found)
    return found


def _settings(state: Path) -> Settings:
    user = invoking_user()
    # its nodes have names of their own, so none is expected
    return Settings(state, "existing", node_count=0, owner=(user.uid, user.gid))


def _same(one: probe.Probe, other: probe.Probe) -> bool:
    return (one.server, one.authority, one.uid) == (other.server, other.authority, other.uid)


def only_context(path: Path, name: str | None) -> dict[str, Any]:
    """Return a kubeconfig with one context of a file, and with the contents of the files that it names.

    Args:
        path: the file.
        name: the context; the file's current one if left out.

    Raises:
        Problem: the file cannot be read, or has no such context.
    """
    try:
        config = yaml.safe_load(path.read_text())
        contexts = {entry["name"]: entry["context"] for entry in config["contexts"]}
        name = name or config.get("current-context") or ""
        if name not in contexts:
            known = ", ".join(sorted(contexts)) or "there is none"
            raise Problem(f"no context is called {name!r}", where=str(path), then=f"--context, one of: {known}")
        cluster = _entry(config["clusters"], contexts[name]["cluster"])["cluster"]
        user = _entry(config["users"], contexts[name]["user"])["user"]
        parts = {"cluster": _inline(cluster, path.parent), "user": _inline(user, path.parent)}
    except OSError as error:
        raise Problem(
            f"the kubeconfig cannot be read: {error.strerror}", where=str(error.filename), then="name another file"
        ) from None
    except (yaml.YAMLError, KeyError, TypeError, StopIteration) as error:
        raise Problem(f"this is no usable kubeconfig ({error!r})", where=str(path), then="name another file") from None
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": parts["cluster"]}],
        "users": [{"name": name, "user": parts["user"]}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }


def _entry(entries: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return next(entry for entry in entries if entry["name"] == name)


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
