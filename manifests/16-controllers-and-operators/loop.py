"""A control loop: each ConfigMap with the label loop=yes gets a Deployment of its name."""

from kubernetes import client, config, watch

config.load_kube_config()
namespace = config.list_kube_config_contexts()[1]["context"]["namespace"]
core, apps = client.CoreV1Api(), client.AppsV1Api()


def compare_and_act():
    """Make what is missing, change what differs, delete what nobody wants."""
    maps = core.list_namespaced_config_map(namespace, label_selector="loop=yes").items
    deployments = apps.list_namespaced_deployment(namespace, label_selector="loop=yes").items
    wanted = {item.metadata.name: int(item.data["replicas"]) for item in maps}
    found = {item.metadata.name: item.spec.replicas for item in deployments}
    for name in sorted(wanted.keys() - found.keys()):
        print("create", name)
        apps.create_namespaced_deployment(namespace, deployment(name, wanted[name]))
    for name in sorted(found.keys() - wanted.keys()):
        print("delete", name)
        apps.delete_namespaced_deployment(name, namespace)
    for name in sorted(found.keys() & wanted.keys()):
        if found[name] != wanted[name]:
            print("scale", name, "from", found[name], "to", wanted[name])
            apps.patch_namespaced_deployment_scale(name, namespace, {"spec": {"replicas": wanted[name]}})


def deployment(name, replicas):
    """Return the Deployment of an app."""
    labels = {"app": name}
    pod = {"containers": [{"name": "hello", "image": "k8s101.test/hello:1.1.0"}], "terminationGracePeriodSeconds": 1}
    template = {"metadata": {"labels": labels}, "spec": pod}
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    return {"metadata": {"name": name, "labels": {"loop": "yes"}}, "spec": spec}


while True:
    changes = watch.Watch().stream(
        core.list_namespaced_config_map, namespace, label_selector="loop=yes", timeout_seconds=5
    )
    for _ in changes:  # begins with one event for each ConfigMap that is there
        compare_and_act()
    compare_and_act()  # at least every five seconds, whatever was seen or missed
