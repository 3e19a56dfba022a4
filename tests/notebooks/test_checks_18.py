"""Module 18 on the real cluster: every check fails before, passes after the solution, and names causes."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from k8s101.lesson.api.forward import open_forward
from k8s101.lesson.api.session import Api, make_current
from k8s101.lesson.modules.gitops_exercises import NEWS
from tests.notebooks.checking import Page, assert_passes, last_line, lesson

pytestmark = pytest.mark.cluster

PAGE = Page("18")
cell = PAGE.cell

USER = "test-checks-18"
ADDONS_SECONDS = 1200
"""Where the programs are not there yet, they are built."""

MINE = "git config user.name You && git config user.email you@shop.test"
IN_FORCE = """
kubectl wait kustomization/shop --timeout=60s \\
  --for=jsonpath='{.status.lastAppliedRevision}'=main@sha1:$(git rev-parse HEAD)
"""


def addons(verb: str) -> None:
    command = (sys.executable, "-m", "k8s101.cli", "addons", verb, "gitops", "--for", USER)
    subprocess.run(command, check=True, capture_output=True, timeout=ADDONS_SECONDS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The lesson's files, as a learner may change them."""
    return Path(shutil.copytree(PAGE.files, tmp_path_factory.mktemp("gitops") / "files"))


@pytest.fixture(scope="module")
def opened(folder: Path) -> Iterator[Api]:
    addons("enable")
    with lesson("gitops") as api:
        PAGE.bash("kubectl apply -f git-server.yaml && kubectl rollout status deployment/git --timeout=2m")
        with open_forward("service/git", 80) as way:
            PAGE.bash(
                f"""
                mkdir -p {folder}/shop/deploy
                cp {folder}/app/shop.yaml {folder}/shop/deploy/
                cd {folder}/shop
                sed -i 's/hello:1.0.0/hello:2.0.0/' deploy/shop.yaml
                git init -q -b main && {MINE}
                git add . && git commit -q -m 'Release 2.0.0'
                git remote add origin {way.url.rstrip("/")}/shop.git && git push -q -u origin main
                kubectl apply -f {folder}/flux/
                {IN_FORCE}
                """
            )
            yield api
            PAGE.bash("kubectl delete kustomizations,gitrepositories --all --timeout=60s")
    addons("disable")


@pytest.fixture
def api(opened: Api, folder: Path) -> Iterator[Api]:
    """The lesson with the first commit in force, before and after."""
    make_current(opened)
    first = "$(git rev-list --max-parents=0 HEAD)"
    yield opened
    push(folder, f"git rm -q -r --cached . && git checkout -q {first} -- . && git clean -qfd", "As it was")


def push(folder: Path, change: str, message: str, then: str = IN_FORCE) -> None:
    PAGE.bash(f"cd {folder}/shop\n{change}\ngit add .\ngit commit -q --allow-empty -m '{message}'\ngit push -q\n{then}")


def test_nothing_is_attempted_at_the_start(api: Api) -> None:
    assert last_line(api, "release") == "○ not attempted: shop is as the steps left it"
    assert last_line(api, "docs") == "○ not attempted: there is no Deployment docs yet"
    assert last_line(api, "news") == "○ not attempted: there is no Kustomization news yet"


def test_the_solution_releases(api: Api, folder: Path) -> None:
    PAGE.bash(f"cd {folder}\n{cell('18-exercise-1-solution')}")
    assert_passes(api, "release")


def test_who_forgets_half_of_the_release_is_told(api: Api, folder: Path) -> None:
    push(folder, "sed -i 's/hello:2.0.0/hello:2.1.0/' deploy/shop.yaml", "half")
    assert last_line(api, "release") == "✗ not yet: shop asks for 2 Pods, the task wants 3"


def test_a_release_that_the_server_refuses_is_told_in_its_words(api: Api, folder: Path) -> None:
    refused = "kubectl wait kustomization/shop --for=condition=Ready=False --timeout=60s"
    push(folder, "sed -i 's/hello:2.0.0/hello:2.1.0/; s/replicas: 2/replicas: three/' deploy/shop.yaml", "no", refused)
    told = last_line(api, "release")
    assert told.startswith("✗ not yet: shop asks for 2.0.0, the task wants 2.1.0; Kustomization shop says: ")
    told = last_line(api, "docs")
    assert told.startswith("○ not attempted: there is no Deployment docs yet; Kustomization shop says: ")


def test_the_documentation_of_the_solution_passes(api: Api, folder: Path) -> None:
    PAGE.bash(f"cd {folder}\n{cell('18-exercise-2-solution')}")
    assert_passes(api, "docs")


def test_documentation_that_git_does_not_have_is_told(api: Api, folder: Path) -> None:
    PAGE.bash("kubectl apply -f solution-docs.yaml")
    assert last_line(api, "docs") == "✗ not yet: docs is in the cluster, but it did not come from Git"
    PAGE.bash("kubectl delete deployment docs --timeout=60s")
    push(folder, "sed 's/16Mi/16M/' ../solution-docs.yaml > deploy/docs.yaml", "docs")
    assert last_line(api, "docs") == "✗ not yet: its Pods request 16M memory, the task asks for 16Mi"


@pytest.fixture
def news(api: Api, folder: Path) -> Iterator[Api]:
    """The fault of exercise 3, as the page prepares it."""
    shutil.rmtree(folder / "news")
    shutil.copytree(PAGE.files / "news", folder / "news")
    PAGE.bash(f"cd {folder}\n{cell('18-exercise-3-fault')}")
    yield api
    PAGE.bash(
        f"""
        kubectl delete kustomizations,gitrepositories -n {NEWS} --all --timeout=60s
        kubectl delete namespace {NEWS} --timeout=60s
        """
    )


def test_the_fault_is_not_given_away_and_the_repair_passes(news: Api, folder: Path) -> None:
    assert last_line(news, "news") == "○ not attempted: news is as your colleagues left it"
    PAGE.bash(f"kubectl set image deployment/news -n {NEWS} news=k8s101.test/hello:2.0.0")
    PAGE.bash(f"kubectl rollout status deployment/news -n {NEWS} --timeout=60s")
    assert last_line(news, "news").startswith("✗ not yet: it runs, but the next commit would not arrive")
    PAGE.bash(f"cd {folder}\n{cell('18-exercise-3-solution')}")
    assert_passes(news, "news")
