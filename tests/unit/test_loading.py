"""Loading images into clusters of kind, k3d and minikube.

The tools themselves need Docker. Here executables of their names write down what they were called with, and
the archive is read as those tools read it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from k8s101.cluster.images.building import HELLO, ensure_images
from k8s101.cluster.values.settings import ROOT

CALLS = [
    ("kind", None, ["load", "image-archive", "{archive}", "--name", "kind"]),
    ("kind", "k8s101", ["load", "image-archive", "{archive}", "--name", "k8s101"]),
    ("k3d", "k8s101", ["image", "import", "{archive}", "--cluster", "k8s101"]),
    ("k3d", None, ["image", "import", "{archive}", "--cluster", "k3s-default"]),
    ("minikube", None, ["image", "load", "{archive}", "--profile", "minikube"]),
]


def load(path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "k8s101.cli", "images", "load", *arguments]
    environment = os.environ | {"PATH": f"{path}{os.pathsep}/usr/bin{os.pathsep}/bin"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)


def tool(directory: Path, name: str, code: int = 0) -> Path:
    """Make an executable that writes its arguments into a file beside it."""
    path = directory / name
    path.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >"$0.called"\nexit {code}\n')
    path.chmod(0o755)
    return Path(f"{path}.called")


@pytest.mark.parametrize(("name", "cluster", "wanted"), CALLS)
def test_the_tool_is_called_with_the_archive(tmp_path: Path, name: str, cluster: str | None, wanted: list[str]) -> None:
    called = tool(tmp_path, name)
    done = load(tmp_path, "--into", name, *([cluster] if cluster else []))
    assert done.returncode == 0, done.stderr
    archive = str(ensure_images())
    assert called.read_text().splitlines() == [word.format(archive=archive) for word in wanted]
    assert done.stdout == f"loaded into {wanted[-1]}\n"


def test_the_archive_names_the_images_as_manifests_do() -> None:
    with tarfile.open(ensure_images()) as archive:
        index = json.load(archive.extractfile("index.json"))  # type: ignore[arg-type]
        assert json.load(archive.extractfile("oci-layout"))["imageLayoutVersion"]  # type: ignore[arg-type]
    names = {entry["annotations"]["io.containerd.image.name"] for entry in index["manifests"]}
    assert f"{HELLO}:1.0.0" in names


def test_a_missing_or_failing_tool_is_named(tmp_path: Path) -> None:
    missing = load(tmp_path, "--into", "k3d")
    assert missing.returncode == 1 and "k3d is not installed" in missing.stderr
    tool(tmp_path, "k3d", code=3)
    failing = load(tmp_path, "--into", "k3d")
    assert failing.returncode == 1 and "k3d ended with exit code 3" in failing.stderr


def cluster_file(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / f"manifests/clusters/{name}.yaml").read_text())
    return found


def test_the_cluster_file_of_kind() -> None:
    """Fields as in https://kind.sigs.k8s.io/docs/user/configuration/."""
    found = cluster_file("kind")
    assert (found["apiVersion"], found["kind"], found["name"]) == ("kind.x-k8s.io/v1alpha4", "Cluster", "k8s101")
    assert [node["role"] for node in found["nodes"]] == ["control-plane", "worker", "worker", "worker"]
    ports = [port for node in found["nodes"] for port in node.get("extraPortMappings", [])]
    assert ports == [{"containerPort": 80, "hostPort": 8080, "listenAddress": "127.0.0.1", "protocol": "TCP"}]
    assert found.keys() == {"apiVersion", "kind", "name", "nodes"}


def test_the_cluster_file_of_k3d() -> None:
    """Fields as in https://k3d.io/stable/usage/configfile/."""
    found = cluster_file("k3d")
    assert (found["apiVersion"], found["kind"]) == ("k3d.io/v1alpha5", "Simple")
    assert (found["metadata"], found["servers"], found["agents"]) == ({"name": "k8s101"}, 1, 3)
    assert found["ports"] == [{"port": "127.0.0.1:8080:80", "nodeFilters": ["loadbalancer"]}]
    assert found["kubeAPI"] == {"hostIP": "127.0.0.1"}
    assert {tuple(entry) for entry in found["options"]["k3s"]["extraArgs"]} == {("arg", "nodeFilters")}
    assert found.keys() == {"apiVersion", "kind", "metadata", "servers", "agents", "kubeAPI", "ports", "options"}


@pytest.mark.parametrize("name", ["kind", "k3d"])
def test_the_commands_in_the_file_are_ours(name: str) -> None:
    head = (ROOT / f"manifests/clusters/{name}.yaml").read_text().splitlines()[:2]
    assert f"{name} create" in head[0] or f"{name} cluster create" in head[0]
    assert f"k8s101 images load --into {name} k8s101" in head[1] and f"--context {name}-k8s101" in head[1]
