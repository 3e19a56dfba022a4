"""Whether a Service answers from here."""

from __future__ import annotations

import socket

from k8s101.lesson.api.rest import Object
from k8s101.lesson.api.session import Api, current

CONNECT_SECONDS = 1


def answers(item: Object | None) -> str | None:
    """Tell that every outside address of a Service takes connections from this machine; None to wait on."""
    doors = _doors(current(), item) if item else []
    return "answers" if doors and all(_opens(address, port) for address, port in doors) else None


def _doors(api: Api, service: Object) -> list[tuple[str, int]]:
    """Return the addresses and TCP ports at which machines outside the cluster reach a Service."""
    spec = service["spec"]
    ports = [port for port in spec.get("ports", []) if port["protocol"] == "TCP"]
    if spec["type"] == "LoadBalancer":
        given = service["status"].get("loadBalancer", {}).get("ingress") or []
        return [(entry["ip"], port["port"]) for entry in given for port in ports]
    if spec["type"] == "NodePort":
        return [(address, port["nodePort"]) for address in _node_addresses(api) for port in ports]
    return [(spec["clusterIP"], port["port"]) for port in ports]


def _node_addresses(api: Api) -> list[str]:
    known = [entry for node in api.rest.list("Node", "") for entry in node["status"]["addresses"]]
    return [entry["address"] for entry in known if entry["type"] == "InternalIP"]


def _opens(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), CONNECT_SECONDS).close()
    except OSError:
        return False
    return True
