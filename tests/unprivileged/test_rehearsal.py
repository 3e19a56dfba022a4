"""What happens behind a Binder link: every written module, end to end, by a user without any privilege."""

from __future__ import annotations

import json
import shutil

from k8s101.cluster.values.settings import ROOT
from k8s101.notebook import kinds, lessons
from k8s101.notebook.document import read
from tests.small_machine import SmallMachine

ARTIFACTS = ROOT / "artifacts/simulated"
MODULE_SECONDS = 300
COPIED = "06"


def test_every_module_runs_on_simulated_nodes(running: SmallMachine) -> None:
    """As it is stored; and one as a learner gets it."""
    landed = lessons.load(ROOT / "notebooks/lessons.yml").landed
    seconds = MODULE_SECONDS * len(landed)
    done = running.python("-m", "k8s101.notebook", "papermill", timeout_s=seconds)
    copied = running.python("-m", "k8s101.notebook", "papermill", "--copy", COPIED, timeout_s=2 * MODULE_SECONDS)
    made = running.checkout / "artifacts/simulated"
    shutil.rmtree(ARTIFACTS, ignore_errors=True)
    shutil.copytree(made, ARTIFACTS)
    print(f"\n{done.out}{copied.out}{running.memory_peak():.0f} MB at most")
    done.good()
    copied.good()
    runs = {path.stem: json.loads(path.read_text()) for path in made.glob("*.json")}
    names = {lesson.number: f"{lesson.number}-{lesson.slug}" for lesson in landed}
    assert runs.keys() == {*names.values(), f"{names[COPIED]}.copy"}
    for name, run in runs.items():
        assert run["passed"], name
        assert run["cells"] == run["simulated"] + run["recorded"] > 0, name
        assert run["real"] == 0, name
    assert running.times_out_of_memory() == 0
    total = {kind: sum(run[kind] for run in runs.values()) for kind in ("real", "simulated", "recorded")}
    print(", ".join(f"{count} {kind}" for kind, count in total.items()), "cells in all")
    running.k8s101("reset").good()


def test_readme_tells_what_ran(running: SmallMachine) -> None:
    """The table of what is real where is computed; these are the counts of the runs above."""
    for lesson in lessons.load(ROOT / "notebooks/lessons.yml").landed:
        run = json.loads((ARTIFACTS / f"{lesson.number}-{lesson.slug}.json").read_text())
        wanted = kinds.expected(read(ROOT / "notebooks" / lesson.file), kinds.able("simulated"))
        assert wanted == kinds.Kinds(run["real"], run["simulated"], run["recorded"]), lesson.number
