"""What still works while parts of the cluster are away, found out by asking the cluster.

Nothing here says which answer is right. A question is put to the cluster, and `no` means: not within several
times as long as it takes while everything runs.
"""

from __future__ import annotations

import math
import textwrap
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from string import Template
from typing import TypeVar

from k8s101.cluster.facade import cluster
from k8s101.cluster.values.deadline import until
from k8s101.errors import Problem
from k8s101.lesson.api.apply import apply_object, parse
from k8s101.lesson.api.rest import Object
from k8s101.lesson.api.session import Api, current
from k8s101.lesson.api.wait import poll, rolled_out
from k8s101.lesson.faults.questions import ERRORS, PATIENCE_SECONDS, POLL_SECONDS, QUESTIONS, Question, Round

WATCH, OLD, READY = "a watch stays open", "old Service answers", "node is Ready"
"""Found out by looking on, not by asking for something."""

SYMPTOMS = (*(question.text for question in QUESTIONS[:3]), WATCH, *(q.text for q in QUESTIONS[3:]), OLD, READY)
"""The rows of the table."""

READY_AGAIN = Question(READY, lambda now: None, lambda now, node: bool(now.node_ready(node)), on_nodes=True)

CLIENTS = "clients.yaml"
"""What a lesson must have in its manifests to be asked."""

NOTHING = "nothing"
WATCHED = "worker-1"
"""The node where questions are asked while a part of the control plane is away."""

LEAST_SECONDS = 3.0
DOOR_SECONDS = 1.0
"""For the API server: each request is refused at once, and its other clients double their pauses while they wait."""

NODE_SECONDS = 10.0
"""The least for parts of a node: until the control plane takes notice, half a minute passes anyway."""

TIMES_AS_LONG = 8
GRAIN_SECONDS = 0.5
SLOW = 1.5
"""From here on, in times of what the other answers usually take, a `no` is asked once more."""

NEW_SERVICE = 101
"""Number of the new Service's address, in the part of the range that is not given out by itself
(kubernetes.io/docs/concepts/services-networking/cluster-ip-allocation)."""

WIDTH = 100
SHORT = {"kube-apiserver": "apiserver", "kube-controller-manager": "controllers", "kube-scheduler": "scheduler"}

Column = dict[str, bool | None]
T = TypeVar("T")


class Survey:
    """The answers of one lesson: a column for each part that has been away.

    Args:
        api: the lesson.

    Raises:
        Problem: the clients do not start, or something does not work although nothing is away.
    """

    def __init__(self, api: Api) -> None:
        found = cluster.find()
        self.api = api
        self.containers = found is not None and found.capabilities.containers
        self.address = str(api.settings.ranges.services[NEW_SERVICE])
        self.columns: dict[str, Column] = {}
        self.usual: dict[str, float] = {}
        self.patience = {question.text: float(PATIENCE_SECONDS) for question in QUESTIONS}
        self.rounds = 0
        self._start_clients()
        everything = Absence(self, ())
        self.usual = everything.ask()
        everything.look()
        everything.end()
        if failed := [symptom for symptom, answer in self.columns[NOTHING].items() if not answer]:
            raise Problem(f"does not work: {', '.join(failed)}", where="the cluster", then="k8s101 up")
        self.patience = {text: max(LEAST_SECONDS, TIMES_AS_LONG * seconds) for text, seconds in self.usual.items()}

    def _start_clients(self) -> None:
        service = self.api.get("service/hello")
        if service is None:
            raise Problem(
                "there is no Service hello", where=f"namespace {self.api.namespace}", then='apply("hello.yaml")'
            )
        manifest = Template(self.api.manifest(CLIENTS).read_text())
        text = manifest.substitute(old=service["spec"]["clusterIP"], new=self.address)
        for item in parse(text, CLIENTS):
            if self.containers or item["kind"] != "DaemonSet":
                apply_object(self.api, item, CLIENTS)
        if self.containers:
            poll("daemonset/client", rolled_out, PATIENCE_SECONDS, "rolled out")
        poll("deployment/spare", _has_pod, PATIENCE_SECONDS, "made")

    def table(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        """Return a header, and a row for each question, with a column for each part that was away."""
        asked = [symptom for symptom in SYMPTOMS if symptom in self.columns[NOTHING]]
        rows = [(symptom, *(_word(column.get(symptom)) for column in self.columns.values())) for symptom in asked]
        return ("WITHOUT", *(SHORT.get(part, part) for part in self.columns)), rows


class Absence:
    """Parts that are away at the same time: what is asked while they are, and noted when they are back.

    Args:
        survey: where the answers go.
        names: parts of the cluster, as `k8s101 status` shows them; none to ask while everything runs.
    """

    def __init__(self, survey: Survey, names: Sequence[str]) -> None:
        self._survey = survey
        self._homes = {name: name.split("/")[0] if "/" in name else WATCHED for name in names or (NOTHING,)}
        self._least = NODE_SECONDS if any("/" in name for name in names) else 0.0
        self._most = DOOR_SECONDS if "kube-apiserver" in names else math.inf
        survey.rounds += 1
        nodes = sorted({*self._homes.values()})
        made = partial(Round, survey.api, survey.rounds, nodes, survey.address, containers=survey.containers)
        self._round = _patiently(made)
        self._columns: dict[str, Column] = {node: {} for node in nodes}

    def ask(self) -> dict[str, float]:
        """Put all questions at the same time; return how long each answer took, in seconds.

        On a machine that has become slow, what got no answer in its time is asked again.
        """
        asked = [question for question in QUESTIONS if self._survey.containers or not question.containers]
        took = self._put(asked, 1)
        answered = [text for text in took if not self._missing(text)]
        usual = self._survey.usual
        slowness = max(
            ((took[text] + GRAIN_SECONDS) / (usual[text] + GRAIN_SECONDS) for text in answered if text in usual),
            default=1.0,
        )
        if slowness > SLOW:
            self._put([question for question in asked if self._missing(question.text)], slowness)
        return took

    def _put(self, questions: Sequence[Question], times: float) -> dict[str, float]:
        """Put questions, with so many times their patience; note the answers, and return how long each took."""

        def ask(question: Question) -> float:
            began = time.monotonic()
            patience = max(self._least, self._survey.patience[question.text])
            found = question.ask(self._round, min(self._most, PATIENCE_SECONDS, times * patience))
            for node, column in self._columns.items():
                column[question.text] = found.get(node, found.get(""))
            return time.monotonic() - began

        with ThreadPoolExecutor(len(questions) or 1) as pool:
            return dict(zip([question.text for question in questions], pool.map(ask, questions), strict=True))

    def _missing(self, text: str) -> bool:
        """Tell whether a question has an answer other than yes somewhere."""
        return any(column.get(text, True) is not True for column in self._columns.values())

    def look(self) -> None:
        """Note what can be seen only while the parts are away."""
        for node, column in self._columns.items():
            column |= {WATCH: self._round.watch_open, READY: self._round.node_ready(node)}

    def end(self) -> None:
        """Once the parts are back: ask the clients, note everything, and wait until all works again.

        Raises:
            Problem: something does not work again.
        """
        if self._round.containers:
            for node, column in self._columns.items():
                column[OLD] = _patiently(partial(self._round.old_answers, node))
        for name, node in self._homes.items():
            self._survey.columns[name.rpartition("/")[2]] = self._columns[node]
            if name != NOTHING:
                print(summary(name, self._columns[node]))
        self._heal()
        _patiently(self._round.clear)

    def _heal(self) -> None:
        """Wait until everything that did not work does."""
        for question in (*QUESTIONS, READY_AGAIN):
            if self._missing(question.text) and not all(question.ask(self._round, PATIENCE_SECONDS).values()):
                raise Problem(
                    f"after {PATIENCE_SECONDS} s there is still no yes to: {question.text}",
                    where="the cluster",
                    then="k8s101 up, which starts what does not run",
                )


_open: list[Survey] = []


def opened(api: Api) -> Survey | None:
    """Return the survey of this lesson, None if it has not begun."""
    return _open[-1] if _open and _open[-1].api is api else None


def survey(api: Api) -> Survey:
    """Return the survey of this lesson; the first call asks all questions while everything runs."""
    known = opened(api)
    if known is None:
        known = Survey(api)
        _open[:] = [known]
    return known


def seen(part: str, symptom: str) -> bool | None:
    """Tell whether something worked while a part was away, as found out in this lesson.

    Args:
        part: the part without its node, such as `etcd` or `kubelet`.
        symptom: one of `SYMPTOMS`.

    Returns:
        None if nobody could tell.

    Raises:
        Problem: that part has not been away yet.
    """
    known = opened(current())
    if known is None or part not in known.columns:
        raise Problem(f"{part} has not been away yet", where="this lesson", then="run the cells above")
    return known.columns[part].get(symptom)


def summary(name: str, column: Column) -> str:
    """Return what worked and what did not while a part was away, a paragraph each."""
    lines = [f"without {name}"]
    for answer in (True, False, None):
        symptoms = [symptom for symptom in SYMPTOMS if symptom in column and column[symptom] is answer]
        if symptoms:
            head = f"  {_word(answer):<3}  "
            text = " · ".join(symptoms)
            lines += textwrap.wrap(text, WIDTH, initial_indent=head, subsequent_indent=" " * len(head))
    return "\n".join(lines)


def _has_pod(item: Object | None) -> str | None:
    return "made" if item and item.get("status", {}).get("replicas") else None


def _word(answer: bool | None) -> str:
    return "?" if answer is None else "yes" if answer else "no"


def _patiently(request: Callable[[], T]) -> T:
    """Send a request again while the API server comes back."""
    answers = until(lambda: [request()], PATIENCE_SECONDS, every=POLL_SECONDS, errors=ERRORS)
    return answers[0]
