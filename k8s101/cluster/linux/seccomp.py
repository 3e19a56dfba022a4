"""Take system calls away from this process and its children, for good: what nothing else keeps from them.

Landlock says nothing of a file's mode, owner and times, nor of sockets other than TCP; a user-mode kernel needs
none of them. Namespaces keep nobody from opening files by their number on a disk, nor from the clock.
Program and constants: linux/filter.h, linux/seccomp.h, linux/audit.h, asm/unistd_64.h, asm-generic/unistd.h.
"""

from __future__ import annotations

import ctypes
import errno
import platform
from collections.abc import Iterable

_LOAD, _EQUALS, _LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06  # BPF_LD|W|ABS, BPF_JMP|JEQ|K, BPF_JMP|JGE|K, BPF_RET|K
_ALLOW, _ERROR = 0x7FFF0000, 0x00050000
_AND = 0x54  # BPF_ALU|AND|K
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT, _SECOND_ARGUMENT = 0, 4, 16, 24
_NO_NEW_PRIVILEGES, _SET_SECCOMP, _FILTER = 38, 22, 2

_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_OTHER_NUMBERS = 0x40000000
"""From here on the numbers of a second set of calls begin, which x86-64 has for small programs."""

_SOCKET, _UNIX = 41, 1
_KIND, _STREAM, _SEQUENCE = 0xF, 1, 5

MODES_AND_TIMES = {
    "chmod": 90,
    "fchmod": 91,
    "chown": 92,
    "fchown": 93,
    "lchown": 94,
    "utime": 132,
    "utimes": 235,
    "fchownat": 260,
    "futimesat": 261,
    "fchmodat": 268,
    "utimensat": 280,
    "fchmodat2": 452,
}
"""Nothing happens, and the caller is told that it went well: programs expect that on their own files."""

KEYS_AND_ATTRIBUTES = {
    "setxattr": 188,
    "lsetxattr": 189,
    "fsetxattr": 190,
    "removexattr": 197,
    "lremovexattr": 198,
    "fremovexattr": 199,
    "add_key": 248,
    "request_key": 249,
    "keyctl": 250,
    # does the work of other calls, past this filter
    "io_uring_setup": 425,
    "setxattrat": 463,
    "removexattrat": 466,
    "file_setattr": 469,
}

OF_THE_MACHINE = {
    "open_by_handle_at": (304, 265),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "clock_adjtime": (305, 266),
    "adjtimex": (159, 171),
    "acct": (163, 89),
}
"""What changes the whole machine, or leads to any file of a disk; numbers of x86-64 and arm64."""


class _Instruction(ctypes.Structure):
    _fields_ = (("code", ctypes.c_uint16), ("yes", ctypes.c_uint8), ("no", ctypes.c_uint8), ("k", ctypes.c_uint32))


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_uint16), ("filter", ctypes.POINTER(_Instruction)))


def confine_kernel() -> bool:
    """Leave a user-mode kernel no way to change modes, owners and times of files, and only Unix sockets.

    Returns:
        Whether the kernel took the filter.
    """
    return _restrict(_program(KEYS_AND_ATTRIBUTES.values(), MODES_AND_TIMES.values(), only_unix_sockets=True))


def confine_network() -> bool:
    """Leave a guest's network only sockets of connections: no UDP, no raw packets.

    Returns:
        Whether the kernel took the filter.
    """
    return _restrict(_program([*KEYS_AND_ATTRIBUTES.values()], only_connections=True))


def confine_node() -> bool:
    """Leave the processes of a node no way to change the machine's clock, modules and accounts, or to its files.

    Returns:
        Whether the kernel took the filter.
    """
    which = list(_ARCHITECTURES).index(platform.machine())
    return _restrict(_program([numbers[which] for numbers in OF_THE_MACHINE.values()]), may_gain=True)


def _restrict(lines: list[tuple[int, int, int, int]], *, may_gain: bool = False) -> bool:
    code = (_Instruction * len(lines))(*(_Instruction(*line) for line in lines))
    libc = ctypes.CDLL(None, use_errno=True)
    if not may_gain:
        libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    return not libc.prctl(_SET_SECCOMP, _FILTER, ctypes.byref(_Program(len(lines), code)), 0, 0)


def _program(
    refused: Iterable[int],
    silent: Iterable[int] = (),
    *,
    only_unix_sockets: bool = False,
    only_connections: bool = False,
) -> list[tuple[int, int, int, int]]:
    numbers = [*((number, 1) for number in sorted(refused)), *((number, 2) for number in sorted(silent))]
    lines = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUALS, 1, 0, _ARCHITECTURES[platform.machine()]),
        (_RETURN, 0, 0, _ERROR | errno.ENOSYS),
        (_LOAD, 0, 0, _NUMBER),
        (_LEAST, 0, 1, _OTHER_NUMBERS),
        (_RETURN, 0, 0, _ERROR | errno.ENOSYS),
    ]
    if only_unix_sockets:
        lines += [
            (_EQUALS, 0, 3, _SOCKET),
            (_LOAD, 0, 0, _FIRST_ARGUMENT),
            (_EQUALS, len(numbers) + 1, 0, _UNIX),
            (_RETURN, 0, 0, _ERROR | errno.EPERM),
        ]
    if only_connections:
        lines += [
            (_EQUALS, 0, 5, _SOCKET),
            (_LOAD, 0, 0, _SECOND_ARGUMENT),
            (_AND, 0, 0, _KIND),
            (_EQUALS, len(numbers) + 2, 0, _STREAM),
            (_EQUALS, len(numbers) + 1, 0, _SEQUENCE),
            (_RETURN, 0, 0, _ERROR | errno.EPERM),
        ]
    # a jump counts the lines that it leaves out: the other checks, then those that allow, refuse and do nothing
    lines += [(_EQUALS, len(numbers) - done + end, 0, number) for done, (number, end) in enumerate(numbers, start=1)]
    return [*lines, (_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _ERROR | errno.EPERM), (_RETURN, 0, 0, _ERROR)]
