"""The limits of a module; notebooks/AUTHORING.md says the same in words, and a test compares the two."""

from __future__ import annotations

from fractions import Fraction

CELLS = (35, 60)
"""The lower number counts all cells, the upper one those that do more than ask, answer or help (tags.UNCOUNTED)."""

WORDS = (900, 2800)
"""Words of Markdown, without the generated title bar."""

MINUTES = (30, 60)
OBJECTIVES = (3, 5)
RECALLED = (2, 3)
STEPS = (3, 7)
EXERCISES = 3
LINKS = 5
LINES = 12
"""Lines of a code cell; a file that `%%writefile` writes may be longer."""

SHELL_SHARE = Fraction(2, 3)
"""So many of the cells that act in steps are `%%bash`, at least."""

PYTHON_CELLS = 3
"""So many cells act on the cluster with the official Python client, at least."""

IGNORED_CELLS = 2
NOTE_LETTERS = 400
"""A presenter reads a note at a glance."""
