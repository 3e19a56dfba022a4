"""Module 14, Networking: what it asks."""

from __future__ import annotations

from k8s101.lesson.api.session import Api
from k8s101.lesson.modules.networking_exercises import EXERCISES, TEAM, answered, inside
from k8s101.lesson.quiz.bank import Before, Option, Question
from k8s101.lesson.quiz.checking import existing

__all__ = ["EXERCISES", "QUESTIONS"]


def _seen_as(before: Before, api: Api) -> str:
    address = existing(api, "pod/front")["status"]["podIP"]
    node = existing(api, "pod/front")["status"]["hostIP"]
    answered(api.namespace, "front", existing(api, "pod/api")["status"]["podIP"], port=8000)
    log = api.core.read_namespaced_pod_log("api", api.namespace, container="api")
    callers = {line.split()[1] for line in log.splitlines() if " GET / " in line}
    if address in callers:
        return "own"
    return "node" if node in callers else "gateway"


def _port_taken(before: Before, api: Api) -> str:
    said = inside(api.namespace, "api", "timeout 2 hello serve --port=8000 2>&1 || true", "helper")
    return "refused" if "in use" in said else "own"


def _enforcer(before: Before, api: Api) -> str:
    return "answer" if answered(api.namespace, "front", "api") else "timeout"


def _same_label(before: Before, api: Api) -> str:
    return "answer" if answered(TEAM, "front", f"api.{api.namespace}") else "nothing"


def _dns(before: Before, api: Api) -> str:
    if answered(api.namespace, "front", "api"):
        return "answer"
    address = existing(api, "pod/api")["status"]["podIP"]
    return "name" if answered(api.namespace, "front", address, port=8000) else "blocked"


QUESTIONS = (
    Question(
        "seen-as",
        "front calls api, which runs on another node. Which address does api find in its log?",
        {
            "node": Option(
                "the address of front's node", "That would be a translation of addresses, as at home behind a router."
            ),
            "own": Option("the address of the Pod front", "nobody on the way writes another address into the packet"),
            "gateway": Option(
                "one address for all callers from other nodes", "Then nobody could tell callers from each other."
            ),
        },
        _seen_as,
    ),
    Question(
        "port-taken",
        "In the Pod api, the container api listens on port 8000. Now the container helper tries the same. "
        "What happens?",
        {
            "own": Option("it works, each container has its own ports", "Each *Pod* has. Its containers share them."),
            "refused": Option("the port is already in use", "for the network, the containers of a Pod are one machine"),
            "balanced": Option("both listen, and get requests in turn", "Nobody distributes requests inside a Pod."),
        },
        _port_taken,
    ),
    Question(
        "service-seen",
        "front calls api through its Service. On which nodes does the kernel see a packet with the Service's address?",
        {
            "both": Option("on both nodes", "The address is replaced before the packet leaves the first node."),
            "client": Option("on the node of front only", "its kernel replaces the address at once"),
            "server": Option(
                "on the node of api only", "Then the packet would have to find that node by the Service's address."
            ),
        },
        "client",
    ),
    Question(
        "queries",
        "For the short name api, front sends 2 queries to DNS: one for an IPv4 address, one for IPv6. How many for the "
        "full name api.k8s101-networking.svc.cluster.local?",
        {
            "two": Option("2: the name is complete", "Only a name that ends with a dot counts as complete."),
            "four": Option("4", "The list of endings has three entries, and each is tried."),
            "eight": Option("8", "three endings are tried in vain, then the name itself"),
        },
        "eight",
    ),
    Question(
        "through-node",
        "A client outside the Pod network calls the node port of a node on which api does not run. Whose address does "
        "api see?",
        {
            "client": Option(
                "the client's", "Then api would answer the client directly, and the client never called api's address."
            ),
            "third": Option(
                "the address of the node that was called", "so the answer comes back the same way, through that node"
            ),
            "service": Option(
                "the address of the Service", "A Service never sends anything. No machine has its address."
            ),
        },
        "third",
    ),
    Question(
        "no-enforcer",
        "The policy deny exists: nobody may call a Pod of your namespace. What does front get from api?",
        {
            "answer": Option(
                "an answer, as before", "the API server stores policies; somebody else has to enforce them"
            ),
            "timeout": Option(
                "nothing, until it gives up", "That is what it will get as soon as somebody enforces the policy."
            ),
            "refused": Option(
                "an error from the API server", "The API server has nothing to do with calls between Pods."
            ),
        },
        _enforcer,
    ),
    Question(
        "same-label",
        "The other team's Pod front has the label app=front, too. May it call api?",
        {
            "answer": Option(
                "yes, it has the label", "A podSelector alone looks into the policy's own namespace only."
            ),
            "nothing": Option("no", "a podSelector alone means Pods of the policy's own namespace"),
            "service": Option(
                "only through the Service", "For a policy it makes no difference how the packet found its way."
            ),
        },
        _same_label,
    ),
    Question(
        "dns",
        "From now on, front may call api at port 8000 and may call nobody else. What does it get from http://api/?",
        {
            "answer": Option("an answer", "To find api, front has to ask somebody first."),
            "blocked": Option(
                "nothing: the Service listens on port 80",
                "Policies see the Pod's port: the kernel replaces the other one before.",
            ),
            "name": Option(
                "no answer: it cannot look up the name", "DNS runs in Pods, too, and no policy allows calls to them"
            ),
        },
        _dns,
    ),
)
