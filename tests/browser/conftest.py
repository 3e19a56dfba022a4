"""A browser and a JupyterLab of their own: nothing of the person who runs the tests is read or changed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbformat
import psutil
import pytest
import requests
from selenium.webdriver import Chrome
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from k8s101.cluster.values.settings import ROOT
from k8s101.lesson.cells import files
from k8s101.notebook import lab as jupyter
from k8s101.notebook.document import Tree
from tests.browser import chromium
from tests.browser.page import Page

SECONDS = 60
OWN_DIRECTORIES = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR", "XDG_STATE_HOME")


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """A checkout with an empty `work/`."""
    root = tmp_path_factory.mktemp("checkout")
    for name in ("manifests", "images", "README.md"):
        (root / name).symlink_to(ROOT / name)
    shutil.copytree(ROOT / "notebooks", root / "notebooks")  # the server shows no picture behind a link to elsewhere
    (root / "work").mkdir()
    return Tree(root)


@pytest.fixture(scope="session")
def own_directories(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Variables that keep JupyterLab's and the learner's files away from the home directory."""
    return {name: str(tmp_path_factory.mktemp(name.lower())) for name in OWN_DIRECTORIES}


@pytest.fixture(scope="session")
def server(tree: Tree, own_directories: dict[str, str]) -> Iterator[dict[str, Any]]:
    """JupyterLab as `k8s101 lab` runs it; the value is what it says about itself (url, port, token)."""
    options = ["--LabApp.expose_app_in_browser=True"]
    command = jupyter.jupyter_command(tree, 8890, browser=False, options=options)
    surroundings = jupyter.jupyter_environment() | own_directories | {files.WORK: str(tree.work)}
    with psutil.Popen(command, cwd=tree.root, env=surroundings) as child:
        try:
            yield wait_for_server(Path(own_directories["JUPYTER_RUNTIME_DIR"]), child.pid)
        finally:
            child.terminate()
            child.wait(SECONDS)


def wait_for_server(runtime: Path, pid: int) -> dict[str, Any]:
    """Return what a JupyterLab says about itself once it answers."""
    retrying = Retrying(
        stop=stop_after_delay(SECONDS),
        wait=wait_fixed(0.2),
        retry=retry_if_exception_type((OSError, ValueError)),
        reraise=True,
    )
    for attempt in retrying:
        with attempt:
            info: dict[str, Any] = json.loads((runtime / f"jpserver-{pid}.json").read_text())
            headers = {"Authorization": f"token {info['token']}"}
            requests.get(f"{info['url']}api", headers=headers, timeout=5).raise_for_status()
    return info


@pytest.fixture(scope="session")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    """A headless Chromium, installed if that is possible."""
    if reason := chromium.missing():
        pytest.skip(reason)
    browser = chromium.start(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.quit()


Opener = Callable[[Path], Page]


@pytest.fixture
def open_page(driver: Chrome, server: dict[str, Any], tree: Tree) -> Opener:
    """Open a notebook of the tree in a workspace of its own."""

    def opened(path: Path) -> Page:
        place = f"lab/workspaces/{path.stem}/tree/{path.relative_to(tree.root)}"
        return Page(driver, f"{server['url']}{place}?token={server['token']}&reset")

    return opened


@pytest.fixture
def write_notebook(tree: Tree) -> Callable[..., Path]:
    """Write a small notebook of code cells into `work/`."""

    def written(name: str, *sources: str) -> Path:
        nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
        nb.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        path = tree.work / f"{name}.ipynb"
        nbformat.write(nb, path)
        return path

    return written
