"""Tables that read the same as text and as HTML: states are told by a sign and a word, never by colour alone."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

from k8s101.lesson.pictures.picture import GREEN, RED

GAP = "   "
SIGNS = {"ok": "✓", "bad": "✗", "": "○"}
COLOURS = {"ok": GREEN, "bad": RED}
CELL = 'style="text-align:left;padding:1px 14px 1px 0"'


@dataclass(frozen=True)
class Word:
    """A state in words.

    Args:
        text: the words.
        state: `ok`, `bad` or `` (neither).
    """

    text: str
    state: str = ""

    def __str__(self) -> str:
        return f"{SIGNS[self.state]} {self.text}"

    @property
    def html(self) -> str:
        """The same, with the sign in a colour."""
        colour = f' style="color:{COLOURS[self.state]}"' if self.state in COLOURS else ""
        return f'<span aria-hidden="true"{colour}>{SIGNS[self.state]}</span> {escape(self.text)}'


Cell = str | Word
Row = tuple[Cell, ...]


@dataclass(frozen=True)
class Table:
    """One table.

    Args:
        title: what it is about.
        head: its columns.
        rows: its cells; of too many only the first `limit` are shown, those in trouble before others.
        note: what stands below it, or instead of rows.
        limit: how many rows are shown.
    """

    title: str
    head: tuple[str, ...]
    rows: tuple[Row, ...] = ()
    note: str = ""
    limit: int = 40

    @property
    def shown(self) -> tuple[Row, ...]:
        """The rows that fit."""
        if len(self.rows) <= self.limit:
            return self.rows
        numbers = sorted(range(len(self.rows)), key=lambda number: (not _bad(self.rows[number]), number))
        return tuple(self.rows[number] for number in sorted(numbers[: self.limit]))

    @property
    def foot(self) -> str:
        """The line below the rows, empty if there is nothing to say."""
        left = len(self.rows) - len(self.shown)
        more = f"{left} more, which are not shown; rows with {SIGNS['bad']} are shown first" if left else ""
        return " · ".join(filter(None, (more, self.note))) or ("" if self.rows else "none")

    def text(self) -> str:
        """Return the table as kubectl would set it, below its title."""
        rows = [tuple(map(str, row)) for row in self.shown]
        widths = [max(map(len, column)) for column in zip(self.head, *rows, strict=True)]
        table = [self.head, *rows] if rows else []
        lines = [GAP.join(map(str.ljust, row, widths)).rstrip() for row in table]
        return "\n".join([self.title, *lines, *filter(None, [self.foot])])

    def html(self) -> str:
        """Return the table for a browser, its title as caption."""
        caption = f'<caption style="text-align:left;font-weight:bold;white-space:nowrap">{escape(self.title)}</caption>'
        head = "".join(f'<th scope="col" {CELL}>{escape(name)}</th>' for name in self.head)
        body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in self.shown)
        foot = f"<p>{escape(self.foot)}</p>" if self.foot else ""
        rows = f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody>" if body else ""
        return f'<table style="border-collapse:collapse;line-height:1.4;margin-top:8px">{caption}{rows}</table>{foot}'


def _bad(row: Row) -> bool:
    return any(isinstance(cell, Word) and cell.state == "bad" for cell in row)


def _cell(cell: Cell) -> str:
    return f"<td {CELL}>{cell.html if isinstance(cell, Word) else escape(cell)}</td>"
