"""What lessons use: at most sixteen names, loaded when first asked for.

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
    from k8s101.lesson.apply import apply
    from k8s101.lesson.checks import check, hint
    from k8s101.lesson.connect import connect
    from k8s101.lesson.control import component
    from k8s101.lesson.draw import draw
    from k8s101.lesson.faults import fault
    from k8s101.lesson.forward import forward
    from k8s101.lesson.live import watch_live
    from k8s101.lesson.predict import predict, recall
    from k8s101.lesson.shell import kubectl, sh
    from k8s101.lesson.tables import show
    from k8s101.lesson.timeline import timeline
    from k8s101.lesson.wait import wait_for

__all__ = [
    "apply",
    "check",
    "component",
    "connect",
    "draw",
    "fault",
    "forward",
    "hint",
    "kubectl",
    "predict",
    "recall",
    "sh",
    "show",
    "timeline",
    "wait_for",
    "watch_live",
]

_HOMES = {
    "apply": "apply",
    "check": "checks",
    "component": "control",
    "connect": "connect",
    "draw": "draw",
    "fault": "faults",
    "forward": "forward",
    "hint": "checks",
    "kubectl": "shell",
    "predict": "predict",
    "recall": "predict",
    "sh": "shell",
    "show": "tables",
    "timeline": "timeline",
    "wait_for": "wait",
    "watch_live": "live",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.lesson.{_HOMES[name]}"), name)
