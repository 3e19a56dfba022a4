"""Module 09, ConfigMaps and Secrets: what it asks and how its exercises are checked."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import datetime

from k8s101.cluster.values.deadline import until
from k8s101.lesson.api.control import component
from k8s101.lesson.api.diagnose import pods_of
from k8s101.lesson.api.names import ready
from k8s101.lesson.api.rest import Object
from k8s101.lesson.api.session import Api
from k8s101.lesson.quiz.bank import Before, Exercise, Finding, Option, Question
from k8s101.lesson.quiz.checking import begun, expect, settles

ROLLOUT_SECONDS = 20
FOLLOW_SECONDS = 120
"""A kubelet looks after each Pod at least once in its sync period, a minute by default, and some jitter."""

CONFIG = "/etc/config"
"""The story app tells what it finds below this directory."""


def _pod(api: Api, deployment: str) -> Object | None:
    """Return the newest ready Pod of a Deployment."""
    item = api.get(f"deployment/{deployment}")
    pods = [pod for pod in pods_of(api, item) if ready(pod)] if item else []
    return max(pods, key=lambda pod: str(pod["metadata"]["creationTimestamp"]), default=None)


def _told(api: Api, deployment: str) -> Object:
    """Ask the app in a Pod of a Deployment for the variables and files that it sees."""
    pod = _pod(api, deployment)
    if pod is None:
        return {"environment": {}, "files": {}}
    return api.rest.call("GET", f"/api/v1/namespaces/{api.namespace}/pods/{pod['metadata']['name']}:8000/proxy/config")


def _data(api: Api, reference: str) -> dict[str, str]:
    """Return what a ConfigMap or a Secret holds, in clear."""
    found = dict((api.get(reference) or {}).get("data") or {})
    if reference.startswith("secret/"):
        return {key: base64.b64decode(value).decode() for key, value in found.items()}
    return found


def _number(before: Before, api: Api) -> str:
    kept = (api.get("configmap/limits") or {}).get("data", {}).get("APP_LIMIT")
    if kept is None:
        return "refused"
    return "number" if isinstance(kept, int) else "text"


def _follows(before: Before, api: Api) -> str:
    told = _told(api, "hello")
    variables = told["environment"]["APP_COLOR"] == _data(api, "configmap/settings")["APP_COLOR"]
    text = _data(api, "configmap/files")["config.properties"]
    directory, single = (told["files"][name] == text for name in ("whole/config.properties", "single.properties"))
    return {
        (True, True, True): "everything",
        (False, True, True): "files",
        (False, True, False): "directory",
    }.get((variables, directory, single), "nothing")


def _base64(before: Before, api: Api) -> str:
    readable = _data(api, "secret/login")["password"].isprintable()
    return "nothing" if readable else "key"


def _stored(api: Api, name: str) -> bytes:
    return component("etcd").read_key(f"/registry/secrets/{api.namespace}/{name}")


def _raw(before: Before, api: Api) -> str:
    password = _data(api, "secret/login")["password"].encode()
    raw = _stored(api, "login")
    if password in raw:
        return "plain"
    return "base64" if base64.b64encode(password) in raw else "unreadable"


def _old(before: Before, api: Api) -> str:
    password = _data(api, "secret/login").get("password", "").encode()
    if not password:
        return "lost"
    return "readable" if password in _stored(api, "login") else "encrypted"


def _missing_key(before: Before, api: Api) -> str:
    fresh = [
        pod for pod in pods_of(api, api.get("deployment/hello") or {}) if pod["metadata"]["uid"] not in before.pods
    ]
    if not fresh:
        return "refused"
    entry = fresh[0]["status"]["containerStatuses"][0]
    if entry["restartCount"]:
        return "crashes"
    uid = fresh[0]["metadata"]["uid"]
    events = api.rest.list("Event", api.namespace, f"involvedObject.uid={uid}")
    waited = any("couldn't find key" in str(event.get("message")) for event in events)
    return "waits" if waited else "empty"


QUESTIONS = (
    Question(
        "number",
        "A ConfigMap holds APP_LIMIT: 10, without quotes. What does the API server do?",
        {
            "number": Option("it keeps a number", "Values are texts; what a text means is the app's business."),
            "text": Option("it makes a text of it", "It does not guess: YAML says number, the API wants text."),
            "refused": Option("it refuses", "every value must be text, so you write it in quotes"),
        },
        _number,
    ),
    Question(
        "follows",
        "You change both ConfigMaps. What of it does the running container see?",
        {
            "everything": Option("everything", "Variables are copied once, when a container starts."),
            "files": Option("both files", "A file mounted by subPath is bound once, when a container starts."),
            "directory": Option(
                "the file in the directory",
                "the kubelet exchanges the directory; everything else was copied at the start",
            ),
            "nothing": Option("nothing", "The kubelet goes on looking after mounted directories."),
        },
        _follows,
    ),
    Question(
        "base64",
        "The API shows the password in base64. What does a reader need to turn it back?",
        {
            "key": Option("the cluster's key", "No key is involved: base64 only writes any bytes as letters."),
            "rights": Option(
                "administrator's rights on a node", "Whoever may read the Secret in the API has all that is needed."
            ),
            "nothing": Option("nothing: any base64 program will do", "base64 is a way of writing, not a lock"),
        },
        _base64,
    ),
    Question(
        "raw",
        "What does etcd hold of the password?",
        {
            "plain": Option("the password as you typed it", "not even in base64: that is how the API prints bytes"),
            "base64": Option("the password in base64", "base64 is only how the API writes bytes in JSON and YAML."),
            "unreadable": Option("something unreadable", "Encryption at rest is off until somebody switches it on."),
        },
        _raw,
    ),
    Question(
        "old",
        "Encryption is switched on. What becomes of the Secret that is already there?",
        {
            "encrypted": Option("it is encrypted at once", "Nobody goes through what is stored."),
            "readable": Option("it stays readable in etcd", "only what is written from now on is encrypted"),
            "lost": Option("it cannot be read any more", "The API server goes on reading the old form, too."),
        },
        _old,
    ),
    Question(
        "missing-key",
        "The Pod template names a key that the ConfigMap does not have. The new Pod …",
        {
            "refused": Option(
                "there is none: the API refuses the change", "References are not looked up until the Pod is on a node."
            ),
            "empty": Option("it starts with an empty variable", "It would if the reference said optional: true."),
            "waits": Option(
                "it waits until the key is there", "its container is not even made; the kubelet tries again and again"
            ),
            "crashes": Option("it crashes again and again", "To crash it would have to start first."),
        },
        _missing_key,
    ),
    Question(
        "variables",
        "You change a ConfigMap. What do running containers see that read it as variables?",
        {
            "old": Option("the old values", "variables are copied when a container starts"),
            "new": Option("the new values, after a moment", "That holds for mounted directories."),
            "replaced": Option(
                "the new values, because their Pods are replaced", "A ConfigMap is not part of the Pod template."
            ),
        },
        "old",
    ),
)


def _handed_over(api: Api) -> Iterator[Finding]:
    yield settles("deployment/shop", "shop runs", ROLLOUT_SECONDS)
    told = _told(api, "shop")
    color, wanted = told["environment"].get("APP_COLOR"), _data(api, "configmap/settings").get("APP_COLOR")
    good = color is not None and color == wanted
    yield expect(good, f"it sees APP_COLOR={color}", f"it sees APP_COLOR={color}, and settings has {wanted}")
    for key in sorted(_data(api, "secret/login")):
        found = f"login/{key}" in told["files"]
        where = f"{CONFIG}/login/{key}"
        yield expect(found, f"it finds {where}", f"it finds no file {where}: look at mountPath")


def _followed(api: Api) -> Iterator[Finding]:
    yield settles("deployment/board", "board runs", ROLLOUT_SECONDS)
    notice = api.get("configmap/notice")
    words = " ".join(_data(api, "configmap/notice").values()) or "nothing"
    closed = "closed" in words
    yield expect(closed, f"ConfigMap notice says {words}", f"ConfigMap notice says {words}: change it to closed")
    pod = _pod(api, "board")
    assert notice is not None and pod is not None, "found above"
    changed = max(datetime.fromisoformat(entry["time"]) for entry in notice["metadata"]["managedFields"])
    state = pod["status"]["containerStatuses"][0]["state"]
    before = datetime.fromisoformat(state["running"]["startedAt"]) <= changed
    late = "its container started after the change: say open again, let it start, then change it"
    yield expect(before, "its container is older than the change", late)
    if fault := _why_not_followed(pod):
        yield Finding(False, fault)
        return
    shown = _await_file(api, "board", "closed")
    yield expect(shown, "it sees the new text", f"after {FOLLOW_SECONDS} s no file says closed")


def _why_not_followed(pod: Object) -> str | None:
    """Return why a Pod cannot show changes of ConfigMap notice to the app, None if it can."""
    volumes = {
        volume["name"]
        for volume in pod["spec"]["volumes"]
        for source in (volume, *volume.get("projected", {}).get("sources", []))
        if source.get("configMap", {}).get("name") == "notice"
    }
    mounts = [mount for mount in pod["spec"]["containers"][0].get("volumeMounts", []) if mount["name"] in volumes]
    if not mounts:
        return "it mounts no volume with notice; a variable does not follow"
    directories = [mount["mountPath"] for mount in mounts if not mount.get("subPath")]
    if not directories:
        return "it mounts notice by subPath, and such a file never follows: mount the directory"
    if not any(path.startswith(CONFIG) for path in directories):
        return f"it mounts notice at {directories[0]}, and the app looks below {CONFIG}"
    return None


def _await_file(api: Api, deployment: str, word: str) -> bool:
    """Wait until a file that the app sees holds a word; tell whether it came."""

    def seen() -> bool:
        return any(word in text for text in _told(api, deployment)["files"].values())

    return until(seen, FOLLOW_SECONDS, every=0.5)


EXERCISES = (
    Exercise(
        "handover",
        begun("Deployment", "shop"),
        _handed_over,
        (
            'show("configmaps,secrets") names what there is, and which keys it has.',
            "hello.yaml takes one key as a variable; members.yaml shows where the app looks for files.",
            'key="APP_COLOR", secret="login", directory="/etc/config/login"',
        ),
    ),
    Exercise(
        "follow",
        begun("Deployment", "board"),
        _followed,
        (
            "Of all that the container saw in step 2, what followed the change?",
            "hello.yaml mounts ConfigMap files as a directory. Then change the ConfigMap, and nothing else.",
            'apply("solution-board.yaml"), wait_for("deployment/board", "rolled out"), and then '
            """kubectl('patch configmap notice --patch \\'{"data": {"text": "closed"}}\\'')""",
        ),
    ),
)
