"""Real nodes in the hands of a user without any privilege: containers in a user-mode Linux.

The tests share one cluster and run in order; the last one takes it down.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from k8s101.cluster.access.pki import Authority
from k8s101.cluster.addons.archives import ensure_archives
from k8s101.cluster.backends import guest
from k8s101.cluster.images.building import TOOLBOX
from k8s101.cluster.values.progress import quiet
from k8s101.cluster.values.settings import CANDIDATE_RANGES, ROOT, cache_dir
from k8s101.notebook import lessons
from tests.intrusions import CHANGE, LOOK, WAYS, WORD, Kept, attempt, intruder
from tests.lab import claim, pod, service, with_claim
from tests.listening import Listeners
from tests.small_machine import AN_OUTSIDE, UID, Finished, SmallMachine
from tests.waiting import eventually

HELLO = "k8s101.test/hello:1.0.0"
NODES = ["worker-1", "worker-2", "worker-3"]
PARTS = {"etcd", "guest", "konnectivity-agent", "konnectivity-server", "kube-apiserver", "kube-controller-manager"}
LITTLE_SHM = ("mount", "-t", "tmpfs", "-o", "size=64k,noexec", "tmpfs", "/dev/shm")
ADDONS = ("metrics", "loadbalancer", "storage")
BEYOND = "198.51.100.9"
"""An address on the way out of the machine, which counts packets to it."""

NODE_SECONDS = 60
MODULE_SECONDS = 300
ARTIFACTS = ROOT / "artifacts/guest"


@pytest.fixture(scope="module")
def machine() -> Iterator[SmallMachine]:
    """A machine like a container: /dev/shm is small and nothing in it may be executed."""
    guest.prepare(quiet)
    ensure_archives(ADDONS)
    with SmallMachine(network=AN_OUTSIDE) as made:
        made.root(*LITTLE_SHM)
        yield made


@pytest.fixture(scope="module")
def running(machine: SmallMachine) -> SmallMachine:
    """The same machine with a cluster of the default kind."""
    began = time.monotonic()
    up = machine.k8s101("up").good()
    print(f"\nup with self-check: {time.monotonic() - began:.1f} s, {machine.memory_peak():.0f} MB at most\n{up.err}")
    assert f"{len(NODES)} nodes Ready, DNS resolves, the app answers over its Service" in up.out
    return machine


def sent(machine: SmallMachine) -> int:
    """Return how many packets left the machine."""
    (link,) = json.loads(machine.root("ip", "-json", "-statistics", "link", "show", "outside"))
    return int(link["stats64"]["tx"]["packets"])


def parts(machine: SmallMachine) -> dict[str, dict[str, Any]]:
    rows = json.loads(machine.k8s101("status", "--json").out)["parts"]
    return {row["name"]: row for row in rows}


def apply(machine: SmallMachine, *manifests: dict[str, Any]) -> None:
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": manifests})
    machine.run("sh", "-c", 'echo "$1" | "$2" --kubeconfig="$3" apply -f -', "sh", text, *kubectl(machine)).good()


def kubectl(machine: SmallMachine) -> tuple[str, str]:
    return machine.program("kubectl"), str(machine.state() / "kubeconfig")


def where_refused(machine: SmallMachine, what: str, *arguments: str, **options: Any) -> Finished:
    """Run the workshop's command where the kernel refuses something (see `tests/refusing.py`)."""
    command = (str(ROOT / ".venv/bin/python"), "-m", "k8s101.cli", *arguments)
    return machine.python(str(ROOT / "tests/refusing.py"), what, *command, **options)


def let_intrude(machine: SmallMachine) -> None:
    """Start a Pod that has every right."""
    apply(machine, intruder(nodeName="worker-1"))
    machine.kubectl("wait", "pod/intruder", "--for=condition=Ready", "--timeout=60s").good()


def obeyed_files(machine: SmallMachine) -> Kept:
    """Return what processes of the machine read and do."""
    state = machine.state()
    names = ("kubeconfig", "settings.json", "supervisord.conf", "guest/guest.json", "pki/ca.key")
    return Kept({state / name: state / name for name in names})


def ready_replicas(machine: SmallMachine, name: str) -> int:
    answer = machine.kubectl("get", "deployment", name, "--output=jsonpath={.status.readyReplicas}").out
    return int(answer or 0)


def node_states(machine: SmallMachine) -> dict[str, str]:
    rows = [line.split() for line in machine.kubectl("get", "nodes", "--no-headers").good().out.splitlines()]
    return {row[0]: row[1] for row in rows}


@pytest.fixture(scope="module")
def web(running: SmallMachine) -> SmallMachine:
    """The running cluster with three copies of the story app behind a Service."""
    running.kubectl("create", "deployment", "web", f"--image={HELLO}", "--replicas=3").good()
    running.kubectl("expose", "deployment", "web", "--port=80", "--target-port=8000", "--type=NodePort").good()
    eventually("web is ready", lambda: ready_replicas(running, "web") == 3, 60)
    return running


def test_where_no_kernel_can_start_nodes_are_simulated(machine: SmallMachine) -> None:
    try:
        up = where_refused(machine, "tracing", "up", "--no-check", K8S101_STATE=str(machine.home() / "other")).good()
        (line,) = [line for line in up.err.splitlines() if "simulated" in line]
        assert "this cluster is of the kind simulated: a user-mode kernel cannot run here" in line
    finally:
        # the other tests need the memory
        machine.k8s101("down", K8S101_STATE=str(machine.home() / "other")).good()


def test_where_no_landlock_is_the_guest_has_a_root_of_its_own(machine: SmallMachine, private: Kept) -> None:
    """The first cluster of this machine, which ends before that of the other tests begins."""
    try:
        where_refused(machine, "landlock", "up", "--nodes", "1", "--no-check").good()
        assert "a root of its own and seccomp keep" in where_refused(machine, "landlock", "doctor").out
        let_intrude(machine)
        script = "; ".join(attempt("hostfs", path, LOOK) for path in (ROOT / "k8s101/cli.py", ROOT / ".git/own.txt"))
        seen = machine.kubectl("exec", "intruder", "--", "sh", "-c", script).out
        assert "import" in seen and WORD not in seen
        obeyed = obeyed_files(machine)
        for way in WAYS:
            look = "; ".join(attempt(way, path, [*LOOK, *CHANGE]) for path in private.files)
            change = "; ".join(attempt(way, path, CHANGE) for path in obeyed.files)
            seen = machine.kubectl("exec", "intruder", "--", "sh", "-c", f"{look}; {change}").out
            assert WORD not in seen and "own.txt\n" not in seen, way
        private.assert_unchanged()
        obeyed.assert_unchanged()
    finally:
        machine.k8s101("down").good()
    assert machine.processes() == []
    assert not machine.state().exists()


def test_it_is_what_an_ordinary_user_gets(running: SmallMachine) -> None:
    rows = parts(running)
    assert rows.keys() >= PARTS | {f"{node}/kubelet" for node in NODES}
    assert {row["state"] for row in rows.values()} == {"RUNNING"}
    assert node_states(running) == dict.fromkeys(NODES, "Ready")
    assert "kind of cluster: guest" in running.k8s101("doctor").good().out


def test_only_loopback_is_listened_on(running: SmallMachine) -> None:
    addresses = [line.split()[-2] for line in running.root("ss", "-H", "-l", "-t", "-u", "-n").splitlines()]
    assert len(addresses) >= 6
    assert {address.rsplit(":", 1)[0] for address in addresses} == {"127.0.0.1"}


def test_logs_exec_proxy_and_metrics(web: SmallMachine) -> None:
    assert "hello 1.0.0 listens" in web.kubectl("logs", "deployment/web").good().out
    name = web.kubectl("exec", "deployment/web", "--", "hello", "fetch", "http://web").good().out
    assert name.startswith("hello 1.0.0")
    raw = web.kubectl("get", "--raw", "/api/v1/namespaces/default/services/web:80/proxy/").good().out
    assert json.loads(raw)["app"] == "hello"
    for node in NODES:
        assert "kubelet_running_pods" in web.kubectl("get", "--raw", f"/api/v1/nodes/{node}/proxy/metrics").good().out
    assert web.k8s101("logs", "worker-1/kubelet").good().out.count("\n") > 5


def test_port_forward_and_node_port_answer_on_loopback(web: SmallMachine) -> None:
    script = """
import requests
from k8s101 import connect, forward
from k8s101.lesson.cells.bash import run
from k8s101.cluster.backends import guest
from k8s101.cluster.facade import cluster
api = connect("forward")
run("kubectl create deployment one --image=k8s101.test/hello:1.0.0")
run("kubectl rollout status deployment/one --timeout=60s")
with forward("deployment/one", 8000) as way:
    print("forward:", way.get("/").text)
settings = cluster.find().settings
port = api.core.read_namespaced_service("web", "default").spec.ports[0].node_port
for node in (1, 2, 3):
    local = guest.forward(settings, str(settings.ranges.node(node)), port)
    print("node port:", requests.get(f"http://127.0.0.1:{local}", timeout=10).text)
"""
    out = web.python("-c", script).good().out
    assert out.count("forward: hello 1.0.0") == 1
    assert out.count("node port: hello 1.0.0") == len(NODES)


def test_webhooks_in_the_guest_refuse_and_change_objects(running: SmallMachine, tmp_path: Path) -> None:
    """Asked through konnectivity by the API server, which is outside; agnhost is upstream's own webhook for tests."""
    authority = Authority(tmp_path, "webhooks")
    certificate, key = authority.issue("hook", hosts=["hook.default.svc"], server=True)
    program = Path(running.program("agnhost"))
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "hook"}, "type": "kubernetes.io/tls"}
    secret |= {"data": {"tls.crt": encoded(certificate), "tls.key": encoded(key)}}
    command = (f"/programs/{program.name}", "webhook", "--port=8443")
    served = pod(
        "hook",
        image=TOOLBOX,
        command=(*command, "--tls-cert-file=/tls/tls.crt", "--tls-private-key-file=/tls/tls.key"),
        volumes=[
            {"name": "programs", "hostPath": {"path": str(program.parent), "type": "Directory"}},
            {"name": "tls", "secret": {"secretName": "hook"}},
        ],
        container={
            "volumeMounts": [{"name": "programs", "mountPath": "/programs"}, {"name": "tls", "mountPath": "/tls"}]
        },
    )
    apply(running, secret, served, service("hook", ports=[{"port": 443, "targetPort": 8443}]))
    running.kubectl("wait", "pod/hook", "--for=condition=Ready", "--timeout=60s").good()
    bundle = encoded(authority.certificate_file.read_bytes())
    apply(running, hook("Validating", "/always-deny", bundle), hook("Mutating", "/add-label", bundle))

    def ask(path: str) -> Finished:
        labels = {"name": "asked", "labels": {"ask": path}}
        text = json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": labels})
        create = 'echo "$1" | "$2" --kubeconfig="$3" create -f - --dry-run=server --output=json'
        return running.run("sh", "-c", create, "sh", text, *kubectl(running))

    eventually("the webhook refuses", lambda: "this webhook denies all requests" in ask("always-deny").err)
    eventually("the webhook adds", lambda: '"added-label": "yes"' in ask("add-label").out)
    for kind in ("validating", "mutating"):
        running.kubectl("delete", f"{kind}webhookconfiguration", "hook").good()
    running.kubectl("delete", "pod/hook", "service/hook", "secret/hook", "--now").good()


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def hook(kind: str, path: str, bundle: str) -> dict[str, Any]:
    """Return the configuration of a webhook that is asked about ConfigMaps with a label of its path."""
    service = {"name": "hook", "namespace": "default", "path": path}
    webhook = {
        "name": "hook.k8s101.test",
        "clientConfig": {"service": service, "caBundle": bundle},
        "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}],
        "objectSelector": {"matchLabels": {"ask": path.strip("/")}},
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
    }
    api = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": f"{kind}WebhookConfiguration"}
    return api | {"metadata": {"name": "hook"}, "webhooks": [webhook]}


def test_cgroups_are_of_version_2_and_limits_are_in_force(running: SmallMachine) -> None:
    """The node code on a machine with nothing but version 2."""
    limits = {"resources": {"limits": {"cpu": "100m", "memory": "24Mi"}}}
    loop = "while true; do :; done"
    apply(
        running,
        pod("busy", image=TOOLBOX, command=("sh", "-c", loop), container=limits),
        pod("greedy", image=TOOLBOX, command=("sh", "-c", "tail /dev/zero"), restartPolicy="Never", container=limits),
    )

    def read(name: str) -> str:
        return running.kubectl("exec", "busy", "--", "cat", f"/sys/fs/cgroup/{name}").out

    def throttled() -> int:
        found = re.search(r"nr_throttled (\d+)", read("cpu.stat"))
        return int(found[1]) if found else 0

    reason = "--output=jsonpath={.status.containerStatuses[0].state.terminated.reason}"
    eventually("busy is held back", lambda: throttled() > 5, 60)
    assert read("cpu.max").split() == ["10000", "100000"]
    assert read("memory.max").strip() == str(24 * 2**20)
    eventually("greedy is killed", lambda: running.kubectl("get", "pod", "greedy", reason).out == "OOMKilled", 60)
    running.kubectl("delete", "pod", "busy", "greedy", "--now").good()


@pytest.fixture(scope="module")
def private(machine: SmallMachine) -> Kept:
    """Files of the user, of another user and of the checkout's history, with a word in each."""
    places = [machine.home() / "documents", machine.home() / ".ssh", machine.directory / "another"]
    inside = {place / "own.txt": place / "own.txt" for place in places}
    inside[ROOT / ".git/own.txt"] = machine.checkout / ".git/own.txt"
    for path in inside.values():
        path.parent.mkdir(exist_ok=True)
        path.write_text(WORD)
        for made in (path.parent, path):
            os.chown(made, *(UID, UID) if "another" not in path.parts else (0, 0))
    (machine.home() / ".ssh").chmod(0o700)
    return Kept(inside)


@pytest.fixture(scope="module")
def intruding(running: SmallMachine) -> SmallMachine:
    """The running cluster with a Pod that has every right."""
    let_intrude(running)
    return running


@pytest.mark.parametrize("way", WAYS)
def test_a_privileged_pod_neither_sees_nor_changes_private_files(
    intruding: SmallMachine, private: Kept, way: str
) -> None:
    for path in private.files:
        seen = intruding.kubectl("exec", "intruder", "--", "sh", "-c", attempt(way, path, [*LOOK, *CHANGE]))
        assert WORD not in seen.out, path
        assert "own.txt\n" not in seen.out, path
    private.assert_unchanged()


@pytest.mark.parametrize("way", WAYS)
def test_a_privileged_pod_changes_nothing_that_the_machine_obeys(intruding: SmallMachine, way: str) -> None:
    obeyed = obeyed_files(intruding)
    for path in obeyed.files:
        intruding.kubectl("exec", "intruder", "--", "sh", "-c", attempt(way, path, CHANGE))
    obeyed.assert_unchanged()


def test_the_guests_kernel_and_its_programs_have_the_machines_time(intruding: SmallMachine) -> None:
    before = time.time(), time.monotonic()
    told = intruding.kubectl("exec", "intruder", "--", "sh", "-c", "date +%s; cat /proc/uptime").good().out.split()
    assert before[0] - 1 <= float(told[0]) <= time.time()
    # the guest's kernel loses a moment until it knows the machine's clock
    assert before[1] - 1 <= float(told[1]) <= time.monotonic()


def test_a_privileged_pod_cannot_write_to_the_disk_of_images(intruding: SmallMachine) -> None:
    disk = (intruding.state() / "guest/images.img").readlink()
    kept = Kept({disk: cache_dir() / disk.relative_to(intruding.home() / ".cache/k8s101")})
    script = "mknod /tmp/disk b 98 16; dd if=/dev/zero of=/tmp/disk bs=4096 count=1 seek=2 conv=fsync"
    intruding.kubectl("exec", "intruder", "--", "sh", "-c", script)
    kept.assert_unchanged()
    intruding.kubectl("delete", "pod", "intruder", "--now").good()


def test_marked_modules_run_with_nothing_simulated(running: SmallMachine) -> None:
    marked = [lesson for lesson in lessons.load(ROOT / "notebooks/lessons.yml").landed if lesson.ci_guest]
    numbers = [lesson.number for lesson in marked]
    done = running.python("-m", "k8s101.notebook", "papermill", *numbers, timeout_s=2 * MODULE_SECONDS * len(marked))
    made = running.checkout / "artifacts/guest"
    shutil.rmtree(ARTIFACTS, ignore_errors=True)
    shutil.copytree(made, ARTIFACTS)
    print(f"\n{done.out}{running.memory_peak():.0f} MB at most")
    done.good()
    runs = {path.stem: json.loads(path.read_text()) for path in made.glob("*.json")}
    assert runs.keys() == {f"{lesson.number}-{lesson.slug}" for lesson in marked}
    for name, run in runs.items():
        assert run["passed"], name
        assert run["cells"] == run["real"] > 0, name
        assert run["seconds"] < MODULE_SECONDS, name


def test_a_dead_node_is_noticed_and_comes_back(running: SmallMachine) -> None:
    running.k8s101("stop", "worker-2").good()
    eventually("it is missed", lambda: node_states(running)["worker-2"] == "NotReady", NODE_SECONDS)
    running.k8s101("start", "worker-2").good()
    eventually("it is back", lambda: node_states(running)["worker-2"] == "Ready", NODE_SECONDS)


def test_a_guest_killed_in_a_rollout_is_repaired(web: SmallMachine) -> None:
    web.kubectl("create", "configmap", "kept", "--from-literal=a=b").good()
    web.kubectl("set", "image", "deployment/web", f"hello={HELLO.replace('1.0.0', '1.0.1')}").good()
    web.run("kill", "-KILL", str(parts(web)["guest"]["pid"])).good()
    web.k8s101("up", "--no-check").good()
    web.kubectl("rollout", "status", "deployment/web", "--timeout=120s").good()
    eventually("it answers", lambda: web.kubectl("exec", "deployment/web", "--", "hello", "fetch", "http://web").out)
    web.kubectl("get", "configmap", "kept").good()


def test_reset(running: SmallMachine) -> None:
    running.kubectl("label", "node", "worker-1", "disk=fast").good()
    running.k8s101("reset").good()
    assert running.kubectl("get", "configmap", "kept").status == 1
    assert "disk" not in running.kubectl("get", "node", "worker-1", "--show-labels").out


def test_addons_are_used_and_leave_nothing(running: SmallMachine) -> None:
    """Their images reach the nodes without any network; the API server reaches metrics-server by konnectivity."""
    began = time.monotonic()
    running.k8s101("addons", "enable", "metrics").good()
    print(f"\nkubectl top answers after {time.monotonic() - began:.1f} s")
    assert running.kubectl("top", "nodes", "--no-headers").good().out.count("\n") == len(NODES)
    running.k8s101("addons", "enable", *ADDONS).good()
    running.kubectl("create", "service", "loadbalancer", "given", "--tcp=80:8000").good()
    place = "--output=jsonpath={.status.loadBalancer.ingress[0].ip}"
    assert eventually("an address", lambda: running.kubectl("get", "service", "given", place).out).startswith("10.")
    running.kubectl("delete", "service", "given").good()
    keep_notes(running)
    running.k8s101("addons", "disable", *ADDONS).good()
    names = running.kubectl("get", "crd,apiservice,clusterrole,namespace,deployment", "-A", "--output=name").good().out
    assert not re.search("metallb|metrics|local-path", names)


def keep_notes(running: SmallMachine) -> None:
    """Let a Pod write into a volume made on demand and another one find it, and delete all three."""
    for name, script in (("first", "echo kept > /notes/it"), ("second", "true")):
        apply(running, claim("notes"), with_claim(name, "notes", script))
        running.kubectl("wait", f"pod/{name}", "--for=condition=Ready", "--timeout=90s").good()
        found = running.kubectl("exec", name, "--", "cat", "/notes/it").good()
        assert found.out == "kept\n"
        running.kubectl("delete", "pod", name, "--now").good()
    running.kubectl("delete", "persistentvolumeclaim", "notes").good()
    eventually("the volume is deleted", lambda: not running.kubectl("get", "pv", "--output=name").good().out, 60)


def as_the_guest(*commands: str) -> str:
    """Return a script that lets the guest's kernel run commands outside of every node, as root of a Pod can."""
    crash = "sh -c 'kill -SEGV $$' 2>/dev/null"
    lines = [f"echo '|{command}' > /proc/sys/kernel/core_pattern; {crash}" for command in commands]
    # so that a crash waits for the command's end
    return "; ".join(("echo 1 > /proc/sys/kernel/core_pipe_limit", *lines, "echo core > /proc/sys/kernel/core_pattern"))


def test_a_privileged_pod_that_opens_the_guests_network_calls_nothing(running: SmallMachine) -> None:
    """Neither ports of the machine, nor other addresses at the two ports that the guest may call."""
    settings = json.loads((running.state() / "settings.json").read_text())
    ranges, ports = CANDIDATE_RANGES[0], settings["ports"]
    assert settings["ranges"]["nodes"] == str(ranges.nodes)
    ip, nft, sysctl = (shutil.which(name, path="/usr/sbin:/sbin:/usr/bin:/bin") for name in ("ip", "nft", "sysctl"))
    let_intrude(running)

    def inside(script: str) -> Finished:
        return running.kubectl("exec", "intruder", "--", "sh", "-c", script)

    def call(address: object, port: object) -> Finished:
        return inside(f"echo the guest | timeout 3 nc -w 2 {address} {port}")

    # the ways lead out of the guest now, that to loopback too
    inside(
        as_the_guest(
            f"{nft} delete table ip k8s101",
            f"{ip} route add default via {ranges.nodes[253]}",
            f"{ip} route add 127.0.0.2 via {ranges.nodes[253]} table local",
            f"{sysctl} -w net.ipv4.conf.all.route_localnet=1",
        )
    ).good()
    inside(
        f"ip route add default via {ranges.router}; ip route add 127.0.0.2 via {ranges.router} table local;"
        "echo 1 > /proc/sys/net/ipv4/conf/all/route_localnet"
    ).good()
    call(ranges.host, ports["api"]).good()
    assert "refused" in call(ranges.host, ports["etcd"]).err
    with Listeners(running, ports["api"], free=8765) as listeners:
        for pair in (*listeners.pairs, f"{ranges.host}:8765"):
            call(*pair.split(":"))
        assert not listeners.heard()
    # counted by the next test
    inside(f"timeout 2 tftp -g -r hello -l /tmp/hello {BEYOND} < /dev/null")
    running.kubectl("delete", "pod", "intruder", "--now").good()


def test_memory_was_enough_and_no_packet_left(running: SmallMachine) -> None:
    print(f"\n{running.memory_peak():.0f} MB at most")
    assert running.times_out_of_memory() == 0
    before = sent(running)
    running.run("python3", "-c", "import socket; socket.socket(2, 2).sendto(b'', ('10.244.1.1', 9))").good()
    assert (before, sent(running)) == (0, 1)


def test_down_leaves_nothing_but_the_cache(running: SmallMachine) -> None:
    # asked in the same process, so that nothing has time to end meanwhile
    script = """
import os, pathlib, subprocess, sys
print(subprocess.run((sys.executable, "-m", "k8s101.cli", "down"), check=True, capture_output=True, text=True).stdout)
for task in pathlib.Path("/proc").glob("[0-9]*/task/[0-9]*"):
    try:
        facts = dict(line.split(":", 1) for line in (task / "status").read_text().splitlines())
    except (FileNotFoundError, ProcessLookupError):
        continue
    mine = facts["Uid"].split()[0] == str(os.getuid()) and facts["Tgid"].strip() != str(os.getpid())
    if mine and facts["State"].split()[0] not in "ZX":
        print("left:", facts["Name"], facts["State"])
"""
    assert running.python("-c", script).good().out.split() == ["removed"]
    assert not running.state().exists()
