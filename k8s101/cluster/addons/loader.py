"""Add-ons: images into the nodes, manifests into the cluster, the wait until they work, and the way out again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from k8s101.cluster.access import identity
from k8s101.cluster.access.api import Api
from k8s101.cluster.addons import claims
from k8s101.cluster.addons.applying import CRD, LABEL, Kinds, Object, apply, foreign, in_words, same_definition
from k8s101.cluster.addons.catalog import Addon, objects
from k8s101.cluster.addons.readiness import PULL_SECONDS, SECONDS, wait_ready
from k8s101.cluster.addons.removing import remove
from k8s101.cluster.backends.base import Capabilities
from k8s101.cluster.backends.objects import localised
from k8s101.cluster.images.packing import ensure_archive
from k8s101.cluster.values.progress import Progress, Report
from k8s101.cluster.values.settings import Settings
from k8s101.errors import Problem

LOAD_SECONDS = 200


class Target(Protocol):
    """What is needed of a cluster."""

    settings: Settings

    @property
    def ours(self) -> bool:
        """Whether the whole cluster is the workshop's."""

    @property
    def api(self) -> Api:
        """A session with its API server."""

    @property
    def capabilities(self) -> Capabilities:
        """What it can do."""

    def control(self, verb: str, *arguments: Any, seconds: float = ...) -> Any:
        """Ask its supervisor."""


@dataclass(frozen=True)
class State:
    """How an add-on stands in a cluster.

    Args:
        enabled: whether it is there.
        users: who uses it.
        lacking: the capabilities it needs and the cluster lacks.
    """

    enabled: bool
    users: list[str]
    lacking: list[str]


def state(target: Target, addon: Addon) -> State:
    """Tell how an add-on stands."""
    known = target.api.find(claims.path(addon.name))
    return State(bool(known) and not claims.is_removing(known), claims.users(known), lacking(target, addon))


def lacking(target: Target, addon: Addon) -> list[str]:
    """Return the capabilities that an add-on needs and a cluster lacks."""
    able = asdict(target.capabilities)
    return [name for name in addon.needs if not able.get(name)]


def enable(target: Target, addon: Addon, user: str, report: Report) -> None:
    """Bring an add-on into a cluster, where it then starts; nothing changes where it is there.

    Args:
        target: the cluster, whose identity was checked.
        addon: what.
        user: who uses it from now on.
        report: called with what is being done.

    Raises:
        Problem: the cluster cannot serve it, somebody else has installed it, or a program could not be built.
    """
    if names := lacking(target, addon):
        raise Problem(
            f"{addon.name} needs {', '.join(names)}, which this cluster lacks",
            where=f"a cluster of the kind {target.settings.backend}, {target.settings.state}",
            then=_better_cluster(names),
        )
    say = _speaker(addon, report)
    api, kinds = target.api, Kinds(target.api)
    manifests = _manifests(target, addon)
    finish_removal(api, addon)
    shared = _refuse_foreign(api, kinds, addon, manifests)
    if target.ours:
        _load(target, addon, report)
    while not claims.claim(api, addon.name, user):
        finish_removal(api, addon)
    say(f"applying {addon.name}")
    labels = {LABEL: addon.name}
    for manifest in manifests:
        if manifest in shared:
            continue
        # only namespaces with the cluster's id are ever deleted
        own = {identity.LABEL: identity.read(target.settings)} if manifest["kind"] == "Namespace" else {}
        apply(api, kinds, manifest, labels | own)


def wait_until_ready(target: Target, addon: Addon, report: Report) -> None:
    """Wait until an add-on that was enabled works.

    Args:
        target: the cluster, whose identity was checked.
        addon: what.
        report: called with what is waited for.

    Raises:
        Problem: it did not become ready.
    """
    seconds = SECONDS if target.ours else PULL_SECONDS
    wait_ready(target.api, Kinds(target.api), addon, _speaker(addon, report), seconds)


def _better_cluster(lacking: list[str]) -> str:
    if "pulls_images" in lacking:
        return "k8s101 up --kubeconfig FILE with a cluster whose nodes pull images, such as one of kind or of a cloud"
    return "k8s101 down, then k8s101 up, which makes the most real cluster that can run here"


def disable(
    target: Target, addons: Sequence[Addon], user: str, report: Report, *, force: bool = False
) -> dict[str, list[str]]:
    """Take add-ons out of a cluster, all at once, as far as nobody else uses them; return who does, for each.

    Args:
        target: the cluster, whose identity was checked.
        addons: what.
        user: who uses them no more.
        report: called with what is being done.
        force: whether the others do not count.

    Raises:
        Problem: something did not go.
    """
    users = {addon.name: claims.release(target.api, addon.name, user, force=force) for addon in addons}
    unused = [addon for addon in addons if not users[addon.name]]
    for addon in unused:
        _speaker(addon, report)(f"removing {addon.name}")
    if unused:
        remove(target.api, *(addon.name for addon in unused))
    return users


def finish_removal(api: Api, addon: Addon) -> None:
    """Wait for a removal that somebody else has begun, and finish one that was interrupted."""

    def over() -> bool:
        return not claims.is_removing(api.find(claims.path(addon.name)))

    if over():
        return
    try:
        api.wait(f"{addon.name} removed", over, claims.SECONDS)
    except Problem:
        remove(api, addon.name)


def _speaker(addon: Addon, report: Report) -> Callable[[str], None]:
    def say(message: str) -> None:
        report(Progress(addon.name, "", 0, 0, message, left=0))

    return say


def _manifests(target: Target, addon: Addon) -> list[Object]:
    found = []
    for file in addon.manifests:
        if target.ours or not file.ours_only:
            text = file.path.read_text()
            found += objects(localised(text, target.settings) if target.ours else text)
    return found


def _refuse_foreign(api: Api, kinds: Kinds, addon: Addon, manifests: list[Object]) -> list[Object]:
    """Return the definitions that others have installed in the same version, and are left to them.

    Raises:
        Problem: others have installed more than that.
    """
    shared = []
    for ours, theirs in foreign(api, kinds, addon.name, manifests):
        if same_definition(ours, theirs):
            shared.append(ours)
            continue
        versions = ""
        if ours["kind"] == CRD:
            versions = " of another version"
        raise Problem(
            f"{in_words(ours)}{versions} is there already, and not from this add-on",
            where=f"{api.server}, made {theirs['metadata'].get('creationTimestamp', 'at an unknown time')}",
            then=f"use what is installed there, or remove it with the tool that installed it, then enable {addon.name}",
        )
    return shared


def _load(target: Target, addon: Addon, report: Report) -> None:
    """Make the images and give them to the nodes."""
    for packing in addon.images:
        archive = ensure_archive(packing, report)
        _speaker(addon, report)(f"loading {packing.reference} into the nodes")
        trouble: dict[str, str] = target.control("load_images", str(archive), seconds=LOAD_SECONDS)
        if trouble:
            said = "; ".join(f"{node}: {what}" for node, what in sorted(trouble.items()))
            node = min(trouble)
            raise Problem(
                f"{packing.reference} could not be loaded ({said})",
                where=str(target.settings.node_dir(node) / "var/log/images.log"),
                then=f"k8s101 logs {node}/images",
            )
