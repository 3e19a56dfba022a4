"""Learners' files: copies that follow the manifests until somebody edits them."""

from __future__ import annotations

from pathlib import Path

import pytest

from k8s101.lesson.cells import files


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv(files.WORK, raising=False)
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks/06-deployments.ipynb").touch()
    source = tmp_path / "manifests/06-deployments"
    source.mkdir(parents=True)
    for name in ("hello.yaml", "loop.yaml"):
        (source / name).write_text(f"{name} 1\n")
    return tmp_path


def change(root: Path, name: str, text: str = "2\n") -> None:
    (root / "manifests/06-deployments" / name).write_text(text)


def test_files_lie_in_the_lessons_folder(root: Path) -> None:
    folder = files.lay_out("deployments", root)
    assert folder == root / "work/06-deployments"
    assert (folder / "hello.yaml").read_text() == "hello.yaml 1\n"
    assert not files.edited(folder)


def test_what_was_edited_stays_and_the_rest_follows(root: Path) -> None:
    folder = files.lay_out("deployments", root)
    (folder / "hello.yaml").write_text("mine\n")
    (folder / "own.yaml").write_text("own\n")
    change(root, "hello.yaml")
    change(root, "loop.yaml")
    change(root, "new.yaml")
    files.lay_out("deployments", root)
    assert {file.name: file.read_text() for file in folder.glob("*.yaml")} == {
        "hello.yaml": "mine\n",
        "loop.yaml": "2\n",
        "new.yaml": "2\n",
        "own.yaml": "own\n",
    }
    assert files.edited(folder)


def test_what_was_removed_comes_back(root: Path) -> None:
    folder = files.lay_out("deployments", root)
    (folder / "hello.yaml").unlink()
    assert files.edited(folder)
    files.lay_out("deployments", root)
    assert (folder / "hello.yaml").exists()


def test_lost_notes_cost_no_file(root: Path) -> None:
    folder = files.lay_out("deployments", root)
    (folder / files.NOTES).write_text("{")
    (folder / "hello.yaml").write_text("mine\n")
    change(root, "hello.yaml")
    files.lay_out("deployments", root)
    assert (folder / "hello.yaml").read_text() == "mine\n"


def test_runs_that_nobody_watches_begin_with_fresh_files(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(files.WORK, str(tmp_path / "scratch/work"))
    for _ in range(2):
        folder = files.lay_out("deployments", root)
        assert folder == tmp_path / "scratch/work/06-deployments"
        assert (folder / "hello.yaml").read_text() == "hello.yaml 1\n"
        (folder / "hello.yaml").write_text("left by a run\n")
    assert not (root / "work").exists()


def test_a_lesson_without_files_gets_an_empty_folder(root: Path) -> None:
    folder = files.lay_out("nothing", root)
    assert folder.name == "nothing" and not list(folder.glob("*.yaml"))
