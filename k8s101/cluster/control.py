"""The control socket: the few things an ordinary user may ask of the host supervisor.

It is an RPC interface of supervisor, and the only one its socket offers, so that a notebook without
privileges can take the cluster apart, and nothing else of the machine.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from supervisor.http import NOT_DONE_YET
from supervisor.rpcinterface import SupervisorNamespaceRPCInterface
from supervisor.xmlrpc import Faults, RPCError

from . import process
from .backends.node_files import write_node_files
from .components.control_plane import ETCD_CLIENT_URL, write_encryption
from .settings import Settings

NODE_CALL_SECONDS = 10


def make_rpcinterface(supervisord: Any, state: str, etcdctl: str) -> Control:
    """Build the interface; supervisor calls this by the name in its configuration file."""
    return Control(supervisord, Settings.load(Path(state)), Path(etcdctl))


def _in_thread(pool: ThreadPoolExecutor, work: Callable[[], Any]) -> Callable[[], Any]:
    """Run slow work beside the supervisor's loop, which polls the returned function."""
    future = pool.submit(work)

    def poll() -> Any:
        return future.result() if future.done() else NOT_DONE_YET

    poll.delay = 0.02  # type: ignore[attr-defined]
    poll.rpcinterface = None  # type: ignore[attr-defined]
    return poll


class Control:
    """Verbs on named components (`etcd`), nodes (`worker-1`) and their components (`worker-1/kubelet`).

    Args:
        supervisord: the supervisor that runs this.
        settings: the cluster's settings.
        etcdctl: the binary that reads keys from etcd.
    """

    def __init__(self, supervisord: Any, settings: Settings, etcdctl: Path) -> None:
        self._host = SupervisorNamespaceRPCInterface(supervisord)
        self._settings = settings
        self._etcdctl = etcdctl
        self._pool = ThreadPoolExecutor(4)

    def start(self, name: str) -> Any:
        """Start a component or a node."""
        return self._each(name, "startProcess", False)

    def stop(self, name: str) -> Any:
        """Stop a component or a node in good order."""
        return self._each(name, "stopProcess", True)

    def kill(self, name: str) -> Any:
        """Kill a component or a node, as a crash would."""
        return self._each(name, "signalProcess", "KILL")

    def pause(self, name: str) -> Any:
        """Stop a process from running without ending it."""
        return self._each(name, "signalProcess", "STOP")

    def resume(self, name: str) -> Any:
        """Let a paused process run on."""
        return self._each(name, "signalProcess", "CONT")

    def _each(self, name: str, method: str, argument: Any) -> Any:
        node, _, component = name.partition("/")
        if not component:
            return getattr(self._host, method)(name, argument)
        return _in_thread(self._pool, lambda: getattr(self._node(node).supervisor, method)(component, argument))

    def _node(self, name: str) -> Any:
        socket = self._settings.node_dir(name) / "supervisor.sock"
        if not socket.exists():
            raise RPCError(Faults.BAD_NAME, name)
        return process.client(socket, NODE_CALL_SECONDS)

    def status(self) -> Any:
        """Return every process as {name, state, pid, start (s since 1970)}."""
        host = [self._row(info, "") for info in self._host.getAllProcessInfo()]
        nodes = [row["name"] for row in host if row["name"].startswith("worker-") and row["state"] == "RUNNING"]

        def with_nodes() -> list[dict[str, Any]]:
            return host + [row for node in nodes for row in self._node_rows(node)]

        return _in_thread(self._pool, with_nodes)

    def _node_rows(self, node: str) -> list[dict[str, Any]]:
        try:
            infos = self._node(node).supervisor.getAllProcessInfo()
        except (OSError, RPCError):
            return []
        return [self._row(info, f"{node}/") for info in infos]

    @staticmethod
    def _row(info: dict[str, Any], prefix: str) -> dict[str, Any]:
        return {
            "name": prefix + info["name"],
            "state": info["statename"],
            "pid": info["pid"],
            "start": info["start"],
        }

    def add_node(self, name: str) -> Any:
        """Make the files of one more node and start it."""
        index = _index(name)
        write_node_files(self._settings, name, index)
        return self._host.startProcess(name, False)

    def remove_node(self, name: str) -> Any:
        """Stop a node; its files go with the next `down`."""
        _index(name)
        return self._host.stopProcess(name, True)

    def read_key(self, key: str) -> Any:
        """Return the value of a key in etcd, as it is stored."""
        pki = self._settings.pki
        command = (
            str(self._etcdctl),
            f"--endpoints={ETCD_CLIENT_URL}",
            f"--cacert={pki / 'etcd-ca.crt'}",
            f"--cert={pki / 'etcdctl.crt'}",
            f"--key={pki / 'etcdctl.key'}",
            "--command-timeout=5s",
            "get",
            "--print-value-only",
            "--",
            key,
        )

        def read() -> bytes:
            result = subprocess.run(command, capture_output=True, check=False)
            if result.returncode:
                raise RPCError(Faults.FAILED, result.stderr.decode(errors="replace")[-300:])
            return result.stdout

        return _in_thread(self._pool, read)

    def encrypt_secrets(self, enabled: bool) -> bool:
        """Switch encryption of Secrets in etcd on or off; the API server reads the file again by itself."""
        write_encryption(self._settings, enabled=enabled)
        return True


def _index(name: str) -> int:
    prefix, _, number = name.partition("-")
    if prefix != "worker" or not number.isdigit() or not 1 <= int(number) <= 9:
        raise RPCError(Faults.BAD_NAME, name)
    return int(number)
