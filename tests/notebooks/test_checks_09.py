"""Module 09 on the real cluster: every check fails before, passes after the solution, and names causes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from k8s101 import component
from k8s101.errors import Problem
from k8s101.lesson.api.session import MANIFESTS, Api, make_current
from tests.notebooks.checking import Page, assert_passes, clear, last_line, lesson
from tests.waiting import eventually

pytestmark = pytest.mark.cluster

bash = Page("09").bash

FILES = MANIFESTS / "09-configmaps-and-secrets"
HELLO = "k8s101.test/hello:1.0.0"
PASSWORD = "not-a-real-one"
LOGIN = f"--from-literal=username=shop --from-literal=password={PASSWORD}"


def apply(text: str) -> None:
    """Apply some objects."""
    bash(f"kubectl apply -f - <<'FILE'\n{text}\nFILE")


@pytest.fixture(scope="module")
def opened() -> Iterator[Api]:
    with lesson("configmaps-and-secrets") as api:
        bash("kubectl create configmap settings --from-literal=APP_COLOR=blue --from-literal=APP_MODE=demo")
        bash(f"kubectl create secret generic login --type=kubernetes.io/basic-auth {LOGIN}")
        yield api


@pytest.fixture
def api(opened: Api) -> Iterator[Api]:
    make_current(opened)
    yield opened
    clear(opened, "deployments")
    bash("kubectl delete configmap notice mail mail-files-v1 mail-files-v2 --ignore-not-found")


def test_nothing_is_attempted_at_the_start(api: Api) -> None:
    assert last_line(api, "handover") == "○ not attempted: there is no Deployment shop yet"
    assert last_line(api, "follow") == "○ not attempted: there is no Deployment board yet"
    assert last_line(api, "mail") == "○ not attempted: there is no Deployment mail yet"


def shop(key: str = "APP_COLOR", secret: str = "login", directory: str = "/etc/config/login") -> None:
    text = (FILES / "solution-shop.yaml").read_text()
    text = text.replace("key: APP_COLOR", f"key: {key}").replace("secretName: login", f"secretName: {secret}")
    apply(text.replace("/etc/config/login", directory))


def test_handing_over_as_in_the_solution_passes(api: Api) -> None:
    shop()
    assert_passes(api, "handover")


OTHER_WAY = """
apiVersion: apps/v1
kind: Deployment
metadata: {{name: shop}}
spec:
  selector: {{matchLabels: {{app: mine}}}}
  template:
    metadata: {{labels: {{app: mine}}}}
    spec:
      containers:
        - name: mine
          image: {image}
          envFrom: [{{configMapRef: {{name: settings}}}}]
          volumeMounts: [{{name: all, mountPath: /etc/config/login}}]
      volumes: [{{name: all, projected: {{sources: [{{secret: {{name: login}}}}]}}}}]
"""


def test_another_way_to_hand_over_passes_too(api: Api) -> None:
    apply(OTHER_WAY.format(image=HELLO))
    assert_passes(api, "handover")


@pytest.mark.parametrize(
    ("wrong", "cause"),
    [
        ({"key": "color"}, "cannot start: container hello: couldn't find key color in ConfigMap"),
        ({"secret": "logins"}, 'secret "logins" not found'),
        ({"key": "APP_MODE"}, "it sees APP_COLOR=demo, and settings has blue"),
        ({"directory": "/etc/login"}, "it finds no file /etc/config/login/password: look at mountPath"),
    ],
)
def test_what_shop_lacks_is_told(api: Api, wrong: dict[str, str], cause: str) -> None:
    shop(**wrong)
    line = last_line(api, "handover")
    assert line.startswith("✗ not yet: ")
    assert cause in line


BOARD = """
apiVersion: apps/v1
kind: Deployment
metadata: {{name: board}}
spec:
  selector: {{matchLabels: {{app: board}}}}
  template:
    metadata: {{labels: {{app: board}}}}
    spec:
      containers:
        - name: hello
          image: {image}
          readinessProbe: {{httpGet: {{path: /, port: 8000}}, periodSeconds: 1}}
          {inside}
      volumes: [{{name: notice, configMap: {{name: notice}}}}]
"""
DIRECTORY = "volumeMounts: [{name: notice, mountPath: /etc/config/notice}]"
SUB_PATH = "volumeMounts: [{name: notice, mountPath: /etc/config/text, subPath: text}]"
ELSEWHERE = "volumeMounts: [{name: notice, mountPath: /notice}]"
VARIABLE = "env: [{name: APP_NOTICE, valueFrom: {configMapKeyRef: {name: notice, key: text}}}]"


def board(inside: str = DIRECTORY, text: str = "open") -> None:
    notice(text)
    apply(BOARD.format(image=HELLO, inside=inside))
    bash("kubectl rollout status deployment/board --timeout=60s")


def notice(text: str) -> None:
    apply(f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: notice}}\ndata: {{text: {text}}}\n")


def test_following_as_in_the_solution_passes(api: Api) -> None:
    bash("kubectl apply -f solution-board.yaml && kubectl rollout status deployment/board --timeout=60s")
    assert last_line(api, "follow") == "✗ not yet: ConfigMap notice says open: change it to closed"
    bash("""kubectl patch configmap notice --patch '{"data": {"text": "closed"}}'""")
    assert_passes(api, "follow")


@pytest.mark.parametrize(
    ("inside", "cause"),
    [
        (SUB_PATH, "it mounts notice by subPath, and such a file never follows: mount the directory"),
        (VARIABLE, "it mounts no volume with notice; a variable does not follow"),
        (ELSEWHERE, "it mounts notice at /notice, and the app looks below /etc/config"),
    ],
)
def test_why_the_text_cannot_follow_is_told(api: Api, inside: str, cause: str) -> None:
    board(inside)
    notice("closed")
    assert last_line(api, "follow") == f"✗ not yet: {cause}"


def test_a_restart_does_not_count(api: Api) -> None:
    board()
    notice("closed")
    changed = datetime.now(UTC).replace(microsecond=0)
    # the API tells both times in whole seconds
    eventually("the next second began", lambda: datetime.now(UTC).replace(microsecond=0) > changed, 2)
    bash("kubectl rollout restart deployment/board && kubectl rollout status deployment/board --timeout=60s")
    assert "its container started after the change" in last_line(api, "follow")


VOLUME = '{"spec": {"template": {"spec": {"volumes": [{"name": "files", "configMap": {"name": "mail-files-v2"}}]}}}}'


def test_the_repair_of_mail_passes_step_by_step(api: Api) -> None:
    bash("kubectl apply -f mail.yaml && kubectl rollout status deployment/mail --timeout=60s")
    assert last_line(api, "mail") == "○ not attempted: mail is as your colleague left it"
    bash("kubectl rollout restart deployment/mail")
    assert last_line(api, "mail") == "✗ not yet: it sees APP_COLOR=blue, and the task wants green"
    bash("kubectl set env deployment/mail APP_COLOR-")
    assert last_line(api, "mail") == "✗ not yet: its files say opens=08:00"
    bash(f"kubectl patch deployment mail --patch '{VOLUME}'")
    assert_passes(api, "mail")


def test_a_value_in_the_template_is_told(api: Api) -> None:
    text = (FILES / "mail.yaml").read_text().replace("mail-files-v1}", "mail-files-v2}").replace("blue", "green")
    apply(text)
    line = "✗ not yet: it sees green, and yet the next change of ConfigMap mail would not reach it"
    assert last_line(api, "mail") == line


def test_new_files_under_the_old_name_pass_too(api: Api) -> None:
    text = (FILES / "mail.yaml").read_text().replace("opens=08:00", "opens=09:00")
    apply(text.replace("          env:\n            - {name: APP_COLOR, value: blue}\n", ""))
    assert_passes(api, "mail")


def test_only_etcd_has_keys_and_only_the_api_server_encrypts(api: Api) -> None:
    with pytest.raises(Problem, match="kube-scheduler cannot do this"):
        component("kube-scheduler").read_key("/registry")
    with pytest.raises(Problem, match="etcd cannot do this"):
        component("etcd").encrypt_secrets(True)
    assert component("etcd").read_key("/registry/nothing") == b""


@pytest.mark.alone
def test_secrets_are_encrypted_as_soon_as_the_helper_returns(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    def stored(name: str) -> bytes:
        bash(f"kubectl create secret generic {name} --from-literal=word={PASSWORD}")
        found = component("etcd").read_key(f"/registry/secrets/{api.namespace}/{name}")
        bash(f"kubectl delete secret {name}")
        return found

    server = component("kube-apiserver")
    try:
        server.encrypt_secrets(True)
        assert stored("one").startswith(b"k8s:enc:secretbox:")
    finally:
        server.encrypt_secrets(False)
    assert PASSWORD.encode() in stored("two")
    assert "kube-apiserver writes Secrets as they are\n" in capsys.readouterr().out
