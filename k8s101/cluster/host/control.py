"""The control socket: the few things an ordinary user may ask of the host supervisor.

It is an RPC interface of supervisor, and the only one its socket offers, so that a notebook without
privileges can take the cluster apart, and nothing else of the machine.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import time
import xmlrpc.client
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from supervisor.http import NOT_DONE_YET
from supervisor.rpcinterface import SupervisorNamespaceRPCInterface
from supervisor.xmlrpc import Faults, RPCError

from k8s101.cluster.components import containerd, etcd
from k8s101.cluster.components.kube_apiserver import encrypts, write_encryption
from k8s101.cluster.host import loading
from k8s101.cluster.node.files import SOCKET, write_node_files
from k8s101.cluster.supervisor import rpc
from k8s101.cluster.values.deadline import until
from k8s101.cluster.values.parts import PAUSED, PartName
from k8s101.cluster.values.settings import LOOPBACK, Settings

NODE_CALL_SECONDS = START_SECONDS = 10
SNAPSHOT_SECONDS = 60
POLL_SECONDS = 0.02


def make_rpcinterface(supervisord: Any, state: str, etcdctl: str) -> Control:
    """Build the interface; supervisor calls this by the name in its configuration file."""
    return Control(supervisord, Settings.load(Path(state)), Path(etcdctl))


class _Threads:
    """Runs slow work beside the supervisor's loop.

    The loop asks whether work is done when something happens, else once a second; a pipe makes it happen.

    Args:
        socket_map: the files that the loop watches.
    """

    def __init__(self, socket_map: dict[int, Any]) -> None:
        self._pool = ThreadPoolExecutor(4)
        self._end, self._bell = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        socket_map[self._end] = self

    def run(self, work: Callable[[], Any]) -> Callable[[], Any]:
        """Start work and return the function that the supervisor polls for its result."""
        future = self._pool.submit(work)
        future.add_done_callback(self._ring)

        def poll() -> Any:
            return future.result() if future.done() else NOT_DONE_YET

        poll.delay = POLL_SECONDS  # type: ignore[attr-defined]
        poll.rpcinterface = None  # type: ignore[attr-defined]
        return poll

    def _ring(self, _: object) -> None:
        os.write(self._bell, b".")
        # the loop does not ask twice within its delay
        time.sleep(2 * POLL_SECONDS)
        os.write(self._bell, b".")

    def readable(self) -> bool:
        """Tell the loop to wake up for the pipe."""
        return True

    def writable(self) -> bool:
        """Tell the loop that nothing is written from it."""
        return False

    def handle_read_event(self) -> None:
        """Empty the pipe."""
        os.read(self._end, 4096)


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
        self._threads = _Threads(supervisord.options.get_socket_map())

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
        if (part := PartName.parse(name)) and part.is_node:
            _wake(_first_process(self._host.getProcessInfo(name)["pid"]))
        return self._each(name, "signalProcess", "CONT")

    def _each(self, name: str, method: str, argument: Any) -> Any:
        # supervisor also knows groups, which no name of ours means
        part = PartName.parse(name)
        if not part:
            raise RPCError(Faults.BAD_NAME, str(name))
        if part.node and not (self._settings.node_dir(part.node) / "node.json").exists():
            raise RPCError(Faults.BAD_NAME, name)
        if not (part.node and part.component):
            return getattr(self._host, method)(name, argument)
        node, component = part.node, part.component
        return self._threads.run(lambda: self._ask(node, method, component, argument))

    def _ask(self, node: str, method: str, *arguments: Any) -> Any:
        """Call a method of a node's own supervisor."""
        proxy = rpc.client(self._settings.node_dir(node) / SOCKET, NODE_CALL_SECONDS)
        try:
            return getattr(proxy.supervisor, method)(*arguments)
        except xmlrpc.client.Fault as fault:
            raise RPCError(fault.faultCode, node) from fault
        except OSError as error:
            raise RPCError(Faults.FAILED, f"{node} does not answer") from error

    def status(self) -> Any:
        """Return every process as {name, state, pid, start (s since 1970)}."""
        host = [process_row(info, "", Path("/proc")) for info in self._host.getAllProcessInfo()]
        nodes = [row for row in host if row["name"].startswith("worker-") and row["state"] == "RUNNING"]

        def with_nodes() -> list[dict[str, Any]]:
            return host + [row for node in nodes for row in self._node_rows(node)]

        return self._threads.run(with_nodes)

    def _node_rows(self, node: dict[str, Any]) -> list[dict[str, Any]]:
        first = Path(f"/proc/{_first_process(node['pid'])}")
        if _is_frozen(first):
            node["state"] = PAUSED
            return []
        try:
            infos = self._ask(node["name"], "getAllProcessInfo")
        except RPCError:
            return []
        # what ends by itself is no part of the cluster
        parts = [info for info in infos if info["name"] != containerd.IMPORTER]
        return [process_row(info, f"{node['name']}/", first / "root/proc") for info in parts]

    def add_node(self, name: str) -> Any:
        """Make the files of one more node and start it."""
        index = node_index(name)
        if self._host.getProcessInfo(name)["pid"]:
            raise RPCError(Faults.ALREADY_STARTED, name)
        # another node may have had this name: a new one has no past
        shutil.rmtree(self._settings.node_dir(name), ignore_errors=True)
        write_node_files(self._settings, name, index)
        return self._host.startProcess(name, False)

    def remove_node(self, name: str) -> Any:
        """Stop a node; its files go when a node of this name is added, or with `down`."""
        node_index(name)
        return self._host.stopProcess(name, True)

    def load_images(self, archive: str) -> Any:
        """Give the images of an archive to all running nodes, and to those that start later.

        Returns:
            What went wrong, by node.
        """
        if not isinstance(archive, str):
            raise RPCError(Faults.INCORRECT_PARAMETERS, "a path is a text")

        def work() -> dict[str, str]:
            loading.take(self._settings, archive)
            return self._load()

        return self._threads.run(work)

    def _load(self) -> dict[str, str]:
        """Let the running nodes import all archives."""
        host = [process_row(info, "", Path("/proc")) for info in self._host.getAllProcessInfo()]
        nodes = [row for row in host if row["name"].startswith("worker-") and row["state"] == "RUNNING"]
        frozen = [row["name"] for row in nodes if _is_frozen(Path(f"/proc/{_first_process(row['pid'])}"))]
        awake = [row["name"] for row in nodes if row["name"] not in frozen]
        return loading.load(awake, self._ask) | dict.fromkeys(frozen, "it is paused")

    def read_key(self, key: str) -> Any:
        """Return the value of a key in etcd, as it is stored."""
        if not isinstance(key, str):
            raise RPCError(Faults.INCORRECT_PARAMETERS, "a key is a text")
        return self._threads.run(lambda: self._ask_etcd("get", "--print-value-only", "--", key))

    def _ask_etcd(self, *arguments: str, text: bytes = b"") -> bytes:
        pki = self._settings.pki
        command = (
            str(self._etcdctl),
            f"--endpoints={etcd.url(self._settings)}",
            f"--cacert={pki / 'etcd-ca.crt'}",
            f"--cert={pki / 'etcdctl.crt'}",
            f"--key={pki / 'etcdctl.key'}",
            "--command-timeout=5s",
            *arguments,
        )
        result = subprocess.run(command, input=text, capture_output=True, check=False)
        if result.returncode:
            raise RPCError(Faults.FAILED, result.stderr.decode(errors="replace")[-300:])
        return result.stdout

    def registry(self) -> Any:
        """Return all that the API server has stored, as `etcdctl` writes it."""
        return self._threads.run(lambda: self._ask_etcd("get", "--prefix", "--write-out=json", etcd.REGISTRY))

    def snapshot(self) -> Any:
        """Write a copy of all that etcd holds, as `etcdctl snapshot save` does, and return the file, the owner's own.

        It is not the answer itself: this socket carries less than a megabyte a second, and after a day of lessons the
        copy has fifty.
        """

        def work() -> str:
            with TemporaryDirectory(dir=self._settings.state) as place:
                copy = Path(place) / "snapshot.db"
                self._ask_etcd("snapshot", "save", str(copy), f"--command-timeout={SNAPSHOT_SECONDS}s")
                copy.chmod(0o600)
                os.chown(copy, *self._settings.owner)
                # nobody but its owner can enter that directory, and a rename follows no link
                return str(copy.rename(self._settings.lessons / f"{Path(place).name}.db"))

        return self._threads.run(work)

    def plant(self) -> Any:
        """Give a new etcd what the state directory holds for it; return whether it took that."""

        def work() -> bool:
            address = (str(LOOPBACK), self._settings.ports.etcd)
            # asked too soon, etcdctl would wait for a second before it asks again
            until(lambda: _answers(address), START_SECONDS, every=0.01)
            text = (self._settings.state / etcd.PLAN).read_bytes()
            return self._ask_etcd("txn", text=text).startswith(b"SUCCESS")

        return self._threads.run(work)

    def encrypt_secrets(self, enabled: bool) -> bool:
        """Switch encryption of Secrets in etcd on or off; the API server reads the file again by itself.

        Returns:
            Whether it was the other way before.
        """
        if not isinstance(enabled, bool):
            raise RPCError(Faults.INCORRECT_PARAMETERS, "true or false")
        before = encrypts(self._settings)
        write_encryption(self._settings, enabled=enabled)
        return before != enabled


def _answers(address: tuple[str, int]) -> bool:
    with socket.socket() as line:
        return not line.connect_ex(address)


def process_row(info: dict[str, Any], prefix: str, processes: Path) -> dict[str, Any]:
    """Return one process as {name, state, pid, start (s since 1970)}.

    Args:
        info: what supervisor says of it.
        prefix: what stands before its name.
        processes: the `/proc` that knows its number.
    """
    return {
        "name": prefix + info["name"],
        "state": PAUSED if _is_frozen(processes / str(info["pid"])) else info["statename"],
        "pid": info["pid"],
        "start": info["start"],
    }


def _first_process(parent: int) -> int:
    """Return the process 1 of a node by its parent, 0 if there is none."""
    try:
        return int(Path(f"/proc/{parent}/task/{parent}/children").read_text().split()[0])
    except (OSError, IndexError):
        return 0


def _wake(pid: int) -> None:
    if pid:
        os.kill(pid, signal.SIGCONT)


def _is_frozen(process: Path) -> bool:
    """Tell whether a process was stopped by a signal (proc_pid_stat(5))."""
    try:
        return (process / "stat").read_text().rpartition(")")[2].split()[0] == "T"
    except OSError:
        return False


def node_index(name: str) -> int:
    """Return the number of a node that a cluster could have.

    Raises:
        RPCError: no node can be called so.
    """
    if not isinstance(name, str) or not re.fullmatch("worker-[1-9]", name):
        raise RPCError(Faults.BAD_NAME, str(name))
    return int(name[-1])
