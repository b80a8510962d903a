"""What a system may be unable to do, and what becomes of the scenarios that need it."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from contextlib import aclosing

import pytest

from homeport.client.discovery import Discovery
from homeport.errors import Unsupported
from homeport.spi import Backend, Discoverer, HealthReporter, Registrar, ServiceLister

from .harness import GARBAGE, Harness

REGISTER = "register"
"""To take registrations: the backend is a `Registrar`."""
HEALTH = "report health"
"""To take reports about checks: the backend is a `HealthReporter`."""
LIST = "list services"
"""To tell the names of all services."""
FOLLOW_LIST = "follow the list of services"
"""To tell when services come and go: the backend is a `ServiceLister`."""
WATCH = "watch"
"""To tell of changes by itself. Where it cannot, the client asks again and again, and all else holds."""
METADATA = "carry metadata"
"""To hold tags, version, environment and metadata of an instance, and an id that its owner chose."""
RESTART = "restart"
"""To be stopped and started again by the harness, with its data."""
WIPE = "wipe"
"""To lose all its data, so that clients can tell that from the removal of all instances."""
COMPACT = "compact"
"""To forget the history from which watches go on."""
ROTATE = "rotate"
"""To take another credential instead of the one that was in use."""

DECLARED = "declared: "
"""How the reason of a skip begins that the harness declared."""

_SCHEME = re.compile(r"\b[a-z][a-z0-9+.-]*://")


async def need(harness: Harness, capability: str, name: str) -> None:
    """Skip the scenario if the system lacks a capability, after the client has refused to pretend otherwise.

    Raises:
        AssertionError: the lack is declared, and there is none; or the client does not say who can.
    """
    if await able(harness, capability, name):
        assert capability not in harness.cannot, f'the harness declares that it cannot "{capability}", and it can'
        return
    await refused(harness, capability, name)
    skip_lacking(harness, capability)


async def able(harness: Harness, capability: str, name: str) -> bool:
    """Whether the system and its harness can do that; ``name`` is a service that may be asked for."""
    flags = {
        RESTART: harness.restarts,
        WIPE: harness.wipes,
        COMPACT: harness.compacts,
        ROTATE: harness.rotates,
        METADATA: METADATA not in harness.cannot,
        GARBAGE: any(kind.startswith(GARBAGE) for kind in harness.troubles),
    }
    if capability in flags:
        return flags[capability]
    async with aclosing(harness.backend()) as backend:
        probe = _PROBES.get(capability)
        return capability in harness.troubles if probe is None else await probe(backend, name)


def skip_lacking(harness: Harness, lack: str) -> None:
    """Skip, with the reason that the harness declared for a capability or a scenario, or without one."""
    if lack in harness.cannot:
        pytest.skip(f"{DECLARED}{harness.cannot[lack]}")
    pytest.skip(f"this harness does not offer: {lack}")


async def _registers(backend: Backend, _name: str) -> bool:
    return isinstance(backend, Registrar)


async def _reports_health(backend: Backend, _name: str) -> bool:
    return isinstance(backend, HealthReporter)


async def _lists(backend: Backend, _name: str) -> bool:
    return isinstance(backend, Discoverer) and await _supports(backend.services)


async def _follows_list(backend: Backend, _name: str) -> bool:
    if not isinstance(backend, ServiceLister):
        return False
    async with aclosing(backend.watch_services()) as stream:
        return await _supports(stream.__anext__)


async def _watches(backend: Backend, name: str) -> bool:
    if not isinstance(backend, Discoverer):
        return False
    async with aclosing(backend.watch(name)) as stream:
        return await _supports(stream.__anext__)


_PROBES: dict[str, Callable[[Backend, str], Awaitable[bool]]] = {
    REGISTER: _registers,
    HEALTH: _reports_health,
    LIST: _lists,
    FOLLOW_LIST: _follows_list,
    WATCH: _watches,
}


async def _supports(question: Callable[[], Awaitable[object]]) -> bool:
    try:
        await question()
    except Unsupported:
        return False
    return True


async def refused(harness: Harness, capability: str, name: str) -> None:
    """See to it that the client raises Unsupported for what a program would call, and says who can."""
    async with harness.discovery() as discovery:
        if capability == LIST:
            await _names_who_can(discovery.services, discovery)
        elif capability == REGISTER:

            async def register() -> None:
                _ = await discovery.register(name, port=1)

            await _names_who_can(register, discovery)
            await _names_who_can(lambda: discovery.deregister(f"{name}-1"), discovery)
        elif capability == HEALTH and isinstance(discovery.backend, Registrar):
            async with discovery.register(name, port=1) as registration:
                await _names_who_can(lambda: registration.report("passing"), discovery)


async def _names_who_can(call: Callable[[], Awaitable[object]], discovery: Discovery) -> None:
    with pytest.raises(Unsupported) as caught:
        await call()
    text = str(caught.value)
    others = _SCHEME.findall(text.replace(discovery.backend.url, ""))
    assert others, f'"{text}" does not name the backends that can'
