"""``debug network``: which ports of a host let this one in."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from homeport.connections.backend_url import HostPort, parse_host_port
from homeport.errors import SettingsError

from . import options
from .choosing import chosen_backends, settings_file
from .exits import DONE, FAILED, Misuse
from .network import access_of
from .output import Column, Row, show
from .ports import ports_of, usually
from .reach import Reached, addresses_of, reach_all
from .running import run_async

_AT_ONCE = 64
_MEANT = {
    "open": "",
    "refused": "nothing listens there",
    "filtered": "the host is down, or a firewall drops it",
    "unreachable": "no route there",
}


def _taken(row: Row) -> str:
    return f"{row['milliseconds']:g}"


_COLUMNS = (
    Column("HOST", "host"),
    Column("ADDRESS", "address"),
    Column("PORT", "port"),
    Column("RESULT", "result"),
    Column("MS", _taken),
    Column("USUALLY", "usually"),
    Column("MEANING", "meaning"),
)


def debug_network(
    host: Annotated[
        str, typer.Argument(metavar="HOST", help="The host; those of the backend by default.", show_default=False)
    ] = "",
    *,
    test_ports: Annotated[
        str,
        typer.Option(
            "--test-ports",
            metavar="PORT,PORT-PORT",
            help="The ports, such as 8300,8301,9000-9005; those in the backend's URL by default.",
            show_default=False,
        ),
    ] = "",
    timeout: Annotated[
        str, typer.Option("--timeout", metavar="DURATION", help="How long one connection may take.")
    ] = "2s",
    backend: options.Backend = None,
    form: options.Format = "table",
    config: options.Config = None,
) -> int:
    """Connect to ports of a host by TCP, at each of its addresses, and tell which are open.

    A port is open, refused (nothing listens there), filtered (nothing answers in time) or unreachable. Nothing is sent.
    Exit code 1 if any is not open.
    """
    patience = options.interval(timeout, option="--timeout")
    ports = ports_of(test_ports, option="--test-ports") if test_ports else ()
    if host and not ports:
        raise Misuse("--test-ports says which ports of a HOST are tried; give it, for example --test-ports 8500,8600")

    async def work() -> list[dict[str, Any]]:
        places = [_host(host)] if host else await _of_backend(backend, config)
        wanted = [HostPort(one.host, port) for one in places for port in ports or (one.port,)]
        return await _tried(tuple(dict.fromkeys(wanted)), patience)

    rows = run_async(work())
    show(rows, form=form, columns=_COLUMNS)
    return DONE if all(row["result"] == "open" for row in rows) else FAILED


async def _tried(places: Sequence[HostPort], patience: float) -> list[dict[str, Any]]:
    """A row for each port of each address.

    Raises:
        BackendUnavailable: a host has no address.
    """
    names = list(dict.fromkeys(place.host for place in places))
    found = await asyncio.gather(*(addresses_of(HostPort(name, 0)) for name in names))
    addresses = {name: [one.host for one in some] for name, some in zip(names, found, strict=True)}
    tests = [(place.host, HostPort(address, place.port)) for place in places for address in addresses[place.host]]
    reached = await reach_all([address for _, address in tests], timeout=patience, at_once=_AT_ONCE)
    return [_row(name, one) for (name, _), one in zip(tests, reached, strict=True)]


def _row(name: str, one: Reached) -> dict[str, Any]:
    return {
        "host": name,
        "address": one.address.host,
        "port": one.address.port,
        "result": one.state,
        "reason": one.reason,
        "milliseconds": one.milliseconds,
        "usually": usually(one.address.port),
        "meaning": _MEANT[one.state],
    }


def _host(text: str) -> HostPort:
    """A host without a port.

    Raises:
        Misuse: it is none.
    """
    bare = f"[{text}]" if text.count(":") > 1 and not text.startswith("[") else text
    try:
        place = parse_host_port(bare, default_port=1)
    except SettingsError as error:
        raise Misuse(f"HOST: {error}") from error
    if place.port != 1:
        raise Misuse(f'HOST is "{text}"; give its port by --test-ports {place.port}')
    return place


async def _of_backend(named: Sequence[str] | None, config: str | None) -> Sequence[HostPort]:
    """The addresses in the URLs of the chosen backends.

    Raises:
        Misuse: there are none.
    """
    backends = chosen_backends(named, environ=os.environ, file=settings_file(config, os.environ))
    try:
        places = [place for one in backends for place in (await asyncio.to_thread(access_of, one)).addresses]
        if not places:
            urls = " and ".join(one.url for one in backends)
            raise Misuse(f"{urls} names no host; give a HOST, as in: homeport debug network HOST --test-ports 8500")
        return places
    finally:
        for one in backends:
            await one.aclose()
