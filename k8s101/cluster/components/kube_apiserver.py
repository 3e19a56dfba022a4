"""kube-apiserver, and the file that says how it encrypts Secrets.

Flags follow the reference of Kubernetes 1.37 (https://kubernetes.io/docs/reference/command-line-tools-reference/).
"""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any

import yaml

from k8s101.cluster.access.private import write_private
from k8s101.cluster.components import audit, etcd
from k8s101.cluster.supervisor.process import WATCHED_SECONDS, Process
from k8s101.cluster.values.settings import Settings

SERVICE_ACCOUNT_ISSUER = "https://kubernetes.default.svc.cluster.local"


def process(settings: Settings, binary: Path, *more: str) -> Process:
    """Return kube-apiserver, listening on one address only.

    Args:
        settings: the cluster's settings.
        binary: its program.
        more: flags that only some backends need; they win over the same flag given here.
    """
    pki, address = settings.pki, settings.api_address
    return Process(
        "kube-apiserver",
        (
            str(binary),
            f"--advertise-address={address}",
            f"--bind-address={address}",
            f"--secure-port={settings.ports.api}",
            f"--tls-cert-file={pki / 'apiserver.crt'}",
            f"--tls-private-key-file={pki / 'apiserver.key'}",
            f"--client-ca-file={pki / 'ca.crt'}",
            f"--etcd-servers={etcd.url(settings)}",
            f"--etcd-cafile={pki / 'etcd-ca.crt'}",
            f"--etcd-certfile={pki / 'apiserver-etcd-client.crt'}",
            f"--etcd-keyfile={pki / 'apiserver-etcd-client.key'}",
            f"--encryption-provider-config={settings.state / 'encryption.yaml'}",
            "--encryption-provider-config-automatic-reload=true",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--allow-privileged=true",
            f"--service-cluster-ip-range={settings.ranges.services}",
            f"--service-account-issuer={SERVICE_ACCOUNT_ISSUER}",
            f"--service-account-key-file={pki / 'sa.pub'}",
            f"--service-account-signing-key-file={pki / 'sa.key'}",
            f"--kubelet-certificate-authority={pki / 'ca.crt'}",
            f"--kubelet-client-certificate={pki / 'apiserver-kubelet-client.crt'}",
            f"--kubelet-client-key={pki / 'apiserver-kubelet-client.key'}",
            "--kubelet-preferred-address-types=InternalIP",
            f"--requestheader-client-ca-file={pki / 'front-proxy-ca.crt'}",
            "--requestheader-allowed-names=front-proxy-client",
            "--requestheader-username-headers=X-Remote-User",
            "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            f"--proxy-client-cert-file={pki / 'front-proxy-client.crt'}",
            f"--proxy-client-key-file={pki / 'front-proxy-client.key'}",
            # no kube-proxy runs beside the API server: it calls webhooks at their Pods' addresses
            "--enable-aggregator-routing=true",
            # a lesson in which a node dies must end before the learner looks away
            "--default-not-ready-toleration-seconds=10",
            "--default-unreachable-toleration-seconds=10",
            *audit.flags(settings),
            "--profiling=false",
            *more,
        ),
        priority=20,
        stop_seconds=WATCHED_SECONDS,
    )


def write_encryption(settings: Settings, *, enabled: bool) -> None:
    """Write the API server's encryption configuration for Secrets.

    Both providers stay listed, so that Secrets can be read whichever way they were written.
    """
    path = settings.state / "encryption.yaml"
    identity: dict[str, Any] = {"identity": {}}
    providers = [identity]
    if enabled or path.exists():
        providers = [_secretbox(settings), identity] if enabled else [identity, _secretbox(settings)]
    configuration = {
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "EncryptionConfiguration",
        "resources": [{"resources": ["secrets"], "providers": providers}],
    }
    write_private(path, yaml.safe_dump(configuration, sort_keys=False))


def encrypts(settings: Settings) -> bool:
    """Tell whether the API server's configuration lets it encrypt the Secrets that it writes."""
    configuration = yaml.safe_load((settings.state / "encryption.yaml").read_text())
    return "identity" not in configuration["resources"][0]["providers"][0]


def _secretbox(settings: Settings) -> dict[str, Any]:
    key_file = settings.pki / "secrets.key"
    if not key_file.exists():
        write_private(key_file, base64.b64encode(os.urandom(32)))
    return {"secretbox": {"keys": [{"name": "key1", "secret": key_file.read_text()}]}}
