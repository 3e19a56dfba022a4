"""Nodes, rollouts, Pods and events at one glance, for a window that stays open beside the cells."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from html import escape
from typing import TYPE_CHECKING

from k8s101.lesson.api.environment import steady
from k8s101.lesson.api.mirror import Mirror
from k8s101.lesson.api.session import current, interactive
from k8s101.lesson.pictures.overview import RESOURCES, tables

if TYPE_CHECKING:
    from ipywidgets import HTML

AGES_SECONDS = 5.0
"""How often ages are renewed where nothing happens."""

PAUSE_SECONDS = 0.5
"""The least time between two pictures, so that a busy cluster does not busy the browser."""

_shown: list[Mirror] = []


def dashboard(seconds: float = 600, namespace: str = "") -> None:
    """Show nodes, workloads and their rollouts, Pods and the last events; it changes with them and only reads.

    Outside JupyterLab it prints the same tables once.

    Args:
        seconds: how long to follow.
        namespace: whose workloads, Pods and events; the lesson's if left out.
    """
    api = current()
    mirror = Mirror(api.rest, namespace or api.namespace, RESOURCES)
    view = _widget() if interactive() else None
    if view is None:
        print(_text(mirror))
        return
    for before in _shown:  # the cell was run again
        before.stop()
    _shown[:] = [mirror]
    threading.Thread(target=follow, args=(view, mirror, seconds), name="k8s101 dashboard", daemon=True).start()


def follow(view: HTML, mirror: Mirror, seconds: float) -> None:
    """Renew the tables whenever a watch reports something, and say when that ends.

    Args:
        view: the control that holds them.
        mirror: what is watched.
        seconds: how long to follow.
    """
    end, number = time.monotonic() + seconds, 0
    mirror.read()
    mirror.start()
    try:
        while (left := end - time.monotonic()) > 0 and not mirror.stopped.is_set():
            number = mirror.wait(number, min(left, AGES_SECONDS))
            view.value = _html(mirror)
            mirror.stopped.wait(min(left, PAUSE_SECONDS))
    finally:
        mirror.stop()
    view.value = _html(mirror) + "<p>The dashboard has ended. Run the cell again to go on.</p>"


def _widget() -> HTML | None:
    """Show an empty control and return it; None where there are no widgets."""
    try:
        import ipywidgets
    except ImportError:
        return None
    from IPython.display import display

    view = ipywidgets.HTML()
    display(view)
    return view


def _text(mirror: Mirror) -> str:
    found = tables(mirror.read(), mirror.namespace, datetime.now(UTC), steady=steady())
    return "\n\n".join(table.text() for table in found)


def _html(mirror: Mirror) -> str:
    now = datetime.now(UTC)
    found = tables(mirror.state(), mirror.namespace, now)
    name = escape(f"dashboard of namespace {mirror.namespace}", quote=True)
    moment = f"<p>as of {now.astimezone():%H:%M:%S} · it only reads</p>"
    return f'<section aria-label="{name}">{moment}{"".join(table.html() for table in found)}</section>'
