"""A learner's own file that has the name of a library: the library is what `import` gives, and the learner is told."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.machinery import PathFinder
from pathlib import Path


class Shadows:
    """Looks before each cell for such files in the working directory, and tells of each once."""

    def __init__(self) -> None:
        self._told: set[Path] = set()

    def tell(self, info: object) -> None:
        """Print a sentence for each new one.

        Args:
            info: the cell, of no matter.
        """
        for file in shadows(Path.cwd()):
            if file not in self._told:
                self._told.add(file)
                place = "/".join(file.parts[-2:])
                print(f"{place} has the name of a library: import {file.stem} gives the library; rename your file")


def shadows(directory: Path) -> Iterator[Path]:
    """Yield the files and packages of a directory that a library's name belongs to.

    Args:
        directory: where a learner works.
    """
    others = [entry for entry in sys.path if entry and Path(entry) != directory]
    for path in sorted(directory.iterdir()):
        module = path.suffix == ".py" or (path / "__init__.py").is_file()
        if module and (path.stem in sys.stdlib_module_names or PathFinder.find_spec(path.stem, others)):
            yield path


def libraries_first() -> None:
    """Let modules of the working directory be found, but after all libraries."""
    sys.path[:] = [*(entry for entry in sys.path if entry), ""]
