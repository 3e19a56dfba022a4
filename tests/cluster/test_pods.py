"""What containers and nodes offer: logs, exec, files, devices, processes."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import psutil
import pytest

from k8s101.cluster.images.building import TOOLBOX
from tests.lab import HELLO_IMAGE, HELLO_PORT, Lab, Manifest, Namespace, hello, pod
from tests.waiting import eventually


def test_logs_exec_and_copy(space: Namespace, tmp_path: Path) -> None:
    space.start(pod("tools", command=("sh", "-c", "echo one; echo two >&2; exec sleep infinity")))
    assert sorted(space.kubectl("logs", "tools").split()) == ["one", "two"]
    assert space.exec("tools", "sh", "-c", "hostname; id -u").split() == ["tools", "0"]
    assert space.ask("exec", "tools", "--", "sh", "-c", "exit 7").returncode == 7
    (tmp_path / "there.txt").write_text("across and back\n")
    space.kubectl("cp", str(tmp_path / "there.txt"), "tools:/tmp/file.txt")
    space.kubectl("cp", "tools:/tmp/file.txt", str(tmp_path / "back.txt"))
    assert (tmp_path / "back.txt").read_text() == "across and back\n"


def test_logs_of_the_run_before(space: Namespace) -> None:
    script = "[ -e /data/seen ] && exec sleep infinity; touch /data/seen; echo first; exit 1"
    data = {"volumeMounts": [{"name": "data", "mountPath": "/data"}]}
    space.apply(pod("twice", command=("sh", "-c", script), container=data, volumes=[{"name": "data", "emptyDir": {}}]))
    eventually("restarted", lambda: space.get("pod", "twice")["status"]["containerStatuses"][0]["restartCount"] == 1)
    assert space.kubectl("logs", "twice", "--previous") == "first\n"


def test_port_forward(space: Namespace) -> None:
    space.start(hello("web"))
    command = space.lab.kubectl_command("port-forward", f"--namespace={space.name}", "pod/web", f":{HELLO_PORT}")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as forward:
        try:
            assert forward.stdout is not None
            port = re.search(r"127\.0\.0\.1:(\d+) ->", forward.stdout.readline())
            assert port
            assert "hello 1.0.0 from web" in space.lab.fetch(f"127.0.0.1:{port[1]}")
        finally:
            forward.terminate()


def test_a_changed_configmap_reaches_a_volume(space: Namespace) -> None:
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "words"}, "data": {"word": "old"}}
    reader = pod(
        "reader",
        container={"volumeMounts": [{"name": "words", "mountPath": "/words"}]},
        volumes=[{"name": "words", "configMap": {"name": "words"}}],
    )
    space.start(config, reader)
    assert space.exec("reader", "cat", "/words/word") == "old"
    space.apply(config | {"data": {"word": "new"}})
    eventually("the new word", lambda: space.exec("reader", "cat", "/words/word") == "new", 60)


def privileged(**spec: Any) -> Manifest:
    security = {"privileged": True}
    mounts = [{"name": "machine", "mountPath": "/machine", "mountPropagation": "Bidirectional"}]
    return pod("tools", container={"securityContext": security, "volumeMounts": mounts}, **spec)


def test_a_privileged_pod_cannot_change_a_file_of_the_machine(space: Namespace, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (Path("/etc"), Path("/usr"), Path("/root"), tmp_path)}
    space.start(privileged(volumes=[{"name": "machine", "hostPath": {"path": "/"}}]))
    for path in (tmp_path / "new", "/usr/new", "/boot/new", "/sbin/new", "/new"):
        result = space.ask("exec", "tools", "--", "sh", "-c", f"echo theirs >> /machine{path}")
        assert "Read-only file system" in result.stderr or "nonexistent" in result.stderr, result.stderr
    # these places of a node are its own
    for path in ("/etc/k8s101-test", "/var/lib/k8s101-test-file", "/root/k8s101-test", "/tmp/k8s101-test"):
        space.exec("tools", "sh", "-c", f"echo theirs > /machine{path}")
        assert not Path(path).exists()
    assert before == {path: path.stat().st_mtime_ns for path in before}


def test_a_mount_made_in_a_pod_stays_in_its_node(space: Namespace) -> None:
    machine = Path("/proc/self/mountinfo").read_text().count("k8s101-test-mount")
    space.start(privileged(nodeName="worker-2", volumes=[{"name": "machine", "hostPath": {"path": "/mnt"}}]))
    space.exec("tools", "sh", "-c", "mkdir -p /machine/m && mount -t tmpfs k8s101-test-mount /machine/m")
    seen = space.lab.run(*space.lab.on_node("worker-2"), "cat", "/proc/self/mountinfo").stdout
    assert "k8s101-test-mount" in seen
    assert Path("/proc/self/mountinfo").read_text().count("k8s101-test-mount") == machine
    space.exec("tools", "umount", "/machine/m")


def test_a_privileged_pod_sees_no_disk(space: Namespace) -> None:
    space.start(privileged(volumes=[{"name": "machine", "hostPath": {"path": "/dev"}}]))
    assert space.exec("tools", "find", "/dev", "/machine", "-type", "b") == ""
    assert "null" in space.exec("tools", "find", "/dev", "-type", "c")


def test_a_pod_sees_the_image_it_asked_for(space: Namespace) -> None:
    space.start(hello("web"), pod("tools"))
    images = {p["metadata"]["name"]: p["status"]["containerStatuses"][0]["image"] for p in space.pods()}
    assert images == {"web": HELLO_IMAGE, "tools": TOOLBOX}


@pytest.mark.parametrize("node", ["worker-1", "worker-2", "worker-3"])
def test_a_node_looks_small(lab: Lab, node: str) -> None:
    item = lab.get("node", node)
    offered = item["status"]["allocatable"]
    assert offered["cpu"] == "1"
    assert 900 < int(offered["memory"].removesuffix("Ki")) / 1024 <= 1024
    assert item["status"]["nodeInfo"]["kubeletVersion"] == "v1.37.2"
    assert {"type": "InternalIP", "address": lab.address(node)} in item["status"]["addresses"]


def test_a_node_sees_only_its_own_processes(lab: Lab) -> None:
    listed = lab.run(*lab.on_node("worker-1"), "ps", "-e", "-o", "comm=").stdout.split()
    assert {"containerd", "kubelet", "kube-proxy"} <= set(listed)
    assert not {"etcd", "kube-apiserver"} & set(listed)
    assert lab.run(*lab.on_node("worker-1"), "hostname").stdout == "worker-1\n"


def test_process_one_of_a_node_buries_orphans(lab: Lab) -> None:
    orphans = "i=0; while [ $i -lt 300 ]; do (sh -c 'sleep 0.05' &) ; i=$((i+1)); done"
    first = lab.node_pid("worker-1")
    assert lab.run(*lab.on_node("worker-1"), "sh", "-c", orphans).returncode == 0

    def orphans_left() -> list[int]:
        return [p.pid for p in psutil.Process(first).children() if _state(p.pid) == "Z" or _name(p.pid) == "sleep"]

    eventually("all orphans buried", lambda: not orphans_left())
    assert lab.process("worker-1"), "the node lives on"


def test_containers_that_end_leave_no_process(space: Namespace) -> None:
    for number in range(6):
        space.apply(pod(f"short-{number}", command=("true",), restartPolicy="Never", nodeName="worker-3"))
    eventually("all ended", lambda: all(p["status"]["phase"] == "Succeeded" for p in space.pods()), 60)
    space.kubectl("delete", "pods", "--all", "--grace-period=0", "--force")
    node = psutil.Process(space.lab.node_pid("worker-3"))

    def zombies() -> list[int]:
        return [p.pid for p in node.children(recursive=True) if _state(p.pid) == "Z"]

    eventually("no dead process is left", lambda: not zombies())


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def test_the_machine_keeps_its_name(lab: Lab) -> None:
    assert lab.run(*lab.on_node("worker-2"), "hostname").stdout == "worker-2\n"
    assert os.uname().nodename not in lab.nodes
