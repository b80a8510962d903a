"""A health check in one word, as the command line takes it."""

from __future__ import annotations

from typing import Any

from homeport.errors import InvalidValue
from homeport.model import GRPCCheck, HealthCheck, HTTPCheck, TCPCheck

from .exits import Misuse

FORMS = "http://…, https://…, /PATH, tcp, tcp://HOST:PORT or grpc://HOST:PORT[/SERVICE]"


def health_check(text: str, *, host: str, port: int, common: dict[str, Any]) -> HealthCheck:
    """The check that ``text`` means; ``common`` are the fields of every kind that were given.

    A URL is asked by HTTP, ``tcp://`` only connected to, ``grpc://`` asked by the gRPC health protocol. ``/PATH`` and
    ``tcp`` alone mean the service's own address, ``host`` and ``port``.

    Raises:
        Misuse: it is none of these.
    """
    scheme, separator, rest = text.partition("://")
    own = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    if (text.startswith("/") or text == "tcp") and not port:
        raise Misuse(f'--health-check is "{text}", which means the port of the service; give --port too')
    try:
        if text.startswith("/"):
            return HTTPCheck(url=f"http://{own}{text}", **common)
        if text == "tcp":
            return TCPCheck(target=own, **common)
        if separator and rest and scheme in ("http", "https"):
            return HTTPCheck(url=text, **common)
        if separator and rest and scheme == "tcp":
            return TCPCheck(target=rest, **common)
        if separator and rest and scheme == "grpc":
            return GRPCCheck(target=rest, **common)
    except InvalidValue as error:
        raise Misuse(f"--health-check: {error}") from error
    raise Misuse(f'--health-check is "{text}"; give {FORMS}')
