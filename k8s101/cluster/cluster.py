"""The facade: bring a cluster up, find it again, look at it, take it apart, take it down."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import time
import xmlrpc.client
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filelock
import yaml

from ..errors import Problem
from . import images, process
from .api import Api
from .backends import nodes as backend
from .backends.base import FULL, Capabilities
from .binaries import ensure
from .settings import ROOT, SYSTEM_STATE, Settings, invoking_user

READY_SECONDS = 120
"""How long a start may take before it counts as failed; slow machines need half a minute."""

IDENTITY = ("kube-system", "k8s101-identity")
"""Namespace and name of the ConfigMap by which a cluster is recognised before it is written to."""

Report = Callable[[str], None]


def state_dir() -> Path:
    """Return the state directory that commands use: `K8S101_STATE`, else the machine's one."""
    return Path(os.environ.get("K8S101_STATE", SYSTEM_STATE))


def find(state: Path | None = None) -> Cluster | None:
    """Return the cluster of a state directory, running or not, or None."""
    try:
        return Cluster(Settings.load(state or state_dir()))
    except FileNotFoundError:
        return None


@dataclass(frozen=True)
class Process:
    """One supervised process.

    Args:
        name: component (`etcd`), node (`worker-1`) or component of a node (`worker-1/kubelet`).
        state: the supervisor's word: RUNNING, STOPPED, EXITED, BACKOFF, …
        pid: its number in the supervisor's process namespace, 0 when it does not run.
    """

    name: str
    state: str
    pid: int


class Component:
    """A part of the cluster that can be stopped and started.

    Args:
        cluster: the cluster.
        name: as in `Process`.
    """

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.name = name
        self._cluster = cluster

    def start(self) -> None:
        """Start it."""
        self._cluster.control("start", self.name)

    def stop(self) -> None:
        """Stop it in good order."""
        self._cluster.control("stop", self.name)

    def kill(self) -> None:
        """Kill it, as a crash would; what is restarted automatically comes back."""
        self._cluster.control("kill", self.name)

    def pause(self) -> None:
        """Freeze it without ending it."""
        self._cluster.control("pause", self.name)

    def resume(self) -> None:
        """Let it run on after `pause`."""
        self._cluster.control("resume", self.name)

    @property
    def running(self) -> bool:
        """Whether its process runs."""
        return any(p.name == self.name and p.state in ("RUNNING", "STARTING") for p in self._cluster.processes())


class Cluster:
    """One cluster, known by its settings.

    Args:
        settings: where it is and how it is laid out.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @property
    def capabilities(self) -> Capabilities:
        """What notebooks may rely on."""
        return FULL

    @property
    def api(self) -> Api:
        """A session with the API server, as administrator."""
        return Api(self.settings.kubeconfig)

    @property
    def identity(self) -> str:
        """The random id that the cluster got at its first start."""
        return (self.settings.state / "identity").read_text().strip()

    def control(self, verb: str, *arguments: Any) -> Any:
        """Ask the host supervisor for one of the verbs of `control.Control`.

        Raises:
            Problem: it does not run, may not be asked, or knows no such name.
        """
        proxy = process.client(self.settings.control_socket)
        try:
            return getattr(proxy.k8s101, verb)(*arguments)
        except PermissionError as error:
            raise Problem(
                "this cluster belongs to another user",
                where=str(self.settings.control_socket),
                then="ask its owner, or use sudo",
            ) from error
        except OSError as error:
            raise Problem("the cluster is not running", where=str(self.settings.state), then="k8s101 up") from error
        except xmlrpc.client.Fault as fault:
            return self._explain(fault, verb, arguments)

    def _explain(self, fault: xmlrpc.client.Fault, verb: str, arguments: tuple[Any, ...]) -> None:
        words = fault.faultString
        if words.startswith(("ALREADY_STARTED", "NOT_RUNNING")):
            return
        name = str(arguments[0]) if arguments else ""
        if words.startswith("BAD_NAME"):
            known = ", ".join(p.name for p in self.processes() if p.pid or "worker" not in p.name)
            raise Problem(f"nothing is called {name!r}", where=str(self.settings.state), then=f"one of: {known}")
        raise Problem(f"{verb} {name}: {words}", where=str(self.settings.control_socket), then="k8s101 status")

    def processes(self) -> list[Process]:
        """Return all supervised processes."""
        return [Process(row["name"], row["state"], row["pid"]) for row in self.control("status")]

    def component(self, name: str) -> Component:
        """Return a component or node by name."""
        return Component(self, name)

    def running(self) -> bool:
        """Tell whether the host supervisor runs."""
        return backend.supervisor_pid(self.settings) is not None

    def wait_ready(self, report: Report) -> None:
        """Wait until every node is Ready and the cluster's DNS serves.

        Raises:
            Problem: it took longer than two minutes.
        """
        api, nodes = self.api, set(self.settings.nodes)

        def nodes_ready() -> bool:
            return nodes <= {n["metadata"]["name"] for n in api.get("/api/v1/nodes")["items"] if _is_ready(n)}

        def dns_ready() -> bool:
            dns = api.get("/apis/apps/v1/namespaces/kube-system/deployments/coredns")
            return dns.get("status", {}).get("readyReplicas", 0) >= 1

        api.wait("nodes Ready", nodes_ready, READY_SECONDS)
        report(f"{len(nodes)} nodes ready")
        api.wait("cluster DNS ready", dns_ready, READY_SECONDS)
        report("cluster DNS ready")

    def apply_base(self) -> None:
        """Apply what every cluster has: its nodes, access rules, DNS and identity."""
        api, settings = self.api, self.settings
        for index, name in enumerate(settings.nodes, start=1):
            api.apply(node_manifest(settings, name, index))
        for path in sorted((ROOT / "manifests/base").glob("*.yaml")):
            text = path.read_text().replace("10.96.0.10", str(settings.ranges.dns))
            for manifest in yaml.safe_load_all(text):
                api.apply(manifest)
        namespace, name = IDENTITY
        api.apply(
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": name, "namespace": namespace},
                "data": {"id": self.identity, "ca": fingerprint(settings)},
            }
        )


def fingerprint(settings: Settings) -> str:
    """Return the SHA-256 of the cluster's CA certificate file, in hexadecimal."""
    return hashlib.sha256((settings.pki / "ca.crt").read_bytes()).hexdigest()


def node_manifest(settings: Settings, name: str, index: int) -> dict[str, Any]:
    """Return the Node object that a kubelet will find when it registers: its Pod range and labels."""
    pods = str(settings.ranges.pods_of(index))
    labels = {"node-role.kubernetes.io/worker": "", "topology.kubernetes.io/zone": f"zone-{'abc'[(index - 1) % 3]}"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels},
        "spec": {"podCIDR": pods, "podCIDRs": [pods]},
    }


def _is_ready(node: dict[str, Any]) -> bool:
    conditions = node.get("status", {}).get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


@contextmanager
def _exclusive(state: Path) -> Iterator[None]:
    """Let one command at a time change the cluster."""
    state.parent.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(f"{state}.lock")
    try:
        with lock.acquire(timeout=300):
            yield
    except filelock.Timeout as error:
        raise Problem(
            "another command has been changing this cluster for five minutes", where=str(state), then="wait for it"
        ) from error
    except PermissionError as error:
        raise Problem("the state directory belongs to root", where=str(state), then="sudo -E k8s101 …") from error


def up(report: Report, *, node_count: int = 3) -> Cluster:
    """Start the cluster, or repair what is not running of it; nothing happens to one that runs.

    Args:
        report: called with a line for each finished step.
        node_count: worker nodes of a new cluster.

    Raises:
        Problem: the machine lacks something, or a part did not become ready.
    """
    backend.check()
    state = state_dir()
    tools = ensure(backend.TOOLS)
    archive = images.ensure_images()
    began = time.monotonic()

    def timed(line: str) -> None:
        report(f"{line} after {time.monotonic() - began:.1f} s")

    with _exclusive(state):
        cluster = find(state) or _create(state, node_count)
        if cluster.running():
            repair(cluster)
        else:
            backend.stop(cluster.settings)
            backend.configure(cluster.settings, tools, archive)
            backend.start(cluster.settings)
        pid = backend.supervisor_pid(cluster.settings)
        assert pid is not None, "the supervisor was just seen running"
        backend.router.connect_host(cluster.settings, pid)
        cluster.api.wait("API server answers", cluster.api.ready, READY_SECONDS)
        timed("control plane answers")
        cluster.apply_base()
        cluster.wait_ready(timed)
    return cluster


def _create(state: Path, node_count: int) -> Cluster:
    state.mkdir(parents=True, exist_ok=True)
    state.chmod(0o755)
    user = invoking_user()
    ranges = backend.choose_ranges()
    settings = Settings(state, ranges=ranges, node_count=node_count, owner=(user.uid, user.gid))
    settings.save()
    (state / "identity").write_text(secrets.token_hex(8) + "\n")
    return Cluster(settings)


def repair(cluster: Cluster) -> None:
    """Start every component and node that is not running."""
    initial = set(cluster.settings.nodes)
    for part in cluster.processes():
        wanted = part.name in initial or not part.name.startswith("worker-") or "/" in part.name
        if wanted and part.state not in ("RUNNING", "STARTING"):
            cluster.control("start", part.name)


def log_file(cluster: Cluster, name: str) -> Path:
    """Return the log of a component (`etcd`), node (`worker-1`) or node's component (`worker-1/kubelet`).

    Raises:
        Problem: there is no such log.
    """
    node, _, component = name.partition("/")
    settings = cluster.settings
    path = settings.node_dir(node) / "var/log" / f"{component}.log" if component else settings.logs / f"{node}.log"
    if not path.is_file():
        known = sorted(p.stem for p in settings.logs.glob("*.log"))
        inner = "worker-1/containerd, worker-1/kubelet, worker-1/kube-proxy"
        raise Problem(f"no log of {name!r}", where=str(path.parent), then=f"one of: {', '.join(known)}, {inner}")
    return path


def stop(cluster: Cluster) -> None:
    """Stop the whole cluster and keep its state."""
    with _exclusive(cluster.settings.state):
        backend.stop(cluster.settings)


def down(state: Path | None = None) -> bool:
    """Remove the cluster and everything it made on this machine; return whether there was one."""
    directory = state or state_dir()
    cluster = find(directory)
    if cluster is None:
        return False
    with _exclusive(directory):
        backend.stop(cluster.settings)
        shutil.rmtree(directory)
    Path(f"{directory}.lock").unlink(missing_ok=True)
    return True
