"""Pictures that survive without a kernel: SVG inside an `img` with a text for those who do not see it."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from html import escape

FONT = "sans-serif"
SIZE = 13
CHARACTER = 7.4
"""Width of an average character at this font size, in pixels; there is no font to ask."""

INK = "#1b1b1b"
PAPER = "#ffffff"
GREEN, BLUE, RED, PURPLE = "#009E73", "#0072B2", "#D55E00", "#CC79A7"
"""Okabe-Ito colours with at least 3:1 on white and on JupyterLab's dark background."""


@dataclass(frozen=True)
class Picture:
    """An SVG, one sentence that replaces it, and the same facts as text.

    Args:
        svg: the drawing.
        alt: one sentence.
        text: all facts.
    """

    svg: str
    alt: str
    text: str

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        data = base64.b64encode(self.svg.encode()).decode()
        image = f'<img src="data:image/svg+xml;base64,{data}" alt="{escape(self.alt)}">'
        details = f"<details><summary>The same as text</summary><pre>{escape(self.text)}</pre></details>"
        return {"text/html": image + details, "text/plain": self.text}

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return self.text


def document(width: float, height: float, title: str, parts: list[str]) -> str:
    """Return a whole SVG on a light ground, so that it reads on dark pages too."""
    size = f'width="{width:g}" height="{height:g}" viewBox="0 0 {width:g} {height:g}"'
    ground = rectangle(0.5, 0.5, width - 1, height - 1, fill=PAPER, stroke="#c8c8c8")
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="{FONT}" font-size="{SIZE}" role="img">'
    return "".join([head, f"<title>{escape(title)}</title>", ground, *parts, "</svg>"])


def rectangle(x: float, y: float, width: float, height: float, **style: str | float) -> str:
    """Return a box with slightly round corners; a style's underscores stand for hyphens."""
    return f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="4"{_attributes(style)}/>'


def label(x: float, y: float, text: str, **style: str | float) -> str:
    """Return a text whose base line begins at x, y."""
    return f'<text x="{x:g}" y="{y:g}"{_attributes({"fill": INK, **style})}>{escape(text)}</text>'


def path(points: str, **style: str | float) -> str:
    """Return a line or an area by its path data."""
    return f'<path d="{points}"{_attributes({"fill": "none", "stroke": INK, **style})}/>'


def mark(x: float, y: float, state: str) -> str:
    """Return a sign for a state, told by shape as well as by colour.

    Args:
        x: centre.
        y: centre.
        state: `ok` a tick in a circle, `bad` a cross in a square, else an open circle.
    """
    if state == "ok":
        tick = path(f"M{x - 3:g} {y:g}l2 3l4 -6", stroke=PAPER, stroke_width=1.6)
        return f'<circle cx="{x:g}" cy="{y:g}" r="7" fill="{GREEN}"/>' + tick
    if state == "bad":
        cross = path(f"M{x - 3:g} {y - 3:g}l6 6m0 -6l-6 6", stroke=PAPER, stroke_width=1.6)
        return rectangle(x - 7, y - 7, 14, 14, fill=RED) + cross
    return f'<circle cx="{x:g}" cy="{y:g}" r="6" fill="{PAPER}" stroke="{INK}" stroke-dasharray="2 2"/>'


def width_of(text: str) -> float:
    """Return about how wide a text is, in pixels."""
    return len(text) * CHARACTER


def _attributes(style: dict[str, str | float]) -> str:
    return "".join(
        f' {key.replace("_", "-")}="{value:g}"' if isinstance(value, float) else f' {key.replace("_", "-")}="{value}"'
        for key, value in style.items()
    )
