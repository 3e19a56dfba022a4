"""Open a lesson: the right cluster, checked, and a fresh namespace."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from kubernetes.client import ApiClient
from kubernetes.client.exceptions import ApiException, NotFoundException
from kubernetes.config import kube_config
from urllib3 import Retry
from urllib3.exceptions import HTTPError

from k8s101.cluster.facade import cluster
from k8s101.cluster.facade.client import LABEL, client_configuration, proxy_of
from k8s101.cluster.values.settings import Settings
from k8s101.errors import Problem
from k8s101.lesson.api import environment, friendly
from k8s101.lesson.api.names import condition
from k8s101.lesson.api.recorder import Recorder
from k8s101.lesson.api.rest import Object
from k8s101.lesson.api.session import Api, interactive, make_current
from k8s101.lesson.cells import files, needs
from k8s101.lesson.cells.turns import Turn
from k8s101.lesson.quiz import progress

READY_SECONDS = 60
FRESH_SECONDS = 60
HELD_SECONDS = 8
"""After so long a namespace that does not go is looked into; on real nodes one with Pods is gone after four."""

CONNECTIONS = 32
"""More than a lesson's watches and questions use at the same time; beyond it the client writes warnings."""


def connect(slug: str) -> Api:
    """Connect to the workshop's own cluster, make the lesson's namespace anew, and print two lines.

    The kubeconfig of the workshop is the only one that is read: neither KUBECONFIG nor a current context
    nor the account of a Pod counts. Nothing is written before the cluster has proved its identity. From now on
    this process and its children use the lesson's namespace, and its folder as working directory.

    Args:
        slug: the lesson's name, as in the file name of its notebook.

    Returns:
        The official client (`.core`, `.apps`, `.batch` …) and the namespace (`.namespace`).

    Raises:
        Problem: there is no cluster, it is another one, or it is not ready.
    """
    found = _cluster()
    settings = found.settings
    bypass_proxies(settings)
    api = Api(slug, settings, _client(settings.kubeconfig))
    identity = prove_identity(api)
    cluster.repair(found)  # an earlier lesson may have been left while a part was away
    version, nodes = _ready(api)
    fresh_namespace(api, identity)
    make_current(api)
    api.recorder = Recorder(api.rest, api.namespace)
    api.recorder.start()
    friendly.install_all()
    needs.register()
    folder = enter(api)
    turn = Turn(settings, slug)
    other = turn.take()
    turn.watch()
    if interactive():
        progress.record(slug, "open", "lesson", "opened")
    print(f"cluster k8s101 · {version} · {nodes} nodes ready · namespace {api.namespace} (fresh)")
    print(f"your files: work/{folder.name} · kubectl here and in a terminal uses this namespace")
    if other:
        print(other)
    return api


def join(slug: str) -> Path:
    """Open a lesson for a terminal: its namespace stays as it is, and is made where there is none.

    Args:
        slug: the lesson's name.

    Returns:
        The folder with the lesson's files.

    Raises:
        Problem: there is no cluster, it is another one, or it is not ready.
    """
    settings = _cluster().settings
    bypass_proxies(settings)
    api = Api(slug, settings, _client(settings.kubeconfig))
    identity = prove_identity(api)
    item = api.rest.get("Namespace", api.namespace, "")
    if item is None or item["status"].get("phase") != "Active":
        fresh_namespace(api, identity)
    return enter(api, anew=False)


def enter(api: Api, *, anew: bool = True) -> Path:
    """Let this process and its children use the lesson's namespace and files; return the folder."""
    environment.write_context(api.settings, api.slug, api.namespace)
    variables = environment.variables(api.settings, api.slug)
    for name in os.environ.keys() - variables.keys():
        del os.environ[name]
    os.environ.update(variables)
    # the library has read the variable when it was imported
    kube_config.KUBE_CONFIG_DEFAULT_LOCATION = os.environ["KUBECONFIG"]
    folder = files.lay_out(api.slug, anew=anew)
    os.chdir(folder)
    return folder


def _cluster() -> cluster.Cluster:
    # a kernel or a whole session may have ended, and the cluster's processes with it
    found = cluster.revive(lambda line: print(f"cluster k8s101 · {line}"))
    if found is None:
        raise Problem("no cluster is running", where="this machine", then="k8s101 up")
    return found


def bypass_proxies(settings: Settings) -> None:
    """Keep requests to this machine and to the cluster away from any proxy, here and in child processes."""
    ranges = settings.ranges
    own = ["127.0.0.1", "localhost", "::1", *map(str, (ranges.nodes, ranges.pods, ranges.services))]
    for name in ("NO_PROXY", "no_proxy"):
        given = [entry for entry in os.environ.get(name, "").split(",") if entry]
        os.environ[name] = ",".join(dict.fromkeys([*given, *own]))


def _client(kubeconfig: Path) -> ApiClient:
    try:
        configuration = client_configuration(kubeconfig)
    except PermissionError:
        raise Problem(
            "the workshop's kubeconfig belongs to somebody else",
            where=str(kubeconfig),
            then="k8s101 up (as the user who runs the notebooks, through sudo)",
        ) from None
    # the machine's proxies are not for the cluster; one that its kubeconfig names is, whatever NO_PROXY says
    configuration.proxy = proxy_of(kubeconfig)
    configuration.no_proxy = None
    configuration.connection_pool_maxsize = CONNECTIONS
    # the lessons' own waits try again, and say what for; the client would do so with warnings
    configuration.retries = Retry(connect=0, read=0, other=0)
    return ApiClient(configuration)


def prove_identity(api: Api) -> str:
    """Check that the workshop's own cluster answers; return its id.

    Raises:
        Problem: another cluster answers, or none.
    """

    def get(path: str) -> Object:
        try:
            return api.rest.call("GET", path)
        except NotFoundException:
            return {}

    known = cluster.Cluster(api.settings)
    try:
        known.verify(get)
    except HTTPError:
        raise Problem("the cluster does not answer", where=api.client.configuration.host, then="k8s101 up") from None
    return known.identity


def _ready(api: Api) -> tuple[str, int]:
    deadline = time.monotonic() + READY_SECONDS
    while True:
        try:
            nodes = api.rest.list("Node", "")
            lazy = [n["metadata"]["name"] for n in nodes if condition(n, "Ready").get("status") != "True"]
            if nodes and not lazy:
                return str(api.rest.call("GET", "/version")["gitVersion"]), len(nodes)
        except (ApiException, HTTPError):
            lazy = ["the API server"]
        if time.monotonic() > deadline:
            raise Problem(
                f"not ready after {READY_SECONDS} s: {', '.join(lazy) or 'there are no nodes'}",
                where=api.client.configuration.host,
                then="k8s101 up",
            )
        time.sleep(0.2)


def fresh_namespace(api: Api, identity: str) -> None:
    """Delete the lesson's namespace if it is ours, wait until it is gone, and make it anew."""
    label = {LABEL: identity}
    old = api.rest.get("Namespace", api.namespace, "")
    if old:
        drop_namespace(api, old, label)
    body = {"metadata": {"name": api.namespace, "labels": label}}
    path = f"/api/v1/namespaces/{api.namespace}"
    _until(api, "deleted", lambda: api.rest.get("Namespace", api.namespace, "") is None)
    api.rest.call("POST", "/api/v1/namespaces", body | {"apiVersion": "v1", "kind": "Namespace"})
    _until(api, "usable", lambda: bool(api.rest.call("GET", f"{path}/serviceaccounts")["items"]))


def drop_namespace(api: Api, old: Object, label: dict[str, str]) -> None:
    """Delete a namespace that bears our label, its Pods at once.

    Raises:
        Problem: the namespace bears another label.
    """
    name = old["metadata"]["name"]
    if not label.items() <= old["metadata"].get("labels", {}).items():
        raise Problem(
            f"namespace {name} was not made by this workshop; it stays as it is",
            where=api.client.configuration.host,
            then=f"rename or delete it yourself: kubectl delete namespace {name}",
        )
    api.rest.call("DELETE", f"/api/v1/namespaces/{name}")
    pods = f"/api/v1/namespaces/{name}/pods"
    api.rest.call("DELETE", pods, gracePeriodSeconds=1)  # the lesson is over: nobody waits for farewells


def _until(api: Api, what: str, test: Callable[[], bool]) -> None:
    began = looked = time.monotonic()
    while not test():
        now = time.monotonic()
        if now > looked + HELD_SECONDS * api.patience:
            cluster.Cluster(api.settings).refuse_held(api.namespace)
            looked = time.monotonic()
        if now > began + FRESH_SECONDS:
            raise Problem(
                f"namespace {api.namespace} is not {what} after {FRESH_SECONDS} s: {_blockers(api)}",
                where=api.client.configuration.host,
                then=f"kubectl get all --namespace {api.namespace}",
            )
        time.sleep(0.1)


def _blockers(api: Api) -> str:
    item = api.rest.get("Namespace", api.namespace, "") or {}
    conditions: Iterable[Object] = item.get("status", {}).get("conditions") or []
    return "; ".join(entry["message"] for entry in conditions if entry["status"] == "True") or "no cause reported"
