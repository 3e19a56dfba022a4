"""Take this process's rights to files and ports away, but for some: Landlock, which needs no privilege.

The guest sees the machine's files with its user's rights, and a privileged Pod is root in the guest. So that
it can neither read nor change the user's own files, the kernel of the machine refuses them.
Numbers: linux/landlock.h (https://docs.kernel.org/userspace-api/landlock.html).
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_LIBC = ctypes.CDLL(None, use_errno=True)
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION_FLAG = 1
_PATH_BENEATH, _NET_PORT = 1, 2
_NO_NEW_PRIVILEGES = 38  # linux/prctl.h

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIRECTORY, _TRUNCATE, _DEVICE_CONTROL = 1, 2, 4, 8, 1 << 14, 1 << 15
_READ = _EXECUTE | _READ_FILE | _READ_DIRECTORY
_FILE = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _DEVICE_CONTROL
_RIGHTS_OF_VERSION = {1: 13, 2: 14, 3: 15, 4: 15}
_RIGHTS_SINCE_5 = 16

_BIND, _CONNECT = 1, 2
_OTHERS_SOCKETS, _OTHERS_PROCESSES = 1, 2
TRUNCATION_SINCE, PORTS_SINCE, SCOPES_SINCE = 3, 4, 6
"""The versions that know emptying a file, ports of TCP, and abstract sockets and signals."""


@dataclass(frozen=True)
class Rights:
    """What a process keeps; what does not exist is passed over.

    Args:
        readable: files and directories that may be read and executed.
        writable: what may also be changed.
        connects: the ports of TCP to which it may connect, None for all.
        listens: whether it may listen on ports of TCP.
        signals: whether it may send signals to processes that it has not started.
    """

    readable: Iterable[Path] = ()
    writable: Iterable[Path] = ()
    connects: Iterable[int] | None = ()
    listens: bool = False
    signals: bool = False


def version() -> int:
    """Return the version of Landlock that the kernel offers, 0 or less without it."""
    return int(_LIBC.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _VERSION_FLAG))


def restrict(rights: Rights) -> bool:
    """Let this process and its children do only this, for good, as far as the kernel can hold it.

    Args:
        rights: what is left.

    Returns:
        Whether the kernel offers this at all.
    """
    if (offered := version()) < 1:
        return False
    everything = (1 << _RIGHTS_OF_VERSION.get(offered, _RIGHTS_SINCE_5)) - 1
    attributes = struct.pack("=Q", everything)
    if offered >= PORTS_SINCE:
        ports = _BIND * (not rights.listens) | _CONNECT * (rights.connects is not None)
        attributes += struct.pack("=Q", ports)
    if offered >= SCOPES_SINCE:
        attributes += struct.pack("=Q", _OTHERS_SOCKETS | _OTHERS_PROCESSES * (not rights.signals))
    rules = _call(_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), 0)
    for kept, paths in ((_READ, rights.readable), (everything, rights.writable)):
        for path in paths:
            if path.exists():
                _allow_files(rules, path, kept & everything)
    if offered >= PORTS_SINCE:
        for port in rights.connects or ():
            _call(_ADD_RULE, rules, _NET_PORT, struct.pack("=QQ", _CONNECT, port), 0)
    if _LIBC.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")
    _call(_RESTRICT_SELF, rules, 0)
    os.close(rules)
    return True


def _allow_files(rules: int, path: Path, rights: int) -> None:
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    rule = struct.pack("=Qi", rights if path.is_dir() else rights & _FILE, descriptor)
    _call(_ADD_RULE, rules, _PATH_BENEATH, rule, 0)
    os.close(descriptor)


def _call(number: int, *arguments: object) -> int:
    result = int(_LIBC.syscall(number, *arguments))
    if result < 0:
        raise OSError(ctypes.get_errno(), f"landlock: {os.strerror(ctypes.get_errno())}")
    return result
