"""Cable, the guest's network: Ethernet on a socket on one side, two ports of the machine's loopback on the other.

Whoever is root inside may change routes and packet filters there; what leads out of the guest is decided here,
outside. The program is our own (`toolchain/cable`), on the network stack of gVisor.
"""

from __future__ import annotations

import http.client
import json
from ipaddress import IPv4Address
from pathlib import Path

from k8s101.cluster.supervisor.rpc import UnixConnection
from k8s101.cluster.values.settings import Settings
from k8s101.errors import Problem

DIRECTORY = "guest"
"""The guest's own directory below the state directory."""

CALL_SECONDS = 10

NETWORK_SOCKET = "net.sock"
SERVICE_SOCKET = "forwards.sock"
CONTROL_SOCKET = "control.sock"
CONTROL_PORT = 9001
"""Where the guest's supervisor listens, for nobody but cable."""


def gateway(settings: Settings) -> IPv4Address:
    """Return cable's own address, from which connections enter the guest."""
    return settings.ranges.nodes[253]


def api_server(settings: Settings) -> str:
    """Return the URL of the API server as the guest sees it."""
    return f"https://{settings.ranges.host}:{settings.ports.api}"


def reachable(settings: Settings) -> tuple[int, ...]:
    """Return the ports of the machine's loopback that the guest may use."""
    return settings.ports.api, settings.ports.konnectivity


def command(settings: Settings, program: Path) -> tuple[str, ...]:
    """Return the command, to be run in the guest's directory.

    Args:
        settings: the cluster's settings.
        program: path of cable.
    """
    return (
        str(program),
        f"-ethernet={NETWORK_SOCKET}",
        f"-forwards={SERVICE_SOCKET}",
        f"-control={CONTROL_SOCKET}={settings.ranges.router}:{CONTROL_PORT}",
        f"-subnet={settings.ranges.nodes}",
        f"-gateway={gateway(settings)}",
        f"-machine={settings.ranges.host}",
        f"-ports={','.join(map(str, reachable(settings)))}",
    )


def _ask(settings: Settings, verb: str, body: object = None) -> list[dict[str, str]]:
    connection = UnixConnection(settings.state / DIRECTORY / SERVICE_SOCKET, CALL_SECONDS)
    try:
        connection.request(verb, "/", json.dumps(body) if body else None)
        answer = connection.getresponse()
        text = answer.read().decode()
    except OSError as error:
        raise Problem("the guest is not running", where=str(settings.state), then="k8s101 up") from error
    finally:
        connection.close()
    if answer.status != http.client.OK:
        raise Problem(f"the guest's network refused: {text.strip()}", where=str(body), then="k8s101 logs guest")
    forwards: list[dict[str, str]] = json.loads(text)
    return forwards


def expose(settings: Settings, local: str, remote: str) -> None:
    """Forward a port of loopback to an address in the guest; one that is forwarded already stays.

    Args:
        settings: the cluster's settings.
        local: `127.0.0.1:PORT`.
        remote: address and port in the guest.
    """
    if local not in exposed(settings):
        _ask(settings, "POST", {"local": local, "remote": remote})


def exposed(settings: Settings) -> dict[str, str]:
    """Return what is forwarded: local to remote."""
    return {entry["local"]: entry["remote"] for entry in _ask(settings, "GET")}
