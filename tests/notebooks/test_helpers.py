"""The helpers on the real cluster: faults, pictures, waits, and whose cluster is touched."""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import ipywidgets
import pytest
from kubernetes.client import (
    ApiClient,
    AuthenticationV1TokenRequest,
    Configuration,
    CoreV1Event,
    V1Namespace,
    V1ObjectMeta,
    V1ObjectReference,
    V1TokenRequestSpec,
)

from k8s101 import component, connect, dashboard, draw, fault, forward
from k8s101.cluster.facade import cluster
from k8s101.errors import Problem
from k8s101.lesson.api.diagnose import ready_endpoints
from k8s101.lesson.api.mirror import STREAM_SECONDS, Mirror
from k8s101.lesson.api.names import condition, ready
from k8s101.lesson.api.rest import Rest
from k8s101.lesson.api.session import Api, make_current
from k8s101.lesson.cells.bash import run
from k8s101.lesson.pictures import dashboard as board
from k8s101.lesson.pictures.overview import RESOURCES, tables
from k8s101.lesson.quiz.checking import existing
from tests.notebooks.checking import clear, lesson
from tests.waiting import eventually

pytestmark = pytest.mark.cluster

FOREVER_SECONDS = 600
JOIN_SECONDS = 30
WATCHES = "k8s101 mirrors"

MINE = """
apiVersion: apps/v1
kind: Deployment
metadata: {{name: mine}}
spec:
  replicas: {copies}
  selector:
    matchLabels: {{app: mine}}
  template:
    metadata:
      labels: {{app: mine}}
    spec:
      containers:
        - name: hello
          image: k8s101.test/hello:{version}
          readinessProbe:
            httpGet: {{path: /, port: 8000}}
            periodSeconds: 1
"""

STORAGE = """
apiVersion: v1
kind: PersistentVolume
metadata: {name: k8s101-start-here}
spec:
  capacity: {storage: 10Mi}
  accessModes: [ReadWriteOnce]
  hostPath: {path: /srv/k8s101-start-here, type: DirectoryOrCreate}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: notes}
spec:
  storageClassName: ""
  volumeName: k8s101-start-here
  accessModes: [ReadWriteOnce]
  resources: {requests: {storage: 10Mi}}
---
apiVersion: v1
kind: Pod
metadata: {name: write}
spec:
  restartPolicy: Never
  volumes: [{name: notes, persistentVolumeClaim: {claimName: notes}}]
  containers:
    - name: write
      image: k8s101.test/toolbox:1.0
      command: [touch, /notes/note]
      volumeMounts: [{name: notes, mountPath: /notes}]
"""


def apply(manifest: str) -> None:
    run(f"kubectl apply -f - <<'EOF'\n{manifest}EOF")


@pytest.fixture(scope="module")
def opened() -> Iterator[Api]:
    with lesson("start-here") as api:
        yield api


@pytest.fixture
def api(opened: Api) -> Iterator[Api]:
    make_current(opened)
    yield opened
    clear(opened, "deployments", "services")


@pytest.fixture
def mine(api: Api) -> Api:
    apply(MINE.format(copies=4, version="1.1.0"))
    run("kubectl rollout status deployment/mine --timeout=60s")
    return api


SERVICE = """
apiVersion: v1
kind: Service
metadata: {{name: mine}}
spec:
  selector: {{app: {app}}}
  ports: [{{port: {port}, targetPort: {target}}}]
"""


def well(api: Api) -> bool:
    """Tell whether Deployment and Service `mine` are as they were made."""
    run("kubectl rollout status deployment/mine --timeout=60s")
    eventually("four endpoints", lambda: serving(api) == 4)
    return all(":1.1.0" in pod["spec"]["containers"][0]["image"] for pod in api.list("Pod", "app=mine") if ready(pod))


def serving(api: Api) -> int:
    return ready_endpoints(api, existing(api, "service/mine"))


@pytest.mark.parametrize(
    ("name", "target", "symptom"),
    [
        ("image missing", "deployment/mine", "its node has no image k8s101.test/hello:missing"),
        ("selector mismatch", "service/mine", "its selector app=mine-typo matches no Pod label"),
    ],
)
def test_a_fault_shows_its_symptom_and_heals(
    mine: Api, name: str, target: str, symptom: str, capsys: pytest.CaptureFixture[str]
) -> None:
    apply(SERVICE.format(app="mine", port=8000, target=8000))
    eventually("four endpoints", lambda: serving(mine) == 4)
    broken = fault(name, target)
    broken.evidence()
    assert symptom in capsys.readouterr().out
    broken.heal()
    assert capsys.readouterr().out == f"{target} healed\n"
    assert well(mine)


def test_faults_of_a_machine_show_and_heal(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    extra = component("worker-4")
    extra.start()
    try:
        broken = fault("component stopped", "worker-4/kubelet")
        broken.evidence()
        assert "worker-4/kubelet does not run" in capsys.readouterr().out
        broken.heal()
        assert component("worker-4/kubelet").running
        broken = fault("node dead", "worker-4")
        broken.evidence()
        assert "worker-4 is not ready: Ready=Unknown" in capsys.readouterr().out
        broken.heal()
        assert condition(api.get("node/worker-4") or {}, "Ready")["status"] == "True"
    finally:
        extra.remove()
    assert api.get("node/worker-4") is None


def test_a_fault_heals_when_its_block_ends_with_an_error(mine: Api) -> None:
    apply(SERVICE.format(app="mine", port=8000, target=8000))
    with pytest.raises(ZeroDivisionError), fault("selector mismatch", "service/mine") as broken:
        broken.evidence()
        raise ZeroDivisionError
    assert well(mine)
    with pytest.raises(ZeroDivisionError), fault("component stopped", "kube-scheduler"):
        assert not component("kube-scheduler").running
        raise ZeroDivisionError
    assert component("kube-scheduler").running


def test_a_dashboard_follows_a_scale_and_a_rollout_and_ends(mine: Api) -> None:
    view = ipywidgets.HTML()
    frames: list[str] = []
    view.observe(lambda change: frames.append(re.sub(r"<[^>]+>", " ", change["new"])), names="value")
    mirror = Mirror(mine.rest, mine.namespace, RESOURCES)
    thread = threading.Thread(target=board.follow, args=(view, mirror, FOREVER_SECONDS))

    def shows(*words: str) -> bool:
        return bool(frames) and re.search(" +".join(map(re.escape, words)), frames[-1]) is not None

    thread.start()
    try:
        eventually("the start", lambda: shows("deployment/mine", "4", "4", "4", "1.1.0", "✓", "complete"))
        assert shows("worker-1", "✓", "ready", "allowed", "worker")
        run("kubectl scale deployment/mine --replicas=5")
        eventually("five Pods", lambda: shows("deployment/mine", "5", "5", "5", "1.1.0", "✓", "complete"))
        run("kubectl set image deployment/mine hello=k8s101.test/hello:missing")
        eventually(
            "a rollout that waits", lambda: shows("deployment/mine", "5", "3", "4", "missing", "○", "3 of 5 updated")
        )
        eventually("its cause", lambda: re.search(r"✗ +(?:ErrImage|ImagePull)\w+ +missing", frames[-1]))
        run("kubectl set image deployment/mine hello=k8s101.test/hello:2.0.0")
        eventually("a rollout", lambda: shows("deployment/mine", "5", "5", "5", "2.0.0", "✓", "complete"))
        eventually("five new Pods", lambda: len(re.findall(r"✓ +ready +2\.0\.0 +0", frames[-1])) == 5)
        report(mine, "Tested")
        eventually("the event", lambda: shows("○", "Normal", "Tested", "deployment/mine", "for a dashboard"))
    finally:
        mirror.stop()
        thread.join(JOIN_SECONDS)
    assert not thread.is_alive()
    assert frames[-1].strip().endswith("The dashboard has ended. Run the cell again to go on.")
    eventually(
        "no watch is left",
        lambda: not [t for t in threading.enumerate() if t.name.startswith(WATCHES)],
        STREAM_SECONDS + 30,
    )


def report(api: Api, reason: str) -> None:
    """Write an event that is newer than what Pods report at the same time."""
    about = V1ObjectReference(kind="Deployment", name="mine", namespace=api.namespace)
    event = CoreV1Event(
        metadata=V1ObjectMeta(generate_name="mine."),
        involved_object=about,
        reason=reason,
        message="for a dashboard",
        type="Normal",
        last_timestamp=datetime.now(UTC) + timedelta(minutes=5),
    )
    api.core.create_namespaced_event(api.namespace, event)


def test_a_dashboard_without_widgets_is_read_once(mine: Api, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    dashboard()
    printed = capsys.readouterr().out
    assert re.search(r"^worker-1 +✓ ready +allowed +worker +v1\.\d+\.\d+ +none$", printed, re.MULTILINE)
    assert re.search(r"^deployment/mine +4 +4 +4 +1\.1\.0 +✓ complete$", printed, re.MULTILINE)
    assert len(re.findall(r"^worker-\d +mine-\S+ +✓ ready +1\.1\.0 +0$", printed, re.MULTILINE)) == 4


def test_a_dashboard_with_rights_in_one_namespace_says_what_it_may_not_read(mine: Api) -> None:
    run("kubectl create serviceaccount viewer")
    run(f"kubectl create rolebinding viewer --clusterrole=view --serviceaccount={mine.namespace}:viewer")
    try:
        state = Mirror(Rest(client_of(mine, "viewer")), mine.namespace, RESOURCES).read()
    finally:
        run("kubectl delete rolebinding/viewer serviceaccount/viewer")
    nodes, workloads, *_ = tables(state, mine.namespace, datetime.now(UTC))
    assert nodes.text().startswith("nodes\nnot shown: nodes is forbidden")
    assert "deployment/mine" in workloads.text()
    assert state.trouble.keys() == {"Node"}


def client_of(api: Api, account: str) -> ApiClient:
    """Return a connection with the rights of a ServiceAccount alone."""
    request = AuthenticationV1TokenRequest(spec=V1TokenRequestSpec(audiences=[], expiration_seconds=600))
    answer = api.core.create_namespaced_service_account_token(account, api.namespace, request).status
    token = str(getattr(answer, "token", ""))
    given = api.client.configuration
    mine = Configuration(host=given.host, api_key={"BearerToken": token}, api_key_prefix={"BearerToken": "Bearer"})
    mine.ssl_ca_cert = given.ssl_ca_cert
    return ApiClient(mine)


def test_a_picture_of_volumes_names_claim_and_disk(api: Api) -> None:
    apply(STORAGE)
    try:
        run("kubectl wait pod/write --for=jsonpath={.status.phase}=Succeeded --timeout=60s")
        text = draw().text
        assert "uses PersistentVolumeClaim notes · Bound" in text
        assert "is bound to PersistentVolume k8s101-start-here · Bound" in text
    finally:
        run("kubectl delete pod/write persistentvolumeclaim/notes --wait=true")
        run("kubectl delete persistentvolume k8s101-start-here")


def test_an_unknown_fault_is_told(api: Api) -> None:
    with pytest.raises(Problem, match="no fault 'flood'") as caught:
        fault("flood", "worker-1")
    assert "node dead" in caught.value.then


def test_a_port_leads_into_the_cluster(mine: Api) -> None:
    with forward("deployment/mine", 8000) as port:
        assert port.url.startswith("http://127.0.0.1:")
        assert port.get("/").text.startswith("hello 1.1.0 from mine-")
    with pytest.raises(Problem) as caught:
        forward("deployment/mini", 8000)
    assert caught.value.then == 'did you mean "deployment/mine"?'


def test_another_cluster_is_not_touched(api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kubeconfig that leads to a cluster with another identity: nothing is written there."""
    real = cluster.find()
    assert real is not None
    shutil.copy(real.settings.kubeconfig, tmp_path / "kubeconfig")
    (tmp_path / "identity").write_text("somebody-else\n")
    stranger = cluster.Cluster(replace(real.settings, state=tmp_path))
    monkeypatch.setattr(cluster, "revive", lambda report: stranger)
    before = {item["metadata"]["uid"] for item in api.rest.list("Namespace", "")}
    with pytest.raises(Problem, match="another cluster answers"):
        connect("other")
    assert {item["metadata"]["uid"] for item in api.rest.list("Namespace", "")} == before


def test_the_users_own_kubeconfig_is_not_read(api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    again = connect("start-here")
    assert again.client.configuration.host == api.client.configuration.host


def test_a_namespace_of_somebody_else_is_left_alone(api: Api) -> None:
    api.core.create_namespace(V1Namespace(metadata=V1ObjectMeta(name="k8s101-foreign")))
    try:
        with pytest.raises(Problem, match="was not made by this workshop"):
            connect("foreign")
        status = api.core.read_namespace("k8s101-foreign").status
        assert status and status.phase == "Active"
    finally:
        api.core.delete_namespace("k8s101-foreign")
        make_current(api)
