"""Links that open an app of the lesson in the learner's browser, through the server that runs the notebook."""

from __future__ import annotations

import json
import os
from html import escape
from pathlib import Path


def proxied(port: int) -> str:
    """Return the address of a port of this machine as the browser sees it: below JupyterLab's own.

    On Binder, and wherever else JupyterLab does not run on the machine of the browser, 127.0.0.1 is another
    machine; jupyter-server-proxy passes /proxy/PORT/ on, to loopback addresses only.

    Args:
        port: a TCP port on 127.0.0.1.
    """
    return f"{_base_url().rstrip('/')}/proxy/{port}/"


def _base_url() -> str:
    """Return the path below which the server of this kernel answers; `/` where it cannot be known."""
    if prefix := os.environ.get("JUPYTERHUB_SERVICE_PREFIX"):
        return prefix
    from jupyter_core.paths import jupyter_runtime_dir

    # the server writes down where it answers; the kernel is told the server's process
    file = Path(jupyter_runtime_dir(), f"jpserver-{os.environ.get('JPY_PARENT_PID')}.json")
    try:
        found: str = json.loads(file.read_text())["base_url"]
        return found
    except (OSError, ValueError, KeyError, TypeError):
        return "/"


class Link:
    """A link below the cell that opens a port's page in a new tab, and says when nothing is behind it any more.

    Args:
        port: a TCP port on 127.0.0.1.
        label: what is opened, for example `service/hello`.
    """

    def __init__(self, port: int, label: str) -> None:
        from IPython.display import display

        self._label = label
        address = proxied(port)
        html = f'<a href="{escape(address)}" target="_blank" rel="noopener">open {escape(label)} in the browser</a>'
        data = {"text/html": html, "text/plain": f"open {label} in the browser: {address}"}
        self._handle = display(data, raw=True, display_id=True)

    def close(self) -> None:
        """Take the link back."""
        if self._handle is not None:
            self._handle.update({"text/plain": f"{self._label} is no longer forwarded"}, raw=True)
