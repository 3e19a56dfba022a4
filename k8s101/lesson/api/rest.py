"""Any kind of object as plain dictionaries, over the official client's own connection.

The client's dynamic part would do the same, but it keeps its list of resources in a file named after the
host, which is stale as soon as another cluster answers at the same address.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from typing import Any
from urllib.parse import quote, urlencode

from kubernetes.client import ApiClient
from kubernetes.client.exceptions import ApiException, NotFoundException

from k8s101.errors import Problem

Object = dict[str, Any]

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
"""Ask for all resources in one answer (kubernetes.io/docs/concepts/overview/kubernetes-api)."""

APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"


@dataclass(frozen=True)
class Resource:
    """One kind of object that the API server knows, and where it is found."""

    kind: str
    plural: str
    names: frozenset[str]
    group_version: str
    namespaced: bool

    def path(self, namespace: str | None, name: str | None = None) -> str:
        """Return the URL path of all objects of this kind, or of the one with this name."""
        parts = ["/apis" if "/" in self.group_version else "/api", self.group_version]
        if self.namespaced and namespace:
            parts += ["namespaces", namespace]
        parts.append(self.plural)
        if name:
            parts.append(quote(name))
        return "/".join(parts)


class Rest:
    """Read and write objects of any kind.

    Args:
        client: the official client's connection.
    """

    def __init__(self, client: ApiClient) -> None:
        self.client = client

    def call(self, method: str, path: str, body: Any = None, content_type: str = "", **query: Any) -> Object:
        """Send one request and return the decoded answer.

        Raises:
            ApiException: the API server refused.
        """
        accept = AGGREGATED if path in ("/api", "/apis") else "application/json"
        answer = self._open(method, path, accept, body, content_type, **query)
        data: Object = json.loads(answer.read() or b"{}")
        return data

    def text(self, path: str) -> str:
        """Send a GET request and return the answer as text.

        Raises:
            ApiException: the API server, or what it asked, refused.
        """
        answer = self._open("GET", path, "text/plain, */*", timeout=10)
        return bytes(answer.read()).decode(errors="replace")

    def watch(self, path: str, **query: Any) -> Iterator[Object]:
        """Yield watch events as they arrive, until the server closes the stream."""
        answer = self._open("GET", path, "application/json", timeout=(5, 330), watch="true", **query)
        rest = b""
        try:
            for chunk in answer.response.stream(amt=None):
                *lines, rest = (rest + chunk).split(b"\n")
                yield from (json.loads(line) for line in lines if line.strip())
        finally:
            answer.response.close()

    def _open(
        self,
        method: str,
        path: str,
        accept: str,
        body: Any = None,
        content_type: str = "",
        timeout: float | tuple[float, float] = 30,
        **query: Any,
    ) -> Any:
        given = {key: value for key, value in query.items() if value not in (None, "")}
        url = self.client.configuration.host + path + (f"?{urlencode(given)}" if given else "")
        headers = {"Accept": accept}
        if body is not None:
            headers["Content-Type"] = content_type or "application/json"
            body = body if headers["Content-Type"].endswith("json") else json.dumps(body)
        self.client.update_params_for_auth(headers, [], ["BearerToken"], path, method, body)
        answer = self.client.rest_client.request(method, url, headers=headers, body=body, _request_timeout=timeout)
        if not 200 <= answer.status <= 299:
            answer.read()
            ApiException.from_response(http_resp=answer, body=None, data=None)
        return answer

    @cached_property
    def resources(self) -> list[Resource]:
        """All kinds that the API server offers, each in its preferred version, the core ones first."""
        found: dict[tuple[str, str], Resource] = {}
        for root in ("/api", "/apis"):
            for group in self.call("GET", root)["items"]:
                prefix = group["metadata"].get("name", "")
                for version in group["versions"]:  # not every kind is in the first, which is preferred
                    for entry in version.get("resources", []):
                        resource = _resource(entry, f"{prefix}/{version['version']}".lstrip("/"))
                        found.setdefault((prefix, resource.plural), resource)
        return list(found.values())

    def resource(self, word: str, group_version: str = "") -> Resource:
        """Find a kind by any of its names: Pod, pod, pods, po.

        Args:
            word: the name.
            group_version: where several groups know the name, for example `apps/v1`.

        Raises:
            Problem: no such kind.
        """
        for fresh in (False, True):
            if fresh:  # a CRD may have been added since
                self.__dict__.pop("resources", None)
            for item in self.resources:
                if word.lower() in item.names and group_version in ("", item.group_version):
                    return item
        near = get_close_matches(word.lower(), sorted({name for item in self.resources for name in item.names}), 1)
        then = f"did you mean {near[0]}?" if near else "kubectl api-resources"
        raise Problem(f"the cluster knows no kind {word!r}", where=self.client.configuration.host, then=then)

    def get(self, word: str, name: str, namespace: str) -> Object | None:
        """Return one object, or None if there is none of this name."""
        try:
            return self.call("GET", self.resource(word).path(namespace, name))
        except NotFoundException:
            return None

    def list(self, word: str, namespace: str, selector: str = "") -> list[Object]:
        """Return the objects of a kind, sorted by name, with `kind` filled in.

        Args:
            word: any name of the kind.
            namespace: where to look; no matter for kinds without namespace.
            selector: labels they bear; for events, which bear none, fields such as `reason=Killing`.
        """
        resource = self.resource(word)
        by = "fieldSelector" if resource.kind == "Event" else "labelSelector"
        items = self.call("GET", resource.path(namespace), **{by: selector})["items"]
        for item in items:
            item["kind"], item["apiVersion"] = resource.kind, resource.group_version
        return sorted(items, key=lambda item: str(item["metadata"]["name"]))


def _resource(entry: Object, group_version: str) -> Resource:
    kind = entry["responseKind"]["kind"]
    names = {entry["resource"], entry.get("singularResource", ""), kind, *entry.get("shortNames", [])}
    return Resource(
        kind=kind,
        plural=entry["resource"],
        names=frozenset(name.lower() for name in names if name),
        group_version=group_version,
        namespaced=entry["scope"] == "Namespaced",
    )


def status_message(error: ApiException) -> str:
    """Return the one sentence in which the API server says why it refused."""
    try:
        return str(json.loads(error.body or "")["message"])
    except (ValueError, KeyError, TypeError):
        return f"{error.status} {error.reason}"
