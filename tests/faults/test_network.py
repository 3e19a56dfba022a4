"""Networks as people have them: VPNs, exit nodes, firewalls, old packet filters. A start copes, or says what to do."""

from __future__ import annotations

import json
import platform

import pytest

from k8s101.cluster.values.settings import CANDIDATE_RANGES, Settings
from tests import machine as machines
from tests.escapes import counted
from tests.machine import K8S101, Machine, assert_problem

DROPPED = """
table ip filter {
    chain INPUT { type filter hook input priority filter; policy drop; ct state established,related accept; }
    chain FORWARD { type filter hook forward priority filter; policy drop; }
}
"""


def interface(machine: Machine, name: str, address: str) -> None:
    """Give a machine one more interface, such as a VPN's."""
    for command in (
        ("link", "add", name, "type", "veth", "peer", "name", f"{name}-end"),
        ("link", "set", f"{name}-end", "up"),
        ("link", "set", name, "up"),
        ("addr", "add", address, "dev", name),
    ):
        assert machine.run("ip", *command).returncode == 0


def test_a_firewall_that_drops_everything_is_no_obstacle(machine: Machine) -> None:
    assert machine.run("nft", DROPPED).returncode == 0
    assert machine.run("sysctl", "-qw", "net.ipv4.ip_forward=0", "net.ipv4.conf.all.rp_filter=1").returncode == 0
    result = machine.k8s101("up")
    assert "self-check: 3 nodes Ready" in result.stdout, result.stderr


def test_ranges_in_use_are_left_to_others(machine: Machine) -> None:
    interface(machine, "vpn", "10.244.7.1/24")
    machine.run("ip", "route", "add", "10.97.0.0/20", "dev", "vpn")
    machine.up()
    taken = Settings.load(machine.state).ranges
    assert taken == CANDIDATE_RANGES[2]
    with counted(taken, ("nsenter", f"--net=/run/netns/{machine.name}", "--")) as escapes:
        result = machine.k8s101("up")
        assert "self-check: 3 nodes Ready" in result.stdout, result.stderr
        assert escapes.packets() == 0
    assert machine.k8s101("stop").returncode == 0
    interface(machine, "late", f"{taken.nodes[9]}/24")
    assert_problem(machine.k8s101("up"), "cannot be connected to the cluster", "disconnect a VPN")
    assert machine.run("ip", "link", "delete", "late").returncode == 0
    machine.up()
    assert Settings.load(machine.state).ranges == taken


PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")
SPARE = ("198.18.0.0/15", "100.64.0.0/10")


def vpn(machine: Machine, *networks: str) -> None:
    """Give a machine a VPN that takes these networks."""
    interface(machine, "tun0", "203.0.113.2/24")
    for network in networks:
        assert machine.run("ip", "route", "add", network, "dev", "tun0").returncode == 0


def assert_works(machine: Machine, **environment: str) -> str:
    """Check that a cluster starts and serves an app; return all that was said."""
    result = machine.k8s101("up", env=environment)
    assert "self-check: 3 nodes Ready" in result.stdout, result.stdout + result.stderr
    machines.told.clear()
    return result.stdout + result.stderr


def ranges(machine: Machine) -> object:
    return Settings.load(machine.state).ranges


def test_a_vpn_that_sets_two_half_default_routes(machine: Machine) -> None:
    vpn(machine, "0.0.0.0/1", "128.0.0.0/1")
    assert_works(machine)
    assert ranges(machine) == CANDIDATE_RANGES[0]


def test_a_vpn_that_takes_all_private_addresses(machine: Machine) -> None:
    vpn(machine, *PRIVATE)
    assert_works(machine)
    assert ranges(machine) == CANDIDATE_RANGES[-2]


def test_a_vpn_that_takes_the_test_benches_too(machine: Machine) -> None:
    vpn(machine, *PRIVATE, SPARE[0])
    assert_works(machine)
    assert ranges(machine) == CANDIDATE_RANGES[-1]


def test_no_range_is_left_but_a_guest_needs_none(machine: Machine) -> None:
    vpn(machine, *PRIVATE, *SPARE)
    assert_problem(
        machine.k8s101("up", "--backend", "nodes"), "every address range", "10.0.0.0/8 dev tun0", "K8S101_RANGES"
    )
    assert not machine.state.exists()
    said = assert_works(machine)
    assert "this cluster is of the kind guest: every address range" in said
    assert "K8S101_RANGES" in said


def test_ranges_of_ones_own(machine: Machine) -> None:
    vpn(machine, *PRIVATE, *SPARE)
    own = "192.0.2.0/24,203.0.112.0/20,198.51.100.0/24"
    assert machine.run("ip", "route", "del", "203.0.113.0/24").returncode == 0
    assert machine.run("ip", "addr", "flush", "dev", "tun0").returncode == 0
    assert_works(machine, K8S101_RANGES=own)
    assert ",".join(str(net) for net in vars(ranges(machine)).values()) == own


NO_GOOD = {
    "10.1.0.0/24": "three networks",
    "10.1.0.0/24,10.2.0.0/16": "three networks",
    "10.1.0.5/24,10.2.0.0/16,10.3.0.0/16": "host bits",
    "10.1.0.0/16,10.2.0.0/16,10.3.0.0/16": "10.1.0.0/16 of the nodes should be /24",
    "10.1.0.0/24,10.2.0.0/24,10.3.0.0/16": "10.2.0.0/24 of the pods should be /12 to /20",
    "10.1.0.0/24,10.2.0.0/16,10.2.0.0/20": "overlap",
    "127.0.1.0/24,10.2.0.0/16,10.3.0.0/16": "a meaning of its own",
    "10.1.0.0/24,10.244.0.0/16,10.3.0.0/16": "in use: 10.244.0.0/16 dev tun0",
}


@pytest.mark.parametrize("text", NO_GOOD)
def test_ranges_of_ones_own_that_are_no_good(machine: Machine, text: str) -> None:
    words = NO_GOOD[text]
    vpn(machine, "10.244.0.0/16")
    assert_problem(machine.k8s101("up", env={"K8S101_RANGES": text}), "K8S101_RANGES", words)
    assert not machine.state.exists()
    doctor = machine.k8s101("doctor", env={"K8S101_RANGES": text})
    assert doctor.returncode == 1
    assert words in doctor.stdout


def exit_node(machine: Machine) -> None:
    """Send everything through an exit node, as Tailscale does: by a rule before the main table."""
    interface(machine, "tailscale0", "203.0.113.2/32")
    for command in ("route add default dev tailscale0 table 52", "rule add pref 5270 lookup 52"):
        assert machine.run("ip", *command.split()).returncode == 0


def rules(machine: Machine) -> list[int]:
    return [rule["priority"] for rule in json.loads(machine.run("ip", "-json", "rule").stdout)]


def test_an_exit_node_whose_rule_comes_before_the_routes(machine: Machine) -> None:
    exit_node(machine)
    before = rules(machine)
    assert "5270: lookup 52" in machine.k8s101("doctor").stdout
    assert_works(machine)
    assert "the cluster's own rules come before those of a VPN" in machine.k8s101("doctor").stdout
    assert machine.k8s101("down").returncode == 0
    assert rules(machine) == before


def test_an_exit_node_that_is_switched_on_later(machine: Machine) -> None:
    machine.up()
    exit_node(machine)
    assert machine.nodes_are_ready()
    assert_works(machine)
    # somebody flushed the rules: the doctor sees it, and a start sets them again
    for _ in range(3):
        assert machine.run("ip", "rule", "del", "priority", "1").returncode == 0
    doctor = machine.k8s101("doctor")
    assert doctor.returncode == 1
    assert "do not reach it, but tailscale0" in doctor.stdout
    assert_works(machine)
    assert machine.k8s101("doctor").returncode == 0, machine.k8s101("doctor").stdout


FILTERS = {
    "is too old": ("echo 'nftables v0.9.8 (E.D.S.)'", "nft v0.9.8 is too old: kube-proxy needs v1.0.1"),
    "crashes": ("kill -SEGV $$", "nft does not work on this machine: it was ended by SIGSEGV"),
    "crashes when it works": (
        "case $1 in --version) echo nftables v1.0.6;; *) kill -SEGV $$; esac",
        "it was ended by SIGSEGV",
    ),
    "does not fit the kernel": (
        "[ $1 = --version ] && exec echo nftables v1.0.6; echo 'Unable to initialize Netlink socket' >&2; exit 1",
        "Unable to initialize Netlink socket",
    ),
}


@pytest.mark.parametrize("what", FILTERS)
def test_a_packet_filter_that(machine: Machine, what: str) -> None:
    script, words = FILTERS[what]
    programs = machine.directory / "programs"
    programs.mkdir()
    (programs / "nft").write_text(f"#!/bin/sh\n{script}\n")
    (programs / "nft").chmod(0o755)
    nft = {"PATH": f"{programs}:{machine.environment['PATH']}"}
    assert_problem(machine.k8s101("up", env=nft), words, str(programs / "nft"))
    assert not machine.state.exists()
    doctor = machine.k8s101("doctor", env=nft)
    assert doctor.returncode == 1
    assert words in doctor.stdout


def test_a_machine_without_ipv6(machine: Machine) -> None:
    for which in ("all", "default", "lo"):
        assert machine.run("sysctl", "-qw", f"net.ipv6.conf.{which}.disable_ipv6=1").returncode == 0
    assert_works(machine)


WITHOUT = """
import os, sys
from k8s101.cluster.linux import seccomp as s
af_inet6, unknown_family = 10, 97
lines = [
    (s._LOAD, 0, 0, s._NUMBER),
    (s._EQUALS, 0, 3, s._SOCKET),
    (s._LOAD, 0, 0, s._FIRST_ARGUMENT),
    (s._EQUALS, 0, 1, af_inet6),
    (s._RETURN, 0, 0, s._ERROR | unknown_family),
    (s._RETURN, 0, 0, s._ALLOW),
]
assert s._restrict(lines, may_gain=True)
os.execv(sys.argv[1], sys.argv[1:])
"""


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the numbers of system calls are those of x86-64")
@pytest.mark.parametrize("kind", ["nodes", "guest"])
def test_a_kernel_without_ipv6(machine: Machine, kind: str) -> None:
    python, *arguments = K8S101
    result = machine.run(python, "-c", WITHOUT, python, *arguments, "up", "--backend", kind, timeout=240)
    assert "self-check: 3 nodes Ready" in result.stdout, result.stdout + result.stderr
