"""A way into the cluster goes on when its Pod goes, and says what is wrong."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from k8s101.errors import Problem
from k8s101.lesson.api import forward as module
from k8s101.lesson.api import session
from k8s101.lesson.api.forward import Forward, forward
from k8s101.lesson.api.refusal import Refusals
from tests.unit.lesson_fixtures import lesson

SERVER = textwrap.dedent("""
    import http.server, json, sys
    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response({"/broken": 500}.get(self.path, 200))
            self.end_headers()
            self.wfile.write(b"oh no" if self.path == "/broken" else json.dumps({"pod": sys.argv[2]}).encode())
        def log_message(self, *arguments):
            pass
    http.server.HTTPServer.allow_reuse_address = True
    server = http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Answer)
    print(server.server_port, flush=True)
    server.serve_forever()
""")


class Pods:
    """What stands for `kubectl port-forward`: a server, each time by another name."""

    def __init__(self) -> None:
        self.started: list[subprocess.Popen[str]] = []

    def start(self, port: int) -> tuple[subprocess.Popen[str], int]:
        command = [sys.executable, "-c", SERVER, str(port), f"pod-{len(self.started) + 1}"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
        self.started.append(process)
        assert process.stdout is not None
        return process, int(process.stdout.readline())


@pytest.fixture
def pods() -> Pods:
    return Pods()


@pytest.fixture
def way(pods: Pods, monkeypatch: pytest.MonkeyPatch) -> Iterator[Forward]:
    monkeypatch.setattr(module, "READY_SECONDS", 3)
    with Forward(pods.start, "service/loop") as opened:
        yield opened


def test_it_goes_on_with_another_pod_at_the_same_address(way: Forward, pods: Pods) -> None:
    address = way.url
    assert way.json("/") == {"pod": "pod-1"}
    pods.started[0].kill()
    assert way.json("/") == {"pod": "pod-2"}
    assert way.url == address


def test_waiting_outlasts_a_pod(way: Forward, pods: Pods) -> None:
    pods.started[0].kill()
    assert way.wait("/", lambda seen: seen["pod"] == "pod-2", 20) == {"pod": "pod-2"}


def test_a_key_that_is_not_there_yet_means_no(way: Forward) -> None:
    with pytest.raises(Problem) as caught:
        way.wait("/", lambda seen: seen["nothing"] > 1, 0.3)
    assert caught.value.found == "/ does not answer as awaited after 0.3 s: {'pod': 'pod-1'}"


def test_what_is_no_json_is_said(way: Forward) -> None:
    with pytest.raises(Problem) as caught:
        way.json("/broken")
    assert caught.value.found == "GET /broken answers 500 and no JSON: oh no"
    assert way.get("/broken").status_code == 500


def test_silence_is_a_sentence(way: Forward, pods: Pods, monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(port: int) -> tuple[subprocess.Popen[str], int]:
        raise Problem("no way", where="here", then="nothing")

    monkeypatch.setattr(way, "_start", nowhere)
    pods.started[0].kill()
    with pytest.raises(Problem, match="service/loop does not answer"):
        way.json("/")


SERVICE = {"kind": "Service", "metadata": {"name": "loop"}, "spec": {"ports": [{"port": 8001}]}}


@pytest.mark.parametrize(
    ("target", "port", "found", "then"),
    [
        ("service/lop", 8001, "there is no service/lop", 'did you mean "service/loop"?'),
        ("service/nothing", 8001, "there is no service/nothing", "kubectl get service"),
        ("service/loop", 8000, "service/loop has no port 8000", "use one of: 8001"),
        ("loop", 8001, "'loop' names no object", 'write it as "deployment/hello"'),
    ],
)
def test_wrong_names_are_answered_at_once(
    target: str, port: int, found: str, then: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = lesson(tmp_path)
    monkeypatch.setattr(session, "_current", [api])
    monkeypatch.setattr(type(api), "get", lambda self, reference: SERVICE if reference == "service/loop" else None)
    monkeypatch.setattr(type(api), "list", lambda self, kind: [SERVICE])
    with pytest.raises(Problem) as caught:
        forward(target, port)
    assert (caught.value.found, caught.value.then) == (found, then)


PROBED = {"name": "app", "readinessProbe": {"httpGet": {"port": 8000}}}
PLAIN = {"name": "app", "ports": [{"containerPort": 8000}]}
SAID = (
    'portforward.go:549] "An error occurred forwarding" err="error forwarding port 9999 to pod f2cc, uid : failed '
    "to connect to localhost:9999 inside namespace, IPv4: dial tcp4 127.0.0.1:9999: connect: connection refused"
)
API_SERVER_IS_DOWN = "error: unable to connect: dial tcp 127.0.0.1:6443: connect: connection refused"


def running_pod(container: object, *, seconds: float, ready: str = "True") -> dict[str, object]:
    since = (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat()
    status = {"conditions": [{"type": "Ready", "status": ready, "lastTransitionTime": since}]}
    return {"kind": "Pod", "metadata": {"name": "web-1"}, "spec": {"containers": [container]}, "status": status}


@pytest.mark.parametrize(
    ("said", "tried", "pod", "hopeless"),
    [
        (SAID, 2, partial(running_pod, PLAIN, seconds=60), True),
        (SAID, 2, partial(running_pod, PROBED, seconds=0), True),
        (SAID, 2, partial(running_pod, PLAIN, seconds=2), False),
        (SAID, 2, partial(running_pod, PROBED, seconds=60, ready="False"), False),
        (SAID, 0, partial(running_pod, PLAIN, seconds=60), False),
        (API_SERVER_IS_DOWN, 2, partial(running_pod, PLAIN, seconds=60), False),
        ("", 2, partial(running_pod, PLAIN, seconds=60), False),
    ],
)
def test_a_port_that_refuses_is_hopeless_once_the_app_has_started(
    said: str,
    tried: float,
    pod: Callable[[], dict[str, object]],
    hopeless: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    api = lesson(tmp_path)
    monkeypatch.setattr(type(api), "list", lambda self, kind, selector: [pod()])  # how long ago counts from now
    deployment = {"kind": "Deployment", "spec": {"selector": {"matchLabels": {"app": "web"}}}}
    problem = Refusals(api, deployment, "deployment/web").judge(said, tried)
    assert (problem is not None) == hopeless
    if problem:
        assert problem.found == "nothing listens on port 9999 of Pod web-1, though the app has started"
