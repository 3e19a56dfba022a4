"""Taking a cluster that others made into use: one context of a kubeconfig, confirmed by a person."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import yaml

from k8s101.cluster.access import probe
from k8s101.cluster.access.context import only_context
from k8s101.cluster.access.private import write_private
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
