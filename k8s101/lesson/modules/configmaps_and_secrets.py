"""Module 09, ConfigMaps and Secrets: what it asks and how its exercises are checked."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import datetime

from kubernetes.client.exceptions import ApiException

from k8s101.cluster.values.deadline import until
from k8s101.lesson.api.control import component
from k8s101.lesson.api.diagnose import pods_of
from k8s101.lesson.api.names import ready
from k8s101.lesson.api.rest import Object
from k8s101.lesson.api.session import Api
from k8s101.lesson.quiz.bank import Before, Exercise, Finding, Option, Question
from k8s101.lesson.quiz.checking import begun, existing, expect, settles

ROLLOUT_SECONDS = 20
ANSWER_SECONDS = 10
"""An app without a readiness probe counts as ready a moment before it listens."""

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
    path = f"/api/v1/namespaces/{api.namespace}/pods/{pod['metadata']['name']}:8000/proxy/config"
    return until(lambda: api.rest.call("GET", path), ANSWER_SECONDS, every=0.2, errors=(ApiException,))


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


def _intern(before: Before, api: Api) -> str:
    curious = api.get("pod/curious")
    if curious is None:
        return "refused"
    return "knows" if curious["status"].get("phase") == "Succeeded" else "waits"


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
    pod = api.get("pod/no-key")
    if pod is None:
        return "refused"
    entry = pod["status"]["containerStatuses"][0]
    if entry["restartCount"]:
        return "crashes"
    return "empty" if "running" in entry["state"] else "waits"


QUESTIONS = (
    Question(
        "number",
        "A ConfigMap has APP_LIMIT: 10, without quotes. What does the API server do?",
        {
            "number": Option("it stores the number", "All values are text; what a text means is up to the app."),
            "text": Option("it turns it into text", "It does not guess: YAML says number, the API wants text."),
            "refused": Option("it refuses", "every value must be text, so you write it in quotes"),
        },
        _number,
    ),
    Question(
        "follows",
        "You change both ConfigMaps and wait. Which of the four does the running container see changed?",
        {
            "everything": Option("all four", "Variables are copied once, when a container starts."),
            "files": Option("both files", "A file mounted by subPath is bound once, when a container starts."),
            "directory": Option(
                "the file in the directory",
                "the kubelet replaces the directory; everything else was copied at the start",
            ),
            "nothing": Option("none", "The kubelet keeps mounted directories up to date."),
        },
        _follows,
    ),
    Question(
        "base64",
        "The API delivers the password in base64. What does a reader need to decode it?",
        {
            "key": Option("the key of the cluster", "No key is involved: base64 only writes bytes as letters."),
            "rights": Option(
                "administrator's rights on a node", "Whoever may read the Secret in the API has all that is needed."
            ),
            "nothing": Option("nothing: any base64 program will do", "base64 is an encoding and not a lock"),
        },
        _base64,
    ),
    Question(
        "intern",
        "The intern may create Pods and may not read Secrets. The Pod curious refers to the password. What happens?",
        {
            "refused": Option(
                "the API server refuses the Pod", "It checks the right to create Pods, not the rights to what they use."
            ),
            "waits": Option(
                "the Pod waits and does not get the password", "The kubelet fetches the Secret, with its own rights."
            ),
            "knows": Option("the Pod runs and knows the password", "nobody asks who created a Pod"),
        },
        _intern,
    ),
    Question(
        "raw",
        "In which form does etcd hold the password?",
        {
            "plain": Option("the password as it is", "not even in base64: that is how the API prints bytes"),
            "base64": Option("the password in base64", "Base64 is only how the API writes bytes in JSON and YAML."),
            "unreadable": Option("something unreadable", "Encryption at rest is off until somebody switches it on."),
        },
        _raw,
    ),
    Question(
        "old",
        "Encryption is switched on. What happens to the Secret login, which is already stored?",
        {
            "encrypted": Option("it is encrypted at once", "Nobody rewrites what is stored."),
            "readable": Option("it stays readable in etcd", "only what is written from now on is encrypted"),
            "lost": Option("it can't be read any more", "The API server still reads the old form, too."),
        },
        _old,
    ),
    Question(
        "missing-key",
        "The Pod no-key wants a key that the ConfigMap does not have. What happens?",
        {
            "refused": Option("the API server refuses it", "References are not looked up before the Pod is on a node."),
            "empty": Option("it starts with an empty variable", "With optional: true it would start without it."),
            "waits": Option(
                "it waits until the key exists", "its container is not even created; the kubelet tries again and again"
            ),
            "crashes": Option("it crashes again and again", "It would have to start before it could crash."),
        },
        _missing_key,
    ),
    Question(
        "variables",
        "You change a ConfigMap. What do running containers see that read it as variables?",
        {
            "old": Option("the old values", "variables are copied when a container starts"),
            "new": Option("the new values, after a moment", "That is true for mounted directories."),
            "replaced": Option(
                "the new values, because their Pods are replaced", "A ConfigMap is not part of the Pod template."
            ),
        },
        "old",
    ),
    Question(
        "readers",
        "Who can read a password that is in a Secret?",
        {
            "key": Option("only who has the key", "The API encodes it in base64, and that needs no key."),
            "pods": Option("only the Pods that use it", "Secrets are read through the API, too."),
            "allowed": Option("whoever may read Secrets in its namespace", "so few should be allowed to"),
        },
        "allowed",
    ),
    Question(
        "pod-creator",
        "Somebody may create Pods in a namespace, but not read Secrets. Which Secrets of this namespace can they get?",
        {
            "none": Option("none", "Their own request is refused, but a Pod may refer to any Secret of its namespace."),
            "own": Option(
                "those that their own Pods use", "They choose what their Pods use, and nobody asks them why."
            ),
            "all": Option("all of them", "a Pod may refer to any Secret of its namespace and print it"),
        },
        "all",
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


def _mail_begun(api: Api) -> str | None:
    mail = api.get("deployment/mail")
    if mail is None:
        return "there is no Deployment mail yet"
    variables = mail["spec"]["template"]["spec"]["containers"][0].get("env", [])
    untouched = mail["metadata"]["generation"] == 1 and {"name": "APP_COLOR", "value": "blue"} in variables
    return "mail is as your colleague left it" if untouched else None


def _mail(api: Api) -> Iterator[Finding]:
    yield settles("deployment/mail", "mail runs", ROLLOUT_SECONDS)
    told = _told(api, "mail")
    color = told["environment"].get("APP_COLOR")
    yield expect(color == "green", "it sees APP_COLOR=green", f"it sees APP_COLOR={color}, and the task wants green")
    template = existing(api, "deployment/mail")["spec"]["template"]["spec"]
    fixed = [entry for entry in template["containers"][0].get("env", []) if "value" in entry]
    yield expect(
        all(entry["name"] != "APP_COLOR" for entry in fixed),
        "the value comes from a ConfigMap",
        "it sees green, and yet the next change of ConfigMap mail would not reach it",
    )
    texts = " ".join(told["files"].values())
    yield expect("opens=09:00" in texts, "its file says opens=09:00", f"its files say {texts.strip() or 'nothing'}")


EXERCISES = (
    Exercise(
        "handover",
        begun("Deployment", "shop"),
        _handed_over,
        (
            "kubectl describe configmap settings and kubectl describe secret login show what there is, key by key.",
            "hello.yaml takes one key as a variable (2); a Secret is mounted as a directory in the same way as a "
            "ConfigMap (3), with mountPath for the place.",
            "valueFrom: {configMapKeyRef: {name: settings, key: APP_COLOR}}, mountPath: /etc/config/login, "
            "secretName: login",
        ),
    ),
    Exercise(
        "follow",
        begun("Deployment", "board"),
        _followed,
        (
            "Of the four ways in hello.yaml, which one followed the change?",
            "Add volumes to the template and volumeMounts to its container, as in (3) of hello.yaml. Then change the "
            "ConfigMap, and nothing else.",
            "volumes: [{name: notice, configMap: {name: notice}}] and volumeMounts: [{name: notice, mountPath: "
            "/etc/config}]; once it runs: kubectl patch configmap notice --patch with text: closed",
        ),
    ),
    Exercise(
        "mail",
        _mail_begun,
        _mail,
        (
            "The ConfigMap is right. Where else can a variable and a file of this Pod come from?",
            "kubectl describe deployment mail: read the lines below Environment and below Volumes, name by name.",
            "A value under env wins over envFrom: kubectl set env deployment/mail APP_COLOR- removes it. The volume "
            "names mail-files-v1, and there is a mail-files-v2.",
        ),
    ),
)
