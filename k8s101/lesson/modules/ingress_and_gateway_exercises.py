"""Module 13, Ingress and Gateway: how its exercises are checked, mainly by asking as users do."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime
from socket import create_connection

import requests
from cryptography import x509

from k8s101.cluster.values.deadline import until
from k8s101.lesson.api.forward import open_forward
from k8s101.lesson.api.rest import Object
from k8s101.lesson.api.session import Api
from k8s101.lesson.quiz.bank import Exercise, Finding
from k8s101.lesson.quiz.checking import begun, existing, expect, fine

INGRESS, GATEWAY = "traefik", "traefik-gateway"
"""The namespaces of the two controllers."""

EDGE, TICKETS = "k8s101-ingress-and-gateway-edge", "k8s101-ingress-and-gateway-tickets"
STABLE, NEXT = "1.1.0", "2.0.0"
CA = "our own CA"
ASK_SECONDS = 10
TAKES_EFFECT_SECONDS = 5
MANY, FEW = 40, 8
UNTOUCHED = 1
"""The generation of an object that nobody has changed since it was created."""

Answer = tuple[int, str]
"""A status, and the release of the app that answered; empty if the controller did."""

Asker = Callable[..., list[Answer]]


def asker(controller: str) -> Asker:
    """Return what asks a controller for a host, as often as you like, and gives all answers.

    Args:
        controller: the namespace of the controller.
    """

    def ask(host: str, count: int = 1, path: str = "/", headers: Mapping[str, str] | None = None) -> list[Answer]:
        with open_forward("service/traefik", 80, controller) as way, requests.Session() as session:
            session.trust_env = False
            session.headers.update({"Host": host, **(headers or {})})
            found = [session.get(way.url + path, timeout=ASK_SECONDS, allow_redirects=False) for _ in range(count)]
        return [(answer.status_code, answer.headers.get("X-Hello-Version", "")) for answer in found]

    return ask


def _settled(ask: Callable[[], list[Answer]], wanted: Callable[[list[Answer]], object]) -> list[Answer]:
    """Ask until the answers are as wanted, for a moment: a controller serves a change a little later."""
    found: list[Answer] = []

    def once() -> bool:
        found[:] = ask()
        return bool(wanted(found))

    until(once, TAKES_EFFECT_SECONDS, every=0.3)
    return found


def _from_next(answers: list[Answer]) -> int:
    return sum(version == NEXT for _, version in answers)


def _is_quarter(answers: list[Answer]) -> bool:
    return abs(_from_next(answers) - MANY // 4) <= 1


def _good(answers: list[Answer]) -> bool:
    return all(status == 200 for status, _ in answers)


def detached(route: Object) -> str | None:
    """Return why no request comes through a route, as far as its status tells; None if it should work.

    Args:
        route: an HTTPRoute.
    """
    name = route["metadata"]["name"]
    parents = route.get("status", {}).get("parents") or []
    if not parents:
        return f"no Gateway knows of {name}: its parentRefs lead to none"
    conditions = {entry["type"]: entry for entry in parents[0]["conditions"]}
    if conditions["Accepted"]["status"] != "True":
        return f"the Gateway has not accepted {name}: {conditions['Accepted']['reason']}"
    if conditions["ResolvedRefs"]["status"] != "True":
        return f"{name} names a backend that cannot be had: {conditions['ResolvedRefs']['reason']}"
    return None


def _beta(api: Api) -> Iterator[Finding]:
    until(lambda: detached(existing(api, "httproute/beta")) is None, TAKES_EFFECT_SECONDS)
    yield fine(detached(existing(api, "httproute/beta")), "the Gateway has accepted beta")
    ask = asker(GATEWAY)
    found: list[Answer] = []
    testers: list[Answer] = []
    others: list[Answer] = []

    def right() -> bool:
        found[:] = ask("beta.test", MANY)
        testers[:], others[:] = (ask("beta.test", FEW, headers={"X-Beta": value}) for value in ("2", "1"))
        return _good(found) and _is_quarter(found) and _from_next(testers) == FEW > _from_next(others)

    # the status of a route tells what was accepted, not what is served yet
    until(right, TAKES_EFFECT_SECONDS, every=0.3)
    status = max(status for status, _ in found)
    yield expect(_good(found), "beta.test answers", f"a request for beta.test is answered {status}")
    other = f"{_from_next(found)} of {MANY} requests go to {NEXT}, the task asks for a quarter"
    yield expect(_is_quarter(found), f"a quarter of {MANY} requests go to {NEXT}", other)
    missed = f"with the header X-Beta: 2, not every request goes to {NEXT}"
    yield expect(_from_next(testers) == FEW, "testers always get it", missed)
    yield expect(
        _from_next(others) < FEW, "nobody else counts as a tester", "requests with X-Beta: 1 count as testers', too"
    )


def _certificate(host: str) -> x509.Certificate:
    """Return the certificate that the ingress controller shows to those who ask for a host."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        open_forward("service/traefik", 443, INGRESS) as way,
        closing(create_connection(("127.0.0.1", way.port))) as raw,
        context.wrap_socket(raw, server_hostname=host) as wrapped,
    ):
        return x509.load_der_x509_certificate(wrapped.getpeercert(binary_form=True) or b"")


def _names(certificate: x509.Certificate) -> list[str]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    return found.value.get_values_for_type(x509.DNSName)


def _team(api: Api) -> Iterator[Finding]:
    ingress = existing(api, "ingress/team")
    kind = ingress["spec"].get("ingressClassName")
    yield expect(kind == INGRESS, "Traefik serves team", f"team has the class {kind or 'of nobody'}: nobody serves it")
    ask = asker(INGRESS)
    ((status, version),) = _settled(lambda: ask("team.test"), lambda found: found == [(200, STABLE)])
    wrong = f"http://team.test/ is answered {status}, by {f'release {version}' if version else 'Traefik itself'}"
    yield expect((status, version) == (200, STABLE), "hello answers at team.test", wrong)
    ((_, version),) = ask("team.test", path="/healthz")
    yield expect(version == NEXT, "next answers at /healthz", f"/healthz is answered by release {version}, not by next")
    ((_, version),) = ask("team.test", path="/healthz/more")
    more = "next also gets /healthz/more; the task says exactly /healthz"
    yield expect(version == STABLE, "and only there", more)
    until(lambda: "team.test" in _names(_certificate("team.test")), TAKES_EFFECT_SECONDS, every=0.3)
    shown = _certificate("team.test")
    issuer = shown.issuer.rfc4514_string()
    default = "Traefik shows its default certificate: for team.test it has found none"
    yield expect("TRAEFIK" not in issuer, "it has a certificate of its own", default)
    names = ", ".join(_names(shown)) or "no name at all"
    yield expect("team.test" in _names(shown), "made out for team.test", f"its certificate is made out for {names}")
    yield expect(shown.not_valid_after_utc > datetime.now(UTC), "not expired", "its certificate has expired")
    yield expect(CA in issuer, "signed by your CA", "its certificate was not signed by the CA of this lesson")


def _tickets_begun(api: Api) -> str | None:
    route, app = (api.rest.get(kind, "tickets", TICKETS) for kind in ("httproute", "deployment"))
    if route is None and app is None:
        return "there is no tickets yet"
    space, door = api.rest.get("namespace", TICKETS, ""), api.rest.get("gateway", "door", EDGE)
    generations = {item["metadata"]["generation"] for item in (route, app, door) if item}
    labels = (space or {"metadata": {}})["metadata"].get("labels", {})
    if route and app and door and generations == {UNTOUCHED} and not labels.keys() & {"door"}:
        return "tickets is as your colleague left it"
    return None


def _tickets(api: Api) -> Iterator[Finding]:
    ask = asker(GATEWAY)
    found = _settled(lambda: ask("tickets.test", FEW), _good)
    status = max(status for status, _ in found)
    yield expect(_good(found), "tickets.test answers", f"a request for tickets.test is answered {status}")
    yield expect(_from_next(found) == FEW, "its own app answers", "somebody else answers at tickets.test")
    ((status, _),) = ask("old.test", path="/app")
    yield expect(status == 200, "so does old.test", f"old.test is answered {status} now, and it worked before")
    door = api.rest.get("gateway", "door", EDGE) or {"spec": {"listeners": []}}
    open_to = {entry["allowedRoutes"]["namespaces"]["from"] for entry in door["spec"]["listeners"]}
    wide = "the Gateway now takes routes from every namespace, and the edge team wants to decide that"
    yield expect("All" not in open_to, "the edge team still decides whose routes it takes", wide)


EXERCISES = (
    Exercise(
        "beta",
        begun("HTTPRoute", "beta"),
        _beta,
        (
            "Two things are different from canary.yaml: the header with its value, and the weights. A weight counts in "
            "proportion to the sum of all weights.",
            "`kubectl get httproute beta -o yaml` ends with what the Gateway says about it. For a quarter, the weight "
            "of next must be a third of the weight of hello.",
            'In the first rule: headers: [{name: X-Beta, value: "2"}] and backend next. In the second rule: weight 3 '
            "for hello, weight 1 for next.",
        ),
    ),
    Exercise(
        "team",
        begun("Ingress", "team"),
        _team,
        (
            "Three things are missing from the draft: a path, a Secret in this namespace, and the lines that name it. "
            "The certificate is made like the one for pay.test.",
            "`kubectl explain ingress.spec.tls` describes the lines; shop.yaml has a path of the type that you need. "
            "A certificate must name team.test in its subjectAltName.",
            "Another entry under paths: path: /healthz, pathType: Exact, service next, port 8000. Under spec: tls with "
            "hosts: [team.test] and secretName: team-tls. Then the openssl commands of step 4 with team instead of "
            "pay, and kubectl create secret tls team-tls --cert=team.crt --key=team.key",
        ),
    ),
    Exercise(
        "tickets",
        _tickets_begun,
        _tickets,
        (
            "404 comes from the Gateway's controller, so no route leads to the app. But there is an HTTPRoute. What "
            "does its status say?",
            "`kubectl get httproute tickets -n k8s101-ingress-and-gateway-tickets -o yaml` has a reason. Compare what "
            "the listener of the Gateway asks of namespaces with `kubectl get namespaces --show-labels`.",
            "The namespace has the label doors=open, and the listener asks for door=open: "
            "kubectl label namespace k8s101-ingress-and-gateway-tickets door=open",
        ),
    ),
)
