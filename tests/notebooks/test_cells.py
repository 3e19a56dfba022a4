"""What learners type into `%%bash` on the real cluster, right and wrong: each has a clear end."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from IPython.utils.capture import capture_output
from kubernetes import client, config

from k8s101.errors import CommandFailed
from k8s101.lesson.api.environment import STABLE
from k8s101.lesson.api.session import Api
from k8s101.lesson.cells import bash
from k8s101.notebook import execute, runs
from k8s101.notebook.document import Tree, code_cells, output_texts, read, render
from tests.notebooks.checking import lesson

pytestmark = pytest.mark.cluster

POD = """\
apiVersion: v1
kind: Pod
metadata: {name: NAME}
spec:
  containers:
    - name: hello
      image: k8s101.test/hello:1.0.0
      resources: {requests: {memory: MEMORY}}
"""
NEVER = "kubectl create deployment never --image=k8s101.test/no-such-image:1"


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    with lesson("deployments") as opened:
        yield opened


@pytest.fixture(autouse=True)
def files(api: Api) -> None:
    """Manifests in the lesson's folder, some of them wrong."""
    tabs = POD.replace("    - name: hello", "\t- name: hello").replace("MEMORY", "16Mi")
    twice = POD.replace("spec:", "spec:\n  restartPolicy: Always\n  restartPolicy: Never").replace("MEMORY", "16Mi")
    wrong = {"tabs": tabs, "twice": twice, "fraction": POD.replace("MEMORY", "128m")}
    for name, text in wrong.items():
        Path(f"{name}.yaml").write_text(text.replace("NAME", name))


def typed(script: str) -> tuple[str, str]:
    """Return what a cell prints, and how it fails; empty if it does not."""
    with capture_output() as captured:
        try:
            bash.run(script)
        except CommandFailed as error:
            return captured.stdout, str(error)
    return captured.stdout, ""


@pytest.mark.parametrize(
    ("script", "said", "code"),
    [
        ("kubectl get pod nosuch", 'pods "nosuch" not found', 1),
        ("kubectl get podz", 'the server doesn\'t have a resource type "podz"', 1),
        ("kubectl get pods -n k8s101-deploymnts", "No resources found in k8s101-deploymnts namespace.", 0),
        ("kubectl run x --image=x:1 -n k8s101-deploymnts", 'namespaces "k8s101-deploymnts" not found', 1),
        ("kubectl gte pods", 'unknown command "gte" for "kubectl"', 1),
        ("kubectl apply -f nosuch.yaml", 'the path "nosuch.yaml" does not exist', 1),
        ("kubectl apply -f tabs.yaml", "found character that cannot start any token", 1),
        ("kubectl apply -f fraction.yaml", "Warning: spec.containers[0].resources.requests[memory]: fractional", 0),
        ("kubectl exec nosuch -- true", 'pods "nosuch" not found', 1),
        ("kubectl exec -it nosuch -- sh", "needs a terminal", 1),
        ("kubectl edit deployment hello", "needs a terminal", 1),
        (f"{NEVER}\nkubectl rollout status deployment/never --timeout=2s", "timed out waiting for the condition", 1),
        ("kubectl wait pod/nosuch --for=condition=Ready --timeout=2s", 'pods "nosuch" not found', 1),
    ],
)
def test_what_learners_type_wrong_has_a_clear_end(script: str, said: str, code: int) -> None:
    printed, failure = typed(script)
    assert said in printed
    assert failure == (f"exit code {code}: {script.splitlines()[-1]}" if code else "")


def test_of_two_equal_keys_kubectl_takes_the_last_without_a_word() -> None:
    """It is kubectl's own way, on every cluster; lessons say so where it matters."""
    script = "kubectl apply -f twice.yaml\nkubectl get pod twice -o jsonpath='{.spec.restartPolicy}'"
    assert typed(script) == ("pod/twice created\nNever", "")


def test_an_immutable_field_is_named() -> None:
    printed, failure = typed(
        "kubectl create deployment fixed --image=k8s101.test/hello:1.0.0\n"
        "kubectl create deployment fixed --image=k8s101.test/hello:1.0.0 --dry-run=client -o yaml > fixed.yaml\n"
        "sed -i 's/app: fixed/app: other/' fixed.yaml\n"
        "kubectl replace -f fixed.yaml"
    )
    assert "field is immutable" in printed and failure == "exit code 1: kubectl replace -f fixed.yaml"


def test_python_and_its_children_see_the_lessons_namespace(api: Api) -> None:
    config.load_kube_config()
    _, active = config.list_kube_config_contexts()
    assert active["context"]["namespace"] == api.namespace
    assert client.CoreV1Api().list_namespaced_pod(api.namespace).items is not None
    printed, failure = typed("kubectl config view --minify -o jsonpath='{..namespace}'")
    assert (printed, failure) == (api.namespace, "")


def test_a_second_lesson_keeps_its_namespace_apart(api: Api) -> None:
    script = "from k8s101 import connect; connect('pods')"
    other = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "namespace k8s101-pods (fresh)" in other.stdout
    assert typed("kubectl config view --minify -o jsonpath='{..namespace}'") == (api.namespace, "")


LESSON = (
    'from k8s101 import connect\napi = connect("deployments")',
    "%%bash\npwd | grep -o 'work/.*'\nkubectl apply -f hello.yaml\n"
    "kubectl rollout status deployment/hello --timeout=60s\nkubectl get deployments,replicasets,pods -o wide",
    "%%bash\nsleep 1000 &\nvictim=$(kubectl get pods -l app=hello -o jsonpath='{.items[0].metadata.name}')\n"
    "kubectl delete pod $victim\nkubectl rollout status deployment/hello --timeout=60s\n"
    "kubectl wait --for=delete pod/$victim --timeout=60s\nkubectl get pods -l app=hello",
    "%%bash --needs containers\nkubectl get pods -l app=hello --sort-by=.spec.nodeName -o wide\n"
    "kubectl describe deployment hello\nkubectl get services",
    "%%writefile own.yaml\nkind: ConfigMap\napiVersion: v1\nmetadata: {name: own}\n",
    "%%bash\nkubectl apply -f own.yaml\nkubectl get configmap own -o yaml",
)


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """A checkout with one notebook that nobody has run."""
    tree = Tree(tmp_path)
    tree.notebooks.mkdir()
    (tmp_path / "tests/notebooks").mkdir(parents=True)
    rules = Path(__file__).with_name("sanitize.cfg")
    (tmp_path / "tests/notebooks/sanitize.cfg").write_text(rules.read_text())
    new = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in LESSON])
    new.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    (tree.notebooks / "06-deployments.ipynb").write_text(render(new))
    return tree


def test_stored_outputs_are_those_of_every_other_run_and_of_a_terminal(tree: Tree) -> None:
    path = tree.notebooks / "06-deployments.ipynb"
    nb = read(path)
    execute.run(nb, path, tree, tree.artifacts)
    path.write_text(render(nb))
    strict = runs.strict(path, tree)
    assert strict.passed, strict.details
    papermill = runs.end_to_end(path, tree, "nodes", {"containers": True})
    assert papermill.passed, papermill
    stored = ["".join(text for _, text in output_texts(cell)) for cell in code_cells(nb)]
    typed("kubectl delete all --all --wait")
    assert pasted(list(LESSON[1:4])) == stored[1:4]


def pasted(cells: list[str]) -> list[str]:
    """Return what cells print when they are typed into `k8s101 shell`."""
    shell = f"{shlex.quote(sys.executable)} -m k8s101.cli shell 06"
    shown = []
    for source in cells:
        body = source.partition("\n")[2]
        os.environ[STABLE] = "1"
        try:
            printed, failure = typed(f"{shell} -c {shlex.quote(body)}")
        finally:
            del os.environ[STABLE]
        assert not failure, printed
        shown.append(printed)
    return shown
