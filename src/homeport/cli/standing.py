"""Telling a person how a registration fares while it is kept, and ending it in time."""

from __future__ import annotations

import asyncio

from homeport.client.keeper import Standing
from homeport.client.registration import Registration
from homeport.errors import HomeportError

from .exits import FAILED, UNREACHABLE, exit_code, say

LEAVE_TIMEOUT = 3.0
"""How long deregistering may take; then the lease runs out by itself."""


def tell(registration: Registration) -> None:
    """Say what happened to a registration."""
    name = registration.id
    if registration.standing is Standing.LOST:
        say(f'"{name}" is not registered now ({registration.reason.rstrip(".")}); it is made again.')
    elif registration.standing is Standing.REPLACED:
        say(f'"{name}" was registered anew by another program; it is not kept any more.')
    elif registration.standing is Standing.REGISTERED:
        say(f'"{name}" is registered again.')


async def leave(registration: Registration, *, ttl: float) -> int:
    """Deregister; the exit code that the outcome means. A registration that another program took over is left alone."""
    if registration.standing is Standing.REPLACED:
        return FAILED
    try:
        async with asyncio.timeout(LEAVE_TIMEOUT):
            await registration.close()
    except TimeoutError:
        say(f'"{registration.id}" could not be deregistered in {LEAVE_TIMEOUT:g} s; its lease ends within {ttl:g} s.')
        return UNREACHABLE
    except HomeportError as error:
        say(f'"{registration.id}" could not be deregistered ({error}); its lease ends within {ttl:g} s.')
        return exit_code(error)
    return 0
