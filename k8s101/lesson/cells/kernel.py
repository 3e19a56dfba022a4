"""What every kernel of this environment begins with; the file etc/ipython/ipython_kernel_config.py names it."""

from __future__ import annotations

from typing import Any

from k8s101.lesson.cells.shadows import Shadows, libraries_first

libraries_first()

from k8s101.lesson.api import friendly  # noqa: E402  a file beside the notebook may have the name of a library
from k8s101.lesson.cells.bash import bash  # noqa: E402


def load_ipython_extension(shell: Any) -> None:
    """Replace IPython's `%%bash`, and show the errors of the workshop as sentences.

    Args:
        shell: the IPython shell.
    """
    shell.register_magic_function(bash, "cell", "bash")
    shell.events.register("pre_run_cell", Shadows().tell)
    friendly.install(shell)
