"""Whether the machine's `nft` does what nodes need: kube-proxy, network plugins and we write rules with it."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess

from k8s101.errors import Problem

OLDEST = (1, 0, 1)
"""What kube-proxy asks for (pkg/proxy/nftables/proxier.go in kubernetes/kubernetes)."""

SECONDS = 10
TRIAL = "table ip k8s101-trial { chain output { type filter hook output priority filter; reject; }; }\n"


def check(search: str, *, here: bool) -> None:
    """Check the packet filter's program.

    Args:
        search: where it is looked for, as in PATH.
        here: whether the rules will be this machine's; otherwise only the program is looked at.

    Raises:
        Problem: it is too old, or does not run.
    """
    program = shutil.which("nft", path=search)
    if program is None:
        return  # whoever asks has told about missing programs
    told = _run(program, "--version")
    version = re.search(r"v(\d+)\.(\d+)\.(\d+)", told.stdout)
    if told.returncode or version is None:
        raise _broken(program, told)
    if tuple(map(int, version.groups())) < OLDEST:
        raise Problem(
            f"nft {version[0]} is too old: kube-proxy needs v{'.'.join(map(str, OLDEST))}",
            where=program,
            then="use Debian 12, Ubuntu 22.10 or newer; or k8s101 up --backend simulated",
        )
    # changes nothing: the kernel only says what it would have done
    if here and (trial := _run(program, "--check", "--file", "-", text=TRIAL)).returncode:
        raise _broken(program, trial)


def _run(*command: str, text: str = "") -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, input=text, capture_output=True, text=True, timeout=SECONDS)
    except (subprocess.TimeoutExpired, OSError) as error:
        return subprocess.CompletedProcess(command, 1, "", str(error))


def _broken(program: str, result: subprocess.CompletedProcess[str]) -> Problem:
    if result.returncode < 0:
        why = f"it was ended by {signal.Signals(-result.returncode).name}"
    else:
        why = next(iter(result.stderr.strip().splitlines()), f"it ended with {result.returncode}")
    return Problem(
        f"nft does not work on this machine: {why}",
        where=program,
        then="apt-get install --reinstall nftables, modprobe nf_tables; or k8s101 up --backend simulated",
    )
