"""The stages of `make test`: what runs, in which lane, and how long it may take."""

from __future__ import annotations

from dataclasses import dataclass

from k8s101.cluster.values.settings import ROOT
from k8s101.notebook import lessons
from k8s101.notebook.pool import AT_ONCE

FIRST, NODES, BESIDE = "first", "nodes", "beside"
"""The lanes: what comes before all else, what uses the cluster of real nodes, what runs beside it."""

ROOT_ONLY = "real nodes, other users and networks of one's own need root"
COVERED = "the unprivileged and guest stages do the same as another user"
GUEST = "tests/unprivileged/test_guest.py"
LATER = {"08": "loadbalancer"}
"""Modules whose programs are built beside the stages before, and the build that makes them."""


@dataclass(frozen=True)
class Command:
    """One command of a stage.

    Args:
        arguments: of `python -m`, or a program of this environment.
        name: the module that it tests, or what it makes; empty if it is the only one.
        alone: whether nothing of its stage may run beside it.
        after: the build that must have ended before.
    """

    arguments: tuple[str, ...]
    name: str = ""
    alone: bool = False
    after: str = ""


@dataclass(frozen=True)
class Stage:
    """One stage of the tests.

    Args:
        name: as typed after `--only`.
        lane: with which others it runs in order.
        budget: how long it may take, in seconds; on two processors and with the programs made.
        commands: what it runs.
        width: how many of them at the same time.
        niceness: how far it stands back behind what others do, 0 to 19.
        vital: whether its failure ends the run.
        extra: whether it belongs to `make test-all` only.
        root: True for what needs root, False for what only users without it need.
    """

    name: str
    lane: str
    budget: int
    commands: tuple[Command, ...]
    width: int = 1
    niceness: int = 0
    vital: bool = False
    extra: bool = False
    root: bool | None = None

    def reason_to_skip(self, able: bool) -> str:
        """Return why it does not run, empty if it does.

        Args:
            able: whether this user can have real nodes.
        """
        if self.root is None or self.root == able:
            return ""
        return COVERED if able else ROOT_ONLY


def _python(*arguments: str, name: str = "", alone: bool = False, after: str = "") -> Command:
    return Command(arguments, name, alone, after)


def _notebooks(*arguments: str) -> Command:
    return _python("k8s101.notebook", *arguments)


def _pytest(*arguments: str, name: str = "", alone: bool = False, after: str = "") -> Command:
    options = ("-q", "--durations=5", "--durations-min=5")
    return _python("pytest", *options, *arguments, name=name, alone=alone, after=after)


def _k8s101(*arguments: str, after: str = "") -> Command:
    return _python("k8s101.cli", *arguments, after=after)


def _programs(*names: str, name: str = "") -> Command:
    return _python("k8s101.cluster.programs.binaries", *names, name=name)


LANDED = lessons.load(ROOT / "notebooks/lessons.yml").landed
ON_GUEST = tuple(lesson.number for lesson in LANDED if lesson.ci_guest)


def _strict() -> tuple[Command, ...]:
    return tuple(
        _python(
            *("k8s101.notebook", "test", "--strict", lesson.number),
            name=lesson.number,
            alone=lesson.alone,
            after=LATER.get(lesson.number, ""),
        )
        for lesson in LANDED
    )


def _checks() -> tuple[Command, ...]:
    modules = [
        _pytest(
            *("-m", "cluster", f"tests/notebooks/test_checks_{lesson.number}.py"),
            name=lesson.number,
            alone=lesson.alone,
            after=LATER.get(lesson.number, ""),
        )
        for lesson in LANDED
        if (ROOT / f"tests/notebooks/test_checks_{lesson.number}.py").exists()
    ]
    return (_pytest("tests/notebooks/test_template.py", name="template"), *modules)


STAGES = (
    Stage(
        "check",
        FIRST,
        60,
        (
            _python("ruff", "check", "."),
            _python("ruff", "format", "--check", "."),
            _python("mypy"),
            _python("lint-imports"),
            _notebooks("check"),
            _python("tools.pages", "--check"),
        ),
    ),
    Stage("prepare", FIRST, 60, (_programs(), _python("k8s101.cluster.images.building")), vital=True),
    Stage("up", FIRST, 30, (_k8s101("down"), _k8s101("up")), vital=True, root=True),
    Stage("strict", NODES, 480, _strict(), width=AT_ONCE, root=True),
    Stage("checks", NODES, 480, _checks(), width=AT_ONCE, root=True),
    Stage("cluster", NODES, 330, (_pytest("tests/cluster"),), root=True),
    Stage("existing", NODES, 120, (_pytest("tests/existing/test_ours.py"),), root=True),
    Stage("copies", NODES, 900, (_notebooks("papermill", "--copy"),), extra=True, root=True),
    Stage("browser", NODES, 900, (_pytest("tests/browser"),), extra=True, root=True),
    Stage("down", NODES, 10, (_k8s101("down"),), root=True),
    # alone with what is niced: it has one processor, and lessons have deadlines
    Stage("guest", NODES, 480, (_pytest(GUEST, "-s", after="guest"),), root=True),
    Stage(
        "own guest",
        NODES,
        480,
        (_k8s101("up", "--backend", "guest", after="guest"), _notebooks("papermill", *ON_GUEST), _k8s101("down")),
        root=False,
    ),
    Stage(
        "own simulated",
        NODES,
        480,
        (_k8s101("up", "--backend", "simulated", after="kwok"), _notebooks("papermill"), _k8s101("down")),
        root=False,
    ),
    Stage(
        "builds",
        BESIDE,
        60,
        (
            _programs("metallb-controller", name="loadbalancer"),
            _programs("kwok", "kwokctl", name="kwok"),
            _python("k8s101.cluster.backends.kinds", "guest", name="guest"),
        ),
        niceness=19,
    ),
    Stage("unit", BESIDE, 300, (_pytest("tests/unit", "tests/notebooks", "-m", "not cluster"),), niceness=10),
    Stage(
        "unprivileged",
        BESIDE,
        600,
        (_pytest("tests/unprivileged", f"--ignore={GUEST}", "-s", "-m", "not slow"),),
        niceness=10,
        root=True,
    ),
    Stage("third-party", BESIDE, 90, (_pytest("tests/existing/test_third_party.py"),), niceness=10, root=True),
    Stage(
        "slow",
        BESIDE,
        600,
        (_pytest("tests/unprivileged", f"--ignore={GUEST}", "-m", "slow"),),
        niceness=10,
        extra=True,
        root=True,
    ),
    Stage("faults", BESIDE, 600, (_pytest("tests/faults"),), niceness=10, extra=True, root=True),
)
