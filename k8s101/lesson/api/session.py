"""The lesson that is running: which cluster, which namespace, which files."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from kubernetes import client as k8s
from kubernetes.client import ApiClient

from k8s101.cluster.facade import cluster
from k8s101.cluster.values.settings import ROOT, Settings
from k8s101.errors import Problem
from k8s101.lesson.api.rest import Object, Rest

if TYPE_CHECKING:
    from k8s101.lesson.api.recorder import Recorder

MANIFESTS = ROOT / "manifests"
FIELD_MANAGER = "k8s101"


def interactive() -> bool:
    """Tell whether a person sits in front of the notebook (set by `make lab`, by nothing else)."""
    return os.environ.get("K8S101_INTERACTIVE") == "1"


@dataclass
class Api:
    """The official Kubernetes client for one lesson, and the namespace it works in.

    Args:
        slug: name of the lesson.
        settings: which cluster.
        client: the connection.
    """

    slug: str
    settings: Settings
    client: ApiClient
    recorder: Recorder | None = field(default=None, repr=False)

    @property
    def namespace(self) -> str:
        """The lesson's namespace."""
        return f"k8s101-{self.slug}"

    @property
    def patience(self) -> int:
        """How many times longer than on real nodes something may take: a guest has one slow processor."""
        return cluster.Cluster(self.settings).backend.TRAITS.patience

    @cached_property
    def core(self) -> k8s.CoreV1Api:
        """Pods, Services, ConfigMaps, Nodes …"""
        return k8s.CoreV1Api(self.client)

    @cached_property
    def apps(self) -> k8s.AppsV1Api:
        """Deployments, ReplicaSets, DaemonSets, StatefulSets."""
        return k8s.AppsV1Api(self.client)

    @cached_property
    def batch(self) -> k8s.BatchV1Api:
        """Jobs and CronJobs."""
        return k8s.BatchV1Api(self.client)

    @cached_property
    def networking(self) -> k8s.NetworkingV1Api:
        """Ingresses and NetworkPolicies."""
        return k8s.NetworkingV1Api(self.client)

    @cached_property
    def discovery(self) -> k8s.DiscoveryV1Api:
        """EndpointSlices."""
        return k8s.DiscoveryV1Api(self.client)

    @cached_property
    def storage(self) -> k8s.StorageV1Api:
        """StorageClasses."""
        return k8s.StorageV1Api(self.client)

    @cached_property
    def autoscaling(self) -> k8s.AutoscalingV2Api:
        """HorizontalPodAutoscalers."""
        return k8s.AutoscalingV2Api(self.client)

    @cached_property
    def policy(self) -> k8s.PolicyV1Api:
        """PodDisruptionBudgets."""
        return k8s.PolicyV1Api(self.client)

    @cached_property
    def rbac(self) -> k8s.RbacAuthorizationV1Api:
        """Roles and their bindings."""
        return k8s.RbacAuthorizationV1Api(self.client)

    @cached_property
    def custom(self) -> k8s.CustomObjectsApi:
        """Objects of kinds that a CustomResourceDefinition added."""
        return k8s.CustomObjectsApi(self.client)

    @cached_property
    def rest(self) -> Rest:
        """Objects of any kind as dictionaries."""
        return Rest(self.client)

    def get(self, reference: str) -> Object | None:
        """Return the object behind `kind/name`, or None."""
        kind, name = split(reference)
        return self.rest.get(kind, name, self.namespace)

    def existing(self, reference: str) -> Object:
        """Return the object behind `kind/name`.

        Raises:
            Problem: there is none; it names the one that is nearest.
        """
        if found := self.get(reference):
            return found
        kind, name = split(reference)
        near = self.nearest(kind, name)
        then = f'did you mean "{kind}/{near}"?' if near else f"kubectl get {kind}"
        raise Problem(f"there is no {reference}", where=f"namespace {self.namespace}", then=then)

    def list(self, kind: str, selector: str = "") -> list[Object]:
        """Return the lesson's objects of a kind, sorted by name."""
        return self.rest.list(kind, self.namespace, selector)

    def nearest(self, kind: str, name: str) -> str:
        """Return the name of the lesson's object of a kind that is most like another name, empty without one."""
        names = [str(item["metadata"]["name"]) for item in self.list(kind)]
        return next(iter(get_close_matches(name, names, 1, 0.4)), "")

    def manifest(self, name: str) -> Path:
        """Find a manifest of this lesson, or one that all lessons share.

        Raises:
            Problem: there is no such file.
        """
        lesson = next(iter(sorted(MANIFESTS.glob(f"[0-9][0-9]-{self.slug}"))), MANIFESTS / self.slug)
        for candidate in (lesson / name, MANIFESTS / "base" / name, MANIFESTS / name, Path(name)):
            if candidate.is_file():
                return candidate
        raise Problem(f"there is no manifest {name!r}", where=str(lesson), then=f"ls {lesson}")


_current: list[Api] = []


def current() -> Api:
    """Return the lesson that `connect` opened last.

    Raises:
        Problem: nothing is open.
    """
    if not _current:
        raise Problem("no lesson is open yet", where="this notebook", then='api = connect("…")')
    return _current[-1]


def make_current(api: Api) -> None:
    """Let all helpers work on this lesson."""
    _current[:] = [api]


def split(reference: str) -> tuple[str, str]:
    """Split `kind/name`.

    Raises:
        Problem: the text has another form.
    """
    kind, slash, name = reference.partition("/")
    if not slash or not kind or not name:
        raise Problem(f"{reference!r} names no object", where="this cell", then='write it as "deployment/hello"')
    return kind, name
