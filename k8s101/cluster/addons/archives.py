"""Make the images of add-ons beforehand: `python -m k8s101.cluster.addons.archives NAME…`."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

import click

from k8s101.cluster.addons.catalog import find
from k8s101.cluster.images.packing import ensure_archive
from k8s101.cluster.values.progress import Report, display, quiet
from k8s101.errors import Problem


def ensure_archives(names: Iterable[str], report: Report = quiet) -> list[Path]:
    """Return the archives of all images of add-ons, after making them on first need.

    Args:
        names: the add-ons.
        report: called with the progress of builds.

    Raises:
        Problem: there is no such add-on, or a program could not be made.
    """
    return [ensure_archive(packing, report) for name in names for packing in find(name).images]


@click.command()
@click.argument("names", nargs=-1, required=True)
def main(names: tuple[str, ...]) -> None:
    """Make the images of add-ons, and print where their archives are."""
    try:
        with display() as report:
            for path in ensure_archives(names, report):
                click.echo(path)
    except Problem as problem:
        click.echo(problem, err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
