"""Let the processes of a cgroup use no device but the harmless ones, whatever device files they make.

Root in a privileged Pod may make any device file, and mount a file system from it. Version 1 keeps a list for
each cgroup, version 2 asks a program (https://docs.kernel.org/admin-guide/cgroup-v2.html#device-controller).
Numbers: Documentation/admin-guide/devices.txt, linux/bpf.h.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from pathlib import Path

_ANY = -1
CHARACTER_DEVICES = (
    (1, 3),  # null
    (1, 5),  # zero
    (1, 7),  # full
    (1, 8),  # random
    (1, 9),  # urandom
    (1, 11),  # kmsg
    (5, 0),  # tty
    (5, 1),  # console
    (5, 2),  # ptmx
    (10, 200),  # tun
    (10, 229),  # fuse
    (136, _ANY),  # terminals
)

_SYS_BPF = 321 if os.uname().machine == "x86_64" else 280
_LOAD, _ATTACH, _KIND, _HOOK, _MULTI = 5, 8, 15, 6, 2  # BPF_PROG_TYPE_CGROUP_DEVICE, BPF_CGROUP_DEVICE
_BLOCK_OR_CHARACTER, _MAKE, _CHARACTER = 0xFFFF, 1, 2
_LOAD_WORD, _MOVE, _SHIFT_RIGHT, _AND, _EXIT = 0x61, 0xB7, 0x77, 0x57, 0x95
_COPY, _EQUAL, _NOT_EQUAL = 0xBF, 0x15, 0x55


def restrict(cgroup: Path) -> None:
    """Restrict a new cgroup and all that will be below it.

    Args:
        cgroup: its directory, in version 1 that of the tree `devices`.

    Raises:
        OSError: the kernel refused.
    """
    if not (cgroup / "devices.deny").exists():
        try:
            _attach(cgroup)
        except OSError as error:
            # a kernel without such programs, as the guest's
            if error.errno not in (errno.ENOSYS, errno.EINVAL):
                raise
        return
    (cgroup / "devices.deny").write_text("a")
    makes = ("b *:* m", "c *:* m")
    uses = (f"c {major}:{'*' if minor == _ANY else minor} rwm" for major, minor in CHARACTER_DEVICES)
    for line in (*makes, *uses):
        (cgroup / "devices.allow").write_text(line)


def _program() -> bytes:
    """Return a program that allows making any device file and using the harmless ones."""

    def line(code: int, target: int = 0, source: int = 0, offset: int = 0, value: int = 0) -> bytes:
        return struct.pack("=BBhi", code, source << 4 | target, offset, value)

    checks = []
    for major, minor in CHARACTER_DEVICES:
        same_minor = [line(_NOT_EQUAL, 5, offset=2, value=minor)] if minor != _ANY else []
        checks += [line(_NOT_EQUAL, 4, offset=2 + len(same_minor), value=major), *same_minor]
        checks += [line(_MOVE, 0, value=1), line(_EXIT)]
    begin = [
        line(_LOAD_WORD, 2, 1),
        line(_COPY, 3, 2),
        line(_SHIFT_RIGHT, 3, value=16),
        line(_AND, 2, value=_BLOCK_OR_CHARACTER),
        line(_LOAD_WORD, 4, 1, 4),
        line(_LOAD_WORD, 5, 1, 8),
        line(_NOT_EQUAL, 3, offset=2, value=_MAKE),
        line(_MOVE, 0, value=1),
        line(_EXIT),
        line(_EQUAL, 2, offset=2, value=_CHARACTER),
        line(_MOVE, 0, value=0),
        line(_EXIT),
    ]
    return b"".join([*begin, *checks, line(_MOVE, 0, value=0), line(_EXIT)])


def _attach(cgroup: Path) -> None:
    code, licence = ctypes.create_string_buffer(_program()), ctypes.create_string_buffer(b"GPL")
    length = (len(code) - 1) // 8
    program = _bpf(_LOAD, struct.pack("=IIQQ", _KIND, length, ctypes.addressof(code), ctypes.addressof(licence)))
    directory = os.open(cgroup, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _bpf(_ATTACH, struct.pack("=IIII", directory, program, _HOOK, _MULTI))
    finally:
        os.close(directory)
        os.close(program)


def _bpf(verb: int, attributes: bytes) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    result = int(libc.syscall(_SYS_BPF, verb, attributes.ljust(128, b"\0"), 128))
    if result < 0:
        raise OSError(ctypes.get_errno(), f"bpf: {os.strerror(ctypes.get_errno())}")
    return result
