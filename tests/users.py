"""Doing something as another user of this machine, in a process of its own."""

from __future__ import annotations

import os
import pickle
import traceback
from collections.abc import Callable
from typing import Any

NOBODY = 65534


def as_user(uid: int, action: Callable[[], Any]) -> Any:
    """Return what an action returns when another user does it; what it needs is imported already.

    Args:
        uid: the user, who has no other groups and no capabilities.
        action: what is done; its result can be pickled.

    Raises:
        AssertionError: it raised; the traceback is the message.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        try:
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            answer = (True, action())
        except BaseException:
            answer = (False, traceback.format_exc())
        with os.fdopen(writer, "wb") as file:
            pickle.dump(answer, file)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        good, result = pickle.load(file)
    os.waitpid(child, 0)
    assert good, result
    return result
