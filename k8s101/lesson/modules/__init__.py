"""Questions and exercises, one file a lesson, named after its slug."""

from __future__ import annotations

from k8s101.cluster.values.settings import ROOT


def written() -> list[str]:
    """Return the slugs of the lessons that have a notebook, in teaching order."""
    return [path.stem[3:] for path in sorted((ROOT / "notebooks").glob("[0-9][0-9]-*.ipynb"))]
