"""Make what commands print the same on each run: what varies by nature becomes an ellipsis, all else stays.

Used only where a notebook is executed for storing or testing. The order of things is restored where the
command itself promises none: a plain `kubectl get` sorts by names, of which the generated part is random.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from k8s101.lesson.cells import masks, tabular

MARK = re.compile("\x1e(begin|end)((?:\x1f[^\x1e]*)*)\x1e\n", re.DOTALL)
"""What the kubectl of cells prints before and after its output; see shell/bin/kubectl."""

WAITING = re.compile(r"[Ww]aiting for .*\.\.\.(?: before proceeding)?")
"""How `kubectl rollout status` tells its progress: how many of these lines come is a matter of speed."""

CANCELED = re.compile(r'[IWE]\d{4} [\d:.]+ +\d+ (?:reflector|request)\.go:\d+\] ".*context canceled.*')
"""What the library of kubectl and Helm logs, with time and process, if a wait ends while an event is on its way."""

NODE_PORT = re.compile(r"node-?port\W{1,3}(\d{4,5})", re.IGNORECASE)
LOCAL_PORT = re.compile(r"(?<!\d)(\d{4,5}):\d+")


@dataclass(frozen=True)
class Command:
    """A kubectl command, as far as it matters for its output.

    Args:
        words: what stands behind the word kubectl; empty where some other program printed.
    """

    words: tuple[str, ...] = ()

    @property
    def sorts(self) -> bool:
        """Whether its rows have no order of their own."""
        free = not any(word.split("=")[0] in ("--sort-by", "-w", "--watch", "--watch-only") for word in self.words)
        return self.is_("get") and free

    @property
    def lists_names(self) -> bool:
        """Whether it prints one name a line."""
        return self.sorts and any(a + b in ("-oname", "--outputname") or a in ("-oname", "-o=name", "--output=name")
                                  for a, b in zip(self.words, (*self.words[1:], ""), strict=True))  # fmt: skip

    def is_(self, *verbs: str) -> bool:
        """Tell whether its words begin with these, options left aside."""
        plain = [word for word in self.words if not word.startswith("-")]
        return plain[: len(verbs)] == list(verbs)


def stabilise(text: str, ports: frozenset[int] = frozenset()) -> str:
    """Return an output as it is stored.

    Args:
        text: all that a cell printed.
        ports: ports that somebody chose, which stay.
    """
    result = ""
    position = 0
    command = Command()
    for mark in MARK.finditer(text):
        result += _shown(text[position : mark.start()], command, ports)
        command = Command(tuple(mark[2].split("\x1f")[1:])) if mark[1] == "begin" else Command()
        position = mark.end()
    return result + _shown(text[position:], command, ports)


def _shown(text: str, command: Command, ports: frozenset[int]) -> str:
    if not text and not command.is_("rollout", "status"):
        return ""
    lines = [line for line in text.split("\n") if not WAITING.fullmatch(line) and not CANCELED.fullmatch(line)]
    if command.is_("rollout", "status"):
        lines.insert(0, masks.DOTS)  # whether there was something to wait for depends on the machine
    if command.lists_names:
        lines = [*sorted(masks.mask(line, ports) for line in lines[:-1]), lines[-1]]
    lines = tabular.conditions_sorted(lines)
    return "\n".join(tabular.realigned(lines, lambda line: masks.mask(line, ports), sort=command.sorts))


def chosen_ports(script: str, folder: Path) -> frozenset[int]:
    """Return the ports that a cell or a manifest of the lesson names.

    Args:
        script: the cell.
        folder: the lesson's folder.
    """
    manifests = [path.read_text(errors="replace") for path in sorted(folder.glob("*.yaml"))]
    numbers = [number for text in (script, *manifests) for number in NODE_PORT.findall(text)]
    return frozenset(int(number) for number in [*numbers, *LOCAL_PORT.findall(script)])
