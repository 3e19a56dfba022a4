"""The facade: bring a cluster up, find it again, look at it, take it apart, take it down."""

from __future__ import annotations

import datetime as dt
import errno
import os
import shutil
import time
import xmlrpc.client
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from k8s101.cluster.access import holding, identity
from k8s101.cluster.access.api import Api, Get
from k8s101.cluster.backends import objects
from k8s101.cluster.backends.base import Backend, Capabilities
from k8s101.cluster.backends.kinds import BACKENDS, prepare
from k8s101.cluster.components import etcd
from k8s101.cluster.facade import place
from k8s101.cluster.facade.part import Part, log_file
from k8s101.cluster.host import bootstrap, host
from k8s101.cluster.linux import limits
from k8s101.cluster.supervisor import rpc
from k8s101.cluster.values.deadline import until
from k8s101.cluster.values.parts import PAUSED, PartState, expected_parts
from k8s101.cluster.values.settings import Settings, cache_dir
from k8s101.errors import Problem

READY_SECONDS = 120
"""How long a start may take before it counts as failed; slow machines need half a minute."""

LOOK_EVERY = dt.timedelta(seconds=1)

Report = Callable[[str], None]


def find(state: Path | None = None) -> Cluster | None:
    """Return the cluster of a state directory, running or not, or None.

    Raises:
        Problem: the directory is another user's, or damaged.
    """
    try:
        return Cluster(Settings.load(state or place.state_dir()))
    except (FileNotFoundError, NotADirectoryError):
        return None


class Cluster:
    """One cluster, known by its settings.

    Args:
        settings: where it is and how it is laid out.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @property
    def backend(self) -> Backend:
        """How this kind of cluster is made."""
        return BACKENDS[self.settings.backend]

    @property
    def ours(self) -> bool:
        """Whether the whole cluster is the workshop's, not only namespaces in it."""
        return self.backend.TRAITS.ours

    @property
    def startable(self) -> bool:
        """Whether this user may start it."""
        uid = os.getuid()
        return uid == 0 or (not self.backend.TRAITS.needs_root and uid == self.settings.owner[0])

    @property
    def capabilities(self) -> Capabilities:
        """What notebooks may rely on."""
        return self.backend.capabilities(self.settings)

    @property
    def api(self) -> Api:
        """A session with the API server, as administrator."""
        return Api(self.settings.kubeconfig)

    @property
    def identity(self) -> str:
        """The random id that the cluster got at its first start."""
        return identity.read(self.settings)

    def verify(self, get: Get) -> None:
        """Check, before anything is written, that the right cluster answers.

        Args:
            get: returns the object at a path of the API, or an empty one if there is none.

        Raises:
            Problem: another cluster answers.
        """
        self.backend.verify(self.settings, get)

    def refuse_held(self, namespace: str) -> None:
        """Check that nothing keeps a namespace that is being deleted from going.

        Args:
            namespace: its name.

        Raises:
            Problem: something does; it names the object and the way out.
        """
        if problem := holding.held(self.api, namespace):
            raise problem

    def control(self, verb: str, *arguments: Any, seconds: float = rpc.CALL_SECONDS) -> Any:
        """Ask the host supervisor for one of the verbs of `control.Control`.

        Args:
            verb: the verb.
            arguments: what it is about.
            seconds: how long it may take.

        Raises:
            Problem: it does not run, may not be asked, or knows no such name.
        """
        if not self.ours:
            raise Problem(
                "the parts of this cluster are in the hands of others", where=self.api.server, then="ask them"
            )
        proxy = rpc.client(self.settings.control_socket, seconds)
        try:
            return getattr(proxy.k8s101, verb)(*arguments)
        except PermissionError as error:
            raise Problem(
                "this cluster belongs to another user",
                where=str(self.settings.control_socket),
                then="ask its owner, or use sudo",
            ) from error
        except TimeoutError as error:
            raise Problem(
                "the cluster's supervisor does not answer", where=str(self.settings.control_socket), then="k8s101 up"
            ) from error
        except OSError as error:
            raise Problem("the cluster is not running", where=str(self.settings.state), then="k8s101 up") from error
        except xmlrpc.client.ProtocolError as error:
            raise Problem(
                f"the supervisor failed to {verb} {' '.join(map(str, arguments))}",
                where=str(self.settings.logs / "supervisord.log"),
                then="k8s101 logs supervisord",
            ) from error
        except xmlrpc.client.Fault as fault:
            return self._explain(fault, verb, arguments)

    def _explain(self, fault: xmlrpc.client.Fault, verb: str, arguments: tuple[Any, ...]) -> None:
        words = fault.faultString
        if words.startswith(("ALREADY_STARTED", "NOT_RUNNING")):
            return
        name = str(arguments[0]) if arguments else ""
        if words.startswith("BAD_NAME"):
            known = [part.name for part in self.parts()]
            near = next(iter(get_close_matches(name, known, 1)), "")
            then = f"{f'did you mean {near}? ' if near else ''}one of: {', '.join(known)}"
            raise Problem(f"nothing is called {name!r}", where=str(self.settings.state), then=then)
        raise Problem(f"{verb} {name}: {words}", where=str(self.settings.control_socket), then="k8s101 status")

    def parts(self) -> list[PartState]:
        """Return the parts that should run, whether they do or not."""
        return expected_parts(self.processes(), self.settings.nodes)

    def processes(self) -> list[PartState]:
        """Return all supervised processes; none of a cluster that others run."""
        if not self.ours:
            return []
        return [PartState(row["name"], row["state"], row["pid"]) for row in self.control("status")]

    def part(self, name: str) -> Part:
        """Return a component or node by name."""
        return Part(self, name)

    def running(self) -> bool:
        """Tell whether its processes run."""
        return self.backend.running(self.settings)

    def wait_ready(self, report: Report) -> None:
        """Wait until every node is Ready and what else the backend waits for holds.

        Raises:
            Problem: it took longer than two minutes, or a node died.
        """
        api, nodes = self.api, set(self.settings.nodes)
        started = next_look = self._nodes_since()

        def ready() -> bool:
            nonlocal next_look
            if dt.datetime.now(dt.UTC) > next_look:
                next_look = dt.datetime.now(dt.UTC) + LOOK_EVERY
                self._refuse_dead_nodes()
            return nodes <= objects.ready_nodes(api, started)

        if nodes:
            api.wait("nodes Ready", ready, READY_SECONDS)
            report(f"{len(nodes)} nodes ready")
        for what, condition in self.backend.waits(self.settings).items():
            api.wait(what, condition, READY_SECONDS)
            report(what)

    def _nodes_since(self) -> dt.datetime:
        """Return when what runs the nodes started; what they reported before tells nothing."""
        nodes_in = self.backend.TRAITS.nodes_in
        guests = [row["start"] for row in self.control("status") if row["name"] == nodes_in] if nodes_in else []
        return max([host.started_at(self.settings), *(dt.datetime.fromtimestamp(start, dt.UTC) for start in guests)])

    def _refuse_dead_nodes(self) -> None:
        for part in self.processes():
            if part.name in self.settings.nodes and part.state == "EXITED":
                log = log_file(self.settings, part.name)
                last = "\n".join(log.read_text(errors="replace").splitlines()[-3:])
                raise Problem(f"{part.name} died:\n{last}", where=str(log), then="k8s101 doctor")

    def start_clients(self) -> None:
        """Start what the API server would refuse until it has its rules of access; others' clusters run already.

        Raises:
            Problem: it did not get them in time.
        """
        if not self.ours:
            return
        api = self.api
        api.wait("API server complete", api.complete, READY_SECONDS)
        host.start_clients(self.settings)

    def populate(self) -> None:
        """Write what every cluster has: its nodes, access rules, DNS and identity."""
        self.backend.populate(self.settings, self.api)


def up(report: Report, *, backend: str | None = None, node_count: int = 3) -> Cluster:
    """Start the cluster, or repair what is not running of it; nothing happens to one that runs.

    Args:
        report: called with a line for each finished step.
        backend: kind of a new cluster; the most real one that can start if left out.
        node_count: worker nodes of a new cluster.

    Raises:
        Problem: the machine lacks something, or a part did not become ready.
    """
    state = place.state_dir()
    known = find(state)
    if known and backend not in (None, known.settings.backend):
        kind = known.settings.backend
        raise Problem(f"a cluster of the kind {kind} is here already", where=str(state), then="k8s101 down")
    if known is None or known.ours:
        limits.widen()
        limits.check_programs_run(cache_dir(), "K8S101_CACHE")
        limits.check_programs_run(state, "K8S101_STATE")
    name, parts = prepare(known.settings.backend if known else backend, report)
    began = time.monotonic()

    def timed(line: str) -> None:
        report(f"{line} after {time.monotonic() - began:.1f} s")

    with place.exclusive(state):
        cluster = find(state) or _lay_out(state, name, node_count)
        place.make_lessons(cluster.settings)
        recordable = False
        if cluster.running():
            host.wake(cluster.settings)
            repair(cluster)
        else:
            place.check_space(state)
            first = not etcd.data(cluster.settings).exists()
            cluster.backend.start(cluster.settings, parts)
            # ports may have changed
            cluster = Cluster(Settings.load(state))
            recordable = first and not bootstrap.plant(cluster.settings, parts.tools)
        cluster.backend.connect(cluster.settings)
        cluster.api.wait("API server answers", cluster.api.ready, READY_SECONDS)
        timed("control plane answers")
        with ThreadPoolExecutor(1) as beside:
            started = beside.submit(cluster.start_clients)
            cluster.populate()
            started.result()
        cluster.wait_ready(timed)
        if recordable:
            bootstrap.record(cluster.settings, parts.tools)
    return cluster


def _lay_out(state: Path, backend: str, node_count: int) -> Cluster:
    kind = BACKENDS[backend]
    # everybody on the machine may look for a cluster of root's
    mode = 0o755 if kind.TRAITS.needs_root else 0o700
    return Cluster(place.lay_out(state, mode, lambda: kind.create(state, node_count)))


def revive(report: Report) -> Cluster | None:
    """Return the cluster; start it again if its processes have ended, and wait for a start that is under way.

    Args:
        report: called with one line if it had to be started again.

    Returns:
        The cluster, or None; one that this user may not start is returned as it is.

    Raises:
        Problem: a part did not become ready.
    """
    state = place.state_dir()
    if os.access(f"{state}.lock", os.W_OK):
        with place.exclusive(state):
            pass
    found = find(state)
    if found is None or found.running() or not found.startable:
        return found
    revived = up(lambda line: None)
    report("its processes had ended and run again; objects are kept")
    return revived


def repair(cluster: Cluster) -> None:
    """Start every component and node that is not running, and let run what was frozen."""
    # what was asked of a frozen supervisor begins when it wakes up, and a part that is ending cannot be started
    _settle(cluster)
    for part in cluster.parts():
        if part.state == PAUSED:
            cluster.part(part.name).resume()
        elif part.state not in ("RUNNING", "STARTING"):
            cluster.part(part.name).start()
    _settle(cluster)


def _settle(cluster: Cluster) -> None:
    """Wait until no part is just starting or ending."""
    until(lambda: all(part.state not in ("STARTING", "STOPPING") for part in cluster.parts()), rpc.CALL_SECONDS)


def stop(cluster: Cluster) -> None:
    """Stop the whole cluster and keep its state."""
    with place.exclusive(cluster.settings.state):
        cluster.backend.stop(cluster.settings)


def down(state: Path | None = None, report: Report = lambda line: None) -> bool:
    """Remove the cluster and everything it made on this machine.

    Args:
        state: its state directory.
        report: called with a line for each thing that had to stay.

    Returns:
        Whether there was one.
    """
    directory = state or place.state_dir()
    cluster = find(directory)
    if cluster is None:
        return False
    with place.exclusive(directory):
        cluster.backend.forget(cluster.settings, report)
        _remove(directory)
    Path(f"{directory}.lock").unlink(missing_ok=True)
    return True


def _remove(directory: Path) -> None:
    """Remove a directory; where a disk is mounted there, such as a container's volume, it stays and is empty."""
    try:
        shutil.rmtree(directory)
    except OSError as error:
        if error.errno != errno.EBUSY or any(directory.iterdir()):
            raise
