"""Under which address a program is registered."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping

from homeport.errors import InvalidValue
from homeport.spi import Registrar

VARIABLE = "HOMEPORT_ADVERTISE"


async def advertised_address(given: str, *, environ: Mapping[str, str], backend: Registrar) -> str:
    """The address given, else that of ``HOMEPORT_ADVERTISE``, else the one from which the backend is reached.

    Raises:
        InvalidValue: a loopback address towards a backend on another host, where nobody could reach it.
        BackendUnavailable: no address is given and no route leads to the backend.
    """
    address = given or environ.get(VARIABLE, "").strip()
    if address and not is_loopback(address):
        return address
    found = await backend.advertised_address()
    if not address:
        return found
    if not is_loopback(found):
        origin = "the address" if given else f"the address in {VARIABLE}"
        raise InvalidValue(
            f"{origin} {address} means this host only, but {backend.url} is on another one; "
            f"leave it out to register {found}, or give an address that others can reach"
        )
    return address


def is_loopback(address: str) -> bool:
    """Whether an address or name means this host only (RFC 1122, 3.2.1.3; RFC 4291, 2.5.3; RFC 6761, 6.3)."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        name = address.lower().rstrip(".")
        return name == "localhost" or name.endswith(".localhost")
