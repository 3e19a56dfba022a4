"""A reset of a cluster that has been lived in."""

from __future__ import annotations

from k8s101.cluster.facade import reset
from tests.lab import Lab, Namespace, hello, service, several
from tests.waiting import eventually

THING = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "things.k8s101.test"},
    "spec": {
        "group": "k8s101.test",
        "names": {"plural": "things", "kind": "Thing"},
        "scope": "Namespaced",
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
            }
        ],
    },
}


def refusing(space: Namespace) -> dict[str, object]:
    """Return a webhook that nobody answers, and without which no Pod may be made."""
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "refusing"},
        "webhooks": [
            {
                "name": "refusing.k8s101.test",
                "clientConfig": {"service": {"name": "nobody", "namespace": space.name}},
                "rules": [{"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": ["pods"]}],
                "sideEffects": "None",
                "admissionReviewVersions": ["v1"],
            }
        ],
    }


def test_a_reset_leaves_what_was_there_after_the_first_start(lab: Lab, space: Namespace) -> None:
    space.start(several("Deployment", hello("web"), replicas=3), service("web"))
    kept = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "kept", "finalizers": ["k8s101.test/never"]}}
    space.apply(kept)
    lab.apply(THING)
    thing = {"apiVersion": "k8s101.test/v1", "kind": "Thing", "metadata": {"name": "one", "finalizers": ["a.b/never"]}}
    eventually("a new kind is served", lambda: not space.ask("get", "things").returncode)
    space.apply(thing)
    lab.apply(refusing(space))
    lab.kubectl("cordon", "worker-1")

    reset.reset(lab.cluster, print)

    for kind in ("namespaces", "pods", "replicasets", "services", "crds", "validatingwebhookconfigurations"):
        listed = lab.kubectl("get", kind, "--all-namespaces", "--output=name")
        assert not {space.name, "web", "things", "refusing"} & set(listed.replace("/", " ").split()), listed
    assert "unschedulable" not in lab.get("node", "worker-1")["spec"]


def test_a_namespace_of_the_same_name_has_no_past(lab: Lab, space: Namespace) -> None:
    space.start(several("Deployment", hello("web"), replicas=3), service("web"))
    reset.reset(lab.cluster, print)
    lab.kubectl("create", "namespace", space.name)
    eventually("the service account", lambda: space.get("serviceaccounts"))
    assert [*space.pods(), *space.get("endpointslices")] == []
    made = lab.get("namespace", space.name)["metadata"]["creationTimestamp"]
    # a kubelet may tell the end of the last containers into it
    assert all(event["metadata"]["creationTimestamp"] >= made for event in space.get("events"))
    space.start(several("Deployment", hello("web"), replicas=3), service("web"))
    assert len(space.pods()) == 3
