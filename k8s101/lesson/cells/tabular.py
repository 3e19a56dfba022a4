"""Tables as kubectl prints them: found, changed cell by cell, and set anew."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from k8s101.lesson.cells.masks import AGE, DOTS

TITLE = r"[A-Z][A-Z0-9()/%_.:-]*(?:\((?:cores|bytes)\))?(?: [A-Z0-9()/]+)*"
HEADER = re.compile(rf"{TITLE}(?: {{2,}}{TITLE})+ *")
EVENTS = re.compile(r" +Type +Reason +Age +From +Message *")
CONDITIONS = re.compile(r"  Type +Status +\S.*")
RULE = re.compile(r"  -+( +-+)*")
ROW = re.compile(r"  \S")
COLUMN = re.compile(r"\S+(?: \S+)*")

AGES = frozenset({"AGE", "Age", "LAST SEEN", "FIRST SEEN", "LAST SCHEDULE", "DURATION"})
USAGE = frozenset({"CPU(cores)", "CPU(%)", "MEMORY(bytes)", "MEMORY(%)"})
"""What `kubectl top` measures."""

ELAPSED = re.compile(rf"{AGE}(?: ago)?(?: \(x\d+ over {AGE}\))?|<unknown>|<invalid>")
ENDED = frozenset({"Completed", "CrashLoopBackOff", "Error", "OOMKilled"})
"""How a Pod shows itself between the end of a container and its next start."""

GET_GAP, GET_WIDTH = 3, 6
"""How `kubectl get` sets tables: at least so much between two columns, and no column narrower."""

Mask = Callable[[str], str]


@dataclass(frozen=True)
class Header:
    """The first line of a table.

    Args:
        titles: the columns.
        starts: where each begins.
    """

    titles: tuple[str, ...]
    starts: tuple[int, ...]

    @classmethod
    def of(cls, line: str) -> Header | None:
        """Return the header that a line is, None if it is none."""
        if not (HEADER.fullmatch(line) or EVENTS.fullmatch(line)):
            return None
        found = list(COLUMN.finditer(line))
        return cls(tuple(match[0] for match in found), tuple(match.start() for match in found))

    def row(self, line: str) -> list[str] | None:
        """Return the cells of a line below the header, None if it does not belong to the table."""
        bounds = [*self.starts, max(len(line), self.starts[-1])]
        cells = [line[start:end] for start, end in zip(bounds, bounds[1:], strict=False)]
        aligned = all(cell.endswith(" ") or not cell or start + len(cell) == len(line)
                      for start, cell in zip(self.starts, cells, strict=True))  # fmt: skip
        begun = not any(cell.startswith(" ") and cell.strip() for cell in cells)
        filled = sum(bool(cell.strip()) for cell in cells)
        indented = not line[: self.starts[0]].strip()
        return [cell.strip() for cell in cells] if aligned and begun and indented and filled > 1 else None


def realigned(lines: Sequence[str], mask: Mask, *, sort: bool) -> list[str]:
    """Return lines with everything masked, and the tables among them set anew.

    Args:
        lines: what was printed.
        mask: changes a line, or a cell of a table.
        sort: sort the rows of each table.
    """
    result: list[str] = []
    rest = list(lines)
    while rest:
        header = Header.of(rest[0])
        rows: list[list[str]] = []
        while header and len(rows) + 1 < len(rest) and (row := header.row(rest[len(rows) + 1])):
            rows.append(row)
        if header and rows:
            result += _set(header, rows, mask, sort=sort)
        else:
            result.append(mask(rest[0]))
        del rest[: len(rows) + 1]
    return result


def conditions_sorted(lines: Sequence[str]) -> list[str]:
    """Return lines with the conditions that `kubectl describe` lists in alphabetical order.

    A controller appends the one that changed, so that their order tells how fast something was.

    Args:
        lines: what was printed.
    """
    result = list(lines)
    for index, line in enumerate(lines):
        if CONDITIONS.fullmatch(line) and index + 1 < len(lines) and RULE.fullmatch(lines[index + 1]):
            first = last = index + 2
            while last < len(lines) and ROW.match(lines[last]):
                last += 1
            result[first:last] = sorted(lines[first:last])
    return result


def _set(header: Header, rows: list[list[str]], mask: Mask, *, sort: bool) -> list[str]:
    gap = _gap(header, rows)
    shown = [_row(header, row, mask) for row in rows]
    table = [list(header.titles), *(sorted(shown) if sort else shown)]
    least = GET_WIDTH if gap == GET_GAP else 0
    widths = [max(least, gap + max(len(row[i]) for row in table)) for i in range(len(header.titles))]
    indent = " " * header.starts[0]
    return [(indent + "".join(map(str.ljust, row, widths))).rstrip() for row in table]


def _gap(header: Header, rows: list[list[str]]) -> int:
    """Return how many blanks stand at least between two columns."""
    longest = [max(map(len, column)) for column in zip(header.titles, *rows, strict=True)]
    ends = [start + length for start, length in zip(header.starts, longest, strict=True)]
    return min(start - end for start, end in zip(header.starts[1:], ends, strict=False))


def _row(header: Header, row: list[str], mask: Mask) -> list[str]:
    cells = [_cell(title, cell, mask) for title, cell in zip(header.titles, row, strict=True)]
    found = dict(zip(header.titles, cells, strict=True))
    if found.get("STATUS", "").rpartition(":")[2] in ENDED and "RESTARTS" in found:
        # one that ends again and again: how often by now is a matter of time
        cells[header.titles.index("RESTARTS")] = re.sub(r"^\d+(?= \()", DOTS, found["RESTARTS"])
    return cells


def _cell(title: str, cell: str, mask: Mask) -> str:
    varies = title in USAGE or (title in AGES and ELAPSED.fullmatch(cell))
    return DOTS if varies else mask(cell)
