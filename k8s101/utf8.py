"""One encoding for all files and programs, whatever the locale: what the workshop reads and writes is UTF-8."""

from __future__ import annotations

import locale
import os
import sys


def ensure() -> None:
    """Run this command again in Python's UTF-8 mode where its locale has another encoding.

    What it prints keeps the terminal's encoding; a character that this lacks becomes a question mark.
    """
    encoding = locale.getencoding()
    if sys.flags.utf8_mode or encoding.lower().replace("-", "") == "utf8":
        return
    os.environ.setdefault("PYTHONIOENCODING", f"{encoding}:replace")
    os.environ["PYTHONUTF8"] = "1"
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def for_children(environment: dict[str, str]) -> dict[str, str]:
    """Return an environment in which Python and bash speak UTF-8, also where the locale is another or unknown.

    Args:
        environment: the environment to start from.
    """
    kept = {name: value for name, value in environment.items() if name != "PYTHONIOENCODING"}
    try:
        known = locale.setlocale(locale.LC_CTYPE, "")
    except locale.Error:
        known = ""
    if not known.lower().replace("-", "").endswith("utf8"):
        kept = {name: value for name, value in kept.items() if name != "LANG" and not name.startswith("LC_")}
        kept["LC_ALL"] = "C.UTF-8"
    return kept | {"PYTHONUTF8": "1"}
