"""Module 18, GitOps: how its exercises are checked, by what runs and by what Flux reports."""

from __future__ import annotations

from collections.abc import Iterator

from k8s101.cluster.values.deadline import until
from k8s101.lesson.api.names import condition, ready, version
from k8s101.lesson.api.rest import Object
from k8s101.lesson.api.session import Api
from k8s101.lesson.quiz.bank import Exercise, Finding
from k8s101.lesson.quiz.checking import expect

NEWS = "k8s101-gitops-news"
REPLICAS = 2
"""Replicas of shop, as the first commit has them."""

LEFT = 2
"""The generation of the Kustomization news, as the colleagues left it."""

ARRIVES_SECONDS = 30
OWNER = "kustomize.toolkit.fluxcd.io/name"
"""Label with the Kustomization that has applied an object."""

MESSAGE = 200
"""Letters of a controller's message that are told."""


def _find(api: Api, kind: str, name: str, namespace: str = "") -> Object:
    return api.rest.get(kind, name, namespace or api.namespace) or {}


def _in_force(api: Api, name: str, namespace: str = "") -> bool:
    """Tell whether what was fetched last is applied and ready."""
    fetched = _find(api, "GitRepository", name, namespace).get("status", {}).get("artifact", {}).get("revision")
    found = _find(api, "Kustomization", name, namespace)
    applied = found.get("status", {}).get("lastAppliedRevision")
    return bool(fetched) and fetched == applied and condition(found, "Ready").get("status") == "True"


def _trouble(api: Api, name: str, namespace: str = "") -> str:
    """Return what Flux says is wrong, empty if nothing is."""
    for kind in ("GitRepository", "Kustomization"):
        found = condition(_find(api, kind, name, namespace), "Ready") if _find(api, kind, name, namespace) else {}
        if found.get("status") == "False":
            return f"; {kind} {name} says: {found['message'][:MESSAGE]}"
    return ""


def _pods(api: Api, name: str, namespace: str = "") -> list[Object]:
    """Return the ready Pods of an app."""
    return [pod for pod in api.rest.list("Pod", namespace or api.namespace, f"app={name}") if ready(pod)]


def _runs(api: Api, name: str, release: str, count: int, namespace: str = "") -> Iterator[Finding]:
    """Say whether so many Pods of a release are ready, and nothing else."""

    def there() -> bool:
        pods = _pods(api, name, namespace)
        return len(pods) == count and {version(pod) for pod in pods} == {release}

    until(there, ARRIVES_SECONDS)
    item = _find(api, "Deployment", name, namespace)
    asked = version(item) if item else "nothing"
    other = f"{name} asks for {asked}, the task wants {release}{_trouble(api, name, namespace)}"
    yield expect(asked == release, f"{name} asks for {release}", other)
    replicas = item["spec"]["replicas"]
    yield expect(replicas == count, f"of {count} Pods", f"{name} asks for {replicas} Pods, the task wants {count}")
    yield expect(there(), "they are ready", f"not all Pods of {release} are ready{_trouble(api, name, namespace)}")


def _shop_begun(api: Api) -> str | None:
    if api.get("deployment/shop") is None:
        return "there is no Deployment shop yet"
    item = api.existing("deployment/shop")
    left = version(item) == "2.0.0" and item["spec"]["replicas"] == REPLICAS
    return "shop is as the steps left it" if left and not _trouble(api, "shop") else None


def _release(api: Api) -> Iterator[Finding]:
    yield from _runs(api, "shop", "2.1.0", 3)
    yield expect(
        until(lambda: _in_force(api, "shop"), ARRIVES_SECONDS),
        "that is what the newest commit says",
        f"Flux did not bring it{_trouble(api, 'shop')}",
    )


def _docs(api: Api) -> Iterator[Finding]:
    item = api.existing("deployment/docs")
    owner = item["metadata"].get("labels", {}).get(OWNER)
    yield expect(owner == "shop", "Flux brought docs", "docs is in the cluster, but it did not come from Git")
    image = item["spec"]["template"]["spec"]["containers"][0]["image"]
    yield expect(image.startswith("k8s101.test/hello:"), "it is the story app", f"its image is {image}")
    found = item["spec"]["template"]["spec"]["containers"][0].get("resources", {}).get("requests", {}).get("memory")
    other = f"its Pods request {found or 'no'} memory, the task asks for 16Mi"
    yield expect(found == "16Mi", "its Pods request 16Mi", other)
    until(lambda: len(_pods(api, "docs")) == 2, ARRIVES_SECONDS)
    count = len(_pods(api, "docs"))
    yield expect(count == 2, "two of them are ready", f"{count} of its Pods are ready, the task asks for two")
    asked = version(item)
    yield expect(asked == "1.1.0", "they run 1.1.0", f"they run {asked}, the task wants 1.1.0")


def _news_begun(api: Api) -> str | None:
    found = _find(api, "Kustomization", "news", NEWS)
    if not found:
        return "there is no Kustomization news yet"
    item = _find(api, "Deployment", "news", NEWS)
    untouched = found["metadata"]["generation"] == LEFT and item and version(item) == "1.0.0"
    return "news is as your colleagues left it" if untouched else None


def _news(api: Api) -> Iterator[Finding]:
    yield from _runs(api, "news", "2.0.0", 2, NEWS)
    held = _find(api, "Kustomization", "news", NEWS)["spec"].get("suspend")
    arrives = not held and until(lambda: _in_force(api, "news", NEWS), ARRIVES_SECONDS)
    hand = f"it runs, but the next commit would not arrive{_trouble(api, 'news', NEWS)}"
    yield expect(arrives, "it came from Git, and the next commit will", hand)


def _docs_begun(api: Api) -> str | None:
    if api.get("deployment/docs") is None:
        return f"there is no Deployment docs yet{_trouble(api, 'shop')}"
    return None


EXERCISES = (
    Exercise(
        "release",
        _shop_begun,
        _release,
        (
            "What you would change with kubectl is in a file of your clone.",
            "shop/deploy/shop.yaml has the image and the number of replicas. A change counts when it is pushed.",
            "In the directory shop: set replicas: 3 and the tag 2.1.0, then git commit -am 'Release 2.1.0', and "
            "git push.",
        ),
    ),
    Exercise(
        "docs",
        _docs_begun,
        _docs,
        (
            "Two things are missing in docs.yaml: the second Pod and the request. And Flux does not see your folder: "
            "where does it look?",
            "Below the container: resources, requests, memory. The file belongs in the directory that the "
            "Kustomization names in path. A new file must be added before it is committed.",
            "kubectl create deployment docs --image=k8s101.test/hello:1.1.0 --replicas=2 --dry-run=client -o yaml "
            "> shop/deploy/docs.yaml; set resources: {requests: {memory: 16Mi}}; then git add, commit and push.",
        ),
    ),
    Exercise(
        "news",
        _news_begun,
        _news,
        (
            "Follow the commit: did Flux fetch it? Did it apply it? kubectl get gitrepositories,kustomizations "
            "-n k8s101-gitops-news shows a revision for each.",
            "The Kustomization has a field that stops it; kubectl describe shows it. When it works again, read its "
            "message: there is a second cause.",
            'kubectl patch kustomization news -n k8s101-gitops-news --type=merge -p \'{"spec":{"suspend":false}}\'; '
            "then write replicas: 2 instead of replicas: two in news/news.yaml, commit and push.",
        ),
    ),
)
