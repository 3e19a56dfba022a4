"""What the API server and its controllers write at every first start: recorded once, and given to new clusters.

Nobody in the control plane may do anything before the rules of access are there, and the API server waits a second
before it begins to write them, one by one. A new cluster finds them in etcd instead, with names of its own (uids) and
today's times. The API server compares them with what it would write, as at every start.

A record is made from the first start with these very programs, before anybody works with the cluster.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import time
import uuid
import xmlrpc.client
from collections.abc import Mapping
from pathlib import Path

from k8s101.cluster.components import etcd
from k8s101.cluster.host import host
from k8s101.cluster.programs.cache import hand_over, make_dir
from k8s101.cluster.supervisor import rpc
from k8s101.cluster.values.settings import Settings, cache_dir

_KINDS = (
    *("clusterroles", "clusterrolebindings", "roles", "rolebindings"),
    *("flowschemas", "prioritylevelconfigurations", "priorityclasses", "serviceaccounts"),
)
_NAMESPACES = ("default", "kube-node-lease", "kube-public", "kube-system")
_OURS = b"k8s101"
"""Stands in all that the workshop has written, which is not recorded: its manifests may change."""

_STORED_AS_PROTOBUF = b"k8s\0"
_UID = re.compile(rb"(?<=\$)[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""A uid in protobuf: behind its length, which is 36."""

_TIME = re.compile(rb"\x08([\x80-\xff]{4}[\x00-\x7f])\x10\x00", re.DOTALL)
"""A time in protobuf: seconds in five bytes, and no nanoseconds (`Time` in apimachinery's generated.proto)."""


def record_file(tools: Mapping[str, Path]) -> Path:
    """Return where the record of these programs is, or will be.

    Args:
        tools: the path of each program.
    """
    programs = [tools[name].stat() for name in ("kube-apiserver", "kube-controller-manager")]
    facts = repr([(program.st_size, program.st_mtime_ns) for program in programs]).encode()
    return cache_dir() / "bootstrap" / f"{hashlib.sha256(facts + Path(__file__).read_bytes()).hexdigest()[:16]}.json"


def plant(settings: Settings, tools: Mapping[str, Path]) -> bool:
    """Give an empty etcd what is recorded, if it has not got anything else by then.

    Args:
        settings: the settings of a cluster whose supervisor has just been started.
        tools: the path of each program.

    Returns:
        Whether there was a record, and etcd took it.
    """
    try:
        record = json.loads(record_file(tools).read_text())
    except (OSError, ValueError):
        return False
    objects = {key: base64.b64decode(value) for key, value in record["objects"].items()}
    plan = settings.state / etcd.PLAN
    plan.write_text(transaction(renewed(objects, record["began"], record["ended"])))
    try:
        return bool(rpc.client(settings.control_socket).k8s101.plant())
    except (xmlrpc.client.Error, OSError):
        # the API server writes all by itself, a few seconds later
        return False
    finally:
        plan.unlink()


def record(settings: Settings, tools: Mapping[str, Path]) -> None:
    """Keep what the control plane has written at the first start of a cluster, for the next ones.

    Args:
        settings: the settings of a cluster that has just become ready.
        tools: the path of each program.
    """
    began = host.started_at(settings).timestamp()
    answer = rpc.client(settings.control_socket).k8s101.registry()
    assert isinstance(answer, bytes), "XML-RPC keeps the type"
    found = json.loads(answer)
    stored = {base64.b64decode(entry["key"]).decode(): base64.b64decode(entry["value"]) for entry in found["kvs"]}
    ended = int(time.time()) + 1
    # this cluster's uids are nobody else's, not even in a file
    objects = renewed({key: value for key, value in stored.items() if _is_common(key, value)}, int(began), ended)
    kept = {key: base64.b64encode(value).decode() for key, value in objects.items()}
    target = record_file(tools)
    draft = target.with_suffix(".new")
    try:
        make_dir(target.parent)
        draft.write_text(json.dumps({"began": int(began), "ended": ended, "objects": kept}))
        hand_over(draft)
        draft.rename(target)
    except OSError:
        # a cache that cannot be written to costs the next start some seconds
        return


def _is_common(key: str, value: bytes) -> bool:
    kind, _, name = key.removeprefix(etcd.REGISTRY).partition("/")
    if _OURS in value or not value.startswith(_STORED_AS_PROTOBUF):
        return False
    return kind in _KINDS or (kind == "namespaces" and name in _NAMESPACES)


def renewed(objects: Mapping[str, bytes], began: int, ended: int) -> dict[str, bytes]:
    """Return stored objects with uids of their own, made now.

    Args:
        objects: by key, as etcd holds them.
        began: when the start began that made them, in seconds since 1970.
        ended: when it had ended.
    """
    uids: dict[bytes, bytes] = {}
    now = _varint(int(time.time()))

    def uid(match: re.Match[bytes]) -> bytes:
        return uids.setdefault(match[0], str(uuid.uuid4()).encode())

    def moment(match: re.Match[bytes]) -> bytes:
        return b"\x08" + now + b"\x10\x00" if began <= _number(match[1]) <= ended else match[0]

    return {key: _TIME.sub(moment, _UID.sub(uid, value)) for key, value in objects.items()}


def _varint(number: int) -> bytes:
    return bytes((number >> 7 * place) & 0x7F | (0x80 if place < 4 else 0) for place in range(5))


def _number(varint: bytes) -> int:
    return sum((byte & 0x7F) << 7 * place for place, byte in enumerate(varint))


def transaction(objects: Mapping[str, bytes]) -> str:
    """Return what `etcdctl txn` reads: conditions, requests if they hold, and none if they do not.

    Args:
        objects: by key, as etcd is to hold them; each is absent yet.
    """
    absent = "".join(f'version("{key}") = "0"\n' for key in objects)
    puts = "".join(f'put -- "{key}" "{_quoted(value)}"\n' for key, value in objects.items())
    return f"{absent}\n{puts}\n\n"


def _quoted(value: bytes) -> str:
    plain = b" !#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[]^_`abcdefghijklmnopqrstuvwxyz{|}~"
    return "".join(chr(byte) if byte in plain else f"\\x{byte:02x}" for byte in value)
