"""Take a part of the cluster away and find out, by asking, what still works.

Nothing here says which answer is right. A question is put to the cluster, and `no` means: not within several
times as long as it takes while everything runs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TypeVar

from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from k8s101.errors import Problem
from k8s101.lesson.apply import apply
from k8s101.lesson.faults import component
from k8s101.lesson.questions import ERRORS, PATIENCE_SECONDS, POLL_SECONDS, QUESTIONS, Question, Round
from k8s101.lesson.session import current
from k8s101.lesson.tables import table
from k8s101.lesson.wait import wait_for

WATCH, OLD, READY = "a watch stays open", "old Service answers", "node is Ready"
"""Found out by looking on, not by asking for something."""

SYMPTOMS = (*(question.text for question in QUESTIONS[:3]), WATCH, *(q.text for q in QUESTIONS[3:]), OLD, READY)
"""The rows of the table."""

READY_AGAIN = Question(READY, lambda now: None, lambda now, node: bool(now.node_ready(node)), on_nodes=True)

NOTHING = "nothing"
LEAST_SECONDS = 5.0
TIMES_AS_LONG = 5
NEW_SERVICE = 101
"""Number of the new Service's address, in the part of the range that is not given out by itself
(kubernetes.io/docs/concepts/services-networking/cluster-ip-allocation)."""

WORDS = {True: "yes", False: "no", None: "?"}
SHORT = {"kube-apiserver": "apiserver", "kube-controller-manager": "controllers", "kube-scheduler": "scheduler"}

Column = dict[str, bool | None]
T = TypeVar("T")

_columns: dict[str, Column] = {}


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
    if part not in _columns:
        raise Problem(f"{part} has not been away yet", where="this lesson", then="run the cells above")
    return _columns[part][symptom]


class Symptoms:
    """Ask the same questions again and again, each time with another part of the cluster away.

    Raises:
        Problem: no lesson is open, or the clients do not start.
    """

    def __init__(self) -> None:
        self._api = current()
        self._address = str(self._api.settings.ranges.services[NEW_SERVICE])
        self._rounds = 0
        self._seconds = float(PATIENCE_SECONDS)
        _columns.clear()
        spec = self._api.core.read_namespaced_service("hello", self._api.namespace).spec
        old = str(spec.cluster_ip) if spec else ""
        apply("clients.yaml", old=old, new=self._address)
        wait_for("daemonset/client", "rolled out")
        wait_for("deployment/spare", "{.status.replicas}=1")
        with self.without():
            pass

    @contextmanager
    def without(self, *names: str) -> Iterator[None]:
        """Stop parts, ask what works, run the block, start the parts, and wait until all works again.

        The parts are started again whatever happens in the block. Prints what worked and what did not.

        Args:
            names: parts of the cluster, as `k8s101 status` shows them; none to ask while everything runs.

        Raises:
            Problem: a part does not stop or start, or something does not work again.
        """
        self._rounds += 1
        homes = {name: name.split("/")[0] if "/" in name else "worker-1" for name in names or (NOTHING,)}
        nodes = sorted({*homes.values()})
        now = _patiently(partial(Round, self._api, self._rounds, nodes, self._address, self._seconds))
        with ExitStack() as stack:
            for part in map(component, names):
                stack.callback(part.start)
                part.stop()
            columns = self._ask(now)
            yield
            for node, column in columns.items():
                column |= {WATCH: now.watch_open, READY: now.node_ready(node)}
        for node, column in columns.items():
            column[OLD] = _patiently(partial(now.old_answers, node))
        for name, node in homes.items():
            _columns[name.rpartition("/")[2]] = columns[node]
            print(_summary(name, columns[node]))
        self._heal(now, columns)
        now.clear()

    def _ask(self, now: Round) -> dict[str, Column]:
        """Put all questions at the same time; return the answers by node."""
        began = time.monotonic()
        with ThreadPoolExecutor(len(QUESTIONS)) as pool:
            answers = list(pool.map(lambda question: question.ask(now, self._seconds), QUESTIONS))
        if self._rounds == 1:
            self._seconds = max(LEAST_SECONDS, TIMES_AS_LONG * (time.monotonic() - began))
        return {
            node: {q.text: found.get(node, found.get("")) for q, found in zip(QUESTIONS, answers, strict=True)}
            for node in now.nodes
        }

    def _heal(self, now: Round, columns: dict[str, Column]) -> None:
        """Wait until everything that did not work does."""
        for question in (*QUESTIONS, READY_AGAIN):
            worked = all(column[question.text] for column in columns.values())
            if not worked and not all(question.ask(now, PATIENCE_SECONDS).values()):
                raise Problem(
                    f"after {PATIENCE_SECONDS} s there is still no yes to: {question.text}",
                    where="the cluster",
                    then="k8s101 up, which starts what does not run",
                )

    def table(self) -> None:
        """Print all answers: a row for each question, a column for each part that was away."""
        parts = [NOTHING, *(part for part in _columns if part != NOTHING)]
        rows = [(symptom, *(WORDS[_columns[part][symptom]] for part in parts)) for symptom in SYMPTOMS]
        print(table(("WITHOUT", *(SHORT.get(part, part) for part in parts)), rows))


def _patiently(request: Callable[[], T]) -> T:
    """Send a request again while the API server comes back."""
    retrying = Retrying(
        retry=retry_if_exception_type(ERRORS),
        stop=stop_after_delay(PATIENCE_SECONDS),
        wait=wait_fixed(POLL_SECONDS),
        reraise=True,
    )
    return retrying(request)


def _summary(name: str, column: Column) -> str:
    """Return what worked and what did not, a line each."""
    lines = [f"without {name}"]
    for answer, word in WORDS.items():
        symptoms = [symptom for symptom in SYMPTOMS if column[symptom] is answer]
        if symptoms:
            lines.append(f"  {word:<3}  {' · '.join(symptoms)}")
    return "\n".join(lines)
