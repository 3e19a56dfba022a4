"""Giving images to nodes that run: an archive in the state directory, which each node's own script imports."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from supervisor.xmlrpc import Faults, RPCError

from k8s101.cluster.components import containerd
from k8s101.cluster.values.settings import Settings

ARCHIVE = re.compile(r"(?P<program>[a-z0-9-]+)-[0-9a-f]{16}\.tar")
"""The name of an archive: its program, and a digest of what it was made of."""

SECONDS = 180
POLL_SECONDS = 0.05

Ask = Callable[..., Any]
"""Calls a method of a node's supervisor: node, method, arguments."""


def take(settings: Settings, archive: str) -> str:
    """Copy an archive into the state directory, in the place of older ones of its program; return its name.

    It is read with the rights of the cluster's owner: nobody gets a file of root by asking for it.

    Raises:
        RPCError: it has not the name of an archive, or cannot be read.
    """
    path = Path(archive)
    if not (name := ARCHIVE.fullmatch(path.name)) or not path.is_absolute():
        raise RPCError(Faults.INCORRECT_PARAMETERS, archive)
    target = settings.archives / path.name
    if target.exists():
        return path.name
    settings.archives.mkdir(exist_ok=True)
    # not among the archives, where a node's root could have laid a link
    draft = settings.state / "archive.new"
    uid, gid = settings.owner
    switch: dict[str, Any] = {"user": uid, "group": gid, "extra_groups": []} if os.getuid() == 0 else {}
    with draft.open("wb") as file:
        result = subprocess.run(("cat", "--", archive), stdout=file, stderr=subprocess.PIPE, **switch)
    if result.returncode:
        draft.unlink()
        raise RPCError(Faults.FAILED, result.stderr.decode(errors="replace").strip())
    for known in settings.archives.glob("*.tar"):
        if (other := ARCHIVE.fullmatch(known.name)) and other["program"] == name["program"]:
            known.unlink()
    draft.rename(target)
    return path.name


def load(nodes: Iterable[str], ask: Ask) -> dict[str, str]:
    """Let running nodes import what they do not have, all at the same time.

    Args:
        nodes: their names.
        ask: how their supervisors are asked.

    Returns:
        What went wrong, by node; nothing in the end for a node that is away: it imports when it starts.
    """
    deadline = time.monotonic() + SECONDS
    waiting, trouble = dict.fromkeys(nodes, False), {}
    while waiting and time.monotonic() < deadline:
        for node, started in list(waiting.items()):
            try:
                info = ask(node, "getProcessInfo", containerd.IMPORTER)
                if info["statename"] in ("STARTING", "RUNNING"):
                    continue
                if not started:
                    # one that has just ended may not have seen the archive
                    ask(node, "startProcess", containerd.IMPORTER, False)
                    waiting[node] = True
                    continue
                if info["exitstatus"]:
                    trouble[node] = f"the import ended with {info['exitstatus']}"
            except RPCError as error:
                trouble[node] = str(error.text)
            del waiting[node]
        time.sleep(POLL_SECONDS)
    return trouble | dict.fromkeys(waiting, f"not within {SECONDS} s")
