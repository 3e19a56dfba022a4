"""Module 14, Networking: how its exercises are checked, mainly by calls from the Pods themselves."""

from __future__ import annotations

from collections.abc import Iterator

from k8s101.cluster.values.deadline import until
from k8s101.errors import Problem
from k8s101.lesson.api.names import ready
from k8s101.lesson.api.rest import Object
from k8s101.lesson.api.session import Api
from k8s101.lesson.api.shell import kubectl_path, run
from k8s101.lesson.quiz.bank import Exercise, Finding
from k8s101.lesson.quiz.checking import begun, existing, expect

TEAM, SHOP = "k8s101-networking-team", "k8s101-networking-shop"
ANSWER_SECONDS = 2
"""How long a call waits. Whoever is allowed is answered within milliseconds."""

TAKES_EFFECT_SECONDS = 3
UNTOUCHED = 1
"""The generation of an object that nobody has changed since it was created."""

NOBODY_ENFORCES = "; nothing enforces policies here: k8s101 addons enable network-policy"


def inside(namespace: str, pod: str, command: str, container: str = "") -> str:
    """Return what a shell command in a Pod prints.

    Args:
        namespace: of the Pod.
        pod: its name.
        command: for the shell.
        container: the container, if not the first one.
    """
    where = [f"--container={container}"] if container else []
    words = [str(kubectl_path()), f"--namespace={namespace}", "exec", pod, *where, "--", "sh", "-c", command]
    return run(words, command)


def answered(namespace: str, pod: str, host: str, container: str = "", port: int = 80) -> bool:
    """Tell whether a Pod gets an answer from hello."""
    call = f"wget -T {ANSWER_SECONDS} -qO- http://{host}:{port}/ 2>&1 || true"
    return inside(namespace, pod, call, container).startswith("hello ")


def _may(namespace: str, pod: str, host: str, container: str = "") -> bool:
    """Tell whether a call is answered, soon after policies changed."""
    return until(lambda: answered(namespace, pod, host, container), TAKES_EFFECT_SECONDS, every=0.2)


def _may_not(namespace: str, pod: str, host: str) -> bool:
    return until(lambda: not answered(namespace, pod, host), TAKES_EFFECT_SECONDS, every=0.2)


def _unenforced(api: Api) -> str:
    """Return what to say when a call that no policy allows is answered: whether anybody enforces policies at all."""
    agents = api.rest.list("Pod", "network-policy", "app=policy-agent")
    return "" if any(ready(pod) for pod in agents) else NOBODY_ENFORCES


def _selects(policy: Object, labels: dict[str, str]) -> bool:
    """Tell whether a policy without expressions is for Pods with these labels."""
    wanted = policy["spec"].get("podSelector", {}).get("matchLabels") or {}
    return all(labels.get(key) == value for key, value in wanted.items())


def _open_ports(policy: Object) -> set[object]:
    """Return the ports that a policy opens, `all` where a rule names none."""
    rules = policy["spec"].get("ingress") or []
    return {port.get("port", "all") for rule in rules for port in rule.get("ports") or [{}]}


def _agents(api: Api) -> Iterator[Finding]:
    policy = existing(api, "networkpolicy/agents")
    for_agents = _selects(policy, {"app": "agent"}) and policy["spec"].get("podSelector")
    yield expect(for_agents, "agents protects the Pods of agent", "agents is not for the Pods with app=agent")
    yield expect(_may(api.namespace, "api", "agent", "helper"), "api may call agent", "api gets no answer from agent")
    host = f"agent.{api.namespace}"
    yield expect(
        _may(TEAM, "front", host), "front of the other team may call it", "front of the other team gets no answer"
    )
    yield from _another_of_the_team(api, policy)
    pod = next(pod["metadata"]["name"] for pod in api.list("Pod", "app=agent") if ready(pod))
    others = "other Pods of your namespace get an answer, too"
    yield expect(_may_not(api.namespace, pod, "agent"), "others may not", lambda: others + _unenforced(api))
    ports = sorted(str(port) for port in _open_ports(policy))
    yield expect(ports == ["8000"], "at port 8000 only", f"open are the ports: {', '.join(ports)}; asked for is 8000")


def _another_of_the_team(api: Api, policy: Object) -> Iterator[Finding]:
    """Say whether every Pod of the team is let in, not only those with the label of front."""
    entries = [entry for rule in policy["spec"].get("ingress") or [] for entry in rule.get("from") or []]
    whole = [entry for entry in entries if "namespaceSelector" in entry and not entry.get("podSelector")]
    said = "only some Pods of the other team may call it: an entry with two selectors asks for both"
    yield expect(whole, "so may every other Pod of that team", said)


def _batch(api: Api) -> Iterator[Finding]:
    pod = existing(api, "pod/batch")
    yield expect(ready(pod), "batch is running", "batch is not ready")
    options = inside(api.namespace, "batch", "grep ^options /etc/resolv.conf || true").split()[1:]
    found = next((option for option in options if option.startswith("ndots:")), "ndots:1")
    said = f"its resolv.conf says {found}, so a full name is still completed first"
    yield expect(found == "ndots:1", "a full name is asked as it is", said)
    full = f"api.{api.namespace}.svc.cluster.local"
    got = until(lambda: answered(api.namespace, "batch", full), TAKES_EFFECT_SECONDS, every=0.2)
    label = pod["metadata"].get("labels", {}).get("app", "none")
    said = f"api does not answer it: no policy allows calls from a Pod whose label app is {label}"
    yield expect(got, "api answers it", said)
    rules = {name: api.get(f"networkpolicy/{name}") for name in ("deny", "allow")}
    gone = [name for name, policy in rules.items() if policy is None]
    yield expect(not gone, "your policies are as before", f"the policy {', '.join(gone)} is missing")
    touched = [name for name, policy in rules.items() if policy and policy["metadata"]["generation"] != UNTOUCHED]
    yield expect(not touched, "and unchanged", f"the policy {', '.join(touched)} was changed: change the Pod instead")


def _shop_begun(api: Api) -> str | None:
    policies = {item["metadata"]["name"]: item for item in api.rest.list("NetworkPolicy", SHOP)}
    if api.rest.get("pod", "shop", SHOP) is None:
        return "there is no shop yet"
    pods = {item["metadata"]["name"]: item["metadata"].get("labels", {}) for item in api.rest.list("Pod", SHOP)}
    as_left = all(pods.get(name, {}).get("app") == name for name in ("shop", "buyer", "stranger"))
    untouched = all(policy["metadata"]["generation"] == UNTOUCHED for policy in policies.values())
    service = api.rest.get("service", "shop", SHOP)
    ports = service["spec"]["ports"][0] if service else {}
    if as_left and untouched and set(policies) == {"deny", "buyers"} and ports.get("port") == 80:
        return "shop is as the other team left it"
    return None


def _shop(api: Api) -> Iterator[Finding]:
    for name in ("shop", "buyer", "stranger"):
        pod = api.rest.get("pod", name, SHOP)
        yield expect(pod and ready(pod), f"{name} is running", f"Pod {name} is missing or not ready")
    try:
        bought = _may(SHOP, "buyer", "shop")
    except Problem:
        bought = False
    yield expect(bought, "buyer gets an answer", "buyer still gets no answer")
    open_to_all = "stranger gets an answer, too: the shop is not protected any more"
    yield expect(_may_not(SHOP, "stranger", "shop"), "stranger does not", lambda: open_to_all + _unenforced(api))


EXERCISES = (
    Exercise(
        "agents",
        begun("NetworkPolicy", "agents"),
        _agents,
        (
            "Two things differ: whose Pods are protected, and who may call them. The Pod api is in your namespace, "
            "the others are not.",
            "A list has one entry for each dash. Everything in one entry must hold; of several entries one is enough.",
            "Under spec, a podSelector with app: agent. Under from, two entries: - podSelector with app: api, and "
            "- namespaceSelector with the name of the other team's namespace, and no podSelector in it.",
        ),
    ),
    Exercise(
        "batch",
        begun("Pod", "batch"),
        _batch,
        (
            "Two things are missing: how names are completed, and how the policies recognise the Pod.",
            "kubectl explain pod.spec.dnsConfig.options describes the first. `kubectl describe networkpolicy allow` "
            "shows the second.",
            "The label app: front in place of run: batch, and under spec: dnsConfig: {options: [{name: ndots, "
            'value: "1"}]}.',
        ),
    ),
    Exercise(
        "shop",
        _shop_begun,
        _shop,
        (
            "No answer at all, until the time is over: what drops packets without a word? "
            f"`kubectl get networkpolicies -n {SHOP}`",
            f"Read `kubectl describe networkpolicy buyers -n {SHOP}`, and compare each line with the Pods: "
            "their labels, and the port on which shop listens.",
            "Policies see a packet after the Service's address and port have been replaced. Allow the port of the "
            "Pod: 8000.",
        ),
    ),
)
