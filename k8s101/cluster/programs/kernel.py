"""Build the kernel of the guest: Linux as an ordinary program (`ARCH=um`), from Debian's source package.

Debian's own user-mode kernels lack nf_tables for IPv4, without which kube-proxy does not start; and only
from 6.16 on does one run without ptrace (`seccomp=on`), which is what makes it fast.
Run as a program, `python -m k8s101.cluster.programs.kernel` makes it and prints its path.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import click

from k8s101.cluster.programs import builds
from k8s101.cluster.programs.cache import explained, hand_over, locked, make_dir
from k8s101.cluster.programs.toolchain import TOOLCHAIN, architecture
from k8s101.cluster.values.progress import Progress, Report, display, quiet
from k8s101.cluster.values.settings import cache_dir
from k8s101.errors import Problem

NAME = "linux-um"
CONFIG = TOOLCHAIN / NAME / "config"
OLDEST = (6, 16)
SUITE = "sid"
"""Where Debian has the newest sources, when the machine's own release is older."""

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")

OBJECTS = 950
"""About how many files are compiled, for the progress bar."""

PACKAGES = {
    "gcc": "gcc libc6-dev",
    "make": "make",
    "flex": "flex",
    "bison": "bison",
    "bc": "bc",
    "xz": "xz-utils",
    "strip": "binutils",
}
"""The programs that the build calls, and their Debian packages."""

MEMORY = {
    "#include <stdio.h>\n": "#define _GNU_SOURCE\n#include <stdio.h>\n",
    "\tint fd;\n\n\tif (tempdir == NULL) {\n": (
        '\tint fd = memfd_create("guest", MFD_CLOEXEC);\n\n'
        '\tif (fd >= 0) {\n\t\ttempdir = "memory";\n\t\treturn fd;\n\t}\n\tif (tempdir == NULL) {\n'
    ),
}
"""The guest's memory needs no file, because /dev/shm of containers is small."""

TIME_MARK = "0x6b3831303174696dUL"
"""What the guest's vDSO has in a register where it asks the machine's kernel for the time, and nobody else has."""

FILTER = {
    "\t\tstruct sock_filter filter[] = {\n": f"""\
		struct sock_filter filter[] = {{
			BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
			BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, UM_SECCOMP_ARCH_NATIVE, 0, 7),
			BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
			BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_clock_gettime, 0, 5),
			BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
			BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, {TIME_MARK} & 0xffffffff, 0, 3),
			BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2]) + 4),
			BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, {TIME_MARK} >> 32, 0, 1),
			BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
""",
}
"""The time is asked of the machine's kernel, not of the guest's: that is most of what Go programs ask a kernel."""

VDSO = {
    "#include <asm/unistd.h>\n": "#include <asm/unistd.h>\n#include <linux/compiler.h>\n#include <linux/errno.h>\n",
    "struct __kernel_timespec *ts)\n{\n\tlong ret;\n": f"""\
struct __kernel_timespec *ts)
{{
	long ret;

	if (clock == CLOCK_REALTIME || clock == CLOCK_MONOTONIC) {{
		do {{
			/* the machine's kernel cannot give this process a page that it lacks */
			WRITE_ONCE(ts->tv_sec, 0);
			WRITE_ONCE(ts->tv_nsec, 0);
			asm volatile("syscall"
				: "=a" (ret)
				: "0" (__NR_clock_gettime), "D" (clock), "S" (ts), "d" ({TIME_MARK})
				: "rcx", "r11", "memory");
		}} while (ret == -EFAULT);
		return ret;
	}}
""",
}
CLOCK = {
    "void __init time_init(void)\n": """\
void __init read_persistent_wall_and_boot_offset(struct timespec64 *wall, struct timespec64 *boot)
{
	read_persistent_clock64(wall);
	*boot = ns_to_timespec64(os_nsecs());
}

void __init time_init(void)
""",
}
"""Both kernels count the same time."""

CHANGES = {
    "arch/um/os-Linux/mem.c": MEMORY,
    "arch/um/kernel/skas/stub_exe.c": FILTER,
    "arch/x86/um/vdso/um_vdso.c": VDSO,
    "arch/um/kernel/time.c": CLOCK,
}
"""What is changed of the sources: by file, what stands there once and what is to stand there."""

# large, and nothing of ours is made of it
_UNUSED = ("*/drivers/gpu/drm/amd/include/*", "*/tools/testing/*", "*/sound/soc/*.[ch]")


def ensure_kernel(report: Report = quiet) -> Path:
    """Return the guest's kernel, after building it if it is not in the cache.

    Args:
        report: called with the progress of the build.

    Raises:
        Problem: this machine has another processor, or the kernel could not be built.
    """
    if architecture() != "amd64":
        raise Problem(
            "a user-mode kernel runs on x86-64 only",
            where="uname -m",
            then="k8s101 up --backend simulated",
        )
    if (directory := os.environ.get("K8S101_BIN")) and (explicit := Path(directory, NAME)).is_file():
        return explicit
    recipe = CONFIG.read_bytes() + repr(CHANGES).encode()
    target = cache_dir() / "kernel" / hashlib.sha256(recipe).hexdigest()[:12] / NAME
    if target.is_file():
        return target
    with explained(), locked(target.parent.parent / ".lock", lambda: _say(report, "waiting for another run")):
        if not target.is_file():
            _check_programs(report)
            _build(target, report)
    return target


def _say(report: Report, message: str, done: int = 0) -> None:
    report(Progress("kernel", NAME, done, OBJECTS, message, unit="files"))


def _check_programs(report: Report) -> None:
    missing = [package for program, package in PACKAGES.items() if not shutil.which(program)]
    if not missing:
        return
    command = ["apt-get", "install", "--yes", *" ".join(missing).split()]
    if os.getuid() == 0 and shutil.which("apt-get"):
        _say(report, f"installing {' '.join(command[3:])}")
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        if subprocess.run(command, capture_output=True, env=environment).returncode == 0:
            return
    raise Problem(
        f"the kernel of the guest cannot be built: {', '.join(missing)} missing",
        where="PATH",
        then=f"run: sudo {' '.join(command)}; or put a finished {NAME} into the directory K8S101_BIN",
    )


def _build(target: Path, report: Report) -> None:
    """Build in a directory that stays until the kernel is there, so that an interrupted build goes on."""
    work = make_dir(target.parent / "build")
    if not (source := work / "source").is_dir():
        _say(report, "fetching the sources of Linux")
        package = next(work.glob("linux-source-*.deb"), None) or _download(work)
        _say(report, "unpacking the sources of Linux")
        _unpack(package, source)
    make = ["make", "-C", str(source), "ARCH=um", f"O={make_dir(work / 'objects')}", f"-j{os.cpu_count()}"]
    environment = dict(os.environ) | {"KCONFIG_ALLCONFIG": str(CONFIG)}
    builds.run([*make, "allnoconfig"], what="configuring Linux", line=lambda _: None, cwd=work, env=environment)
    done = 0

    def count(line: str) -> None:
        nonlocal done
        done += bool(re.match(r"\s+(CC|AS)\s", line))
        _say(report, "building Linux for the guest", min(done, OBJECTS))

    # make speaks on standard output, which `run` keeps to itself
    command = ["sh", "-c", 'exec "$@" >&2', "sh", *make, "linux"]
    builds.run(command, what="building Linux", line=count, cwd=work, env=environment)
    kernel = work / "objects" / "linux"
    builds.run(["strip", str(kernel)], what="stripping Linux", line=lambda _: None, cwd=work, env=environment)
    kernel.rename(target)
    hand_over(target)
    shutil.rmtree(work)


def _download(work: Path) -> Path:
    """Download Debian's newest source package: the machine's own if it is new enough, else that of sid."""
    if (name := _newest({})) and _version(name) >= OLDEST:
        return _fetch(name, {}, work)
    private = _private_apt(work / "apt")
    if _apt(["apt-get", "update"], private).returncode != 0 or not (name := _newest(private)):
        raise Problem(
            f"no package of the sources of Linux {'.'.join(map(str, OLDEST))} or newer was found",
            where="apt",
            then=f"connect to the internet and run this again, or put a finished {NAME} into the directory K8S101_BIN",
        )
    return _fetch(name, private, work)


def _version(package: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", package))


def _newest(options: Mapping[str, str]) -> str | None:
    """Return the newest package that is named after its version, such as linux-source-7.2."""
    found = _apt(["apt-cache", "search", "--names-only", r"^linux-source-[0-9.]+$"], options).stdout
    return max(re.findall(r"^linux-source-[\d.]+", found, re.MULTILINE), key=_version, default=None)


def _fetch(package: str, options: Mapping[str, str], work: Path) -> Path:
    answer = _apt(["apt-get", "download", package], options, work)
    if found := next(work.glob("linux-source-*.deb"), None):
        return found
    last = "\n".join(answer.stderr.splitlines()[-5:])
    raise Problem(f"{package} could not be downloaded", where=f"apt:\n{last}", then="run the same command again")


def _apt(command: list[str], options: Mapping[str, str], cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    if not shutil.which(command[0]):
        return subprocess.CompletedProcess(command, 127, "", f"{command[0]} is not installed")
    flags = [text for key, value in options.items() for text in ("-o", f"{key}={value}")]
    return subprocess.run([*command, *flags], capture_output=True, text=True, cwd=cwd)


def _private_apt(directory: Path) -> dict[str, str]:
    """Return apt options that look at the machine's own Debian mirror, but write nothing outside a directory."""
    form = "$(REPO_URI) $(LABEL)"
    listed = _apt(["apt-get", "indextargets", "--format", form, "Created-By: Packages"], {}).stdout
    mirrors = [uri for uri, label, *_ in map(str.split, listed.splitlines()) if _is_debian(uri, label)]
    if not mirrors:
        raise Problem(
            "this machine's package sources name no mirror of Debian, where the sources of Linux come from",
            where="apt-get indextargets",
            then=f"put a finished {NAME}, built on a Debian machine, into the directory K8S101_BIN",
        )
    for name in ("lists/partial", "archives/partial"):
        make_dir(directory / name)
    trust = f"[signed-by={KEYRING}] " if KEYRING.is_file() else ""
    (directory / "sources.list").write_text(f"deb {trust}{mirrors[0]} {SUITE} main\n")
    (directory / "status").touch()
    return {
        "Dir::Etc::SourceList": str(directory / "sources.list"),
        "Dir::Etc::SourceParts": "/dev/null",
        "Dir::Etc::PreferencesParts": "/dev/null",
        "Dir::State": str(directory),
        "Dir::State::Status": str(directory / "status"),
        "Dir::Cache": str(directory),
        "Acquire::Languages": "none",
        "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled": "false",
        "APT::Sandbox::User": "root",
    }


def _is_debian(uri: str, label: str) -> bool:
    return label == "Debian" or uri.rstrip("/").endswith("/debian")


def _unpack(package: Path, target: Path) -> None:
    part = make_dir(target.with_suffix(".part"))
    excludes = " ".join(f"--exclude='{pattern}'" for pattern in _UNUSED)
    script = (
        'dpkg-deb --fsys-tarfile "$1" | tar -xO --wildcards "./usr/src/linux-source-*.tar.xz" '
        f'| tar -xJ -C "$2" --strip-components=1 {excludes}'
    )
    command = ["bash", "-o", "pipefail", "-c", script, "bash", str(package), str(part)]
    builds.run(command, what="unpacking Linux", line=lambda _: None, cwd=target.parent, env=dict(os.environ))
    for name, changes in CHANGES.items():
        _change(part / name, changes)
    part.rename(target)


def _change(path: Path, changes: Mapping[str, str]) -> None:
    """Replace pieces of a file, each of which must stand there once.

    Raises:
        Problem: the sources are other ones than expected.
    """
    text = path.read_text()
    for old, new in changes.items():
        if text.count(old) != 1:
            raise Problem(
                "these sources of Linux differ from the ones known", where=str(path), then=f"look for {old!r}"
            )
        text = text.replace(old, new)
    path.write_text(text)


@click.command()
def main() -> None:
    """Make sure that the guest's kernel is there, and print its path."""
    try:
        with display() as report:
            click.echo(ensure_kernel(report))
    except Problem as problem:
        click.echo(problem, err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
