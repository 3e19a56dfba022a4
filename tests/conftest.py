"""What all tests share: the state directory of their cluster, and the markers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from k8s101.lesson.cells import files
from tools.place import state_dir

# a learner's own cluster is never the one that tests take apart
os.environ.setdefault("K8S101_STATE", str(state_dir()))
os.environ.pop("KUBECONFIG", None)


@pytest.fixture(autouse=True, scope="session")
def lesson_files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Lessons that tests open leave the learner's own copies alone, and the directory that tests run in."""
    here = Path.cwd()
    os.environ.setdefault(files.WORK, str(tmp_path_factory.mktemp("lessons") / "work"))
    yield
    os.chdir(here)
