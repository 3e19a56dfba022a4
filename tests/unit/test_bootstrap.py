"""What new clusters get of an earlier start: the same objects, with uids of their own and today's times."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from k8s101.cluster.host.bootstrap import _is_common, _number, _quoted, _varint, renewed, transaction
from k8s101.cluster.programs.binaries import bin_dir, project_of
from tests.waiting import eventually

ROLE = "/registry/clusterroles/view"
UID = b"0b7f7e0a-6a4e-4b0e-9d55-0f9c2b8d4a11"
MADE = 1_780_000_000


def stored(seconds: int, uid: bytes = UID) -> bytes:
    """Return something that looks like an object in etcd."""
    return b"k8s\0" + b"\x0a\x04view*$" + uid + b"B\x08\x08" + _varint(seconds) + b"\x10\x00z\x00"


def test_numbers_are_written_as_protobuf_does() -> None:
    assert _varint(MADE) == bytes.fromhex("80cae2d006")
    assert _number(_varint(MADE)) == MADE


def test_uids_and_times_are_new_and_nothing_else() -> None:
    before = int(time.time())
    objects = {ROLE: stored(MADE), f"{ROLE}-too": stored(MADE + 3)}
    one, other = (renewed(objects, MADE, MADE + 5) for _ in range(2))
    for made in (one, other):
        for key, value in made.items():
            start = value.index(b"*$") + 2
            uid, seconds = value[start : start + len(UID)], _number(value[start + len(UID) + 3 :][:5])
            assert uid != UID
            assert before <= seconds <= time.time()
            assert value == stored(seconds, uid), key
    assert one != other
    # one that is named twice stays one
    assert one[ROLE][: -len(b"z\x00")].split(b"*$")[1][:36] == one[f"{ROLE}-too"].split(b"*$")[1][:36]


def test_times_of_other_days_stay() -> None:
    assert renewed({ROLE: stored(MADE - 1, b"no uid")}, MADE, MADE + 5) == {ROLE: stored(MADE - 1, b"no uid")}


@pytest.mark.parametrize(
    ("key", "value", "common"),
    [
        (ROLE, b"k8s\0 role", True),
        ("/registry/namespaces/kube-system", b"k8s\0 namespace", True),
        ("/registry/namespaces/k8s101-pods", b"k8s\0 namespace", False),
        ("/registry/serviceaccounts/kube-system/coredns", b"k8s\0 made by k8s101", False),
        ("/registry/secrets/kube-system/token", b"k8s\0 secret", False),
        ("/registry/minions/worker-1", b"k8s\0 node", False),
        (ROLE, b'{"kind": "ClusterRole"}', False),
    ],
)
def test_only_what_every_cluster_has_is_kept(key: str, value: bytes, common: bool) -> None:
    assert _is_common(key, value) is common


def test_etcdctl_reads_every_byte_as_it_was(tmp_path: Path) -> None:
    etcd, etcdctl = (bin_dir(project_of(name)) / name for name in ("etcd", "etcdctl"))
    if not etcd.exists():
        pytest.skip("not made yet: run python -m k8s101.cluster.programs.binaries etcd")
    url, peer = (f"unix://{name}:0" for name in ("client", "peer"))
    flags = (f"--listen-client-urls={url}", f"--advertise-client-urls={url}", f"--listen-peer-urls={peer}")
    more = (f"--initial-advertise-peer-urls={peer}", f"--initial-cluster=default={peer}", "--max-txn-ops=1024")
    objects = {f"{ROLE}/{number}": bytes([number, *range(256)]) for number in range(200)}

    def ask(*arguments: str, text: bytes = b"") -> bytes:
        command = (str(etcdctl), f"--endpoints={url}", *arguments)
        done = subprocess.run(command, input=text, capture_output=True, check=False, cwd=tmp_path)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout

    with subprocess.Popen((str(etcd), *flags, *more, "--log-level=error"), cwd=tmp_path) as server:
        try:
            eventually("etcd answers", lambda: (tmp_path / "client:0").exists())
            assert ask("txn", text=transaction(objects).encode()).startswith(b"SUCCESS")
            for key in (f"{ROLE}/0", f"{ROLE}/199"):
                assert ask("get", "--print-value-only", key) == objects[key] + b"\n"
            # a second time there is something else already
            assert ask("txn", text=transaction(objects).encode()).startswith(b"FAILURE")
        finally:
            server.kill()


def test_quoting_has_no_line_ends() -> None:
    assert _quoted(b'a"\n\\b') == "a\\x22\\x0a\\x5cb"
