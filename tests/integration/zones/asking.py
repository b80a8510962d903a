"""Asking a DNS server, and registering what it is asked for."""

import socket
import time
from collections.abc import Callable
from contextlib import closing

import dns.message
import dns.query
import dns.rcode
import dns.rdatatype

from tests.plugins.following import PATIENCE
from tests.servers.homeport import HomeportServer
from tests.servers.ports import LOOPBACK

OWN = """
dns_discovery:
  zones:
    - name: company.local
      type: homeport
"""


def ask(port: int, name: str, kind: str = "A", *, host: str = LOOPBACK, tcp: bool = False) -> dns.message.Message:
    """The answer to one question."""
    query = dns.message.make_query(name, kind, use_edns=0, payload=1232)
    send = dns.query.tcp if tcp else dns.query.udp
    return send(query, host, port=port, timeout=PATIENCE)


def said(port: int, name: str, kind: str = "A", *, tcp: bool = False) -> list[str] | str:
    """The data that are answered, sorted; or the code, if there are none.

    What is asked for first is waited for with `until`: when the backend is slow that once, the answer is SERVFAIL.
    """
    message = ask(port, name, kind, tcp=tcp)
    found = sorted(data.to_text() for rrset in message.answer for data in rrset)
    return found or dns.rcode.to_text(message.rcode())


def until(look: Callable[[], object], wanted: object) -> None:
    """Wait until there is what is wanted."""
    deadline = time.monotonic() + PATIENCE
    while (found := look()) != wanted:
        assert time.monotonic() < deadline, found
        time.sleep(0.02)


def put(server: HomeportServer, service: str, number: int, *, weight: int = 1) -> None:
    """Register SERVICE-NUMBER at 10.0.0.NUMBER."""
    server.request(
        "PUT",
        "/v1/agent/service/register",
        {
            "ID": f"{service}-{number}", "Name": service, "Address": f"10.0.0.{number}", "Port": 8000 + number,
            "Weights": {"Passing": weight, "Warning": 1},
        },
    )  # fmt: skip


def connected(host: str, port: int, *, kind: socket.SocketKind) -> closing[socket.socket]:
    """A socket that hears from that address alone."""
    made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, kind)
    made.settimeout(PATIENCE)
    made.connect((host, port))
    return closing(made)
