"""Show the errors that learners meet as sentences, not as tracebacks."""

from __future__ import annotations

from typing import Any

from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from k8s101.errors import Problem
from k8s101.lesson.api.rest import status_message

try:
    from IPython import get_ipython
except ImportError:  # outside notebooks there is nothing to install
    get_ipython = None  # type: ignore[assignment]


def install() -> None:
    """Let the notebook show a `Problem`, a refusal or the silence of the API server, without the way it took."""
    shell = get_ipython() if get_ipython else None
    if shell is not None:
        shell.set_custom_exc((Problem, ApiException, HTTPError), _show)


def lines(error: BaseException) -> list[str]:
    """Return the text for one error."""
    if isinstance(error, ApiException):
        return [f"The API server answers {error.status} {error.reason}: {status_message(error)}"]
    if isinstance(error, HTTPError):
        error = Problem(
            f"the cluster does not answer ({type(error).__name__})",
            where="this cell",
            then="run this notebook from its first cell: connect() starts a cluster that has ended",
        )
    return str(error).split("\n")


def _show(shell: Any, kind: type[BaseException], error: BaseException, trace: Any, tb_offset: Any = None) -> list[str]:
    text = lines(error)
    # the notebook marks the cell as failed only when the error goes through this method
    shell._showtraceback(kind, error, text)
    return text
