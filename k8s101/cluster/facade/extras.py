"""Add-ons of the cluster at hand, as the command line and lessons ask for them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from k8s101.cluster.addons import loader
from k8s101.cluster.addons.catalog import Addon, catalog, find
from k8s101.cluster.facade.cluster import Cluster
from k8s101.cluster.values.progress import display
from k8s101.errors import Problem


@dataclass(frozen=True)
class Row:
    """An add-on in a list.

    Args:
        name: its name.
        summary: what it brings.
        enabled: whether the cluster has it, None where that cannot be told.
        users: who uses it.
        needs: the capabilities that it needs.
        gives: what the cluster can do with it.
        lacking: the capabilities that the cluster lacks for it.
    """

    name: str
    summary: str
    enabled: bool | None
    users: list[str]
    needs: list[str]
    gives: list[str]
    lacking: list[str]


def rows(cluster: Cluster | None) -> list[Row]:
    """Return all add-ons; without a running cluster only what they are.

    Raises:
        Problem: another cluster answers.
    """
    asked = cluster if cluster and cluster.running() else None
    if asked:
        _check(asked)
    return [_row(asked, addon) for addon in catalog().values()]


def _row(cluster: Cluster | None, addon: Addon) -> Row:
    about = {"needs": list(addon.needs), "gives": list(addon.gives)}
    if cluster is None:
        return Row(addon.name, addon.summary, None, [], lacking=[], **about)
    now = loader.state(cluster, addon)
    return Row(addon.name, addon.summary, now.enabled, now.users, lacking=now.lacking, **about)


def enable(cluster: Cluster, names: Iterable[str], user: str, tell: Callable[[str], None]) -> None:
    """Bring add-ons into a cluster, and wait until all of them work; they start beside each other.

    Args:
        cluster: the cluster.
        names: which ones; nothing happens if one is unknown.
        user: who uses them from now on.
        tell: called with a line for each that is ready.

    Raises:
        Problem: see `loader`; an unknown name; the cluster does not run or is another one.
    """
    addons = [find(name) for name in dict.fromkeys(names)]
    _check(cluster)
    with display() as report:
        for addon in addons:
            loader.enable(cluster, addon, user, report)
        for addon in addons:
            loader.wait_until_ready(cluster, addon, report)
            tell(f"{addon.name}: enabled")


def disable(
    cluster: Cluster, names: Iterable[str], user: str, tell: Callable[[str], None], *, force: bool = False
) -> None:
    """Take add-ons out of a cluster, as far as nobody else uses them.

    Args:
        cluster: the cluster.
        names: which ones; nothing happens if one is unknown.
        user: who uses them no more.
        tell: called with a line for each.
        force: whether other users do not count.

    Raises:
        Problem: an unknown name; something did not go; the cluster does not run or is another one.
    """
    addons = [find(name) for name in dict.fromkeys(names)]
    _check(cluster)
    with display() as report:
        for name, users in loader.disable(cluster, addons, user, report, force=force).items():
            tell(f"{name}: stays, used by {', '.join(users)}" if users else f"{name}: disabled")
    # `kubectl get all` fails as long as kubectl remembers a kind that has gone
    shutil.rmtree(cluster.settings.kubectl_cache, ignore_errors=True)


def remove_all(cluster: Cluster) -> list[str]:
    """Take all add-ons out of a cluster that was checked, whoever uses them; return their names."""
    names = [addon.name for addon in catalog().values() if loader.state(cluster, addon).enabled]
    if names:
        disable(cluster, names, "", lambda line: None, force=True)
    return names


def take_back(cluster: Cluster, tell: Callable[[str], None]) -> None:
    """Before a cluster that others run is forgotten, take the add-ons out of it; say which may be left."""
    try:
        remove_all(cluster)
    except (Problem, OSError) as error:
        tell(f"add-ons may be left: {error}")


def _check(cluster: Cluster) -> None:
    if not cluster.running():
        raise Problem("the cluster is not running", where=str(cluster.settings.state), then="k8s101 up")
    cluster.verify(cluster.api.find)
