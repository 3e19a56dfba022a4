"""Who may do what, what listens where, and who may read which file."""

from __future__ import annotations

import base64
import errno
import ipaddress
import json
import os
import shutil
import socket
import ssl
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import requests
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from k8s101.cluster.components import kube_apiserver
from k8s101.cluster.host import host
from k8s101.cluster.linux import cgroups
from k8s101.cluster.values.settings import ROOT, cache_dir
from k8s101.errors import Problem
from tests.intrusions import CHANGE, LOOK, OPEN_BY_NUMBER, WAYS, WORD, Kept, attempt, intruder
from tests.lab import Lab, Namespace, namespace, pod
from tests.users import NOBODY, as_user

PRIVATE = (b"PRIVATE KEY-----", b"client-key-data:", b"secret: ")
ROOTS_OWN = {"ca.key", "etcd-ca.key", "front-proxy-ca.key", "sa.key"}
BIG = 1_000_000


def kubeconfigs(lab: Lab) -> dict[str, Path]:
    settings = lab.cluster.settings
    node = settings.node_dir("worker-1") / "etc/kubernetes"
    return {
        "kube-proxy": node / "kube-proxy.conf",
        "kubelet": node / "kubelet.conf",
        "scheduler": settings.pki / "kube-scheduler.kubeconfig",
        "controller-manager": settings.pki / "kube-controller-manager.kubeconfig",
    }


@pytest.mark.parametrize(
    ("identity", "user", "allowed", "refused"),
    [
        ("kube-proxy", "system:kube-proxy", "list services", "get secrets --all-namespaces"),
        ("kube-proxy", "system:kube-proxy", "watch endpointslices.discovery.k8s.io", "create pods"),
        ("kubelet", "system:node:worker-1", "list services", "list secrets --all-namespaces"),
        ("scheduler", "system:kube-scheduler", "create pods --subresource=binding", "get secrets --all-namespaces"),
        ("scheduler", "system:kube-scheduler", "list nodes", "create deployments.apps"),
        ("controller-manager", "system:kube-controller-manager", "list pods", "create pods"),
        (
            "controller-manager",
            "system:kube-controller-manager",
            "create serviceaccounts --subresource=token",
            "delete nodes",
        ),
    ],
)
def test_a_component_may_do_its_work_and_no_more(
    lab: Lab, identity: str, user: str, allowed: str, refused: str
) -> None:
    kubeconfig = kubeconfigs(lab)[identity]
    who = json.loads(lab.ask("auth", "whoami", "--output=json", kubeconfig=kubeconfig).stdout)
    assert who["status"]["userInfo"]["username"] == user
    assert "system:masters" not in who["status"]["userInfo"]["groups"]
    assert lab.ask("auth", "can-i", *allowed.split(), kubeconfig=kubeconfig).stdout.strip() == "yes"
    assert lab.ask("auth", "can-i", *refused.split(), kubeconfig=kubeconfig).stdout.startswith("no")


def test_kube_proxy_cannot_read_a_secret(lab: Lab) -> None:
    result = lab.ask("get", "secrets", "--all-namespaces", kubeconfig=kubeconfigs(lab)["kube-proxy"])
    assert "Forbidden" in result.stderr


@pytest.mark.parametrize(
    "change",
    [
        ("label", "node", "worker-2", "mine=yes"),
        ("label", "node", "worker-1", "node-restriction.kubernetes.io/mine=yes"),
        ("delete", "node", "worker-2"),
        ("taint", "node", "worker-2", "mine=yes:NoExecute"),
    ],
)
def test_a_kubelet_cannot_change_another_node_or_reserved_labels(lab: Lab, change: tuple[str, ...]) -> None:
    result = lab.ask(*change, kubeconfig=kubeconfigs(lab)["kubelet"])
    assert result.returncode == 1
    assert "orbidden" in result.stderr, result.stderr


def test_a_kubelet_reads_only_the_secrets_of_its_own_pods(space: Namespace) -> None:
    space.kubectl("create", "secret", "generic", "near", "--from-literal=word=near")
    space.kubectl("create", "secret", "generic", "far", "--from-literal=word=far")
    volume = [{"name": "secret", "secret": {"secretName": "near"}}]
    mounts = {"volumeMounts": [{"name": "secret", "mountPath": "/secret"}]}
    space.start(pod("user", nodeName="worker-1", volumes=volume, container=mounts))
    kubeconfig = kubeconfigs(space.lab)["kubelet"]

    def read(name: str) -> subprocess.CompletedProcess[str]:
        return space.lab.ask("get", "secret", name, f"--namespace={space.name}", kubeconfig=kubeconfig)

    assert read("near").returncode == 0
    assert "Forbidden" in read("far").stderr


def test_the_api_server_knows_strangers_for_nothing(lab: Lab) -> None:
    answer = requests.get(f"{lab.cluster.settings.api_server}/api/v1/nodes", verify=False, timeout=5)
    assert answer.status_code in (401, 403)


@pytest.mark.parametrize("path", ["pods", "metrics", "runningpods/", "exec/default/x/y", "containerLogs/a/b/c"])
def test_a_kubelet_refuses_strangers(lab: Lab, path: str) -> None:
    for node in lab.nodes:
        assert requests.get(f"https://{lab.address(node)}:10250/{path}", verify=False, timeout=5).status_code == 401


def test_a_kubelet_refuses_other_identities_of_the_cluster(lab: Lab) -> None:
    pki = lab.cluster.settings.pki
    good = (str(pki / "apiserver-kubelet-client.crt"), str(pki / "apiserver-kubelet-client.key"))
    proxy = (str(pki / "front-proxy-client.crt"), str(pki / "front-proxy-client.key"))
    url = f"https://{lab.address('worker-1')}:10250/pods"
    assert requests.get(url, cert=good, verify=str(pki / "ca.crt"), timeout=5).status_code == 200
    assert requests.get(url, cert=proxy, verify=str(pki / "ca.crt"), timeout=5).status_code == 401


def test_the_audit_log_tells_who_asked_for_a_secret_and_what_came_of_it(space: Namespace) -> None:
    space.kubectl("create", "secret", "generic", "asked-for", "--from-literal=word=hidden-word")
    refused = space.ask("get", "secret", "asked-for", "--as=stranger")
    assert "Forbidden" in refused.stderr
    log = space.lab.cluster.settings.logs / "audit.log"
    text = log.read_text()
    found = [json.loads(line) for line in text.splitlines() if f'"{space.name}"' in line and "asked-for" in line]
    asked = {(entry["verb"], entry["responseStatus"]["code"]): entry for entry in found}
    assert asked["create", 201]["user"]["username"] == "kubernetes-admin"
    assert asked["get", 403]["impersonatedUser"]["username"] == "stranger"
    assert asked["get", 403]["annotations"]["authorization.k8s.io/decision"] == "forbid"
    assert "hidden-word" not in text, "what a request holds is not noted"
    assert not stat.S_IMODE(log.stat().st_mode) & 0o007


def test_the_audit_log_leaves_out_what_components_do(lab: Lab) -> None:
    entries = [json.loads(line) for line in (lab.cluster.settings.logs / "audit.log").read_text().splitlines()]
    assert entries
    # who could not be authenticated has no name
    names = {entry["user"].get("username", "") for entry in entries}
    assert not [name for name in names if name.startswith(("system:node:", "system:kube-"))]


@pytest.mark.parametrize(("seconds", "accepted"), [(60, True), (-60, False)])
def test_an_expired_token_is_refused(lab: Lab, tmp_path: Path, seconds: int, accepted: bool) -> None:
    account = json.loads(lab.kubectl("get", "serviceaccount", "coredns", "-n", "kube-system", "-o", "json"))
    now = int(time.time())
    claims = {
        "iss": kube_apiserver.SERVICE_ACCOUNT_ISSUER,
        "aud": [kube_apiserver.SERVICE_ACCOUNT_ISSUER],
        "sub": "system:serviceaccount:kube-system:coredns",
        "iat": now - 600,
        "exp": now + seconds,
        "kubernetes.io": {
            "namespace": "kube-system",
            "serviceaccount": {"name": "coredns", "uid": account["metadata"]["uid"]},
        },
    }
    bare = tmp_path / "bare.conf"
    server, authority = lab.cluster.settings.api_server, lab.cluster.settings.pki / "ca.crt"
    lab.kubectl(
        "config",
        f"--kubeconfig={bare}",
        "set-cluster",
        "k",
        f"--server={server}",
        f"--certificate-authority={authority}",
    )
    lab.kubectl("config", f"--kubeconfig={bare}", "set-context", "k", "--cluster=k")
    lab.kubectl("config", f"--kubeconfig={bare}", "use-context", "k")
    answer = lab.ask("auth", "whoami", f"--token={signed(lab, claims)}", kubeconfig=bare)
    assert ("system:serviceaccount:kube-system:coredns" in answer.stdout) is accepted, answer
    assert ("Unauthorized" in answer.stderr) is not accepted, answer


def signed(lab: Lab, claims: dict[str, object]) -> str:
    """Return a token as the API server would sign it."""
    key = serialization.load_pem_private_key((lab.cluster.settings.pki / "sa.key").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    parts = [_letters(json.dumps(part).encode()) for part in ({"alg": "ES256"}, claims)]
    numbers = decode_dss_signature(key.sign(".".join(parts).encode(), ec.ECDSA(hashes.SHA256())))
    return ".".join([*parts, _letters(b"".join(number.to_bytes(32, "big") for number in numbers))])


def _letters(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def supervisor(lab: Lab) -> psutil.Process:
    process = host.process(lab.cluster.settings)
    assert process is not None
    return process


ASK_ETCD = """
import socket, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[1])
if len(sys.argv) > 2:
    context.load_cert_chain(*sys.argv[2:])
with context.wrap_socket(socket.create_connection(("127.0.0.1", 2379), 5), server_hostname="localhost") as line:
    line.sendall(b"GET /version HTTP/1.0\\r\\n\\r\\n")
    sys.stdout.write(line.recv(100).decode())
"""


def test_etcd_answers_only_its_own_clients(lab: Lab) -> None:
    pki = lab.cluster.settings.pki
    inside = ("nsenter", f"--net=/proc/{supervisor(lab).pid}/ns/net", "--", sys.executable, "-c", ASK_ETCD)

    def ask(*identity: str) -> subprocess.CompletedProcess[str]:
        files = [str(pki / f"{identity[0]}.{end}") for end in ("crt", "key")] if identity else []
        return lab.run(*inside, str(pki / "etcd-ca.crt"), *files)

    assert "200 OK" in ask("etcdctl").stdout
    for refused in (ask(), ask("apiserver-kubelet-client"), ask("front-proxy-client")):
        assert "SSL" in refused.stderr
        assert "200 OK" not in refused.stdout


def test_etcd_cannot_be_reached_from_the_machine_a_node_or_a_pod(lab: Lab) -> None:
    router = str(lab.cluster.settings.ranges.router)
    for port in (2379, 2380, 10257, 10259):
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((router, port), timeout=5)


def listeners(network_of: int) -> Iterator[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    """Addresses at which something listens in the network of a process."""
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{network_of}/net/{table}").read_text().splitlines()[1:]:
            _, local, _, state, *_ = line.split()
            if state == "0A":  # listening, include/net/tcp_states.h
                raw = bytes.fromhex(local.partition(":")[0])
                words = [raw[n : n + 4][::-1] for n in range(0, len(raw), 4)]
                yield ipaddress.ip_address(b"".join(words))


def test_no_process_of_the_cluster_uses_the_network_of_the_machine(lab: Lab) -> None:
    own = Path("/proc/self/ns/net").readlink()
    base = json.loads(lab.cluster.settings.cgroups_file.read_text())
    processes = cgroups.processes(base)
    assert len(processes) > 15
    for pid in processes:
        try:
            assert Path(f"/proc/{pid}/ns/net").readlink() != own, psutil.Process(pid).cmdline()
        except (FileNotFoundError, psutil.NoSuchProcess):
            continue


def test_nothing_listens_on_an_outside_address(lab: Lab) -> None:
    ranges = lab.cluster.settings.ranges
    at_router = set(listeners(supervisor(lab).pid))
    assert ranges.router in at_router, "the check sees the API server"
    assert all(address.is_loopback or address == ranges.router for address in at_router), at_router
    for index, node in enumerate(lab.nodes, start=1):
        at_node = set(listeners(lab.node_pid(node)))
        assert ranges.node(index) in at_node, "the check sees the kubelet"
        assert all(address.is_loopback or address == ranges.node(index) for address in at_node), at_node


def test_files_with_keys_are_private(lab: Lab) -> None:
    settings = lab.cluster.settings
    found = set()
    for path in settings.state.rglob("*"):
        if "containerd" in path.parts or path.is_symlink() or not path.is_file() or path.stat().st_size > BIG:
            continue
        facts = path.stat()
        if any(mark in path.read_bytes() for mark in PRIVATE):
            found.add(path.name)
            assert stat.S_IMODE(facts.st_mode) == 0o600, path
            if path.name in ROOTS_OWN:
                assert facts.st_uid == 0, path
    assert found >= ROOTS_OWN | {"kubeconfig", "kubelet.key", "kubelet.conf", "kube-proxy.conf", "apiserver.key"}
    facts = settings.kubeconfig.stat()
    assert (facts.st_uid, facts.st_gid) == settings.owner


def test_the_state_directory_is_closed_to_others(lab: Lab) -> None:
    settings = lab.cluster.settings
    assert stat.S_IMODE(settings.control_socket.stat().st_mode) == 0o600
    assert settings.control_socket.stat().st_uid == settings.owner[0]
    assert stat.S_IMODE((settings.state / "etcd").stat().st_mode) == 0o700
    for directory in (settings.logs, settings.state / "nodes"):
        assert stat.S_IMODE(directory.stat().st_mode) & 0o007 == 0, directory
    for path in (settings.state, *settings.state.iterdir()):
        assert not stat.S_IMODE(path.lstat().st_mode) & 0o002, path


@pytest.mark.parametrize("verb", ["stop", "start", "kill", "read_key"])
def test_the_control_socket_refuses_other_users(lab: Lab, verb: str) -> None:
    def ask() -> str:
        try:
            lab.cluster.control(verb, "etcd")
        except Problem as problem:
            return str(problem)
        return "allowed"

    assert "belongs to another user" in as_user(NOBODY, ask)
    assert lab.process("etcd")


def test_other_users_cannot_read_keys_logs_or_kubeconfigs(lab: Lab) -> None:
    settings = lab.cluster.settings
    secret = [settings.kubeconfig, settings.pki / "ca.key", settings.logs, settings.state / "etcd"]
    secret += [settings.node_dir("worker-1"), settings.state / "encryption.yaml"]
    assert all(path.exists() for path in secret)
    assert not any(as_user(NOBODY, lambda: [os.access(path, os.R_OK) for path in secret]))


def test_servers_prove_who_they_are(lab: Lab) -> None:
    ranges = lab.cluster.settings.ranges
    context = ssl.create_default_context(cafile=lab.cluster.settings.pki / "ca.crt")
    for address, port in ((ranges.router, 6443), (ranges.services[1], 443), (ranges.node(1), 10250)):
        with (
            socket.create_connection((str(address), port), 5) as line,
            context.wrap_socket(line, server_hostname=str(address)) as secured,
        ):
            assert secured.version() in ("TLSv1.2", "TLSv1.3")


@pytest.fixture(scope="module")
def private(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    """Files in homes and elsewhere on the machine, with a word in each."""
    name = f"k8s101-test-{os.getpid()}"
    homes, others = [Path("/root", name), Path("/home", name)], [Path("/opt", name), Path("/var/lib", name)]
    places = [*homes, *others, ROOT / f".git-{name}", tmp_path_factory.mktemp(name)]
    for place in places:
        place.mkdir(parents=True, exist_ok=True)
        (place / "own.txt").write_text(WORD)
    yield Kept({place / "own.txt": place / "own.txt" for place in places})
    for place in places:
        shutil.rmtree(place)


@pytest.fixture(scope="module")
def intruding(lab: Lab) -> Iterator[Namespace]:
    """A Pod that has every right."""
    with namespace(lab, f"intruder-{os.getpid()}") as made:
        made.start(intruder(nodeName="worker-1"))
        yield made


@pytest.mark.parametrize("way", WAYS)
def test_a_privileged_pod_neither_sees_nor_changes_private_files(intruding: Namespace, private: Kept, way: str) -> None:
    for path in private.files:
        seen = intruding.ask("exec", "intruder", "--", "sh", "-c", attempt(way, path, [*LOOK, *CHANGE]))
        assert WORD not in seen.stdout, path
        assert "own.txt\n" not in seen.stdout, path
    private.assert_unchanged()


@pytest.mark.parametrize("way", WAYS)
def test_a_privileged_pod_does_not_see_the_history_of_the_checkout(intruding: Namespace, way: str) -> None:
    script = attempt(way, ROOT / ".git/HEAD", ["cat {file}", "cat {directory}"])
    assert not intruding.ask("exec", "intruder", "--", "sh", "-c", script).stdout


@pytest.mark.parametrize("way", WAYS)
def test_a_privileged_pod_changes_nothing_that_the_machine_obeys(
    lab: Lab, intruding: Namespace, tmp_path: Path, way: str
) -> None:
    state, probe = lab.cluster.settings.state, cache_dir() / "bin/k8s101-test/own.txt"
    probe.parent.mkdir(exist_ok=True)
    probe.write_text(WORD)
    names = ("kubeconfig", "settings.json", "supervisord.conf", "pki/ca.key", "nodes/worker-1/node.json")
    kept = Kept({path: path for path in (*(state / name for name in names), probe)})
    for path in kept.files:
        intruding.ask("exec", "intruder", "--", "sh", "-c", attempt(way, path, CHANGE))
    kept.assert_unchanged()
    shutil.rmtree(probe.parent)


def test_the_cache_stays_read_only_when_a_pod_mounts_it_anew(lab: Lab, intruding: Namespace) -> None:
    plan = json.loads((lab.cluster.settings.node_dir("worker-1") / "node.json").read_text())
    places = plan["binds"] | dict(zip(plan["shown"], plan["shown"], strict=True))
    # what a cluster was given belongs to its state
    del places[str(lab.cluster.settings.archives)]
    for source, place in places.items():
        probe = Path(source, "k8s101-test")
        script = f"mount -o remount,rw,bind {place}; mount -o remount,rw {place}; touch {place}/{probe.name}"
        intruding.ask("exec", "intruder", "--", "nsenter", "--target=1", "--mount", "--", "/bin/sh", "-c", script)
        found = probe.exists()
        probe.unlink(missing_ok=True)
        assert not found, source


def test_below_the_processes_of_a_node_there_are_none_of_the_machine(intruding: Namespace) -> None:
    script = "umount -l /proc; mount -t tmpfs none /mnt; ls /proc; ls /proc/1/root/root"
    enter = ("nsenter", "--target=1", "--mount", "--", "unshare", "-m", "/bin/sh", "-c", script)
    assert not intruding.ask("exec", "intruder", "--", *enter).stdout


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of the machine that begins with a word."""
    image = tmp_path / "disk.img"
    image.write_text(WORD.ljust(1 << 16))
    found = subprocess.run(["losetup", "--find", "--show", image], capture_output=True, text=True)
    if found.returncode:
        pytest.skip(f"this machine offers no loop device: {found.stderr.strip()}")
    yield Path(found.stdout.strip())
    subprocess.run(["losetup", "--detach", found.stdout.strip()], check=True)


def test_a_privileged_pod_cannot_use_a_disk_through_a_device_of_its_own(intruding: Namespace, disk: Path) -> None:
    assert disk.read_bytes().startswith(WORD.encode())
    numbers = f"{os.major(disk.stat().st_rdev)} {os.minor(disk.stat().st_rdev)}"
    ways = {
        f"mknod /tmp/{disk.name} b {numbers}": f"/tmp/{disk.name}",
        "mkdir -p /tmp/d; mount -t devtmpfs none /tmp/d": f"/tmp/d/{disk.name}",
        f"nsenter --target=1 --mount -- mknod /mnt/{disk.name} b {numbers}": f"/machine/mnt/{disk.name}",
    }
    for makes, device in ways.items():
        script = f"{makes}; ls {device}; cat {device}; echo theirs > {device}"
        seen = intruding.ask("exec", "intruder", "--", "sh", "-c", script).stdout
        assert seen == f"{device}\n", script
    assert disk.read_bytes().startswith(WORD.encode())


def test_a_privileged_pod_cannot_open_files_of_the_machine_by_number(intruding: Namespace) -> None:
    """A node's own directories lie on the machine's file system, on which file handles lead everywhere."""
    enter = ("nsenter", "--target=1", "--mount", "--", sys.executable, "-c", OPEN_BY_NUMBER, "/var/lib/kubelet")
    seen = intruding.ask("exec", "intruder", "--", *enter)
    assert seen.stdout == f"{os.strerror(errno.EPERM)}\n", seen
