"""The control socket: its verbs, the names it knows, what it refuses."""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import http.client
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from k8s101.cluster.backends import objects
from k8s101.cluster.components import etcd
from k8s101.cluster.host import bootstrap, host
from k8s101.cluster.programs import binaries
from k8s101.cluster.supervisor import rpc
from k8s101.errors import Problem
from tests.lab import Lab, Namespace, hello, service
from tests.users import NOBODY
from tests.waiting import eventually


@pytest.mark.parametrize(
    "name",
    ["nope", "", "*", "etcd:*", "worker-1:*", "../..", "worker-1/nope", "worker-1/kubelet:*", "worker-9/kubelet", 5],
)
@pytest.mark.parametrize("verb", ["start", "stop", "kill", "pause", "resume"])
def test_an_unknown_name_is_refused(lab: Lab, verb: str, name: object) -> None:
    with pytest.raises(Problem, match="nothing is called") as refused:
        lab.cluster.control(verb, name)
    assert "kube-apiserver" in refused.value.then


@pytest.mark.parametrize("name", ["worker-7", "worker-7/kubelet"])
def test_a_node_that_was_never_added_cannot_be_started(lab: Lab, name: str) -> None:
    with pytest.raises(Problem, match="nothing is called"):
        lab.cluster.control("start", name)


@pytest.mark.parametrize("name", ["worker-0", "worker-10", "worker-01", "worker-²", "worker-", "other-4", "", 4])
@pytest.mark.parametrize("verb", ["add_node", "remove_node"])
def test_nodes_have_fixed_names(lab: Lab, verb: str, name: object) -> None:
    before = sorted(path.name for path in (lab.cluster.settings.state / "nodes").iterdir())
    with pytest.raises(Problem, match="nothing is called"):
        lab.cluster.control(verb, name)
    assert before == sorted(path.name for path in (lab.cluster.settings.state / "nodes").iterdir())


@pytest.mark.parametrize(
    ("verb", "arguments"),
    [
        ("nonsense", ()),
        ("_each", ("etcd", "stopProcess", True)),
        ("start", ()),
        ("start", ("etcd", "etcd")),
        ("read_key", (5,)),
        ("read_key", ("",)),
        ("snapshot", ("here.db",)),
        ("encrypt_secrets", ("perhaps",)),
        ("shutdown", ()),
    ],
)
def test_what_is_no_verb_or_has_wrong_arguments_is_refused(lab: Lab, verb: str, arguments: tuple[object, ...]) -> None:
    with pytest.raises(Problem):
        lab.cluster.control(verb, *arguments)
    assert all(lab.process(name) for name in ("etcd", "kube-apiserver", *lab.nodes))


def test_a_copy_of_etcd_is_a_file_of_the_owners(lab: Lab) -> None:
    copy = Path(lab.cluster.control("snapshot"))
    found = copy.stat()
    assert copy.parent == lab.cluster.settings.lessons
    assert (found.st_mode & 0o777, (found.st_uid, found.st_gid)) == (0o600, lab.cluster.settings.owner)
    assert found.st_size > 100_000
    copy.unlink()


@pytest.mark.parametrize("method", ["supervisor.shutdown", "supervisor.restart", "supervisor.stopAllProcesses"])
def test_the_supervisor_itself_cannot_be_asked(lab: Lab, method: str) -> None:
    proxy = rpc.client(lab.cluster.settings.control_socket)
    with pytest.raises(Exception, match="UNKNOWN_METHOD"):
        getattr(proxy, method)()


def test_the_socket_takes_what_is_no_request(lab: Lab) -> None:
    for body in (b"\0" * 1000, b"<methodCall>", b"<?xml version='1.0'?><methodCall></methodCall>"):
        line = rpc.UnixConnection(lab.cluster.settings.control_socket, 5)
        line.request("POST", "/RPC2", body)
        # hanging up is an answer, too
        with contextlib.suppress(http.client.HTTPException):
            assert line.getresponse().status >= 400
        line.close()
    assert lab.process("etcd")


def test_a_wrong_name_ends_with_a_problem_on_the_command_line(lab: Lab) -> None:
    from click.testing import CliRunner

    from k8s101.cli import main

    for arguments in (["stop", "nope"], ["stop", "worker-1/nope"], ["start", "worker-7"], ["logs", "nope"]):
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == 1, result.output
        assert "error:" in result.output
        assert "next:" in result.output


@pytest.fixture
def fourth(lab: Lab) -> Iterator[str]:
    """A node that is added for one test."""
    name = "worker-4"
    lab.cluster.control("add_node", name)
    lab.apply_node(objects.node(lab.cluster.settings, name, 4))
    yield name
    lab.cluster.control("remove_node", name)
    lab.kubectl("delete", "node", name)


def test_a_node_is_added_and_removed(lab: Lab, fourth: str, space: Namespace) -> None:
    eventually("the new node is Ready", lambda: lab.node_state(fourth) == "True", 60)
    space.start(hello("web", nodeName=fourth), service("web"))
    address = space.get("service", "web")["spec"]["clusterIP"]
    for node in (*lab.nodes, fourth):
        assert "hello" in lab.fetch(address, at=lab.at_node(node))
    eventually("the machine reaches the Service", lambda: "hello" in lab.fetch(address, seconds=2))
    assert lab.address(fourth) in lab.kubectl("get", "nodes", "--output=wide")
    assert lab.process(f"{fourth}/kubelet")


def test_adding_a_node_that_runs_changes_nothing(lab: Lab) -> None:
    before = lab.process("worker-1")
    lab.cluster.control("add_node", "worker-1")
    assert lab.process("worker-1") == before
    assert lab.run(*lab.on_node("worker-1"), "cat", "/etc/hostname").stdout == "worker-1\n"


def test_what_an_earlier_start_has_left_is_made_anew(lab: Lab) -> None:
    """Rules of access and namespaces may come from a record; uids and times are this cluster's."""
    identity = lab.get("configmap", "k8s101-identity", "--namespace=kube-system")
    began = dt.datetime.fromisoformat(identity["metadata"]["creationTimestamp"])
    record = bootstrap.record_file(binaries.ensure(host.CONTROL_PLANE_TOOLS)).read_text()
    known = b"".join(base64.b64decode(value) for value in json.loads(record)["objects"].values())
    for what in ("namespace/kube-system", "clusterrole/view", "clusterrolebinding/system:kube-scheduler"):
        facts = lab.get(what)["metadata"]
        assert facts["uid"].encode() not in known, what
        assert abs((dt.datetime.fromisoformat(facts["creationTimestamp"]) - began).total_seconds()) < 60, what


def test_etcd_takes_no_beginnings_in_the_middle(lab: Lab) -> None:
    plan = lab.cluster.settings.state / etcd.PLAN
    plan.write_text(bootstrap.transaction({"/registry/namespaces/kube-system": b"k8s"}))
    try:
        assert lab.cluster.control("plant") is False
    finally:
        plan.unlink()
    lab.get("namespace", "kube-system")


def stored(space: Namespace, name: str) -> bytes:
    value = space.lab.cluster.control("read_key", f"/registry/secrets/{space.name}/{name}")
    found: bytes = value.data if hasattr(value, "data") else value
    return found


def write(space: Namespace, name: str) -> None:
    space.kubectl("create", "secret", "generic", name, "--from-literal=word=open-sesame")


def word(space: Namespace, name: str) -> str:
    return base64.b64decode(space.get("secret", name)["data"]["word"]).decode()


def newly_stored(space: Namespace) -> bytes:
    """Write a Secret once more and return what etcd holds."""
    space.kubectl("annotate", "secret", "probe", "--overwrite", f"n={len(space.lab.kubectl('version'))}{id(object())}")
    return stored(space, "probe")


def test_secrets_are_stored_as_they_are_until_encryption_is_switched_on(space: Namespace) -> None:
    write(space, "early")
    write(space, "probe")
    assert b"open-sesame" in stored(space, "early")
    space.lab.cluster.control("encrypt_secrets", True)
    try:
        eventually("new Secrets are encrypted", lambda: newly_stored(space).startswith(b"k8s:enc:secretbox:"), 90)
        write(space, "late")
        assert b"open-sesame" not in stored(space, "late")
        assert word(space, "early") == word(space, "late") == "open-sesame"
    finally:
        space.lab.cluster.control("encrypt_secrets", False)


@pytest.mark.slow
def test_encryption_is_switched_off_again(space: Namespace) -> None:
    write(space, "probe")
    space.lab.cluster.control("encrypt_secrets", True)
    try:
        eventually("new Secrets are encrypted", lambda: newly_stored(space).startswith(b"k8s:enc:secretbox:"), 90)
        write(space, "early")
    finally:
        space.lab.cluster.control("encrypt_secrets", False)
    eventually("new Secrets are stored as they are", lambda: b"open-sesame" in newly_stored(space), 90)
    assert stored(space, "early").startswith(b"k8s:enc:secretbox:")
    assert word(space, "early") == word(space, "probe") == "open-sesame"


def test_a_key_that_is_not_there_is_empty(lab: Lab) -> None:
    assert not lab.cluster.control("read_key", "/registry/nothing")


def test_nobody_is_not_the_owner(lab: Lab) -> None:
    assert lab.cluster.settings.owner[0] != NOBODY
