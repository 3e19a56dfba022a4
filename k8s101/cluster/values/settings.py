"""Where things are and how a cluster is laid out: plain values, no behaviour."""

from __future__ import annotations

import json
import os
import pwd
import shlex
from dataclasses import asdict, dataclass, field
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from k8s101.errors import Problem

ROOT = Path(__file__).resolve().parents[3]
"""The checkout: notebooks, manifests, images and toolchain lie below it."""

SYSTEM_STATE = Path("/var/lib/k8s101")
"""State of the one real-nodes cluster that a machine can have."""

KUBERNETES_VERSION = "v1.37.2"


@dataclass(frozen=True)
class User:
    """The person who typed the command, also behind sudo."""

    uid: int
    gid: int
    home: Path


def invoking_user() -> User:
    """Return the user behind sudo, or the current one."""
    uid = int(os.environ.get("SUDO_UID", os.getuid())) if os.getuid() == 0 else os.getuid()
    try:
        entry = pwd.getpwuid(uid)
        home, gid = Path(entry.pw_dir), entry.pw_gid
    except KeyError:  # containers run as numbers that /etc/passwd does not know
        home, gid = Path(os.environ.get("HOME", "/tmp")), os.getgid()
    if uid == os.getuid() and "HOME" in os.environ:
        home = Path(os.environ["HOME"])
    return User(uid, gid, home)


def cache_dir() -> Path:
    """Return the directory of built binaries and images (`K8S101_CACHE`, else below ~/.cache)."""
    if explicit := os.environ.get("K8S101_CACHE"):
        return Path(explicit)
    if os.getuid() == invoking_user().uid and (xdg := os.environ.get("XDG_CACHE_HOME")):
        return Path(xdg) / "k8s101"
    return invoking_user().home / ".cache" / "k8s101"


def user_state_dir() -> Path:
    """Return where an ordinary user's cluster is (below XDG_STATE_HOME, else ~/.local/state)."""
    base = os.environ.get("XDG_STATE_HOME") or invoking_user().home / ".local/state"
    return Path(base) / "k8s101"


@dataclass(frozen=True)
class Ranges:
    """One set of address ranges; a cluster takes the first that the host does not use."""

    nodes: IPv4Network
    pods: IPv4Network
    services: IPv4Network

    @property
    def router(self) -> IPv4Address:
        """The address of the router between the nodes, where the API server listens."""
        return self.nodes[1]

    @property
    def host(self) -> IPv4Address:
        """The host's own address on the link to the router."""
        return self.nodes[254]

    def node(self, index: int) -> IPv4Address:
        """Return the address of the node with this number, counted from 1."""
        return self.nodes[10 + index]

    def pods_of(self, index: int) -> IPv4Network:
        """Return the /24 from which the node with this number, counted from 1, takes Pod addresses."""
        return IPv4Network((int(self.pods.network_address) + 256 * index, 24))

    @property
    def outside(self) -> IPv4Network:
        """Addresses for Services of type LoadBalancer: a part of the nodes' range in which no node is."""
        return IPv4Network((int(self.nodes.network_address) + 192, 27))

    @property
    def virtual(self) -> tuple[IPv4Network, IPv4Network]:
        """Ranges whose addresses no machine has: every node rewrites them to those of Pods."""
        return self.services, self.outside

    @property
    def dns(self) -> IPv4Address:
        """The ClusterIP of the cluster's DNS."""
        return self.services[10]


CANDIDATE_RANGES = tuple(
    Ranges(IPv4Network(nodes), IPv4Network(pods), IPv4Network(services))
    for nodes, pods, services in (
        ("10.101.0.0/24", "10.244.0.0/16", "10.96.0.0/16"),
        ("10.102.0.0/24", "10.245.0.0/16", "10.97.0.0/16"),
        ("172.29.201.0/24", "172.30.0.0/16", "172.31.0.0/16"),
        ("192.168.201.0/24", "10.246.0.0/16", "10.98.0.0/16"),
        # where a VPN has all private addresses: those of test benches, then those of providers' own networks
        ("198.19.128.0/24", "198.18.0.0/16", "198.19.0.0/17"),
        ("100.101.0.0/24", "100.102.0.0/16", "100.103.0.0/16"),
    )
)


LOOPBACK = IPv4Address("127.0.0.1")
FEW_NODES = 50

MOST_NODES = 9
"""Real nodes that one machine can have, those included that lessons add."""


@dataclass(frozen=True)
class Ports:
    """Where the control plane's parts listen; the usual ports, wherever it has a network of its own."""

    api: int = 6443
    etcd: int = 2379
    etcd_peer: int = 2380
    controller_manager: int = 10257
    scheduler: int = 10259
    kubelet: int = 10250
    konnectivity: int = 8091
    konnectivity_health: int = 8092
    konnectivity_admin: int = 8095


@dataclass(frozen=True)
class Settings:
    """Everything that the parts of one cluster must agree on.

    Args:
        state: the state directory, which identifies the cluster.
        backend: `nodes`, `guest`, `simulated` or `existing`.
        ranges: the address ranges taken.
        node_count: how many worker nodes the cluster starts with.
        owner: uid and gid that own the kubeconfig and the control socket.
        ports: where the control plane listens.
        own_network: whether the control plane has a network namespace of its own, with the router's address.
    """

    state: Path
    backend: str = "nodes"
    ranges: Ranges = CANDIDATE_RANGES[0]
    node_count: int = 3
    owner: tuple[int, int] = field(default_factory=lambda: (os.getuid(), os.getgid()))
    ports: Ports = Ports()
    own_network: bool = False

    @property
    def has_many_nodes(self) -> bool:
        """Whether signs of life of all nodes together cost so much that they must come rarely."""
        return self.node_count > FEW_NODES

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig, the only one that learners use."""
        return self.state / "kubeconfig"

    @property
    def lessons(self) -> Path:
        """The directory of what the open lessons note: their namespaces, and which one was opened last."""
        return self.state / "lessons"

    @property
    def kubectl_cache(self) -> Path:
        """What kubectl remembers of this cluster's kinds of objects; another cluster may have the same address."""
        return self.lessons / "kubectl"

    @property
    def control_socket(self) -> Path:
        """The Unix socket of the host supervisor."""
        return self.state / "control.sock"

    @property
    def pki(self) -> Path:
        """The directory of certificate authorities, certificates and keys."""
        return self.state / "pki"

    @property
    def logs(self) -> Path:
        """The directory of the control plane's logs."""
        return self.state / "log"

    @property
    def guest_logs(self) -> Path:
        """The directory of the logs of a guest's own supervisor and of its nodes."""
        return self.state / "guest/log"

    def node_dir(self, node: str) -> Path:
        """Return the private directory of one node."""
        return self.state / "nodes" / node

    @property
    def archives(self) -> Path:
        """The directory of the archives whose images every node gets, besides those that it starts with."""
        return self.state / "archives"

    @property
    def cgroups_file(self) -> Path:
        """Where the running supervisor records the base of its nodes' cgroups."""
        return self.state / "cgroups.json"

    @property
    def api_server(self) -> str:
        """The URL of the API server."""
        return f"https://{self.api_address}:{self.ports.api}"

    @property
    def api_address(self) -> IPv4Address:
        """Where the API server listens: at the router, or on loopback without a network of its own."""
        return self.ranges.router if self.own_network else LOOPBACK

    @cached_property
    def nodes(self) -> tuple[str, ...]:
        """The names of the nodes the cluster starts with."""
        return tuple(f"worker-{n}" for n in range(1, self.node_count + 1))

    def save(self) -> None:
        """Write the settings into the state directory, for the next command to find."""
        data = asdict(self) | {"state": str(self.state)}
        data["ranges"] = {name: str(net) for name, net in asdict(self.ranges).items()}
        draft = self.state / "settings.json.new"
        draft.write_text(json.dumps(data, indent=2) + "\n")
        # an ordinary user finds the cluster by this file
        draft.chmod(0o644)
        draft.rename(self.state / "settings.json")

    @classmethod
    def load(cls, state: Path) -> Settings:
        """Read the settings of the cluster in this state directory.

        Raises:
            FileNotFoundError: there is no cluster in this directory.
            Problem: its settings cannot be read.
        """
        path = state / "settings.json"
        try:
            data = json.loads(path.read_text())
            data["ranges"] = Ranges(**{name: IPv4Network(net) for name, net in data["ranges"].items()})
            data["owner"] = tuple(data["owner"])
            data["ports"] = Ports(**data.get("ports", {}))
            return cls(**data | {"state": state})
        except PermissionError as error:
            then = "unset K8S101_STATE, or use sudo"
            raise Problem("this cluster belongs to another user", where=str(state), then=then) from error
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            raise Problem(
                f"the cluster's settings are damaged ({error})",
                where=str(path),
                then=f"rm -r {shlex.quote(str(state))}, then k8s101 up makes a new cluster",
            ) from error
