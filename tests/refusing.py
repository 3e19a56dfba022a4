"""Run a command in which the kernel refuses something, as those of some machines and the filters of containers do.

   python refusing.py WHAT[,WHAT…] COMMAND…
Program and constants: linux/filter.h, linux/seccomp.h, asm/unistd_64.h.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys

LOAD, EQUALS, RETURN = 0x20, 0x15, 0x06  # BPF_LD|W|ABS, BPF_JMP|JEQ|K, BPF_RET|K
ALLOW, REFUSE = 0x7FFF0000, 0x00050000
WHAT = {
    "tracing": {101: errno.EPERM, 317: errno.EPERM},
    "landlock": {444: errno.ENOSYS},
    "namespaces": {272: errno.EPERM},
}
"""Numbers of system calls, and how they fail: ptrace and seccomp, landlock_create_ruleset, unshare."""

PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2


class Instruction(ctypes.Structure):
    _fields_ = (("code", ctypes.c_uint16), ("yes", ctypes.c_uint8), ("no", ctypes.c_uint8), ("k", ctypes.c_uint32))


class Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_uint16), ("filter", ctypes.POINTER(Instruction)))


def refuse(calls: dict[int, int]) -> None:
    """Refuse calls to this process and all its children.

    Args:
        calls: their numbers, and the error of each.
    """
    pairs = [((EQUALS, 0, 1, number), (RETURN, 0, 0, REFUSE | error)) for number, error in calls.items()]
    lines = ((LOAD, 0, 0, 0), *(line for pair in pairs for line in pair), (RETURN, 0, 0, ALLOW))
    code = (Instruction * len(lines))(*(Instruction(*line) for line in lines))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(Program(len(lines), code)), 0, 0):
        raise OSError(ctypes.get_errno(), "the filter was not taken")


if __name__ == "__main__":
    refuse({number: error for word in sys.argv[1].split(",") for number, error in WHAT[word].items()})
    os.execv(sys.argv[2], sys.argv[2:])
