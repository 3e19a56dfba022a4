"""A picture that follows the cluster, for people who sit in front of it."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from k8s101.errors import Problem
from k8s101.lesson.api.session import interactive
from k8s101.lesson.pictures.draw import draw

if TYPE_CHECKING:
    from ipywidgets import HTML

REFRESH_SECONDS = 0.5


def watch_live(reference: str = "", seconds: float = 120) -> None:
    """Show a picture of the lesson's objects that changes with them, while other cells run.

    Outside JupyterLab it prints one line.

    Args:
        reference: as in `draw`.
        seconds: how long to follow.
    """
    if not interactive():
        print(f"live view of {reference or 'all objects'}: moves only in JupyterLab")
        return
    import ipywidgets
    from IPython.display import display

    view = ipywidgets.HTML()
    display(view)
    threading.Thread(target=follow, args=(view, reference, seconds), name="k8s101 live view", daemon=True).start()


def follow(view: HTML, reference: str, seconds: float) -> None:
    """Renew a picture again and again, and say when that ends.

    Args:
        view: the control that holds it.
        reference: as in `draw`.
        seconds: how long to follow.
    """
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        view.value = _frame(reference)
        time.sleep(REFRESH_SECONDS)
    view.value += "<p>The live view has ended. Run the cell again to go on.</p>"


def _frame(reference: str) -> str:
    try:
        return draw(reference)._repr_mimebundle_()["text/html"]
    except Problem as problem:
        return f"<p>{problem.found}</p>"
    except Exception as error:  # noqa: BLE001  a live view outlives restarts of what it looks at
        return f"<p>waiting for the cluster: {type(error).__name__}</p>"
