"""Certificate authorities, certificates and kubeconfigs: one identity for each component.

The set of authorities and subjects follows "PKI certificates and requirements" of the Kubernetes
documentation (cluster CA, etcd CA, front-proxy CA, service account key pair).
"""

from __future__ import annotations

import base64
import datetime as dt
import ipaddress
import os
from collections.abc import Iterable
from pathlib import Path

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from k8s101.cluster.access.private import write_private
from k8s101.cluster.values.settings import Settings

LIFETIME = dt.timedelta(days=3650)
"""A cluster's certificates live as long as its state directory can be expected to."""


def _private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _name(common_name: str, organization: str | None = None) -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    if organization:
        attributes.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization))
    return x509.Name(attributes)


def _alternative_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


class Authority:
    """A certificate authority kept as `NAME.crt` and `NAME.key` in one directory.

    Args:
        directory: where the files are; the authority is made when they are missing.
        name: file name and common name.
    """

    def __init__(self, directory: Path, name: str) -> None:
        self.directory = directory
        self.certificate_file = directory / f"{name}.crt"
        self.key_file = directory / f"{name}.key"
        if not self.key_file.exists():
            self._create(name)
        self._key = serialization.load_pem_private_key(self.key_file.read_bytes(), None)
        self._certificate = x509.load_pem_x509_certificate(self.certificate_file.read_bytes())

    def _create(self, name: str) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(_name(f"k8s101-{name}"), _name(f"k8s101-{name}"), key.public_key())
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(_key_usage(signs_certificates=True), critical=True)
        certificate = builder.sign(key, hashes.SHA256())
        write_private(self.certificate_file, certificate.public_bytes(serialization.Encoding.PEM))
        write_private(self.key_file, _private_pem(key))

    def issue(
        self,
        common_name: str,
        *,
        organization: str | None = None,
        hosts: Iterable[str] = (),
        server: bool = False,
        client: bool = False,
    ) -> tuple[bytes, bytes]:
        """Issue a certificate and return it and its key as PEM.

        Args:
            common_name: the user name that Kubernetes reads from a client certificate.
            organization: the group that Kubernetes reads from it.
            hosts: DNS names and addresses a server certificate is good for.
            server: allow use as a server.
            client: allow use as a client.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        usages = [ExtendedKeyUsageOID.SERVER_AUTH] * server + [ExtendedKeyUsageOID.CLIENT_AUTH] * client
        builder = _builder(_name(common_name, organization), self._certificate.subject, key.public_key())
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_key_usage(signs_certificates=False), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        if names := [_alternative_name(host) for host in hosts]:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        certificate = builder.sign(self._key, hashes.SHA256())  # type: ignore[arg-type]
        return certificate.public_bytes(serialization.Encoding.PEM), _private_pem(key)

    def issue_files(self, directory: Path, name: str, common_name: str, **options: object) -> None:
        """Issue a certificate into `NAME.crt` and `NAME.key`, unless they are there."""
        if (directory / f"{name}.key").exists():
            return
        certificate, key = self.issue(common_name, **options)  # type: ignore[arg-type]
        write_private(directory / f"{name}.crt", certificate)
        write_private(directory / f"{name}.key", key)


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        # clocks of guests and containers may lag
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + LIFETIME)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def kubeconfig(ca: Authority, server: str, user: str, certificate: bytes, key: bytes) -> str:
    """Return a kubeconfig with everything inline, so that it works wherever it is copied."""

    def inline(data: bytes) -> str:
        return base64.b64encode(data).decode()

    cluster = {"server": server, "certificate-authority-data": inline(ca.certificate_file.read_bytes())}
    identity = {"client-certificate-data": inline(certificate), "client-key-data": inline(key)}
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "k8s101", "cluster": cluster}],
            "users": [{"name": user, "user": identity}],
            "contexts": [{"name": "k8s101", "context": {"cluster": "k8s101", "user": user}}],
            "current-context": "k8s101",
        },
        sort_keys=False,
    )


def write_kubeconfig(path: Path, ca: Authority, server: str, common_name: str, organization: str | None = None) -> None:
    """Issue a client certificate and write a kubeconfig around it, unless the file is there."""
    if not path.exists():
        certificate, key = ca.issue(common_name, organization=organization, client=True)
        write_private(path, kubeconfig(ca, server, common_name, certificate, key))


def create_control_plane(settings: Settings) -> Authority:
    """Make all keys and kubeconfigs of the control plane that do not exist yet.

    Returns:
        The cluster's authority, from which node identities are issued.
    """
    pki = settings.pki
    pki.mkdir(parents=True, exist_ok=True)
    ca, etcd_ca, proxy_ca = (Authority(pki, name) for name in ("ca", "etcd-ca", "front-proxy-ca"))
    address = str(settings.api_address)
    service_names = ["kubernetes", "kubernetes.default", "kubernetes.default.svc"]
    ca.issue_files(
        pki,
        "apiserver",
        "kube-apiserver",
        hosts=[*service_names, "kubernetes.default.svc.cluster.local", str(settings.ranges.services[1]), address],
        server=True,
    )
    ca.issue_files(pki, "apiserver-kubelet-client", "kube-apiserver-kubelet-client", client=True)
    proxy_ca.issue_files(pki, "front-proxy-client", "front-proxy-client", client=True)
    # etcd presents its server certificate also when it calls itself (grpc gateway), hence both usages
    etcd_ca.issue_files(pki, "etcd", "etcd", hosts=["localhost", "127.0.0.1"], server=True, client=True)
    etcd_ca.issue_files(pki, "apiserver-etcd-client", "kube-apiserver", client=True)
    etcd_ca.issue_files(pki, "etcdctl", "etcdctl", client=True)
    if not (pki / "sa.key").exists():
        key = ec.generate_private_key(ec.SECP256R1())
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        write_private(pki / "sa.pub", public)
        write_private(pki / "sa.key", _private_pem(key))
    server = settings.api_server
    for component in ("kube-controller-manager", "kube-scheduler"):
        write_kubeconfig(pki / f"{component}.kubeconfig", ca, server, f"system:{component}")
    write_kubeconfig(settings.kubeconfig, ca, server, "kubernetes-admin", "system:masters")
    os.chown(settings.kubeconfig, *settings.owner)
    return ca
