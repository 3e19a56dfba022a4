"""Show the errors that learners meet as sentences, not as tracebacks."""

from __future__ import annotations

from typing import Any

from k8s101.errors import CommandFailed, Problem


def install(shell: Any, *others: type[BaseException]) -> None:
    """Let a notebook show errors without the way they took.

    Args:
        shell: the IPython shell; None outside notebooks, where there is nothing to do.
        others: exceptions of libraries that are shown so, too.
    """
    if shell is not None:
        shell.set_custom_exc((Problem, CommandFailed, *others), _show)


def install_all() -> None:
    """Let the running notebook also show a refusal or the silence of the API server as a sentence."""
    from IPython import get_ipython
    from kubernetes.client.exceptions import ApiException
    from urllib3.exceptions import HTTPError

    install(get_ipython(), ApiException, HTTPError)


def lines(error: BaseException) -> list[str]:
    """Return the text for one error."""
    if isinstance(error, Problem | CommandFailed):
        return str(error).split("\n")
    # a kernel begins with this module, and the client takes a second
    from kubernetes.client.exceptions import ApiException

    from k8s101.lesson.api.rest import status_message

    if isinstance(error, ApiException):
        return [f"The API server answers {error.status} {error.reason}: {status_message(error)}"]
    silent = Problem(
        f"the cluster does not answer ({type(error).__name__})",
        where="this cell",
        then="run this notebook from its first cell: connect() starts a cluster that has ended",
    )
    return str(silent).split("\n")


def _show(shell: Any, kind: type[BaseException], error: BaseException, trace: Any, tb_offset: Any = None) -> list[str]:
    text = lines(error)
    # the notebook marks the cell as failed only when the error goes through this method
    shell._showtraceback(kind, error, text)
    return text
