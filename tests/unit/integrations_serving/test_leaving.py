"""How long an application that ends waits for a registry that does not answer: as its settings say."""

import asyncio
import socket
import threading
from collections.abc import Callable

import pytest

from homeport import ClientSettings, Discovery, blocking
from homeport.integrations.serving import announcer
from homeport.integrations.serving.advertisement import Advertisement, pauses
from homeport.integrations.starlette.presence import Presence
from homeport.testing import Memory
from tests.unit.client.virtual_time import now, run

SETTINGS = ClientSettings(deregister_timeout=7.0)


class Hanging(Memory):
    """Takes registrations, and never answers who wants to remove one."""

    async def deregister(self, service_id: str, *, incarnation: str | None = None) -> bool:
        await asyncio.Event().wait()
        raise AssertionError


def test_in_an_event_loop() -> None:
    async def main() -> None:
        backend = Hanging()
        async with Discovery(backend, settings=SETTINGS, handle_signals=False, clock=now) as discovery:
            presence = Presence(discovery, Advertisement("shop", port=1234, environ={}), drain_time=0.0)
            with socket.create_server(("127.0.0.1", 0)):
                async with presence:
                    async for seen in backend.watch("shop"):
                        if seen.instances:
                            break
                    began = now()
                    await presence.leave()
                    assert now() - began == SETTINGS.deregister_timeout

    run(main())


def test_with_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    bounds: list[float] = []

    class Departure:
        def __init__(self, _leave: Callable[[], None], *, leave_timeout: float) -> None:
            bounds.append(leave_timeout)

        def install(self) -> None:
            pass

    monkeypatch.setattr(announcer, "Departure", Departure)
    with blocking.Discovery(Memory(), settings=SETTINGS, handle_signals=False) as discovery:
        advertisement = Advertisement("shop", port=1234, environ={})
        announced = announcer.Announcer(discovery, advertisement, drain_time=2.0, serves=lambda: False)
        announced.start()
        announced.stop()
        for thread in threading.enumerate():
            if thread.name == "homeport announcer":
                thread.join(60)
    assert bounds == [9.0]


def test_pauses_between_attempts() -> None:
    def longest(settings: ClientSettings) -> float:
        some = pauses(settings)
        return max(some.next_pause() for _ in range(2000))

    assert 9.0 < longest(ClientSettings()) <= 10.0
    assert 20.0 < longest(ClientSettings(longest_retry_interval=22.0)) <= 22.0
    assert pauses(ClientSettings(first_retry_interval=1e-9)).next_pause() <= 1e-9
