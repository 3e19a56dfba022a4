"""What a server of Jupyter says of itself, and the address that a person opens, whatever they have set for Jupyter."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from k8s101.cluster.values.deadline import until

START_SECONDS = 120
LISTEN_SECONDS = 2


def said(child: subprocess.Popen[bytes]) -> dict[str, Any]:
    """Wait until a server listens, and return what it says of itself; nothing if it ends or never does.

    Args:
        child: its process.
    """
    from jupyter_core.paths import jupyter_runtime_dir

    file = Path(jupyter_runtime_dir(), f"jpserver-{child.pid}.json")

    def look() -> tuple[dict[str, Any]] | None:
        if child.poll() is not None:
            return ({},)
        info = json.loads(file.read_text()) if file.exists() else {}
        return (info,) if info and _listens(info) else None

    found = until(look, START_SECONDS, errors=(ValueError,))
    return found[0] if found else {}


def _listens(info: Mapping[str, Any]) -> bool:
    """Tell whether a server can be reached; its file is there a moment before."""
    if info.get("sock"):
        return Path(info["sock"]).exists()
    try:
        socket.create_connection((info["hostname"], info["port"]), LISTEN_SECONDS).close()
    except OSError:
        return False
    return True


def address(info: Mapping[str, Any], path: str) -> str:
    """Return what a person needs to open JupyterLab.

    Args:
        info: what the server says of itself.
        path: what to open.
    """
    url = f"{info['url'].rstrip('/')}/{path.lstrip('/')}"
    if info["token"]:
        return f"\nJupyterLab: {url}?token={info['token']}\n"
    if info["password"]:
        return f"\nJupyterLab: {url}\n  it asks for the password that you have set for Jupyter\n"
    return (
        f"\nJupyterLab: {url}\n"
        "  your Jupyter configuration sets an empty token: everybody on this machine can open it and be you\n"
    )
