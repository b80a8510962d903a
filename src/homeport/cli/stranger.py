"""Who answers at an address where something else was expected, found out by questions that change nothing."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping

import msgspec

from homeport.connections.backend_url import HostPort
from homeport.connections.http import Answer, HTTPConnection
from homeport.connections.tls import TLS
from homeport.errors import HomeportError

_TIMEOUT = 2.0
_MOST_BYTES = 16 * 1024 * 1024
_BANNER_BYTES = 60


async def who_answers(address: HostPort, *, tls: TLS | None) -> str:
    """Who it is, and how to speak to it, as the end of a sentence; "" when that cannot be told."""
    looked = None if tls is None else TLS(cert_file=tls.cert_file, key_file=tls.key_file, verify=False)
    async with HTTPConnection(
        (address,), system="server", tls=looked, timeout=_TIMEOUT, answer_limit_bytes=_MOST_BYTES
    ) as connection:
        try:
            first = await connection.request("GET", "/v1/homeport/capabilities")
        except HomeportError:
            return await _without_http(address)
        with contextlib.suppress(HomeportError):
            return await _product(connection, first, address)
    return ""


async def _product(connection: HTTPConnection, first: Answer, address: HostPort) -> str:
    if _fields(first).get("Product") == "homeport":
        return f"a Homeport registry answers there: use homeport://{address}"
    leader = await connection.request("GET", "/v1/status/leader")
    if leader.status == 200 and isinstance(_json(leader), str):
        return f"a Consul agent answers there: use consul://{address}"
    version = await connection.request("GET", "/version")
    fields = _fields(version)
    if "etcdserver" in fields:
        return f"an etcd answers there: use etcd://{address}"
    if "gitVersion" in fields or (fields.get("kind"), fields.get("apiVersion")) == ("Status", "v1"):
        return "a Kubernetes API server answers there: use kubernetes://"
    for path in ("/eureka/apps", "/eureka/v2/apps", "/apps"):
        apps = await connection.request("GET", path)
        if apps.status == 200 and (b"<applications>" in apps.body or "applications" in _fields(apps)):
            return f"a Eureka server answers there: use eureka://{address}{path.removesuffix('/apps')}"
    server = first.headers.get("server", "")
    named = f' ("{"".join(filter(str.isprintable, server))[:_BANNER_BYTES]}")' if server else ""
    return f"an HTTP server{named} answers there that is no registry: is that its port?"


async def _without_http(address: HostPort) -> str:
    """What a server says by itself when it is connected, as SSH, SMTP or MySQL do."""
    said = b""
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(_TIMEOUT):
            reader, writer = await asyncio.open_connection(address.host, address.port)
            try:
                said = await reader.read(_BANNER_BYTES)
            finally:
                writer.transport.abort()
    words = "".join(filter(str.isprintable, " ".join(said.decode("utf-8", "replace").split())))
    return f'what answers there is no HTTP server (it says "{words}"): is that its port?' if words else ""


def _json(answer: Answer) -> object:
    try:
        found: object = msgspec.json.decode(answer.body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return found


def _fields(answer: Answer) -> Mapping[str, object]:
    found = _json(answer)
    return found if isinstance(found, dict) else {}
