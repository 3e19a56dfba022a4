from kubernetes import client, config, watch

config.load_kube_config()
namespace = config.list_kube_config_contexts()[1]["context"].get("namespace", "default")
core, apps = client.CoreV1Api(), client.AppsV1Api()
ours = {"label_selector": "loop=yes"}


def compare_and_act():
    maps = core.list_namespaced_config_map(namespace, **ours).items
    deployments = apps.list_namespaced_deployment(namespace, **ours).items
    wanted = {item.metadata.name: int(item.data["replicas"]) for item in maps}
    found = {item.metadata.name: item.spec.replicas for item in deployments}
    for name in sorted(wanted.keys() | found.keys()):
        if name not in found:
            print("create", name)
            apps.create_namespaced_deployment(namespace, deployment(name, wanted[name]))
        elif name not in wanted:
            print("delete", name)
            apps.delete_namespaced_deployment(name, namespace)
        elif found[name] != wanted[name]:
            print("scale", name, "from", found[name], "to", wanted[name])
            apps.patch_namespaced_deployment_scale(name, namespace, {"spec": {"replicas": wanted[name]}})


def deployment(name, replicas):
    pod = {"containers": [{"name": "hello", "image": "k8s101.test/hello:1.1.0"}], "terminationGracePeriodSeconds": 1}
    template = {"metadata": {"labels": {"app": name}}, "spec": pod}
    spec = {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template}
    return {"metadata": {"name": name, "labels": {"loop": "yes"}}, "spec": spec}


while True:
    changes = watch.Watch().stream(core.list_namespaced_config_map, namespace, **ours, timeout_seconds=5)
    for _ in changes:  # begins with one event for each ConfigMap that is there
        compare_and_act()
    compare_and_act()  # at least every five seconds, whatever was seen or missed
