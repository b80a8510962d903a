"""Lists of ports as people write them, and what usually lives at some."""

from __future__ import annotations

from .exits import Misuse

MOST_PORTS = 1024
"""More would be a scan of a host, and not a look at what should be open there."""

_KNOWN = {
    22: "SSH",
    53: "DNS",
    80: "HTTP",
    443: "HTTPS",
    2379: "etcd, clients",
    2380: "etcd, its members among each other",
    6443: "Kubernetes API server",
    8080: "HTTP",
    8300: "Consul, RPC of servers",
    8301: "Consul, gossip in a datacenter",
    8302: "Consul, gossip among datacenters",
    8443: "HTTPS",
    8500: "Consul or Homeport, HTTP",
    8501: "Consul, HTTPS",
    8502: "Consul, gRPC and xDS",
    8503: "Consul, gRPC with TLS",
    8600: "Consul or Homeport, DNS",
    8761: "Eureka",
    10250: "Kubernetes kubelet",
}


def usually(port: int) -> str:
    """What usually answers at a port, "" when nothing is known."""
    return _KNOWN.get(port, "")


def ports_of(text: str, *, option: str) -> tuple[int, ...]:
    """Ports from a text such as ``8300,8301,9000-9005``, in its order, each once.

    Raises:
        Misuse: it is none, or has too many.
    """
    found: dict[int, None] = {}
    for part in filter(None, (one.strip() for one in text.split(","))):
        first, separator, last = part.partition("-")
        begin = _port(first, part, option)
        end = _port(last, part, option) if separator else begin
        if end < begin:
            raise Misuse(f'{option} has "{part}"; write the smaller port first')
        if len(found) + end - begin >= MOST_PORTS:
            raise Misuse(f"{option} has more than {MOST_PORTS} ports; name those that should be open")
        found.update(dict.fromkeys(range(begin, end + 1)))
    if not found:
        raise Misuse(f"{option} has no port; write for example 8300,8301 or 9000-9005")
    return tuple(found)


def _port(text: str, part: str, option: str) -> int:
    digits = text.strip()
    if not digits.isascii() or not digits.isdigit() or not 0 < int(digits) < 65536:
        raise Misuse(f'{option} has "{part}"; write ports between 1 and 65535, such as 8300 or 9000-9005')
    return int(digits)
