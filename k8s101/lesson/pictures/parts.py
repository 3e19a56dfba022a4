"""The parts of the cluster itself: which processes run, as a list and as a picture."""

from __future__ import annotations

import re

from k8s101.cluster.facade import cluster
from k8s101.lesson.pictures.picture import BLUE, INK, Picture, document, label, mark, path, rectangle, width_of

State = tuple[str, str]
"""The name of a part and how it is."""

NODE = re.compile(r"worker-\d+")
WORDS = {"RUNNING": "runs", "STARTING": "runs", "PAUSED": "is frozen"}
STORE, DOOR, AGENT, RUNTIME = "etcd", "kube-apiserver", "kubelet", "containerd"

MARGIN, GAP, LINE, PADDING = 16.0, 44.0, 20.0, 10.0
WIDTH = width_of("kube-controller-manager") + 2 * PADDING + 18


def parts() -> list[State]:
    """Return the supervised parts of the cluster, those of a node below it; none of a cluster that others run."""
    found = cluster.find()
    if found is None:
        return []
    kept = sorted(found.parts(), key=lambda part: part.name if part.name.startswith("worker-") else "")
    return [(part.name, WORDS.get(part.state, "does not run")) for part in kept]


def picture(known: list[State]) -> Picture:
    """Draw the control plane above the nodes; a line leads from who asks to the dot of who answers.

    Args:
        known: the parts, as `parts` returns them.
    """
    states = dict(known)
    askers = [name for name in states if not name.startswith("worker-") and name not in (STORE, DOOR)]
    nodes = {name: [part for part in states if part.startswith(f"{name}/")] for name in states if NODE.fullmatch(name)}
    columns = [MARGIN + column * (WIDTH + GAP) for column in range(max(3, len(nodes)))]
    middle = MARGIN + max(len(askers) - 1, 0) * (LINE + PADDING) / 2
    top = MARGIN + max(len(askers), 1) * (LINE + PADDING) + GAP
    boxes = [_box(columns[0], middle, [STORE], states), _box(columns[1], middle, [DOOR], states)]
    lines = [_line(columns[1], middle + LINE / 2, columns[0] + WIDTH, middle + LINE / 2)]
    for row, name in enumerate(askers):
        y = MARGIN + row * (LINE + PADDING)
        boxes.append(_box(columns[2], y, [name], states))
        lines.append(_line(columns[2], y + LINE / 2, columns[1] + WIDTH, middle + LINE / 2))
    for x, (name, inside) in zip(columns, nodes.items(), strict=False):
        boxes.append(_box(x, top, [name, *inside], states))
        lines.append(_line(x + WIDTH / 2, top, columns[1] + WIDTH / 2, middle + LINE))
        rows = {part.rpartition("/")[2]: top + LINE * (row + 1.5) for row, part in enumerate(inside)}
        if {AGENT, RUNTIME} <= rows.keys():
            lines.append(_bow(x + WIDTH, rows[AGENT], rows[RUNTIME]))
    height = top + LINE * (1 + max(map(len, nodes.values()), default=0)) + 2 * PADDING
    legend = label(MARGIN, height + 4, "line: from who asks to the dot of who answers", font_size="12")
    alt = _alternative(known)
    svg = document(columns[-1] + WIDTH + MARGIN, height + 16, alt, [*lines, *boxes, legend])
    return Picture(svg, alt, "\n".join(_fact(name, state) for name, state in known))


def _fact(name: str, state: str) -> str:
    home, _, part = name.rpartition("/")
    asks = f" · asks {STORE if part == DOOR else DOOR}"
    quiet = part in (STORE, RUNTIME) or NODE.fullmatch(part)
    more = f" and {RUNTIME}" if part == AGENT else ""
    return f"{'  ' if home else ''}{part} · {state}{'' if quiet else asks + more}"


def _alternative(known: list[State]) -> str:
    nodes = sum(bool(NODE.fullmatch(name)) for name, _ in known)
    away = [name for name, state in known if state != "runs"]
    how = f"not running: {', '.join(away)}" if away else "all parts run"
    return f"A control plane in which only {DOOR} asks {STORE}, and {nodes} nodes that ask {DOOR}; {how}."


def _box(x: float, y: float, names: list[str], states: dict[str, str]) -> str:
    rows = [rectangle(x, y, WIDTH, LINE * len(names), fill="#ffffff", stroke=INK, stroke_width=1.5)]
    for number, name in enumerate(names):
        line = y + LINE * number + 14
        rows.append(mark(x + PADDING + 4, line - 4, "ok" if states[name] == "runs" else "bad"))
        rows.append(label(x + PADDING + 18, line, name.rpartition("/")[2]))
    return "".join(rows)


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    dot = f'<circle cx="{x2:g}" cy="{y2:g}" r="4" fill="{BLUE}"/>'
    return path(f"M{x1:g} {y1:g}L{x2:g} {y2:g}", stroke=BLUE, stroke_width=1.5) + dot


def _bow(x: float, y1: float, y2: float) -> str:
    dot = f'<circle cx="{x:g}" cy="{y2:g}" r="4" fill="{BLUE}"/>'
    bow = f"M{x:g} {y1:g}C{x + GAP / 2:g} {y1:g} {x + GAP / 2:g} {y2:g} {x:g} {y2:g}"
    return path(bow, stroke=BLUE, stroke_width=1.5) + dot
