"""The control socket of a cluster whose nodes live in a guest: what concerns nodes is asked of the guest."""

from __future__ import annotations

import http.client
import shutil
import xmlrpc.client
from pathlib import Path
from typing import Any

from supervisor.xmlrpc import Faults, RPCError

from k8s101.cluster.components import cable
from k8s101.cluster.guest import node
from k8s101.cluster.host import loading
from k8s101.cluster.host.control import NODE_CALL_SECONDS, Control, node_index, process_row
from k8s101.cluster.node.files import write_identity
from k8s101.cluster.supervisor import rpc
from k8s101.cluster.values.parts import PartName
from k8s101.cluster.values.settings import Settings

OUTSIDE, INSIDE = (f"k8s101.cluster.guest.control:{maker}" for maker in ("make_outside", "make_inside"))
"""The interfaces of the two supervisors, as their configuration files name them."""

_VERBS = {
    ("startProcess", False): "start",
    ("stopProcess", True): "stop",
    ("signalProcess", "KILL"): "kill",
    ("signalProcess", "STOP"): "pause",
    ("signalProcess", "CONT"): "resume",
}
AGENT = "konnectivity-agent"

VERB_SECONDS = rpc.CALL_SECONDS - 5
"""A full node takes up to ten seconds to end on a busy guest; whoever asks is still waiting then."""


def make_outside(supervisord: Any, state: str, etcdctl: str) -> Control:
    """Build the interface of the host supervisor."""
    return OutsideControl(supervisord, Settings.load(Path(state)), Path(etcdctl))


def make_inside(supervisord: Any, state: str, etcdctl: str) -> Control:
    """Build the interface of the guest's supervisor, which only the host supervisor asks."""
    return InsideControl(supervisord, Settings.load(Path(state)), Path(etcdctl))


def _is_inside(name: Any) -> bool:
    part = PartName.parse(name)
    return name == AGENT or bool(part and part.node)


class InsideControl(Control):
    """Verbs on nodes, where they run."""

    def add_node(self, name: str) -> Any:
        """Start one more node, whose identity the host supervisor has issued."""
        node_index(name)
        if self._host.getProcessInfo(name)["pid"]:
            raise RPCError(Faults.ALREADY_STARTED, name)
        # another node may have had this name: a new one has no past
        shutil.rmtree(self._settings.node_dir(name), ignore_errors=True)
        node.prepare(self._settings, name)
        return self._host.startProcess(name, False)

    def load_images(self, archive: str) -> Any:
        """Let the running nodes import the archives, which the host supervisor has laid ready."""
        return self._threads.run(self._load)


class OutsideControl(Control):
    """Verbs on the control plane, on nodes in the guest and on the guest itself."""

    def _each(self, name: str, method: str, argument: Any) -> Any:
        if _is_inside(name):
            return self._threads.run(lambda: self._inside(_VERBS[method, argument], name, seconds=VERB_SECONDS))
        return super()._each(name, method, argument)

    def resume(self, name: str) -> Any:
        """Let a paused process run on."""
        return self._each(name, "signalProcess", "CONT")

    def _inside(self, verb: str, *arguments: Any, seconds: float = NODE_CALL_SECONDS) -> Any:
        """Call one of the same verbs of the guest's own supervisor."""
        proxy = rpc.client(self._settings.state / cable.DIRECTORY / cable.CONTROL_SOCKET, seconds)
        try:
            return getattr(proxy.k8s101, verb)(*arguments)
        except xmlrpc.client.Fault as fault:
            raise RPCError(fault.faultCode, *arguments) from fault
        except (OSError, http.client.HTTPException) as error:
            raise RPCError(Faults.FAILED, "the guest does not answer") from error

    def load_images(self, archive: str) -> Any:
        """Give the images of an archive to all nodes in the guest."""
        if not isinstance(archive, str):
            raise RPCError(Faults.INCORRECT_PARAMETERS, "a path is a text")

        def work() -> Any:
            loading.take(self._settings, archive)
            return self._inside("load_images", archive, seconds=loading.SECONDS + NODE_CALL_SECONDS)

        return self._threads.run(work)

    def status(self) -> Any:
        """Return every process as {name, state, pid, start (s since 1970)}; those of nodes are the guest's."""
        host = [process_row(info, "", Path("/proc")) for info in self._host.getAllProcessInfo()]

        def with_guest() -> list[dict[str, Any]]:
            try:
                found: list[dict[str, Any]] = host + self._inside("status")
                return found
            except RPCError:
                return host

        return self._threads.run(with_guest)

    def add_node(self, name: str) -> Any:
        """Issue one more node's identity and start it."""
        write_identity(self._settings, name, node_index(name), cable.api_server(self._settings))
        return self._threads.run(lambda: self._inside("add_node", name))

    def remove_node(self, name: str) -> Any:
        """Stop a node; its files go with the next `down`."""
        node_index(name)
        return self._threads.run(lambda: self._inside("stop", name, seconds=VERB_SECONDS))
