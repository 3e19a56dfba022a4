"""Add-ons on real nodes: enabled twice, used, disabled, and nothing of them is left."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from urllib.parse import urlencode

import pytest
import yaml

from k8s101.cluster.addons.catalog import DIRECTORY, catalog, find
from k8s101.cluster.backends.objects import node
from k8s101.cluster.facade import reset
from k8s101.cluster.values.settings import ROOT
from k8s101.lesson.api import environment
from tests.cluster.adding import addons, everything, good
from tests.lab import HELLO_PORT, Lab, Manifest, Namespace, Result, claim, hello, pod, service, several, with_claim
from tests.waiting import eventually

pytestmark = pytest.mark.cluster

GITOPS = ROOT / "manifests/18-gitops"
MESH = ROOT / "manifests/15-service-mesh/mesh"
TOP_SECONDS = 60
"""DESIGN names 20 seconds on a machine that does nothing else."""

NEW_NODE = "worker-4"
PULLED = [name for name, addon in catalog().items() if "pulls_images" in addon.needs]


@pytest.fixture(scope="module", autouse=True)
def left_clean(lab: Lab) -> Iterator[None]:
    """Leave no add-on to other tests."""
    yield
    reset.reset(lab.cluster, print)


def state(name: str) -> dict[str, object]:
    return next(row for row in json.loads(good("list", "--json")) if row["name"] == name)


def test_metrics(lab: Lab, pristine: set[str]) -> None:
    began = time.monotonic()
    assert good("enable", "metrics") == "metrics: enabled\n"
    rows = lab.kubectl("top", "nodes", "--no-headers").splitlines()
    seconds = time.monotonic() - began
    print(f"\nkubectl top answers after {seconds:.1f} s")
    assert {row.split()[0] for row in rows} == set(lab.nodes)
    assert seconds < TOP_SECONDS
    assert "insecure-tls" not in lab.kubectl("get", "deployment", "metrics-server", "-n", "kube-system", "-o", "yaml")
    assert good("enable", "metrics") == "metrics: enabled\n"
    assert state("metrics")["users"] == ["you"]
    assert good("disable", "metrics") == "metrics: disabled\n"
    assert everything(lab) == pristine
    assert good("disable", "metrics") == "metrics: disabled\n"


def test_a_load_balancer_gives_an_address_that_answers(lab: Lab, pristine: set[str]) -> None:
    good("enable", "loadbalancer")
    assert good("enable", "loadbalancer") == "loadbalancer: enabled\n"
    space = Namespace(lab, "k8s101-addon-test")
    lab.kubectl("create", "namespace", space.name)
    space.start(several("Deployment", hello("web"), replicas=2), service("web", type="LoadBalancer"))

    def address() -> str:
        return str(space.get("service", "web")["status"]["loadBalancer"]["ingress"][0]["ip"])

    given = eventually("an address is given", address)
    assert eventually("it answers", lambda: lab.fetch(given)).startswith("hello 1.0.0")
    lab.kubectl("delete", "namespace", space.name)
    assert good("disable", "loadbalancer") == "loadbalancer: disabled\n"
    assert everything(lab) == pristine


RULE = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "Ingress",
    "metadata": {"name": "web"},
    "spec": {
        "rules": [
            {
                "host": "shop.k8s101.test",
                "http": {
                    "paths": [
                        {
                            "path": "/",
                            "pathType": "Prefix",
                            "backend": {"service": {"name": "web", "port": {"number": 80}}},
                        }
                    ]
                },
            }
        ]
    },
}


def test_an_ingress_leads_to_the_service_of_its_host(lab: Lab, pristine: set[str]) -> None:
    for _ in range(2):
        assert good("enable", "ingress") == "ingress: enabled\n"
    space = Namespace(lab, "k8s101-addon-test")
    lab.kubectl("create", "namespace", space.name)
    space.start(hello("web"), service("web"))
    space.apply(RULE)
    port = lab.get("service", "traefik", "--namespace=traefik")["spec"]["ports"][0]["nodePort"]

    def answer(host: str) -> str:
        command = ("curl", "--silent", "--noproxy", "*", "--max-time", "5", "--header", f"Host: {host}")
        return lab.run(*command, f"http://{lab.address('worker-1')}:{port}/").stdout

    eventually("the host leads to the app", lambda: answer("shop.k8s101.test").startswith("hello 1.0.0"))
    assert "404" in answer("another.k8s101.test")
    lab.kubectl("delete", "namespace", space.name)
    assert good("disable", "ingress") == "ingress: disabled\n"
    assert everything(lab) == pristine


GATEWAY = {
    "apiVersion": "gateway.networking.k8s.io/v1",
    "kind": "Gateway",
    "metadata": {"name": "door"},
    "spec": {"gatewayClassName": "traefik", "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}]},
}
ROUTE = {
    "apiVersion": "gateway.networking.k8s.io/v1",
    "kind": "HTTPRoute",
    "metadata": {"name": "web"},
    "spec": {
        "parentRefs": [{"name": "door"}],
        "hostnames": ["shop.k8s101.test"],
        "rules": [
            {
                "backendRefs": [
                    {"name": "web", "port": 80, "weight": 3},
                    {"group": "traefik.io", "kind": "TraefikService", "name": "copied", "weight": 1},
                ]
            }
        ],
    },
}
COPIED = {
    "apiVersion": "traefik.io/v1alpha1",
    "kind": "TraefikService",
    "metadata": {"name": "copied"},
    "spec": {"mirroring": {"name": "next", "port": 80, "mirrors": [{"name": "web", "port": 80, "percent": 100}]}},
}


def test_a_gateway_shares_out_requests_by_weight(lab: Lab, pristine: set[str]) -> None:
    for _ in range(2):
        assert good("enable", "gateway") == "gateway: enabled\n"
    space = Namespace(lab, "k8s101-addon-test")
    lab.kubectl("create", "namespace", space.name)
    space.start(hello("web"), service("web"), hello("next"), service("next"))
    space.apply(GATEWAY)
    space.apply(COPIED)
    space.apply(ROUTE)
    port = lab.get("service", "traefik", "--namespace=traefik-gateway")["spec"]["ports"][0]["nodePort"]

    def answers(host: str, count: int = 1) -> str:
        command = ("curl", "--silent", "--noproxy", "*", "--max-time", "5", "--header", f"Host: {host}")
        return lab.run(*command, *([f"http://{lab.address('worker-1')}:{port}/"] * count)).stdout

    eventually("the host leads to the app", lambda: answers("shop.k8s101.test").startswith("hello 1.0.0"))
    hosts = [line.split()[-1] for line in answers("shop.k8s101.test", 40).splitlines()]
    assert (hosts.count("web"), hosts.count("next")) == (30, 10)
    assert "404" in answers("another.k8s101.test")
    lab.kubectl("delete", "namespace", space.name)
    assert good("disable", "gateway") == "gateway: disabled\n"
    assert everything(lab) == pristine


def test_a_mesh_puts_a_proxy_beside_each_app(lab: Lab, pristine: set[str]) -> None:
    for _ in range(2):
        assert good("enable", "mesh") == "mesh: enabled\n"
    space = Namespace(lab, "k8s101-addon-test")
    lab.kubectl("create", "namespace", space.name)
    lab.kubectl("label", "namespace", space.name, "mesh=on")
    space.kubectl("create", "configmap", "mesh", f"--from-file={MESH}")

    def injected() -> bool:
        dry = space.kubectl("run", "test", "--image=none", "--dry-run=server", "--output=yaml")
        return "envoyproxy" in dry

    eventually("the policy is in force", injected)
    space.start(hello("web"))
    apart = hello("apart")
    apart["metadata"].setdefault("labels", {})["mesh"] = "off"
    space.start(apart)
    names = {
        name: [c["name"] for c in space.get("pod", name)["spec"].get("initContainers", [])] for name in ("web", "apart")
    }
    assert names == {"web": ["redirect", "proxy"], "apart": []}

    def answer(name: str) -> str:
        address = space.get("pod", name)["status"]["podIP"]
        command = ("curl", "--silent", "--noproxy", "*", "--max-time", "5", "--include", f"http://{address}:8000/")
        return lab.run(*command).stdout.lower()

    eventually(
        "the proxy answers for the app", lambda: "server: envoy" in answer("web") and "hello 1.0.0" in answer("web")
    )
    assert "envoy" not in answer("apart")
    lab.kubectl("delete", "namespace", space.name)
    assert good("disable", "mesh") == "mesh: disabled\n"
    assert everything(lab) == pristine


def test_a_commit_arrives_in_the_cluster(lab: Lab, pristine: set[str], tmp_path: Path) -> None:
    for _ in range(2):
        assert good("enable", "gitops") == "gitops: enabled\n"
    space = Namespace(lab, "k8s101-gitops")
    lab.kubectl("create", "namespace", space.name)
    space.kubectl("apply", "-f", str(GITOPS / "git-server.yaml"))
    space.kubectl("rollout", "status", "deployment/git", "--timeout=2m")
    (tmp_path / "deploy").mkdir()
    shutil.copy(GITOPS / "app/shop.yaml", tmp_path / "deploy")
    address = space.get("service", "git")["spec"]["clusterIP"]

    def git(command: str) -> Result:
        return lab.run("git", "-C", str(tmp_path), *command.split())

    for command in ("init -q -b main", "add .", "-c user.name=test -c user.email=test@k8s101.test commit -q -m first"):
        assert git(command).returncode == 0, command
    # the machine may learn of the new Service later than the Pod is ready
    eventually("pushed", lambda: git(f"-c http.proxy= push -q http://{address}/shop.git main").returncode == 0)
    space.kubectl("apply", "-f", str(GITOPS / "flux"))
    ready = space.ask("wait", "kustomization/shop", "--for=condition=Ready", "--timeout=2m")
    assert ready.returncode == 0, space.kubectl("describe", "gitrepositories,kustomizations")
    assert space.get("deployment", "shop")["status"]["readyReplicas"] == 2
    space.kubectl("delete", "kustomizations,gitrepositories", "--all", "--timeout=1m")
    lab.kubectl("delete", "namespace", space.name)
    assert good("disable", "gitops") == "gitops: disabled\n"
    assert everything(lab) == pristine


def test_kubectl_forgets_the_kinds_of_an_addon_that_is_gone(lab: Lab, pristine: set[str]) -> None:
    settings = lab.cluster.settings
    in_a_lesson = environment.variables(settings)

    def get_all() -> Result:
        command = lab.kubectl_command("get", "all", "--all-namespaces")
        return subprocess.run(command, env=in_a_lesson, capture_output=True, text=True, timeout=60, check=False)

    good("enable", "gitops")
    assert get_all().returncode == 0
    assert [path for path in settings.kubectl_cache.rglob("*") if path.match("*.toolkit.fluxcd.io")]
    assert good("disable", "gitops") == "gitops: disabled\n"
    after = get_all()
    assert (after.returncode, after.stderr) == (0, "")
    assert "service/kubernetes" in after.stdout


def test_a_claim_gets_a_volume_that_outlives_its_pod(lab: Lab, pristine: set[str]) -> None:
    for _ in range(2):
        assert good("enable", "storage") == "storage: enabled\n"
    space = Namespace(lab, "k8s101-addon-test")
    lab.kubectl("create", "namespace", space.name)
    space.start(claim("notes"), with_claim("first", "notes", "echo kept > /notes/it"))
    space.kubectl("delete", "pod", "first", "--wait")
    space.start(with_claim("second", "notes", "true"))
    assert space.kubectl("exec", "second", "--", "cat", "/notes/it") == "kept\n"
    lab.kubectl("delete", "namespace", space.name)
    eventually("the volume is deleted", lambda: lab.get("persistentvolumes") == [])
    assert good("disable", "storage") == "storage: disabled\n"
    assert everything(lab) == pristine


def proxied(lab: Lab, service: str, path: str, **query: str) -> str:
    """Return what a Service of an add-on answers by way of the API server; `service` is `NAMESPACE/NAME:PORT`."""
    place, _, name = service.partition("/")
    return lab.kubectl("get", "--raw", f"/api/v1/namespaces/{place}/services/{name}/proxy{path}?{urlencode(query)}")


def measured(lab: Lab, query: str) -> list[dict[str, str]]:
    """Return the labels of each series that Prometheus has for a query, and its value as the label `value`."""
    answer = json.loads(proxied(lab, "monitoring/prometheus:9090", "/api/v1/query", query=query))
    return [row["metric"] | {"value": row["value"][1]} for row in answer["data"]["result"]]


def answered(lab: Lab, job: str, number: int) -> bool:
    """Tell whether Prometheus knows this many targets of a job, and all of them answered."""
    return [row["value"] for row in measured(lab, f'up{{job="{job}"}}')] == ["1"] * number


def alerts(lab: Lab) -> list[tuple[str, str, str]]:
    """Return name, Pod and state of each alert."""
    found = json.loads(proxied(lab, "monitoring/prometheus:9090", "/api/v1/alerts"))["data"]["alerts"]
    return [(alert["labels"]["alertname"], alert["labels"]["pod"], alert["state"]) for alert in found]


def queries(source: str) -> list[str]:
    """Return what the panels of Grafana's dashboard ask a data source."""
    (found,) = yaml.safe_load_all((DIRECTORY / "grafana/dashboard.yaml").read_text())
    panels = json.loads(found["data"]["hello.json"])["panels"]
    return [panel["targets"][0]["expr"] for panel in panels if panel["datasource"]["type"] == source]


def test_prometheus_measures_pods_and_tells_when_one_is_silent(lab: Lab, pristine: set[str]) -> None:
    for _ in range(2):
        assert good("enable", "prometheus") == "prometheus: enabled\n"
    space = Namespace(lab, "k8s101-addon-test")
    lab.kubectl("create", "namespace", space.name)
    asked, silent = hello("asked"), pod("silent")
    asked["metadata"]["annotations"] = {"prometheus.io/scrape": "true", "prometheus.io/port": str(HELLO_PORT)}
    silent["metadata"]["annotations"] = asked["metadata"]["annotations"]
    space.start(asked, hello("unasked"))
    address = space.get("pod", "asked")["status"]["podIP"]
    assert lab.fetch(f"{address}:{HELLO_PORT}").startswith("hello 1.0.0")

    def counted() -> list[dict[str, str]]:
        return measured(lab, f'http_requests_total{{namespace="{space.name}", path="/", code="200"}}')

    (row,) = eventually("the request is counted", counted)
    assert (row["pod"], row["app"], row["node"], row["version"], row["value"]) == (
        *("asked", "asked", space.get("pod", "asked")["spec"]["nodeName"]),
        *("1.0.0", "1"),
    )
    for job, number in (("kubelet", len(lab.nodes)), ("cadvisor", len(lab.nodes)), ("apiserver", 1), ("pods", 1)):
        eventually(f"{job} answers", partial(answered, lab, job, number))
    memory = f'container_memory_working_set_bytes{{namespace="{space.name}", container="asked"}} > 0'
    eventually("cAdvisor knows the container", lambda: measured(lab, memory))
    for query in queries("prometheus"):
        assert measured(lab, query.replace("$namespace", space.name)) is not None
    space.start(silent)
    eventually("its alert fires", lambda: alerts(lab) == [("AppDown", "silent", "firing")])
    space.kubectl("delete", "pod", "silent", "--now")
    eventually("the alert is over", lambda: alerts(lab) == [])
    lab.kubectl("delete", "namespace", space.name)
    assert good("disable", "prometheus") == "prometheus: disabled\n"
    assert everything(lab) == pristine


def test_logs_of_a_pod_can_be_read_when_it_is_gone(lab: Lab, pristine: set[str]) -> None:
    for _ in range(2):
        assert good("enable", "logs") == "logs: enabled\n"
    space = Namespace(lab, "k8s101-addon-test")
    lab.kubectl("create", "namespace", space.name)
    space.start(pod("talks", command=("sh", "-c", "echo ready; echo level=error lost the cart; sleep infinity")))

    def said(words: str) -> list[dict[str, str]]:
        query = f'kubernetes.pod_namespace:="{space.name}" {words}'
        text = proxied(lab, "logging/victorialogs:9428", "/select/logsql/query", query=query)
        return [json.loads(line) for line in text.splitlines()]

    (line,) = eventually("the line is collected", lambda: said("cart"))
    node = space.get("pod", "talks")["spec"]["nodeName"]
    space.kubectl("delete", "pod", "talks", "--now")
    (line,) = said("cart")
    assert line["_msg"] == "level=error lost the cart"
    assert (line["kubernetes.pod_name"], line["kubernetes.pod_node_name"]) == ("talks", node)
    assert line["kubernetes.pod_labels.app"] == "talks"
    assert said("nothing_of_the_kind") == []
    lab.kubectl("delete", "namespace", space.name)
    assert good("disable", "logs") == "logs: disabled\n"
    assert everything(lab) == pristine


def test_nobody_takes_it_from_somebody_else(lab: Lab, pristine: set[str]) -> None:
    for user in ("services", "ingress-and-gateway"):
        good("enable", "loadbalancer", "--for", user)
    stays = good("disable", "loadbalancer", "--for", "services")
    assert stays == "loadbalancer: stays, used by ingress-and-gateway\n"
    assert lab.get("deployment", "controller", "-n", "metallb-system")
    assert state("loadbalancer")["enabled"]
    good("disable", "loadbalancer", "--for", "ingress-and-gateway")
    assert everything(lab) == pristine


def test_a_reset_removes_them(lab: Lab, pristine: set[str]) -> None:
    good("enable", "loadbalancer", "metrics")
    reset.reset(lab.cluster, print)
    assert everything(lab) == pristine
    assert not [name for name in ("loadbalancer", "metrics") if state(name)["enabled"]]


def test_an_interrupted_removal_is_finished_by_the_next_command(lab: Lab, pristine: set[str]) -> None:
    good("enable", "loadbalancer")
    claims = ("configmap", "k8s101-addon-loadbalancer", "--namespace=kube-system")
    lab.kubectl("annotate", *claims, "k8s101/removing=true")
    lab.kubectl("delete", "deployment", "controller", "--namespace=metallb-system")
    assert not state("loadbalancer")["enabled"]
    good("disable", "loadbalancer")
    assert everything(lab) == pristine


@pytest.mark.parametrize(
    ("addon", "file", "name", "versions"),
    [
        ("loadbalancer", "kinds.yaml", "communities.metallb.io", ["v1beta1"]),
        ("gateway", "gateway-api.yaml", "gatewayclasses.gateway.networking.k8s.io", ["v1", "v1beta1"]),
    ],
)
def test_definitions_of_another_version_are_left_alone(
    lab: Lab, pristine: set[str], addon: str, file: str, name: str, versions: list[str]
) -> None:
    text = (DIRECTORY / addon / file).read_text()
    theirs = next(crd for crd in yaml.safe_load_all(text) if crd["metadata"]["name"] == name)
    del theirs["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["description"]
    lab.kubectl("create", "-f", "-", text=json.dumps(theirs))
    refused = addons("enable", addon)
    assert refused.returncode == 1
    assert f"{name} of another version is there already" in refused.stderr
    assert "next:" in refused.stderr
    made = {path.rpartition("/")[2] for path in everything(lab) - pristine}
    assert made == {name, *(f"{version}.{name.partition('.')[2]}" for version in versions)}, "only what stood there"


def run_on(lab: Lab, space: Namespace, worker: str, manifest: Manifest) -> None:
    """Run a Pod to its end on a node as soon as that is ready.

    A node that was stopped is called ready for some seconds more, and may then be called lost before its kubelet is
    back, so the Pod tolerates everything.
    """
    eventually(f"{worker} is ready", lambda: lab.node_state(worker) == "True", 60)
    manifest["spec"] |= {"nodeName": worker, "restartPolicy": "Never", "tolerations": [{"operator": "Exists"}]}
    space.apply(manifest)
    name = manifest["metadata"]["name"]
    eventually(f"it ran on {worker}", lambda: space.get("pod", name)["status"]["phase"] == "Succeeded", 120)


def test_a_node_that_comes_later_or_comes_back_has_the_image(lab: Lab, space: Namespace) -> None:
    good("enable", "metrics")
    image = yaml.safe_load((DIRECTORY / "metrics/addon.yml").read_text())["images"][0]["reference"]
    lab.cluster.control("add_node", NEW_NODE)
    lab.apply_node(node(lab.cluster.settings, NEW_NODE, 4))
    try:
        run_on(lab, space, NEW_NODE, pod("later", image=image, command=("/metrics-server", "--help")))
        lab.cluster.part("worker-2").stop()
        lab.cluster.part("worker-2").start()
        run_on(lab, space, "worker-2", pod("back", image=image, command=("/metrics-server", "--help")))
        assert "images" not in {part.name.rpartition("/")[2] for part in lab.cluster.processes()}
    finally:
        lab.cluster.control("remove_node", NEW_NODE)
        lab.kubectl("delete", "node", NEW_NODE)


@pytest.mark.parametrize("name", PULLED)
def test_what_only_other_clusters_can_pull_is_accepted_but_not_enabled(lab: Lab, name: str) -> None:
    lab.kubectl("create", "namespace", name)
    try:
        for file in find(name).manifests:
            lab.kubectl("apply", "--dry-run=server", f"--filename={file.path}")
    finally:
        lab.kubectl("delete", "namespace", name)
    before = everything(lab)
    result = addons("enable", name)
    assert result.returncode == 1
    assert f"{name} needs pulls_images, which this cluster lacks" in result.stderr
    assert everything(lab) == before


def test_a_wrong_name_changes_nothing(lab: Lab) -> None:
    before = state("metrics")
    for verb in ("enable", "disable"):
        refused = addons(verb, "metrics", "metric")
        assert refused.returncode == 1
        assert "no add-on is called 'metric'; did you mean metrics?" in refused.stderr
    assert state("metrics") == before
