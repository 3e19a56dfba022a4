"""The stages of `make test`: what runs, in which lane, and how long it may take."""

from __future__ import annotations

import re
from collections.abc import Iterator

from k8s101.cluster.addons.catalog import catalog
from k8s101.cluster.values.settings import ROOT
from k8s101.notebook import lessons
from k8s101.notebook.lessons import Lesson
from k8s101.notebook.pool import AT_ONCE
from tools.stage import BESIDE, FIRST, NODES, Command, Stage

GUEST = "tests/unprivileged/test_guest.py"
ANYWHERE = ("addons", "pods")
"""What tests/cluster tests without a look at what the machine itself sends."""

ENABLED = re.compile(r"k8s101 addons enable ([a-z][a-z -]*)")


def _python(*arguments: str, name: str = "", alone: bool = False, after: tuple[str, ...] = ()) -> Command:
    return Command(arguments, name, alone, after)


def _notebooks(*arguments: str) -> Command:
    return _python("k8s101.notebook", *arguments)


def _pytest(*arguments: str, name: str = "", alone: bool = False, after: tuple[str, ...] = ()) -> Command:
    options = ("-q", "--durations=5", "--durations-min=5")
    return _python("pytest", *options, *arguments, name=name, alone=alone, after=after)


def _k8s101(*arguments: str, after: tuple[str, ...] = ()) -> Command:
    return _python("k8s101.cli", *arguments, after=after)


def _programs(*names: str, name: str = "") -> Command:
    return _python("k8s101.cluster.programs.binaries", *names, name=name)


LONG = ("rollouts",)
"""Add-ons whose programs take too long to build for `make test`; each has a test of its own, `test_NAME.py`."""

BUILT = tuple(name for name, addon in catalog().items() if addon.images and name not in LONG)
LANDED = lessons.load(ROOT / "notebooks/lessons.yml").landed
ON_GUEST = tuple(lesson.number for lesson in LANDED if lesson.ci_guest)


def _enabled(lesson: Lesson) -> tuple[str, ...]:
    """Return the add-ons that a module's page enables: what they run is built beside the stages before."""
    found = ENABLED.findall((ROOT / "notebooks" / lesson.file).read_text())
    return tuple(name for name in dict.fromkeys(" ".join(found).split()) if name in BUILT)


def _used(lesson: Lesson) -> tuple[str, ...]:
    """Return the builds that a module waits for."""
    return (*_enabled(lesson), *lesson.programs)


def _builds() -> Iterator[Command]:
    """Yield what makes each later program, in the order in which stages wait for it."""
    used = dict.fromkeys(name for lesson in LANDED for name in _enabled(lesson))
    for name in used:
        yield _addon(name)
    for name in dict.fromkeys(name for lesson in LANDED for name in lesson.programs):
        yield _programs(name, name=name)
    yield _programs("kwok", "kwokctl", name="kwok")
    yield _python("k8s101.cluster.backends.kinds", "guest", name="guest")
    for name in sorted(set(BUILT) - used.keys()):
        yield _addon(name)


def _addon(name: str) -> Command:
    return _python("k8s101.cluster.addons.archives", name, name=name)


def _strict() -> tuple[Command, ...]:
    return tuple(
        _python(
            *("k8s101.notebook", "test", "--strict", lesson.number),
            name=lesson.number,
            alone=lesson.alone,
            after=_used(lesson),
        )
        for lesson in LANDED
    )


def _checks() -> tuple[Command, ...]:
    modules = [command for lesson in LANDED for command in _checks_of(lesson)]
    # one after the other: both work in the template's one namespace
    files = ("tests/notebooks/test_template.py", "tests/notebooks/test_checks_template.py")
    return (_pytest("-m", "cluster", *files, name="template"), *modules)


def _checks_of(lesson: Lesson) -> Iterator[Command]:
    """Yield what tests a module's checks; tests that must be alone may be marked, else the module tells for all."""
    path = ROOT / f"tests/notebooks/test_checks_{lesson.number}.py"
    if not path.exists():
        return
    file, after = str(path.relative_to(ROOT)), _used(lesson)
    if "mark.alone" not in path.read_text():
        yield _pytest("-m", "cluster", file, name=lesson.number, alone=lesson.alone, after=after)
        return
    yield _pytest("-m", "cluster and not alone", file, name=lesson.number, after=after)
    yield _pytest("-m", "cluster and alone", file, name=f"{lesson.number} alone", alone=True, after=after)


def _test(name: str) -> str:
    return f"tests/cluster/test_{name}.py"


def _long() -> Iterator[Command]:
    """Yield what builds each add-on that takes long, and its test."""
    for name in LONG:
        yield _addon(name)
        yield _pytest(_test(name))


def _halves() -> tuple[Command, ...]:
    """Return the cluster's tests in halves of equal length; the first gets the cluster in the machine's own network."""
    files = {str(path.relative_to(ROOT)) for path in (ROOT / "tests/cluster").glob("test_*.py")} - set(map(_test, LONG))
    second = set(map(_test, ANYWHERE))
    halves = {"machine": files - second, "anywhere": second}
    return tuple(_pytest(*sorted(half), name=name, alone=True, after=BUILT) for name, half in halves.items())


STAGES = (
    Stage(
        "check",
        "format, lint, types, import contracts, notebooks in their committed form, derived pages",
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
    Stage(
        "prepare",
        "the core programs and images can be made; without them nothing goes on",
        FIRST,
        60,
        (_programs(), _python("k8s101.cluster.images.building")),
        vital=True,
    ),
    Stage(
        "up",
        "a cluster of real nodes starts and serves an app; without it nothing goes on",
        FIRST,
        30,
        (_k8s101("down"), _k8s101("up")),
        vital=True,
        root=True,
    ),
    Stage(
        "strict",
        "every output of every notebook is what is stored, each in a kernel of its own",
        NODES,
        1260,
        _strict(),
        width=AT_ONCE,
        spread=True,
        root=True,
    ),
    Stage(
        "checks",
        "every exercise: fails before, passes after the solution and other ways, names the cause of wrong answers",
        NODES,
        1320,
        _checks(),
        width=AT_ONCE,
        spread=True,
        root=True,
    ),
    Stage(
        "cluster",
        "networking, DNS, storage, security, repair, reset, add-ons, on real clusters",
        NODES,
        480,
        _halves(),
        width=2,
        spread=True,
        root=True,
    ),
    Stage(
        "existing",
        "a cluster of which only the kubeconfig is known serves 00 and 06; nothing else in it is touched",
        NODES,
        180,
        (_pytest("tests/existing/test_ours.py"),),
        root=True,
    ),
    Stage(
        "long builds",
        "add-ons whose programs take long to build: " + ", ".join(LONG),
        NODES,
        180,
        tuple(_long()),
        extra=True,
        root=True,
    ),
    Stage(
        "cells",
        "what cells and helpers do on the real cluster, and what they say to mistakes",
        NODES,
        300,
        (
            _pytest(
                "-m", "cluster", *(f"tests/notebooks/test_{name}.py" for name in ("cells", "helpers", "pasting", "k9s"))
            ),
        ),
        extra=True,
        root=True,
    ),
    Stage(
        "copies",
        "every notebook and every learner's copy runs end to end on real nodes",
        NODES,
        900,
        (_notebooks("papermill", "--copy"),),
        extra=True,
        root=True,
    ),
    Stage(
        "browser",
        "JupyterLab in Chromium: every module by keyboard",
        NODES,
        900,
        (_pytest("tests/browser"),),
        extra=True,
        root=True,
    ),
    Stage("down", "the cluster goes", NODES, 10, (_k8s101("down"),), root=True),
    Stage(
        "own guest",
        "the same modules in this user's own guest",
        NODES,
        480,
        (_k8s101("up", "--backend", "guest", after=("guest",)), _notebooks("papermill", *ON_GUEST), _k8s101("down")),
        root=False,
    ),
    Stage(
        "own simulated",
        "every notebook on simulated nodes of this user's own",
        NODES,
        480,
        (_k8s101("up", "--backend", "simulated", after=("kwok",)), _notebooks("papermill"), _k8s101("down")),
        root=False,
    ),
    Stage(
        "builds",
        "programs that only later stages need, made beside at the lowest priority",
        BESIDE,
        60,
        tuple(_builds()),
        niceness=19,
    ),
    Stage(
        "unit",
        "everything that needs no cluster",
        BESIDE,
        720,
        (_pytest("tests/unit", "tests/notebooks", "-m", "not cluster"),),
        niceness=10,
    ),
    Stage(
        "unprivileged",
        "a Binder-like user (1 CPU, 2 GB, no network): every notebook on simulated nodes, parts that die, two users",
        BESIDE,
        1200,
        (_pytest("tests/unprivileged", f"--ignore={GUEST}", "-s", "-m", "not slow"),),
        niceness=10,
        root=True,
    ),
    Stage(
        "third-party",
        "a cluster that kwokctl made, beside a production cluster that nobody may ask",
        BESIDE,
        120,
        (_pytest("tests/existing/test_third_party.py"),),
        niceness=10,
        root=True,
    ),
    # last and not niced: it has one processor, and its lessons have deadlines
    Stage(
        "guest",
        "an ordinary user gets real nodes in a guest: webhooks, limits, repair, the modules marked `ci_guest`",
        BESIDE,
        720,
        (_pytest(GUEST, "-s", after=("guest", *BUILT)),),
        root=True,
    ),
    Stage(
        "slow",
        "a thousand simulated nodes",
        BESIDE,
        600,
        (_pytest("tests/unprivileged", f"--ignore={GUEST}", "-m", "slow"),),
        niceness=10,
        extra=True,
        root=True,
    ),
    Stage(
        "faults",
        "machines, habits and inputs as people have them, each a row of a table: it works, or the cause is told",
        BESIDE,
        1800,
        (_pytest("tests/faults"),),
        niceness=10,
        extra=True,
        root=True,
    ),
    Stage(
        "images",
        "the image of Dockerfile is built and used by runc as by Docker: module 00 with `--privileged`, and without",
        BESIDE,
        1800,
        (_pytest("tests/images", "-rs"),),
        niceness=10,
        extra=True,
        root=True,
    ),
)


def table() -> str:
    """Return the table of stages in Markdown."""
    rows = ["| stage | proves | budget | who |", "|---|---|---|---|"]
    for stage in STAGES:
        who = {True: "root", False: "other users", None: "everybody"}[stage.root]
        more = "; `make test-all` only" if stage.extra else ""
        rows.append(f"| {stage.name} | {stage.proves} | {stage.budget} s | {who}{more} |")
    return "\n".join(rows)
