"""What tests do with a running cluster: kubectl, manifests, and looking into nodes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from k8s101.cluster.facade.cluster import Cluster
from k8s101.cluster.images.building import HELLO, TOOLBOX
from k8s101.cluster.programs.binaries import ensure
from tests.waiting import eventually

HELLO_IMAGE = f"{HELLO}:1.0.0"
HELLO_PORT = 8000
RUN_SECONDS = 180
"""More than any wait of kubectl's own in the tests, which says what it waited for when it ends."""

FETCH = """
import sys, urllib.request
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
print(opener.open(sys.argv[1], timeout=float(sys.argv[2])).read().decode())
"""
Manifest = dict[str, Any]
Result = subprocess.CompletedProcess[str]


class Lab:
    """A cluster and the tools to work with it.

    Args:
        cluster: the cluster, which runs.
        prefix: what stands before every command that talks to it.
    """

    def __init__(self, cluster: Cluster, prefix: Sequence[str] = ()) -> None:
        self.cluster = cluster
        self.nodes = cluster.settings.nodes
        self._prefix = tuple(prefix)
        self._kubectl = str(ensure(["kubectl"])["kubectl"])

    def run(self, *command: str, timeout: float = RUN_SECONDS, text: str | None = None) -> Result:
        """Run a command where the cluster's addresses exist."""
        return subprocess.run(
            (*self._prefix, *command), capture_output=True, text=True, timeout=timeout, input=text, check=False
        )

    def kubectl_command(self, *arguments: str, kubeconfig: Path | None = None) -> tuple[str, ...]:
        """Return a command line of the pinned kubectl."""
        ours = self.cluster.settings
        return (
            self._kubectl,
            f"--kubeconfig={kubeconfig or ours.kubeconfig}",
            f"--cache-dir={ours.kubectl_cache}",
            *arguments,
        )

    def ask(self, *arguments: str, kubeconfig: Path | None = None, text: str | None = None) -> Result:
        """Run kubectl, whatever comes out."""
        return self.run(*self.kubectl_command(*arguments, kubeconfig=kubeconfig), text=text)

    def kubectl(self, *arguments: str, text: str | None = None) -> str:
        """Run kubectl, which must succeed, and return what it prints."""
        result = self.ask(*arguments, text=text)
        assert result.returncode == 0, f"kubectl {' '.join(arguments)}: {result.stderr}"
        return result.stdout

    def get(self, *arguments: str) -> Any:
        """Return an object, or the items of a list."""
        answer = json.loads(self.kubectl("get", *arguments, "--output=json"))
        return answer["items"] if answer["kind"].endswith("List") else answer

    def apply(self, *manifests: Manifest) -> None:
        """Apply manifests."""
        self.kubectl("apply", "--filename=-", text=json.dumps({"apiVersion": "v1", "kind": "List", "items": manifests}))

    def apply_node(self, manifest: Manifest) -> None:
        """Create the Node object that an added node's kubelet will find."""
        self.cluster.api.apply(manifest)

    def fetch(self, address: str, *, at: Sequence[str] = (), seconds: int = 5) -> str:
        """Return what an HTTP address answers to the machine, or to where a command prefix leads."""
        result = self.run(*at, sys.executable, "-c", FETCH, f"http://{address}", str(seconds))
        assert result.returncode == 0, f"{address}: {result.stderr[-200:]}"
        return result.stdout

    def process(self, name: str) -> int:
        """Return the process of a component or a node, as the supervisor that started it counts, 0 for none."""
        return next((p.pid for p in self.cluster.processes() if p.name == name), 0)

    def node_pid(self, node: str) -> int:
        """Return a node's process 1 as the machine counts."""
        children = psutil.Process(self.process(node)).children()
        assert len(children) == 1, f"{node} has {len(children)} processes 1"
        return children[0].pid

    def on_node(self, node: str) -> tuple[str, ...]:
        """Return the command prefix that runs something inside a node."""
        return ("nsenter", f"--target={self.node_pid(node)}", "--mount", "--net", "--pid", "--uts", "--ipc", "--")

    def at_node(self, node: str) -> tuple[str, ...]:
        """Return the command prefix for a process of the machine in a node's network only."""
        return ("nsenter", f"--net=/proc/{self.node_pid(node)}/ns/net", "--")

    def node_state(self, node: str) -> str:
        """Return the status of a node's Ready condition."""
        conditions = self.get("node", node)["status"]["conditions"]
        found: str = next(c["status"] for c in conditions if c["type"] == "Ready")
        return found

    def address(self, node: str) -> str:
        """Return the address of a node, such as `worker-2`."""
        return str(self.cluster.settings.ranges.node(int(node.rpartition("-")[2])))


class Namespace:
    """One namespace of a lab, and what it holds.

    Args:
        lab: the cluster.
        name: the namespace.
    """

    def __init__(self, lab: Lab, name: str) -> None:
        self.lab = lab
        self.name = name

    def kubectl(self, *arguments: str, text: str | None = None) -> str:
        """Run kubectl in this namespace."""
        return self.lab.kubectl(f"--namespace={self.name}", *arguments, text=text)

    def ask(self, *arguments: str) -> Result:
        """Run kubectl in this namespace, whatever comes out."""
        return self.lab.ask(f"--namespace={self.name}", *arguments)

    def apply(self, *manifests: Manifest) -> None:
        """Apply manifests here."""
        for manifest in manifests:
            manifest["metadata"]["namespace"] = self.name
        self.lab.apply(*manifests)

    def get(self, *arguments: str) -> Any:
        """Return an object of this namespace, or the items of a list."""
        return self.lab.get(f"--namespace={self.name}", *arguments)

    def start(self, *manifests: Manifest) -> None:
        """Apply manifests and wait until every Pod of the namespace is ready."""
        self.apply(*manifests)
        self.wait_ready()

    def wait_ready(self, seconds: float = 60) -> None:
        """Wait until what is wanted is there and every Pod is ready."""

        def ready() -> bool:
            kinds = self.get("deployments,daemonsets")
            wanted = sum(1 for pod in self.pods())
            full = all(
                k["status"].get("observedGeneration") == k["metadata"]["generation"]
                and k["status"].get("readyReplicas", k["status"].get("numberReady", 0))
                == k["spec"].get("replicas", k["status"].get("desiredNumberScheduled"))
                for k in kinds
            )
            return full and wanted > 0 and all(is_ready(pod) for pod in self.pods())

        eventually(f"Pods of {self.name} ready", ready, seconds)

    def pods(self, **labels: str) -> list[Manifest]:
        """Return the Pods with these labels."""
        selector = ",".join(f"{key}={value}" for key, value in labels.items())
        found: list[dict[str, Any]] = self.get("pods", f"--selector={selector}")
        return found

    def exec(self, pod: str, *command: str) -> str:
        """Run a command in a Pod, which must succeed."""
        return self.kubectl("exec", pod, "--", *command)


@contextmanager
def namespace(lab: Lab, name: str) -> Iterator[Namespace]:
    """Make a namespace and delete it at the end, without waiting for that."""
    lab.kubectl("create", "namespace", name)
    space = Namespace(lab, name)
    eventually("the service account", lambda: space.get("serviceaccounts"))
    try:
        yield space
    finally:
        lab.ask("delete", "pods", "--all", f"--namespace={name}", "--force", "--grace-period=0", "--wait=false")
        lab.ask("delete", "namespace", name, "--wait=false")


def is_ready(pod: Manifest) -> bool:
    """Tell whether a Pod is ready and stays."""
    conditions = {c["type"]: c["status"] for c in pod["status"].get("conditions", [])}
    return conditions.get("Ready") == "True" and "deletionTimestamp" not in pod["metadata"]


def pod(name: str, *, image: str = TOOLBOX, command: Sequence[str] = ("sleep", "infinity"), **spec: Any) -> Manifest:
    """Return a Pod of one container; `container` holds further fields of that."""
    container = {"name": name, "image": image, "command": list(command)} | spec.pop("container", {})
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {"terminationGracePeriodSeconds": 0, "containers": [container], **spec},
    }


def hello(name: str, **spec: Any) -> Manifest:
    """Return a Pod of the story app."""
    made = pod(name, image=HELLO_IMAGE, command=("hello",), **spec)
    made["spec"]["containers"][0]["readinessProbe"] = {
        "httpGet": {"path": "/readyz", "port": HELLO_PORT},
        "periodSeconds": 1,
    }
    return made


def several(kind: str, template: Manifest, **spec: Any) -> Manifest:
    """Return a Deployment or DaemonSet of the Pods that a Pod's manifest describes."""
    name, labels = template["metadata"]["name"], template["metadata"]["labels"]
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": template["spec"]},
            **spec,
        },
    }


def service(name: str, **spec: Any) -> Manifest:
    """Return a Service for the Pods of the same name, from port 80 to the story app's port."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": {"app": name}, "ports": [{"port": 80, "targetPort": HELLO_PORT}], **spec},
    }


def claim(name: str) -> Manifest:
    """Return a claim of the default class."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "10Mi"}}},
    }


def with_claim(name: str, used: str, script: str) -> Manifest:
    """Return a Pod that has a claim's volume at a path with the claim's name, and runs a script first."""
    made = pod(name, command=("sh", "-ec", f"{script}; sleep infinity"))
    made["spec"]["volumes"] = [{"name": used, "persistentVolumeClaim": {"claimName": used}}]
    made["spec"]["containers"][0]["volumeMounts"] = [{"name": used, "mountPath": f"/{used}"}]
    return made
