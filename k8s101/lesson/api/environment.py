"""What cells, Python and terminals share: one kubectl, the workshop's cluster, a lesson's namespace."""

from __future__ import annotations

import os
import pwd
import sys
from collections.abc import Mapping
from pathlib import Path

import yaml

from k8s101.cluster.values.settings import Settings, cache_dir
from k8s101.errors import Problem

PROGRAMS = Path(__file__).resolve().parents[1] / "shell" / "bin"
"""What stands before everything else on PATH."""

LAST = "last"
"""Link to the kubeconfig of the lesson that was opened last."""

TOOLS = ("crane", "etcd", "etcdctl", "etcdutl", "helm", "k9s", "stern")
"""Programs that lessons type besides kubectl; each is made when it is called for the first time (shell/program)."""

OTHERS = ("BASH_ENV", "ENV", "KUBE_EDITOR")
FOREIGN = ("KUBE", "HELM_", "ETCD", "K9S_")
"""Variables of the user's that would change what a script does, and how others of them begin."""


STABLE = "_K8S101_STABLE"
"""Set where a notebook is executed for storing or testing: what varies is shown as an ellipsis."""


def steady() -> bool:
    """Tell whether outputs are stored or compared, so that what varies must not be shown."""
    return bool(os.environ.get(STABLE))


def variables(settings: Settings, slug: str | None = None, given: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment in which the workshop's kubectl speaks to the workshop's cluster.

    Args:
        settings: which cluster.
        slug: the lesson whose namespace is the default one; None for none.
        given: the environment to start from; that of this process if left out.

    Raises:
        Problem: kubectl cannot be had.
    """
    from k8s101.cluster.facade import client  # a kernel begins with this module, and has no second for it

    environment = dict(os.environ if given is None else given)
    kept = {name: value for name, value in environment.items() if not name.startswith(FOREIGN) and name not in OTHERS}
    first = (str(PROGRAMS), str(Path(sys.executable).parent))
    others = [entry for entry in kept.get("PATH", os.defpath).split(os.pathsep) if entry not in first]
    if slug:
        # add-ons that a lesson enables stay until it disables them
        kept["K8S101_LESSON"] = slug
    made = client.places()
    # repositories, plugins and logins of the user's own Helm stay out of lessons
    helm = {f"HELM_{what}_HOME": str(cache_dir() / "helm" / what.lower()) for what in ("CACHE", "CONFIG", "DATA")}
    tools = {f"_K8S101_{name.upper()}": str(made[name]) for name in TOOLS}
    return {**_name_of_unknown_user(), **kept, **helm, **tools} | {
        "PATH": os.pathsep.join((*first, *others)),
        "_K8S101_KUBECTL": str(client.kubectl()),
        "KUBECONFIG": kubeconfigs(settings, slug),
        "KUBERC": "off",
        "KUBECACHEDIR": str(settings.kubectl_cache),
        "K9S_CONFIG_DIR": str(settings.lessons / "k9s"),
        "K9S_LOGS_DIR": str(settings.lessons / "k9s"),
    }


def _name_of_unknown_user() -> dict[str, str]:
    """Return a name for a user whom the machine does not know, as in containers: some programs end without one."""
    try:
        pwd.getpwuid(os.getuid())
    except KeyError:
        return {"USER": f"user-{os.getuid()}"}
    return {}


def kubeconfigs(settings: Settings, slug: str | None) -> str:
    """Return the value of KUBECONFIG: a lesson's context, and the workshop's cluster and credentials behind it."""
    lesson = [str(file_of(settings, slug))] if slug else []
    return os.pathsep.join([*lesson, str(settings.kubeconfig)])


def file_of(settings: Settings, slug: str) -> Path:
    """Return the file with the context of a lesson, without any credentials."""
    return settings.lessons / f"{slug}.kubeconfig"


def write_context(settings: Settings, slug: str, namespace: str) -> None:
    """Write the context of a lesson, which is the current one of everything that uses the file.

    The cluster and the credentials stay in the workshop's kubeconfig: kubectl and the clients merge both.

    Args:
        settings: which cluster.
        slug: the lesson.
        namespace: its namespace.

    Raises:
        Problem: the cluster's directory for it cannot be written.
    """
    workshop = yaml.safe_load(settings.kubeconfig.read_text())
    contexts = {entry["name"]: entry["context"] for entry in workshop["contexts"]}
    # of two contexts with the same name the first one counts; in the current one's name Python's client
    # believes the last file, and kubectl the first
    name = workshop["current-context"]
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "contexts": [{"name": name, "context": contexts[name] | {"namespace": namespace}}],
        "current-context": name,
    }
    target = file_of(settings, slug)
    try:
        target.parent.mkdir(mode=0o700, exist_ok=True)
        draft = target.with_suffix(f".{os.getpid()}")
        draft.touch(mode=0o600)
        draft.write_text(yaml.safe_dump(config, sort_keys=False))
        draft.replace(target)
        link = target.with_name(f"{LAST}.{os.getpid()}")
        link.unlink(missing_ok=True)
        link.symlink_to(target.name)
        link.replace(target.with_name(LAST))
    except PermissionError as error:
        raise Problem(
            "the namespace of this lesson cannot be noted",
            where=str(error.filename),
            then="sudo -E k8s101 up, which gives you the directory",
        ) from None
