"""Apply manifests on the server's side."""

from __future__ import annotations

import re
from pathlib import Path
from string import Template
from types import EllipsisType
from typing import Any

import yaml
from kubernetes.client.exceptions import ApiException

from k8s101.errors import Problem
from k8s101.lesson.api.rest import APPLY, Object, status_message
from k8s101.lesson.api.session import FIELD_MANAGER, Api, current

BLANK = re.compile(r"\$\{(\w+)\}")
CONFLICT = 409
ATTEMPTS = 10
"""How often to begin anew when a controller writes between our look and our change."""


def apply(manifest: str, **blanks: str | int | EllipsisType) -> None:
    """Apply a manifest in the lesson's namespace and print one line for each object.

    Args:
        manifest: file name of this lesson's manifests, or YAML text.
        blanks: values for the `${blanks}` in it; as long as one is `...` nothing is applied.

    Raises:
        Problem: the file is missing, the YAML is broken, or the API server refuses.
    """
    api = current()
    text, where = _read(api, manifest)
    open_blanks = [name for name, value in blanks.items() if value is ...]
    if open_blanks:
        print(f"not applied: fill in {', '.join(open_blanks)}")
        return
    for item in parse(_fill(text, blanks, where), where):
        print(apply_object(api, item, where))


def apply_object(api: Api, item: Object, where: str) -> str:
    """Apply one object and say what became of it."""
    resource = api.rest.resource(item["kind"], item["apiVersion"])
    name = item["metadata"]["name"]
    namespace = item["metadata"].get("namespace", api.namespace)
    path = resource.path(namespace, name)
    for attempt in range(1, ATTEMPTS + 1):
        old = api.rest.get(item["kind"], name, namespace)
        try:
            new = api.rest.call("PATCH", path, _on_top_of(old, item), APPLY, fieldManager=FIELD_MANAGER, force="true")
            break
        except ApiException as error:
            if error.status == CONFLICT and attempt < ATTEMPTS:
                continue
            raise Problem(
                f"the API server refuses {item['kind'].lower()}/{name}: {status_message(error)}",
                where=where,
                then="correct the manifest and run the cell again",
            ) from None
    if old is None:
        outcome = "created"
    elif old["metadata"]["resourceVersion"] == new["metadata"]["resourceVersion"]:
        outcome = "unchanged"
    else:
        outcome = "configured"
    return f"{item['kind'].lower()}/{name} {outcome}"


def _on_top_of(old: Object | None, item: Object) -> Object:
    """Return an object that is refused if another has written since: a controller's change is none of ours."""
    if old is None:
        return item
    return item | {"metadata": item["metadata"] | {"resourceVersion": old["metadata"]["resourceVersion"]}}


def parse(text: str, where: str) -> list[Object]:
    """Return the objects in a YAML text.

    Raises:
        Problem: it is no YAML, or not of objects.
    """
    try:
        items: list[Any] = [item for item in yaml.safe_load_all(text) if item is not None]
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise Problem(
            f"this is not YAML: {getattr(error, 'problem', error)}",
            where=where + line,
            then="compare the indentation with the lines above",
        ) from None
    for item in items:
        if not isinstance(item, dict) or not {"apiVersion", "kind", "metadata"} <= item.keys():
            raise Problem("an object needs apiVersion, kind and metadata", where=where, then="add what is missing")
    return items


def _read(api: Api, manifest: str) -> tuple[str, str]:
    if "\n" in manifest:
        return manifest, "the YAML in this cell"
    path: Path = api.manifest(manifest)
    return path.read_text(), path.name


def _fill(text: str, blanks: dict[str, Any], where: str) -> str:
    missing = sorted(set(BLANK.findall(text)) - blanks.keys())
    if missing:
        then = ", ".join(f"{name}=…" for name in missing)
        raise Problem(f"the manifest has blanks: {', '.join(missing)}", where=where, then=f"add {then}")
    return Template(text).safe_substitute(blanks)
