"""Just enough of the Kubernetes API to start a cluster: wait, read, apply.

Lessons use the official client; importing it costs close to a second, which `up` does not have.
"""

from __future__ import annotations

import base64
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import requests
import yaml

from k8s101.cluster.access.kubeconfig import client_configuration, memory_file
from k8s101.cluster.values.deadline import until
from k8s101.errors import Problem

POLL_SECONDS = 0.1

Manifest = dict[str, Any]
Get = Callable[[str], Manifest]
"""Returns the object at a path of the API, or an empty one if there is none."""

_UNREACHABLE = (requests.ConnectionError, requests.Timeout, ssl.SSLError)


class Api:
    """A session with the API server that a kubeconfig names.

    Args:
        kubeconfig: a kubeconfig with one cluster and one user, and with inline certificates.
    """

    def __init__(self, kubeconfig: Path) -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        self.server: str = cluster["server"]
        self._session = requests.Session()
        # proxies of the machine must not see traffic to the cluster
        self._session.trust_env = False
        if "client-certificate-data" not in user:
            self._session.headers["Authorization"] = _token(kubeconfig, user)
        if proxy := cluster.get("proxy-url"):
            self._session.proxies = {"https": proxy}
        self._session.mount("https://", _Adapter(_context(cluster, user), cluster.get("tls-server-name")))

    def call(self, method: str, path: str, **options: Any) -> requests.Response:
        """Send one request and return the answer, whatever its status."""
        return self._session.request(method, self.server + path, timeout=options.pop("timeout", 10), **options)

    def get(self, path: str) -> dict[str, Any]:
        """Return an object or list.

        Raises:
            requests.HTTPError: the API server refused.
        """
        answer = self.call("GET", path)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    def find(self, path: str) -> dict[str, Any]:
        """Return an object, or an empty one if there is none.

        Raises:
            requests.HTTPError: the API server refused.
        """
        answer = self.call("GET", path)
        if answer.status_code == requests.codes.not_found:
            return {}
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    def apply(self, manifest: dict[str, Any]) -> None:
        """Apply an object on the server's side, as field manager `k8s101`.

        Raises:
            requests.HTTPError: the API server refused.
        """
        path = f"{self._collection(manifest)}/{manifest['metadata']['name']}"
        answer = self.call(
            "PATCH",
            path,
            params={"fieldManager": "k8s101", "force": "true"},
            headers={"Content-Type": "application/apply-patch+yaml"},
            data=yaml.safe_dump(manifest),
        )
        if not answer.ok:
            raise requests.HTTPError(f"{path}: {answer.text[:300]}", response=answer)

    def _collection(self, manifest: dict[str, Any]) -> str:
        version, kind = manifest["apiVersion"], manifest["kind"]
        root = f"/apis/{version}" if "/" in version else f"/api/{version}"
        plural = {
            "NetworkPolicy": "networkpolicies",
            "IngressClass": "ingressclasses",
            "StorageClass": "storageclasses",
        }
        name = plural.get(kind, kind.lower() + "s")
        namespace = manifest["metadata"].get("namespace")
        return f"{root}/namespaces/{namespace}/{name}" if namespace else f"{root}/{name}"

    def wait(self, what: str, condition: Callable[[], bool], seconds: float) -> None:
        """Wait until a condition holds; an API server that does not answer yet counts as no.

        Args:
            what: the condition in words, for the error.
            condition: asked every tenth of a second.
            seconds: deadline.

        Raises:
            Problem: the deadline passed.
        """
        last: object = "not yet"
        try:
            if until(condition, seconds, every=POLL_SECONDS, errors=(*_UNREACHABLE, requests.HTTPError)):
                return
        except (*_UNREACHABLE, requests.HTTPError) as error:
            last = error
        raise Problem(
            f"{what}: not within {seconds:.0f} s ({last})",
            where=self.server,
            then="k8s101 status, then k8s101 logs NAME of what is not running",
        )

    def ready(self) -> bool:
        """Tell whether the API server answers requests."""
        return self.call("GET", "/version", timeout=2).ok

    def complete(self) -> bool:
        """Tell whether the API server has all that it writes itself, such as its rules of access."""
        return self.call("GET", "/readyz", timeout=2).ok


def _context(cluster: dict[str, Any], user: dict[str, Any]) -> ssl.SSLContext:
    authority = cluster.get("certificate-authority-data")
    context = ssl.create_default_context(cadata=base64.b64decode(authority).decode() if authority else None)
    # clusters of others have certificates that Python 3.13 would find incomplete
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if cluster.get("insecure-skip-tls-verify"):
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if "client-certificate-data" in user:
        # `ssl` reads key pairs from files only
        context.load_cert_chain(memory_file(user["client-certificate-data"]), memory_file(user["client-key-data"]))
    return context


def _token(kubeconfig: Path, user: dict[str, Any]) -> str:
    """Return the Authorization header of a user without a certificate."""
    if "token" in user:
        return f"Bearer {user['token']}"
    # programs that fetch a token, and whatever else there is, are the official client's business
    configuration = client_configuration(kubeconfig)
    return str(configuration.auth_settings().get("BearerToken", {}).get("value", ""))


class _Adapter(requests.adapters.HTTPAdapter):
    """Hand requests an SSL context made from memory, and the name that the server's certificate bears."""

    def __init__(self, context: ssl.SSLContext, name: str | None) -> None:
        self._options: dict[str, Any] = {"ssl_context": context} | ({"server_hostname": name} if name else {})
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **(options | self._options))

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        return super().proxy_manager_for(proxy, **(options | self._options))
