"""An operator: compares what each Site wants with what exists, and acts on the difference."""

import secrets
import threading
from datetime import UTC, datetime
from pathlib import Path
from string import Template

import kopf
import yaml
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException

SITES = ("k8s101.test", "v1")
APPLY = {"field_manager": "site-operator", "force": True, "_content_type": "application/apply-patch+yaml"}
ONE_AT_A_TIME = threading.Lock()


@kopf.on.startup()
def start(settings, **_):
    """Use the credentials of kubectl; name the finalizer; keep notes in annotations."""
    config.load_kube_config()
    settings.persistence.finalizer = "k8s101.test/published"
    settings.persistence.progress_storage = kopf.AnnotationsProgressStorage()


@kopf.on.resume("sites")  # when the operator starts: each Site that is there
@kopf.on.create("sites")
@kopf.on.update("sites")
def site_changed(name, namespace, **_):
    """Whatever it was: compare and act."""
    reconcile(namespace, name)


@kopf.on.event("deployments", labels={"site": kopf.PRESENT})
def deployment_changed(labels, namespace, **_):
    """A Deployment was created, has progressed, or is lost: compare and act."""
    reconcile(namespace, labels["site"])


@kopf.on.delete("sites")  # this handler is why each Site has a finalizer
def site_deleted(namespace, spec, **_):
    """Undo what no owner reference reaches."""
    publish(namespace, spec["host"], None)


def reconcile(namespace, name):
    """Make everything as the Site wants it. Done twice, the result is the same."""
    sites, core, apps = client.CustomObjectsApi(), client.CoreV1Api(), client.AppsV1Api()
    with ONE_AT_A_TIME:
        found = sites.list_namespaced_custom_object(*SITES, namespace, "sites", field_selector=f"metadata.name={name}")
        for site in found["items"]:
            if "deletionTimestamp" in site["metadata"]:
                continue
            make_key(namespace, site)  # before the app starts
            core.patch_namespaced_service(name, namespace, filled_in("site-service.yaml", site), **APPLY)
            deployment = filled_in("site-deployment.yaml", site)
            deployment = apps.patch_namespaced_deployment(name, namespace, deployment, **APPLY)
            status = status_of(site, deployment)
            if status["conditions"][0]["status"] == "True":
                publish(namespace, site["spec"]["host"], name)  # after it is ready
            sites.patch_namespaced_custom_object_status(*SITES, namespace, "sites", name, {"status": status})


def make_key(namespace, site):
    """Create the Secret of a site. One that exists stays: another key would break the app."""
    name, uid = site["metadata"]["name"], site["metadata"]["uid"]
    owner = {"apiVersion": "/".join(SITES), "kind": "Site", "name": name, "uid": uid, "controller": True}
    metadata = {"name": f"{name}-key", "ownerReferences": [owner]}
    try:
        key = {"key": secrets.token_hex()}
        client.CoreV1Api().create_namespaced_secret(namespace, {"metadata": metadata, "stringData": key})
    except ApiException as error:
        if error.status != 409:  # "already exists"
            raise


def publish(namespace, host, name):
    """Write a name into the list of names, or remove it."""
    client.CoreV1Api().patch_namespaced_config_map("names", namespace, {"data": {host: name}})


def filled_in(file, site):
    """Return a manifest with the values of a Site."""
    values = site["spec"] | {"name": site["metadata"]["name"], "uid": site["metadata"]["uid"]}
    return yaml.safe_load(Template(Path(file).read_text()).substitute(values))


def status_of(site, deployment):
    """Say what was seen: numbers for people and autoscalers, a condition for `kubectl wait`."""
    wanted, seen = site["spec"]["replicas"], deployment.status
    current = seen.observed_generation == deployment.metadata.generation
    ready = current and seen.updated_replicas == seen.ready_replicas == seen.replicas == wanted
    condition = {"type": "Ready", "status": str(bool(ready)), "reason": "Complete" if ready else "Progressing"}
    condition["message"] = f"{seen.ready_replicas or 0} of {wanted} replicas ready"
    before = site.get("status", {}).get("conditions", [{}])[0]
    same = before.get("status") == condition["status"]
    condition["lastTransitionTime"] = before["lastTransitionTime"] if same else datetime.now(UTC).isoformat()
    return {
        "observedGeneration": site["metadata"]["generation"],
        "replicas": seen.replicas or 0,
        "readyReplicas": seen.ready_replicas or 0,
        "selector": f"site={site['metadata']['name']}",
        "conditions": [condition],
    }
