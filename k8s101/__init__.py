"""What lessons use, loaded when first asked for.

The command line imports this package too and must not wait for the Kubernetes client.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if "SUDO_UID" in os.environ:
    # what root compiles in an ordinary user's checkout, that user could not remove
    sys.dont_write_bytecode = True

if TYPE_CHECKING:
    from k8s101.lesson.api.control import component
    from k8s101.lesson.api.forward import forward
    from k8s101.lesson.cells.connect import connect
    from k8s101.lesson.faults.faults import fault
    from k8s101.lesson.pictures.dashboard import dashboard
    from k8s101.lesson.pictures.draw import draw
    from k8s101.lesson.pictures.timeline import timeline
    from k8s101.lesson.quiz.checks import check, hint
    from k8s101.lesson.quiz.predict import predict, recall, reveal

__all__ = [
    "check",
    "component",
    "connect",
    "dashboard",
    "draw",
    "fault",
    "forward",
    "hint",
    "predict",
    "recall",
    "reveal",
    "timeline",
]

_HOMES = {
    "check": "quiz.checks",
    "component": "api.control",
    "connect": "cells.connect",
    "dashboard": "pictures.dashboard",
    "draw": "pictures.draw",
    "fault": "faults.faults",
    "forward": "api.forward",
    "hint": "quiz.checks",
    "predict": "quiz.predict",
    "recall": "quiz.predict",
    "reveal": "quiz.predict",
    "timeline": "pictures.timeline",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.lesson.{_HOMES[name]}"), name)
