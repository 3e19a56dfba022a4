"""What learners do to their lessons: wrong names, hopeless manifests, leftovers, two kernels. The cause, at once."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from k8s101.lesson.cells import files
from tests import machine as machines
from tests.machine import Machine, Result, assert_problem
from tests.waiting import eventually

SOON = 20
"""Seconds in which a cause must have been named: they used to be sixty, and a busy machine is slow."""

HEAD = """
import sys, time
from k8s101 import *
from k8s101.errors import Problem
from k8s101.lesson.api.wait import settled
began = time.monotonic()
try:
    api = connect("start-here")
    began = time.monotonic()
    exec(sys.argv[1])
    print("all well")
except Problem as problem:
    print(f"named after {time.monotonic() - began:.1f} s")
    sys.exit(f"error: {problem}")
"""

HELLO = "{name: hello, image: 'k8s101.test/hello:1.0.0'}"
WELL = f"{{containers: [{HELLO}]}}"
DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web}}
spec:
  replicas: 1
  {more}
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec: {spec}
"""


def command(machine: Machine, code: str) -> tuple[tuple[str, ...], dict[str, str]]:
    return (sys.executable, "-c", HEAD, code), {files.WORK: str(machine.directory / "work")}


def lesson(machine: Machine, code: str) -> Result:
    """Run code in a lesson that has just been opened."""
    arguments, environment = command(machine, code)
    return machine.run(*arguments, env=environment, timeout=180)


def applied(manifest: str, then: str) -> str:
    return f"import subprocess\nsubprocess.run(['kubectl', 'apply', '-f', '-'], input={manifest!r}, text=True)\n{then}"


WHY = "print('cause:', settled('deployment/web'), f'after {time.monotonic() - began:.1f} s')"
"""What checks ask when Pods do not get ready."""


def assert_cause(result: Result, words: str) -> None:
    """Check that a lesson was soon told the cause, in these words."""
    found = re.search(r"cause: (.+) after (.+) s$", result.stdout, re.MULTILINE | re.DOTALL)
    assert found and words in found[1], result.stdout + result.stderr
    assert float(found[2]) < SOON, result.stdout
    machines.told.append((found[1], float(found[2])))


def soon(result: Result) -> None:
    seconds = float(result.stdout.rpartition("named after ")[2].split()[0])
    assert seconds < SOON, result.stdout + result.stderr


HOPELESS = {
    "a second container's image": (
        "{containers: [%s, {name: side, image: 'k8s101.test/nowhere:9'}]}",
        "nowhere:9 of container side",
    ),
    "an init container's image": (
        "{initContainers: [{name: prep, image: 'k8s101.test/nowhere:8'}], containers: [%s]}",
        "nowhere:8 of container prep",
    ),
    "an image that may not be pulled": (
        "{containers: [{name: web, image: 'k8s101.test/nowhere:7', imagePullPolicy: Never}]}",
        "imagePullPolicy: Never",
    ),
    "a name that is no image": (
        "{containers: [{name: web, image: 'Bad/Name:7'}]}",
        "is no name that an image can have",
    ),
    "a ConfigMap that is not there": (
        "{containers: [{name: web, image: 'k8s101.test/hello:1.0.0', envFrom: [{configMapRef: {name: absent}}]}]}",
        'container web: configmap "absent" not found',
    ),
    "a program that is not there": (
        "{containers: [{name: web, image: 'k8s101.test/hello:1.0.0', command: [absent]}]}",
        "executable file not found",
    ),
    "a ServiceAccount that is not there": (
        "{serviceAccountName: absent, containers: [%s]}",
        'serviceaccount "absent" not found',
    ),
}


@pytest.mark.parametrize("what", HOPELESS)
def test_a_deployment_cannot_start_for(running: Machine, what: str) -> None:
    spec, words = HOPELESS[what]
    manifest = DEPLOYMENT.format(spec=spec.replace("%s", HELLO), more="")
    assert_cause(lesson(running, applied(manifest, WHY)), words)


def test_a_paused_deployment(running: Machine) -> None:
    manifest = DEPLOYMENT.format(spec=WELL, more="paused: true")
    assert_cause(lesson(running, applied(manifest, WHY)), "Deployment web is paused: changes wait until it is resumed")


WRONG_NAMES = {
    "forward('deployment/wep', 8000)": 'did you mean "deployment/web"?',
    "forward('deploymint/web', 8000)": "did you mean deployment?",
    "draw('deployment/wep')": 'did you mean "deployment/web"?',
    "check('shp')": "did you mean 'shop'?",
    "component('kube-schedular')": 'did you mean component("kube-scheduler")?',
    "component('worker-1/kublet')": 'did you mean component("worker-1/kubelet")?',
    "timeline('deployment/wep')": 'did you mean "deployment/web"?',
    "fault('image missing', 'deployment/wep')": 'did you mean "deployment/web"?',
}


@pytest.mark.parametrize("call", WRONG_NAMES)
def test_a_wrong_name(running: Machine, call: str) -> None:
    manifest = DEPLOYMENT.format(spec=WELL, more="")
    result = lesson(running, applied(manifest, call))
    assert_problem(result, WRONG_NAMES[call])
    soon(result)


ROLLED_OUT = "subprocess.run('kubectl rollout status deployment/web --timeout=60s', shell=True, check=True)\n"
PORTS = {
    "forward('deployment/web', 9999).get()": ("", "nothing listens on port 9999 of Pod web-", "kubectl logs"),
    "forward('service/web', 80).get()": (
        "subprocess.run('kubectl expose deployment web --port=80 --target-port=8123', shell=True, check=True)\n",
        "nothing listens on port 8123 of Pod web-",
        "should its targetPort be another?",
    ),
}


@pytest.mark.parametrize("call", PORTS)
def test_a_port_on_which_nothing_listens(running: Machine, call: str) -> None:
    before, *words = PORTS[call]
    result = lesson(running, applied(DEPLOYMENT.format(spec=WELL, more=""), ROLLED_OUT + before + call))
    assert_problem(result, *words)
    soon(result)


SLOW = "sleep 5; exec httpd -f -p 8000"


def test_a_port_of_an_app_that_is_only_just_starting(running: Machine) -> None:
    spec = f"{{containers: [{{name: slow, image: 'k8s101.test/toolbox:1.0', command: [sh, -c, '{SLOW}']}}]}}"
    call = "print('answer', forward('deployment/web', 8000).get().status_code)"
    result = lesson(running, applied(DEPLOYMENT.format(spec=spec, more=""), ROLLED_OUT + call))
    assert re.search(r"^answer \d+$", result.stdout, re.MULTILINE), result.stdout + result.stderr


HELD = """
import subprocess
subprocess.run("kubectl create configmap held; kubectl patch configmap held --type=merge --patch="
    "'{\\"metadata\\":{\\"finalizers\\":[\\"example.com/nobody\\"]}}'", shell=True, check=True)
"""
DEAD_API = """
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {name: v1.dead.example.com}
spec:
  group: dead.example.com
  version: v1
  insecureSkipTLSVerify: true
  groupPriorityMinimum: 100
  versionPriority: 100
  service: {name: nowhere, namespace: default}
"""


def way_out(result: Result) -> str:
    """Return the command that an error names."""
    return result.stderr.rpartition("kubectl ")[2].strip().replace("'", "")


def test_a_finalizer_that_nobody_serves_holds_the_namespace(running: Machine) -> None:
    assert lesson(running, HELD).returncode == 0
    result = lesson(running, "")
    assert_problem(result, "configmap/held waits for finalizer example.com/nobody", "kubectl patch configmap held")
    soon(result)
    assert running.kubectl(*way_out(result).split()).returncode == 0
    assert lesson(running, "").returncode == 0


def test_a_reset_lets_go_what_a_finalizer_holds(running: Machine) -> None:
    assert lesson(running, HELD).returncode == 0
    running.kubectl("delete", "namespace", "k8s101-start-here", "--wait=false")
    result = running.k8s101("reset")
    assert result.returncode == 0, result.stderr
    assert running.kubectl("get", "namespace", "k8s101-start-here").returncode == 1
    running.up()


def test_an_api_that_leads_nowhere_holds_the_namespace(running: Machine) -> None:
    assert lesson(running, applied(DEAD_API, "")).returncode == 0
    get = ("get", "apiservice", "v1.dead.example.com", "--output=json")
    eventually("the API is seen to be dead", lambda: '"False"' in running.kubectl(*get).stdout, 30)
    result = lesson(running, "")
    assert_problem(result, "APIService v1.dead.example.com leads nowhere", "kubectl delete apiservice")
    soon(result)
    assert running.kubectl(*way_out(result).split()).returncode == 0
    assert lesson(running, "").returncode == 0


KERNEL = """
from IPython.core.interactiveshell import InteractiveShell
import sys
shell = InteractiveShell.instance()
for line in sys.stdin:
    shell.run_cell(line)
    print("done", flush=True)
"""


def test_the_same_notebook_in_two_kernels(running: Machine) -> None:
    environment = {files.WORK: str(running.directory / "work")}
    kernels = [running.start(sys.executable, "-c", KERNEL, stdin=subprocess.PIPE, env=environment) for _ in range(2)]

    def cell(number: int, text: str) -> str:
        given, told = kernels[number].stdin, kernels[number].stdout
        assert given is not None and told is not None
        given.write(text + "\n")
        given.flush()
        return "".join(iter(told.readline, "done\n"))

    connect = 'from k8s101 import *; api = connect("start-here")'
    try:
        assert "another kernel" not in cell(0, connect)
        assert "another kernel" not in cell(0, "1 + 1")
        assert "has been open in another kernel since" in cell(1, connect)
        said = cell(0, "1 + 1")
        assert "another kernel (process" in said and "what you made before is gone" in said
        assert "another kernel" not in cell(0, "1 + 1")
        assert "has been open in another kernel since" in cell(0, connect)
        assert "another kernel" in cell(1, "1 + 1")
    finally:
        for kernel in kernels:
            kernel.communicate(timeout=20)
    # those that have ended have nothing open
    assert "another kernel" not in lesson(running, "").stdout


FORGETFUL = """
import subprocess
from k8s101.lesson.api import recorder
recorder.RETRY_SECONDS = 25
def rolled_out(name):
    subprocess.run(["kubectl", "rollout", "status", f"deployment/{name}", "--timeout=120s"], check=True)
subprocess.run(["kubectl", "create", "deployment", "web", "--image=k8s101.test/hello:1.0.0"], check=True)
rolled_out("web")
api.recorder.catch_up()
component("kube-apiserver").stop()
component("kube-apiserver").start()
subprocess.run("kubectl delete pods --all --wait=false; kubectl rollout status deployment web", shell=True, check=True)
subprocess.run("kubectl create deployment other --image=k8s101.test/hello:1.0.0", shell=True, check=True)
subprocess.run("kubectl delete pods --selector=app=web", shell=True, check=True)
rolled_out("other")
rolled_out("web")
api.recorder.catch_up(seconds=60)
added = [seen.uid for seen in api.recorder.history("Pod", "Deployment", "ReplicaSet") if seen.type == "ADDED"]
assert len(added) == len(set(added)), "there are doubles"
print(api.recorder.missed())
"""


def test_an_api_server_that_has_forgotten_what_happened(running: Machine) -> None:
    result = lesson(running, FORGETFUL)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "no Pod was seen; of " in result.stdout, result.stdout
