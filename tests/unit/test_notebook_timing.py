"""The seconds of cells: measured at each run, stored only when they have changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from k8s101.notebook import execute, timing
from k8s101.notebook.document import cells, read
from k8s101.notebook.normalise import normalise
from tests.unit.notebook_fixtures import make_tree, write_notebook


@pytest.mark.parametrize(
    ("stored", "measured", "expected"),
    [
        (None, 0.4, 0),
        (None, 12.6, 13),
        (0, 2.2, 0),
        (1, 3.4, 1),
        (1, 4.0, 4),
        (3, 6.0, 3),
        (10, 14.9, 10),
        (10, 16.0, 16),
        (10, 4.6, 10),
        (10, 3.6, 4),
        (60, 54.0, 54),
        ("long", 2.0, 2),
    ],
)
def test_a_stored_number_changes_only_when_it_has_become_wrong(stored: object, measured: float, expected: int) -> None:
    assert timing.steady(stored, measured) == expected


def test_a_run_writes_how_long_each_cell_took_and_the_normaliser_keeps_it(tmp_path: Path) -> None:
    tree = make_tree(tmp_path)
    path = write_notebook(
        tree, "08-x.ipynb", [("code", "a", ["run"], "import time; time.sleep(3)"), ("code", "b", ["run"], "1")]
    )
    nb = execute.without_outputs(read(path))
    for cell in cells(nb):
        cell.raw.metadata.pop("seconds")
    execute.run(nb, path, tree, tmp_path / "failed")
    stored = [cell.raw.metadata.seconds for cell in cells(normalise(nb, "08")) if cell.is_code]
    assert stored[0] >= 3
    assert len(stored) == 2
