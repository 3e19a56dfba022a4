"""k9s in a terminal of a lesson: it shows the lesson's Pods, and leaves nothing in the user's home."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pexpect
import pytest

from k8s101.cluster.programs.binaries import ensure
from k8s101.cluster.values.settings import cache_dir
from k8s101.lesson.cells.bash import run
from tests.notebooks.checking import clear, lesson

pytestmark = pytest.mark.cluster

COLOURS = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|\x1b[()][A-Z0-9]|\x1b[=>]")
SCREEN_SECONDS = 60


def test_k9s_shows_the_lessons_pods(tmp_path: Path) -> None:
    ensure(["k9s"])
    with lesson("deployments") as api:
        run("kubectl create deployment seen --image=k8s101.test/hello:1.0.0 && kubectl rollout status deployment/seen")
        (name,) = (pod["metadata"]["name"] for pod in api.list("Pod", "app=seen"))
        home = {**os.environ, "HOME": str(tmp_path), "TERM": "xterm", "K8S101_CACHE": str(cache_dir())}
        home = {key: value for key, value in home.items() if not key.startswith("XDG_")}
        child = pexpect.spawn(
            sys.executable,
            ["-m", "k8s101.cli", "shell", "06"],
            encoding="utf-8",
            dimensions=(40, 200),
            timeout=SCREEN_SECONDS,
            env=home,
        )
        child.sendline("k9s --readonly --command pods")
        child.expect(re.escape(name))
        screen = COLOURS.sub("", child.before + child.after)
        assert f"pods({api.namespace})" in screen, screen[-2000:]
        child.send(":deployments\r")
        child.expect("UP-TO-DATE")
        child.sendcontrol("c")
        child.sendline("echo ended $((40 + 2))")
        child.expect("ended 42")
        child.close(force=True)
        clear(api, "deployments")
    assert not [path for path in tmp_path.rglob("*") if "k9s" in path.name]
    assert (api.settings.lessons / "k9s/config.yaml").is_file()
