"""Debian's Chromium and its driver: installed where that is possible, else a reason why not."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

PACKAGES = ("chromium", "chromium-driver", "fonts-dejavu-core")
INSTALL_SECONDS = 600
WINDOW = (1280, 900)


def missing() -> str:
    """Install what is absent, as root on Debian; return why that was not possible, or nothing."""
    if _found():
        return ""
    if os.getuid() != 0 or not shutil.which("apt-get"):
        return f"no Chromium with its driver; sudo apt-get install {' '.join(PACKAGES)}"
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for command in (("update", "-q"), ("install", "-qy", "--no-install-recommends", *PACKAGES)):
        done = subprocess.run(
            ["apt-get", *command], env=environment, capture_output=True, text=True, timeout=INSTALL_SECONDS
        )
        if done.returncode:
            return f"apt-get {command[0]} failed: {done.stderr.strip()[-300:]}"
    return "" if _found() else f"still no Chromium after apt-get install {' '.join(PACKAGES)}"


def _found() -> bool:
    return bool(shutil.which("chromium") and shutil.which("chromedriver"))


def start(profile: Path) -> Chrome:
    """Start a headless browser with a profile of its own that speaks to loopback only.

    Args:
        profile: an empty directory.
    """
    options = ChromeOptions()
    options.binary_location = str(shutil.which("chromium"))
    arguments = [
        "--headless=new",
        f"--user-data-dir={profile}",
        f"--window-size={WINDOW[0]},{WINDOW[1]}",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--disable-component-update",
        "--no-first-run",
        "--no-proxy-server",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        "--force-device-scale-factor=1",
    ]
    if os.getuid() == 0:  # Chromium refuses its sandbox to root
        arguments.append("--no-sandbox")
    for argument in arguments:
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "WARNING"})
    # a path to the driver keeps Selenium from looking for one on the internet
    return Chrome(options=options, service=Service(str(shutil.which("chromedriver"))))
