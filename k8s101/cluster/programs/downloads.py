"""Fetch the projects' official release files, each checked against its published checksum."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
import tarfile
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

import requests
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from k8s101.cluster.programs.cache import hand_over, make_dir, scratch
from k8s101.cluster.programs.projects import PROJECTS
from k8s101.cluster.programs.toolchain import Program, Project
from k8s101.cluster.values.progress import Progress, Report, display
from k8s101.errors import Problem

REACH_SECONDS = 1.5
STALL_SECONDS = 30
CHUNK = 1 << 15  # what a broken transfer loses at most


class Unavailable(Exception):
    """A release file that cannot be had now: the program is built instead."""


def allowed() -> bool:
    """Tell whether release files may be downloaded at all."""
    return os.environ.get("K8S101_DOWNLOAD") != "never"


def mirrored(url: str) -> str:
    """Return the address to ask: `K8S101_MIRRORS=HOST=BASE[,HOST=BASE]` replaces `https://HOST`."""
    host = urlsplit(url).netloc
    for entry in filter(None, os.environ.get("K8S101_MIRRORS", "").split(",")):
        name, found, base = entry.partition("=")
        if not found or urlsplit(base).scheme not in ("http", "https"):
            raise Problem(
                f"{entry!r} is no mirror",
                where="the environment variable K8S101_MIRRORS",
                then="write HOST=http://mirror/path, several with commas between",
            )
        if name == host:
            return url.replace(f"https://{host}", base.rstrip("/"), 1)
    return url


def reachable(url: str) -> bool:
    """Tell whether the server of this address answers within two seconds; asked once per server."""
    parts = urlsplit(url)
    return _answers(f"{parts.scheme}://{parts.netloc}/")


@cache
def _answers(base: str) -> bool:
    # Looking up a name has no time limit of its own: the thread that does it may be left behind.
    answered = threading.Event()

    def ask() -> None:
        try:
            requests.head(base, timeout=REACH_SECONDS, allow_redirects=False)
        except requests.RequestException:
            return
        answered.set()

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(REACH_SECONDS + 0.5)
    return answered.is_set()


def published_checksum(project: Project, url: str) -> str:
    """Return the SHA-256 that the project publishes for a release file.

    Raises:
        Unavailable: there is none.
    """
    address = mirrored(project.checksums_url(url))
    try:
        answer = requests.get(address, timeout=(REACH_SECONDS, STALL_SECONDS))
        answer.raise_for_status()
    except requests.RequestException as error:
        raise Unavailable(f"no checksum at {address}: {error}") from error
    return _checksum_of(url.rpartition("/")[2], answer.text, address)


def _checksum_of(name: str, text: str, address: str) -> str:
    if alone := re.fullmatch(r"\s*([0-9a-f]{64})\s*", text):
        return alone[1]
    for digest, file in re.findall(r"^([0-9a-f]{64})[ \t]+\*?(\S+)", text, re.MULTILINE):
        if file.rpartition("/")[2] == name:
            return str(digest)
    raise Unavailable(f"no checksum of {name} at {address}")


def fetch(url: str, part: Path, progress: Progress, report: Report) -> None:
    """Fetch a file, going on after a broken transfer where it broke.

    Args:
        url: the address.
        part: the file to write; what it already holds is kept.
        progress: the project and the tool, for the report.

    Raises:
        Unavailable: the server does not have it, or the transfer broke too often.
    """
    broken = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)
    retries = Retrying(
        stop=stop_after_attempt(5),
        wait=wait_exponential(multiplier=0.2, max=5),
        retry=retry_if_exception_type(broken),
        reraise=True,
    )
    try:
        retries(_fetch_rest, url, part, progress, report)
    except requests.RequestException as error:
        raise Unavailable(f"{url}: {error}") from error


def _fetch_rest(url: str, part: Path, progress: Progress, report: Report) -> None:
    have = part.stat().st_size if part.exists() else 0
    headers = {"Range": f"bytes={have}-"} if have else {}
    timeout = (REACH_SECONDS * 2, STALL_SECONDS)
    # Compressed transfers would make the length and the rest of a file mean something else.
    with requests.get(url, stream=True, timeout=timeout, headers=headers | {"Accept-Encoding": "identity"}) as answer:
        if answer.status_code == requests.codes.range_not_satisfiable:
            return
        answer.raise_for_status()
        resumed = answer.status_code == requests.codes.partial_content
        done = have if resumed else 0
        total = done + int(answer.headers.get("Content-Length", 0))
        with part.open("ab" if resumed else "wb") as file:
            for chunk in answer.iter_content(CHUNK):
                file.write(chunk)
                done += len(chunk)
                report(replace(progress, done=done, total=total, unit="bytes"))


def checked(project: Project, url: str, part: Path, progress: Progress, report: Report) -> None:
    """Fetch a release file and compare it with its published checksum.

    Raises:
        Unavailable: the file or its checksum cannot be had.
        Problem: the file is not the published one.
    """
    expected = published_checksum(project, url)
    resumed = part.exists()
    fetch(mirrored(url), part, progress, report)
    digest = _sha256(part)
    if digest != expected and resumed:  # what an earlier run left may be at fault
        part.unlink()
        fetch(mirrored(url), part, progress, report)
        digest = _sha256(part)
    if digest == expected:
        return
    part.unlink()
    raise Problem(
        f"the file has the SHA-256 {digest}, its project publishes {expected}",
        where=mirrored(url),
        then="run the same command again; if it stays wrong, set K8S101_DOWNLOAD=never to build from source",
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def download(project: Project, tools: Sequence[Program], target: Path, left: int, report: Report) -> None:
    """Put tools from official release files into the cache, as far as they can be had.

    Args:
        tools: the tools that are missing.
        target: the project's directory in the cache.
        left: how many projects are left, for the report.

    Raises:
        Unavailable: some file cannot be had.
        Problem: a file is not the published one.
    """
    for tool in tools:
        final = target / tool.name
        url = project.url(tool)
        if final.exists():
            continue
        if url is None:
            raise Unavailable(f"there is no release file with a checksum of {tool.name}")
        if not reachable(mirrored(url)):
            raise Unavailable(f"{urlsplit(mirrored(url)).netloc} cannot be reached")
        part = make_dir(target.parent / ".parts") / f"{project.version}-{url.rpartition('/')[2]}"
        message = f"downloading {tool.name} {project.version}"
        try:
            checked(project, url, part, Progress(project.name, tool.name, 0, 0, message, left), report)
            _install(part, project, tool, target)
        finally:
            if part.exists():
                hand_over(part)
        part.unlink()


def _install(file: Path, project: Project, tool: Program, target: Path) -> None:
    """Move a program, or the ones that an archive holds, to their final places in one step each."""
    with scratch(target.parent, project.name) as place:
        if not tarfile.is_tarfile(file):
            shutil.copyfile(file, place / tool.name)
        else:
            wanted = {each.name for each in project.tools}
            with tarfile.open(file) as archive:
                for member in archive:
                    name = member.name.rpartition("/")[2]
                    if member.isfile() and name in wanted and (data := archive.extractfile(member)):
                        with (place / name).open("wb") as copy:
                            shutil.copyfileobj(data, copy)
        make_dir(target)
        for path in place.iterdir():
            path.chmod(0o755)
            hand_over(path)
            path.rename(target / path.name)


def verify(report: Report) -> int:
    """Fetch every official release file, compare it with its checksum, and print the result of each.

    Returns:
        0 when every file was checked, 1 when one is wrong or missing, 3 when a server could not be reached.
    """
    results = set()
    with tempfile.TemporaryDirectory() as directory:
        for left, project in zip(range(len(PROJECTS), 0, -1), PROJECTS, strict=True):
            for url in dict.fromkeys(filter(None, map(project.url, project.tools))):
                result, said = _verify_one(project, url, Path(directory), left, report)
                print(f"{said}: {url}")
                results.add(result)
    return max(results & {1}, default=max(results))


def _verify_one(project: Project, url: str, place: Path, left: int, report: Report) -> tuple[int, str]:
    if not reachable(mirrored(url)):
        return 3, "not checked, its server cannot be reached from here"
    part = place / url.rpartition("/")[2]
    progress = Progress(project.name, part.name, 0, 0, f"checking {part.name}", left)
    try:
        checked(project, url, part, progress, report)
    except (Unavailable, Problem) as error:
        return 1, f"WRONG ({error})"
    part.unlink()
    return 0, "right"


def main() -> None:
    """Check the official release files: `python -m k8s101.cluster.programs.downloads --verify`."""
    if sys.argv[1:] != ["--verify"]:
        sys.exit("usage: python -m k8s101.cluster.programs.downloads --verify")
    with display() as report:
        code = verify(report)
    sys.exit(code)


if __name__ == "__main__":
    main()
