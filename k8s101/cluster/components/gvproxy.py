"""gvproxy, the guest's network: Ethernet on a socket on one side, ordinary connections of the user on the other.

It would connect to any address that the guest asks for, so the guest knows no route but the one to our own
address, and its packet filter lets only two ports of it pass (see `guest/init.py`).
Keys of the configuration: pkg/types of github.com/containers/gvisor-tap-vsock, version 0.8.
"""

from __future__ import annotations

import http.client
import json
from ipaddress import IPv4Address
from urllib.parse import quote

import yaml

from k8s101.cluster.supervisor.rpc import UnixConnection
from k8s101.cluster.values.settings import LOOPBACK, Settings
from k8s101.errors import Problem

DIRECTORY = "guest"
"""The guest's own directory below the state directory."""

CALL_SECONDS = 10

NETWORK_SOCKET = "net.sock"
SERVICE_SOCKET = "gvproxy.sock"
CONTROL_SOCKET = "control.sock"
CONTROL_PORT = 9001
"""Where the guest's supervisor listens, for nobody but gvproxy."""


def gateway(settings: Settings) -> IPv4Address:
    """Return gvproxy's own address, from which connections enter the guest."""
    return settings.ranges.nodes[253]


def api_server(settings: Settings) -> str:
    """Return the URL of the API server as the guest sees it."""
    return f"https://{settings.ranges.host}:{settings.ports.api}"


def configuration(settings: Settings) -> str:
    """Return its configuration: the nodes' range, in which our address stands for this machine's loopback."""
    ranges, place = settings.ranges, quote(str(settings.state / DIRECTORY))
    return yaml.safe_dump(
        {
            "log-level": "warning",
            "services": f"unix://{place}/{SERVICE_SOCKET}",
            "interfaces": {"bess": f"unixpacket://{place}/{NETWORK_SOCKET}"},
            "stack": {
                "mtu": 1500,
                "subnet": str(ranges.nodes),
                "gatewayIP": str(gateway(settings)),
                "nat": {str(ranges.host): str(LOOPBACK)},
                "gatewayVirtualIPs": [str(ranges.host)],
            },
        },
        sort_keys=False,
    )


def _ask(settings: Settings, verb: str, path: str, body: object = None) -> str:
    connection = UnixConnection(settings.state / DIRECTORY / SERVICE_SOCKET, CALL_SECONDS)
    try:
        connection.request(verb, path, json.dumps(body) if body else None)
        answer = connection.getresponse()
        text = answer.read().decode()
    except OSError as error:
        raise Problem("the guest is not running", where=str(settings.state), then="k8s101 up") from error
    finally:
        connection.close()
    if answer.status != http.client.OK:
        raise Problem(f"gvproxy refused: {text.strip()}", where=path, then="k8s101 logs guest")
    return text


def expose(settings: Settings, local: str, remote: str, protocol: str = "tcp") -> None:
    """Forward a local port or socket to an address in the guest; one that is forwarded already stays.

    Args:
        settings: the cluster's settings.
        local: `127.0.0.1:PORT`, or the path of a socket.
        remote: address and port in the guest, with a scheme for sockets.
        protocol: `tcp` or `unix`.
    """
    if local not in exposed(settings):
        body = {"local": local, "remote": remote, "protocol": protocol}
        _ask(settings, "POST", "/services/forwarder/expose", body)


def exposed(settings: Settings) -> dict[str, str]:
    """Return what is forwarded: local to remote."""
    return {entry["local"]: entry["remote"] for entry in json.loads(_ask(settings, "GET", "/services/forwarder/all"))}
