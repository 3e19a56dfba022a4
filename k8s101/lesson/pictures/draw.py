"""Draw the learner's own objects."""

from __future__ import annotations

from k8s101.lesson.api.session import current
from k8s101.lesson.pictures import parts
from k8s101.lesson.pictures.graph import COLUMNS, Graph, Node, collect, find, open_pod
from k8s101.lesson.pictures.picture import (
    BLUE,
    CHARACTER,
    GREEN,
    INK,
    PURPLE,
    Picture,
    document,
    label,
    mark,
    path,
    rectangle,
    width_of,
)

MARGIN, GAP_X, GAP_Y, LINE, PADDING = 16.0, 44.0, 12.0, 17.0, 8.0
AT_FOOT = ("Service", "Ingress")
STYLES: dict[str, dict[str, str | float]] = {
    "owns": {"stroke": INK},
    "runs": {"stroke": INK},
    "routes": {"stroke": BLUE, "stroke_dasharray": "6 3"},
    "selects": {"stroke": BLUE, "stroke_dasharray": "6 3"},
    "mounts": {"stroke": PURPLE, "stroke_dasharray": "2 3"},
    "binds": {"stroke": PURPLE, "stroke_dasharray": "2 3"},
}
LEGEND = {
    "owns": "solid: owns",
    "runs": "solid: runs",
    "selects": "dashed: sends requests to",
    "mounts": "dotted: uses",
}


def draw(reference: str = "") -> Picture:
    """Draw objects of this lesson and what ties them together, with the same facts as text.

    Args:
        reference: `kind/name`: draw it and what it leads to, a Pod with its containers; `parts`: the parts of the
            cluster itself and whether they run; empty: everything in the namespace.

    Returns:
        A picture that the notebook shows.

    Raises:
        Problem: there is no such object.
    """
    if reference == "parts":
        return parts.picture(parts.parts())
    api = current()
    graph = collect(api)
    if reference:
        uid = find(api, graph, reference)
        graph = graph.below(uid)
        pod = next((item for item in api.list("Pod") if item["metadata"]["uid"] == uid), None)
        graph = open_pod(graph, pod) if pod else graph
    return picture(graph, reference or f"namespace {api.namespace}")


def picture(graph: Graph, subject: str) -> Picture:
    """Return a graph as a picture.

    Args:
        graph: what to draw.
        subject: what it is about, for the alternative text.
    """
    places, width, height = layout(graph)
    parts = [_edge(places, edge.source, edge.target, edge.kind) for edge in graph.edges]
    parts += [_box(node, places[node.uid]) for node in sorted(graph.nodes.values(), key=lambda n: n.order)]
    kinds = {
        "owns": "owns",
        "selects": "selects",
        "routes": "selects",
        "mounts": "mounts",
        "binds": "mounts",
        "runs": "runs",
    }
    used = {kinds[edge.kind] for edge in graph.edges}
    legend = " · ".join(text for kind, text in LEGEND.items() if kind in used)
    if not graph.nodes:
        legend = "there are no objects"
        width, height = max(width, width_of(legend) + 2 * MARGIN), max(height, LINE)
    parts.append(label(MARGIN, height + 4, legend, font_size="12"))
    alt = alternative(graph, subject)
    return Picture(document(width, height + 16, alt, sorted_edges_first(parts)), alt, graph.text())


def sorted_edges_first(parts: list[str]) -> list[str]:
    """Put lines below boxes and make their order the same on every run."""
    return sorted(part for part in parts if part.startswith("<path")) + [
        part for part in parts if not part.startswith("<path")
    ]


def alternative(graph: Graph, subject: str) -> str:
    """Return one sentence that says what the picture shows."""
    counts = [
        f"{number} {kind}{'s' if number > 1 else ''}"
        for column in COLUMNS
        for kind in column
        if (number := sum(node.kind == kind for node in graph.nodes.values()))
    ]
    pods = [node for node in graph.nodes.values() if node.kind == "Pod"]
    ready = f", {sum(node.state == 'ok' for node in pods)} of {len(pods)} Pods ready" if pods else ""
    return f"Objects of {subject}: {', '.join(counts) or 'none'}{ready}."


Place = tuple[float, float, float, float]
"""x, y, width and height of a box."""


def layout(graph: Graph) -> tuple[dict[str, Place], float, float]:
    """Place each object: a column for its kind, beside the middle of what it leads to.

    Services and Ingresses stand at the foot, so that their lines do not run behind the owners of Pods.

    Returns:
        The places by uid, the width and the height of the whole.
    """
    places: dict[str, Place] = {}
    x, height = MARGIN, 0.0
    columns = [_column(graph, kinds) for kinds in COLUMNS]
    for nodes in filter(None, columns):
        box_width = max(_width(node) for node in nodes)
        y = MARGIN
        for node in nodes:
            box_height = PADDING * 2 + LINE * (1 + bool(node.facts)) - 4
            places[node.uid] = (x, y, box_width, box_height)
            y += box_height + GAP_Y
        height = max(height, y)
        x += box_width + GAP_X
    foot = height
    for nodes in reversed(columns):
        _centre(graph, [node for node in nodes if node.kind not in AT_FOOT], places, MARGIN)
        _centre(graph, [node for node in nodes if node.kind in AT_FOOT], places, foot)
    height = max((y + tall + GAP_Y for _, y, _, tall in places.values()), default=0.0)
    return places, x - GAP_X + MARGIN, height + MARGIN / 2


def _column(graph: Graph, kinds: tuple[str, ...]) -> list[Node]:
    return sorted((node for node in graph.nodes.values() if node.kind in kinds), key=lambda n: n.order)


def _width(node: Node) -> float:
    facts = width_of(" · ".join(node.facts)) * 12 / 13
    return max(width_of(f"{node.kind} {node.name}") + 22, facts) + 2 * PADDING


def _centre(graph: Graph, nodes: list[Node], places: dict[str, Place], floor: float) -> None:
    for node in nodes:
        x, y, width, height = places[node.uid]
        middles = [places[t.uid][1] + places[t.uid][3] / 2 for _, t in graph.targets(node.uid)]
        if middles:
            y = sum(middles) / len(middles) - height / 2
        y = max(y, floor)
        places[node.uid] = (x, y, width, height)
        floor = y + height + GAP_Y


def _box(node: Node, place: Place) -> str:
    x, y, width, height = place
    stroke = {"ok": GREEN, "bad": "#D55E00"}.get(node.state, INK)
    text_x = x + PADDING + (20 if node.kind == "Pod" else 0)
    parts = [
        rectangle(x, y, width, height, fill="#ffffff", stroke=stroke, stroke_width=1.5),
        label(text_x, y + PADDING + 10, f"{node.kind} {node.name}", font_weight="bold"),
    ]
    if node.kind == "Pod":
        parts.append(mark(x + PADDING + 7, y + PADDING + 6, node.state))
    if node.facts:
        parts.append(label(x + PADDING, y + PADDING + 10 + LINE, " · ".join(node.facts), font_size="12"))
    return "".join(parts)


def _edge(places: dict[str, Place], source: str, target: str, kind: str) -> str:
    x1, y1, width, height = places[source]
    x2, y2, _, other = places[target]
    start_x, start_y, end_x, end_y = x1 + width, y1 + height / 2, x2, y2 + other / 2
    bend = CHARACTER * 3
    curve = f"C{start_x + bend:g} {start_y:g} {end_x - bend:g} {end_y:g} {end_x - 6:g} {end_y:g}"
    head = f"M{end_x - 7:g} {end_y - 4:g}L{end_x - 1:g} {end_y:g}L{end_x - 7:g} {end_y + 4:g}"
    line = path(f"M{start_x:g} {start_y:g}{curve}", **STYLES[kind])
    return line + path(head, stroke=STYLES[kind]["stroke"])
