"""Terminals: kubectl speaks to the lesson in whose folder the shell stands, else to the last one."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import yaml
from kubernetes import config as kube

from k8s101.cluster.values.settings import Settings, cache_dir
from k8s101.lesson.api import environment, shell
from k8s101.lesson.cells import files
from k8s101.notebook import terminal
from tests.unit.lesson_fixtures import lesson


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A cluster in which two lessons were opened, 08 last; kubectl prints what it would use."""
    made = Settings(tmp_path / "state")
    made.lessons.mkdir(parents=True)
    workshop = {
        "clusters": [{"name": "k8s101", "cluster": {"server": "https://127.0.0.1:1"}}],
        "users": [{"name": "me", "user": {"token": "secret"}}],
        "contexts": [{"name": "k8s101", "context": {"cluster": "k8s101", "user": "me"}}],
        "current-context": "k8s101",
    }
    made.kubeconfig.write_text(yaml.safe_dump(workshop))
    for slug in ("deployments", "services"):
        environment.write_context(made, slug, f"k8s101-{slug}")
    kubectl = tmp_path / "kubectl"
    kubectl.write_text('#!/bin/sh\n[ "$1" = completion ] || echo "${KUBECONFIG%%:*}" | sed "s,.*/,,"\n')
    kubectl.chmod(0o755)
    monkeypatch.setattr("k8s101.cluster.facade.client.kubectl", lambda: kubectl)
    monkeypatch.setenv(files.WORK, str(tmp_path / "work"))
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("06-deployments", "08-services", "09-configmaps"):
        (tmp_path / "work" / name / "inside").mkdir(parents=True)
    return made


def said(settings: Settings, *lines: str) -> list[str]:
    """Type lines into a terminal and return what they print."""
    command = ["bash", "--rcfile", str(terminal.RC), "-i"]
    done = subprocess.run(
        command,
        env=terminal.surroundings(settings, None),
        input="\n".join([*lines, "exit"]) + "\n",
        capture_output=True,
        text=True,
        check=False,
        start_new_session=True,
        cwd=Path(settings.state),
    )
    return done.stdout.splitlines()


def test_the_folder_chooses_the_lesson_and_elsewhere_it_is_the_last(settings: Settings, tmp_path: Path) -> None:
    work = tmp_path / "work"
    lines = [
        "kubectl get pods",
        f"cd {work}/06-deployments; kubectl get pods",
        "cd inside; k get pods",
        f"cd {work}/09-configmaps; kubectl get pods",
        "cd /; kubectl get pods",
    ]
    last, lesson = "last", "deployments.kubeconfig"
    assert said(settings, *lines) == [last, lesson, lesson, last, last]
    assert (settings.lessons / "last").resolve().name == "services.kubeconfig"


def test_a_users_own_settings_do_not_lead_elsewhere(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / ".bashrc").write_text("export KUBECONFIG=/elsewhere PATH=/usr/bin:/bin; alias mine='echo mine'\n")
    assert said(settings, "mine", "kubectl get pods") == ["mine", "last"]


def test_before_the_first_lesson_it_is_the_workshops_cluster(settings: Settings) -> None:
    for file in settings.lessons.iterdir():
        file.unlink()
    assert said(settings, "kubectl get pods") == ["kubeconfig"]


def test_clients_agree_on_cluster_and_namespace(settings: Settings) -> None:
    paths = environment.kubeconfigs(settings, "deployments")
    _, active = kube.list_kube_config_contexts(paths)
    assert active["context"] == {"cluster": "k8s101", "user": "me", "namespace": "k8s101-deployments"}
    assert "secret" not in environment.file_of(settings, "deployments").read_text()
    assert environment.file_of(settings, "deployments").stat().st_mode & 0o777 == 0o600


def test_variables_of_other_clusters_are_left_out(settings: Settings) -> None:
    given = {"KUBECONFIG": "/elsewhere", "KUBERNETES_SERVICE_HOST": "10.0.0.1", "BASH_ENV": "/x", "HOME": "/home/me"}
    made = environment.variables(settings, "services", given)
    assert made["KUBECONFIG"] == f"{settings.lessons}/services.kubeconfig:{settings.kubeconfig}"
    assert made["HOME"] == "/home/me"
    assert not {"KUBERNETES_SERVICE_HOST", "BASH_ENV"} & made.keys()
    assert made["PATH"].split(":")[0] == str(environment.PROGRAMS)
    again = environment.variables(settings, "services", made)
    assert again == made


def test_helm_has_settings_of_its_own(settings: Settings) -> None:
    made = environment.variables(settings, "helm", {"HELM_NAMESPACE": "production", "HELM_CONFIG_HOME": "/home/me"})
    assert "HELM_NAMESPACE" not in made
    assert made["HELM_CONFIG_HOME"] == str(cache_dir() / "helm/config")


def test_clusters_at_the_same_address_remember_their_kinds_apart(settings: Settings, tmp_path: Path) -> None:
    another = Settings(tmp_path / "another")
    another.state.mkdir()
    another.kubeconfig.write_text(settings.kubeconfig.read_text())
    theirs = {"KUBECACHEDIR": "/home/me/.kube/cache"}
    for cluster in (settings, another):
        made = environment.variables(cluster, "services", theirs)
        assert made["KUBECACHEDIR"] == str(cluster.kubectl_cache)
        assert shell.environment(lesson(cluster.state))["KUBECACHEDIR"] == str(cluster.kubectl_cache)
        assert cluster.kubectl_cache.is_relative_to(cluster.state)


def test_a_user_whom_the_machine_does_not_know_has_a_name(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in containers; Python's getpass, which operators call, ends without one."""
    monkeypatch.setattr(os, "getuid", lambda: 54321)
    assert environment.variables(settings, "pods", {})["USER"] == "user-54321"
    assert environment.variables(settings, "pods", {"USER": "anna"})["USER"] == "anna"
