"""The control plane's four processes as supervised programs.

Flags follow the reference of each command for Kubernetes 1.37
(https://kubernetes.io/docs/reference/command-line-tools-reference/).
"""

from __future__ import annotations

import base64
import os
from pathlib import Path

import yaml

from ..pki import write_private
from ..process import Program
from ..settings import LOOPBACK, Settings

WATCHED_SECONDS = 1
"""How long those may take to end whose clients keep watches open; they would wait for them for ever."""

SERVICE_ACCOUNT_ISSUER = "https://kubernetes.default.svc.cluster.local"


def etcd_url(settings: Settings) -> str:
    """Return where etcd answers its clients."""
    return f"https://{LOOPBACK}:{settings.ports.etcd}"


def etcd(settings: Settings, binary: Path) -> Program:
    """Return etcd, the store of all cluster data, reachable with client certificates only."""
    pki, client = settings.pki, etcd_url(settings)
    peer = f"https://{LOOPBACK}:{settings.ports.etcd_peer}"
    return Program(
        "etcd",
        (
            str(binary),
            "--name=k8s101",
            f"--data-dir={settings.state / 'etcd'}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=k8s101={peer}",
            f"--cert-file={pki / 'etcd.crt'}",
            f"--key-file={pki / 'etcd.key'}",
            f"--trusted-ca-file={pki / 'etcd-ca.crt'}",
            "--client-cert-auth",
            f"--peer-cert-file={pki / 'etcd.crt'}",
            f"--peer-key-file={pki / 'etcd.key'}",
            f"--peer-trusted-ca-file={pki / 'etcd-ca.crt'}",
            "--peer-client-cert-auth",
            # a workshop's data may be lost with the machine's power; waiting for the disk may not
            "--unsafe-no-fsync",
            "--logger=zap",
            "--log-level=warn",
        ),
        priority=10,
        stop_seconds=WATCHED_SECONDS,
    )


def api_server(settings: Settings, binary: Path, *more: str) -> Program:
    """Return kube-apiserver, listening on one address only.

    Args:
        settings: the cluster's settings.
        binary: its program.
        more: flags that only some backends need; they win over the same flag given here.
    """
    pki, address = settings.pki, settings.api_address
    return Program(
        "kube-apiserver",
        (
            str(binary),
            f"--advertise-address={address}",
            f"--bind-address={address}",
            f"--secure-port={settings.ports.api}",
            f"--tls-cert-file={pki / 'apiserver.crt'}",
            f"--tls-private-key-file={pki / 'apiserver.key'}",
            f"--client-ca-file={pki / 'ca.crt'}",
            f"--etcd-servers={etcd_url(settings)}",
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
            "--profiling=false",
            *more,
        ),
        priority=20,
        stop_seconds=WATCHED_SECONDS,
    )


def controller_manager(settings: Settings, binary: Path) -> Program:
    """Return kube-controller-manager."""
    pki, kubeconfig = settings.pki, settings.pki / "kube-controller-manager.kubeconfig"
    return Program(
        "kube-controller-manager",
        (
            str(binary),
            *_authentication(kubeconfig, settings.ports.controller_manager),
            f"--root-ca-file={pki / 'ca.crt'}",
            f"--cluster-signing-cert-file={pki / 'ca.crt'}",
            f"--cluster-signing-key-file={pki / 'ca.key'}",
            f"--service-account-private-key-file={pki / 'sa.key'}",
            "--use-service-account-credentials=true",
            # nodes bring their Pod range along (see backends/nodes.py), so that routes are known at once
            "--allocate-node-cidrs=false",
            f"--service-cluster-ip-range={settings.ranges.services}",
            # the default rate of 20 a second makes it spend five seconds on its own tokens
            "--kube-api-qps=500",
            "--kube-api-burst=1000",
            "--node-monitor-period=2s",
            f"--node-monitor-grace-period={120 if settings.has_many_nodes else 16}s",
        ),
        priority=30,
    )


def scheduler(settings: Settings, binary: Path) -> Program:
    """Return kube-scheduler."""
    kubeconfig = settings.pki / "kube-scheduler.kubeconfig"
    flags = _authentication(kubeconfig, settings.ports.scheduler)
    # the default rate of 50 a second makes thousands of Pods wait
    rate = ("--kube-api-qps=500", "--kube-api-burst=1000")
    return Program("kube-scheduler", (str(binary), *flags, *rate), priority=30)


def _authentication(kubeconfig: Path, port: int) -> tuple[str, ...]:
    return (
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        # all start together: the API server may not answer yet
        "--authentication-tolerate-lookup-failure=true",
        f"--bind-address={LOOPBACK}",
        f"--secure-port={port}",
        "--leader-elect=false",
        "--profiling=false",
    )


def write_encryption(settings: Settings, *, enabled: bool) -> None:
    """Write the API server's encryption configuration for Secrets.

    Both providers stay listed, so that Secrets can be read whichever way they were written.
    """
    path = settings.state / "encryption.yaml"
    identity: dict = {"identity": {}}
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


def _secretbox(settings: Settings) -> dict:
    key_file = settings.pki / "secrets.key"
    if not key_file.exists():
        write_private(key_file, base64.b64encode(os.urandom(32)))
    return {"secretbox": {"keys": [{"name": "key1", "secret": key_file.read_text()}]}}
