"""Module 08, Services: what it asks."""

from __future__ import annotations

from k8s101.lesson.api.diagnose import ready_endpoints
from k8s101.lesson.api.names import ready
from k8s101.lesson.api.rest import Object
from k8s101.lesson.api.session import Api
from k8s101.lesson.api.shell import kubectl_path, run
from k8s101.lesson.modules.services_exercises import EXERCISES, entries, wait_until_listed
from k8s101.lesson.quiz.bank import Before, Option, Question
from k8s101.lesson.quiz.checking import existing

__all__ = ["EXERCISES", "QUESTIONS"]

CLIENT = "client"
TEAM = "k8s101-services-team"
"""The namespace of the other team's client."""

CALLS = 20


def _inside(namespace: str, command: str) -> str:
    """Return what a shell command in a client's Pod prints."""
    words = [str(kubectl_path()), f"--namespace={namespace}", "exec", CLIENT, "--", "sh", "-c", command]
    return run(words, command)


def _addresses(before: Before, api: Api) -> str:
    old = {pod["status"].get("podIP") for pod in before.pods.values() if _is_hello(pod)}
    new = {pod["status"].get("podIP") for pod in api.list("Pod", "app=hello") if ready(pod)}
    if not old & new:
        return "new"
    return "same" if old == new else "node"


def _is_hello(pod: Object) -> bool:
    return bool(pod["metadata"].get("labels", {}).get("app") == "hello")


def _elsewhere(before: Before, api: Api) -> str:
    if _resolves(TEAM, "hello"):
        return "answers"
    return "unknown" if _resolves(TEAM, f"hello.{api.namespace}") else "refused"


def _resolves(namespace: str, name: str) -> bool:
    return bool(_inside(namespace, f"hello resolve {name} || true").strip())


def _unready(before: Before, api: Api) -> str:
    listed = entries(api, "hello")
    well = [entry for entry in listed if entry["conditions"].get("ready")]
    if len(listed) < len(api.list("Pod", "app=hello")):
        return "removed"
    return "marked" if len(well) < len(listed) else "nothing"


def _headless(before: Before, api: Api) -> str:
    found = set(_inside(api.namespace, "hello resolve hello-headless || true").split())
    pods = {pod["status"].get("podIP") for pod in api.list("Pod", "app=hello")}
    if found == pods:
        return "pods"
    return "own" if found else "nothing"


def _no_error(before: Before, api: Api) -> str:
    wait_until_listed(api, existing(api, "service/mistake-1"))
    told = {name: _told(api, existing(api, f"service/{name}")) for name in ("mistake-1", "mistake-2")}
    if all(told.values()):
        return "both"
    if any(told.values()):
        return "port" if told["mistake-1"] else "label"
    return "neither" if ready_endpoints(api, existing(api, "service/mistake-1")) else "label"


def _told(api: Api, service: Object) -> bool:
    """Tell whether an event of a Service reports anything."""
    return bool(api.rest.list("Event", api.namespace, f"involvedObject.uid={service['metadata']['uid']}"))


def _choice(before: Before, api: Api) -> str:
    calls = f"for n in $(seq {CALLS}); do wget -qO- http://hello/; done"
    hosts = [line.split()[-1] for line in _inside(api.namespace, calls).splitlines()]
    turns = all(hosts[n] == hosts[n - 3] for n in range(3, len(hosts)))
    return "turns" if turns else "random"


QUESTIONS = (
    Question(
        "addresses",
        "A release replaces all three Pods. Which addresses do the new Pods have?",
        {
            "same": Option(
                "the addresses of the old Pods", "Nobody hands addresses on. A new Pod asks for a free one."
            ),
            "node": Option(
                "some of the old ones, because each node keeps its addresses",
                "Each node has a range of addresses, but it gives out the next free one.",
            ),
            "new": Option("other addresses", "so nobody can rely on the address of a Pod"),
        },
        _addresses,
    ),
    Question(
        "elsewhere",
        "A client in another namespace calls http://hello/. What happens?",
        {
            "answers": Option(
                "a Pod of hello answers", "The client's own namespace is asked first, and nothing there is named hello."
            ),
            "unknown": Option(
                "the name is not found", "a short name is completed with the namespace of the one who asks"
            ),
            "refused": Option(
                "the connection is refused, because namespaces are isolated",
                "A namespace separates names. It does not stop any connection (module 14 shows what does).",
            ),
        },
        _elsewhere,
    ),
    Question(
        "unready",
        "One of the three Pods reports that it is not ready. What happens to its entry in the EndpointSlice?",
        {
            "removed": Option(
                "it is removed", "The Pod still exists, and it may be ready again in a second, so its entry stays."
            ),
            "marked": Option("it stays, and says ready: false", "kube-proxy skips endpoints that are not ready"),
            "nothing": Option(
                "nothing changes, because the address is still right",
                "The address is right, but the Pod has said that it can't take requests.",
            ),
        },
        _unready,
    ),
    Question(
        "headless",
        "hello-headless has no address (clusterIP: None). What does DNS answer for its name?",
        {
            "nothing": Option("nothing, because it has no address", "The name exists, and DNS has an answer for it."),
            "own": Option("one address, of its own", "That address is what None switches off."),
            "pods": Option("the addresses of its three Pods", "the client gets all of them and chooses itself"),
        },
        _headless,
    ),
    Question(
        "forwarded",
        "kubectl port-forward connects a port of your machine with Service hello. You call that port thirty times. "
        "How many of the three Pods answer?",
        {
            "one": Option("one", "port-forward asks the Service for one Pod, and then goes directly to that Pod"),
            "three": Option(
                "all three, about ten times each",
                "port-forward uses a Service only to find a Pod. The connections do not go through the Service.",
            ),
            "none": Option(
                "none, because a ClusterIP is not reachable from outside", "That is what port-forward is for."
            ),
        },
        "one",
    ),
    Question(
        "choice",
        "Three Pods are ready. How does a node choose the Pod for a new connection?",
        {
            "turns": Option(
                "in turn: first, second, third", "The node does not count. It chooses at random for each connection."
            ),
            "random": Option("at random", "the kernel draws a number for each new connection"),
            "least": Option(
                "the Pod with the fewest connections", "The rules in the kernel know nothing about the load of Pods."
            ),
        },
        _choice,
    ),
    Question(
        "no-error",
        "Nobody answers at either Service. For which of them does the API report an error?",
        {
            "both": Option(
                "for both, as events", "No part of the control plane ever calls the Pods through a Service."
            ),
            "port": Option("for mistake-1, whose port is wrong", "Nobody checks whether the Pods listen on that port."),
            "label": Option(
                "for mistake-2, whose label is wrong",
                "A selector that matches no Pod is allowed: the Pods may come later.",
            ),
            "neither": Option("for neither", "only callers notice, so you have to look yourself"),
        },
        _no_error,
    ),
    Question(
        "lookup",
        "A Service has clusterIP: None. What does DNS answer for its name?",
        {
            "nothing": Option("nothing, since it has no address", "Then nobody could use it. The name has an answer."),
            "pods": Option("the addresses of its Pods", "the client chooses one of them itself"),
            "nodes": Option("the addresses of the nodes", "Ports of nodes belong to the type NodePort."),
        },
        "pods",
    ),
    Question(
        "target",
        "A Service has port 80 and targetPort 8000. A client calls port 80 of the Service. Which port do its packets "
        "have when they arrive at the Pod?",
        {
            "80": Option("80", "Nobody listens there. The port is replaced together with the address."),
            "8000": Option("8000", "the client's node replaces address and port"),
            "any": Option("one from 30000 to 32767", "Such ports are opened on nodes, for calls from outside."),
        },
        "8000",
    ),
)
