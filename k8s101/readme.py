"""The derived parts of README.md: `python -m k8s101.readme` writes them, `--check` compares them."""

from __future__ import annotations

import json
import re
import sys
from difflib import unified_diff
from pathlib import Path

import click

from k8s101.cluster.settings import ROOT
from k8s101.errors import Problem
from k8s101.notebook import lessons

README = ROOT / "README.md"
LESSONS = ROOT / "notebooks" / "lessons.yml"
RESULTS = ROOT / "benchmarks" / "results.json"
PEER = "kwokctl create cluster"
UNITS = {"memory": "MB", "idle processor": "% of a core"}
"""What the benchmarks' figures are counted in; all others are seconds."""


def modules() -> str:
    """Return the table of modules."""
    return lessons.table(lessons.load(LESSONS))


def benchmarks(results: Path = RESULTS) -> str:
    """Return the table of measured times, or a line that says there is none yet.

    Args:
        results: what `make bench` wrote.

    Raises:
        Problem: the file cannot be read.
    """
    if not results.exists():
        return "Not measured yet: `make bench`.\n"
    try:
        data = json.loads(results.read_text(encoding="utf-8"))
        rows = ["| what | target | measured |", "|---|---|---|"]
        for name, figure in data["figures"].items():
            label = f"for comparison: `{PEER}`, simulated nodes" if name == PEER else name
            rows.append(f"| {label} | {data['targets'].get(name, '')} | {_amount(name, figure['median'])} |")
        source = f"Median of {data['rounds']} rounds on {data['machine']}, {data['date']}."
        ratio = f"Start divided by that of `{PEER}` in the same round: {data['up / kwokctl']}."
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Problem(f"the figures cannot be read: {error!r}", where=str(results), then="make bench") from None
    return "\n".join([*rows, "", source, ratio]) + "\n"


def _amount(name: str, value: float) -> str:
    unit = UNITS.get(name)
    return f"{value:.0f} {unit}" if unit else f"{value:.1f} s"


def filled(text: str, blocks: dict[str, str]) -> str:
    """Return a text with the parts between `<!-- NAME -->` and `<!-- /NAME -->` replaced.

    Args:
        text: the Markdown.
        blocks: the new part for each name.

    Raises:
        Problem: a pair of markers is missing or stands there twice.
    """
    for name, block in blocks.items():
        parts = re.split(rf"(<!-- /?{name} -->\n)", text)
        if len(parts) != 5:
            raise Problem(
                f"the two markers of the part {name!r} stand there {len(parts) // 2} times",
                where=str(README),
                then=f"write <!-- {name} --> and <!-- /{name} --> once, each on a line of its own",
            )
        text = "".join([*parts[:2], block, *parts[3:]])
    return text


@click.command()
@click.option("--check", is_flag=True, help="Write nothing; exit 1 if a part is not up to date.")
def main(check: bool) -> None:
    """Write the derived parts of README.md."""
    try:
        old = README.read_text(encoding="utf-8")
        new = filled(old, {"modules": modules(), "benchmarks": benchmarks()})
    except Problem as problem:
        click.secho(f"error: {problem}", fg="red", err=True)
        sys.exit(1)
    if check:
        difference = list(unified_diff(old.splitlines(), new.splitlines(), "README.md", "derived", lineterm="", n=1))
        click.echo("\n".join(difference) or "README.md: up to date")
        sys.exit(1 if difference else 0)
    README.write_text(new, encoding="utf-8")
    click.echo(f"README.md: {'unchanged' if new == old else 'rewritten'}")


if __name__ == "__main__":
    main()
