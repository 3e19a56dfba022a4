"""Where the tests' own cluster is."""

from __future__ import annotations

import os
from pathlib import Path

from k8s101.cluster.values.settings import SYSTEM_STATE, user_state_dir


def state_dir() -> Path:
    """Return the state directory of the tests' own cluster, which they take down at the end."""
    return (SYSTEM_STATE if os.getuid() == 0 else user_state_dir()).with_name("k8s101-test")
