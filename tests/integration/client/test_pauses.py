"""A program whose event loop is blocked for longer than its lease, on a real registry."""

import asyncio
import threading
import time

from homeport import Discovery
from homeport.client.keeper import Standing
from tests.servers.homeport import HomeportServer
from tests.servers.process import wait_until

TIMEOUT = 60


async def test_a_blocked_loop_loses_the_health_but_not_the_registration(homeport: HomeportServer, name: str) -> None:
    """Others see it critical while it cannot renew, healthy again by its next renewal, and nothing registered anew."""

    def healthy() -> list[str]:
        entries = homeport.request("GET", f"/v1/health/service/{name}?passing=1")
        return [entry["Service"]["ID"] for entry in entries]

    def block_until(others_saw_it_fail: threading.Event) -> None:
        while not others_saw_it_fail.is_set():
            time.sleep(0.01)

    saw_it_fail = threading.Event()

    def watch_from_outside() -> None:
        wait_until(lambda: not healthy(), timeout=TIMEOUT, what="the blocked program to be out of the healthy answers")
        saw_it_fail.set()

    async with (
        Discovery(homeport.backend_url, handle_signals=False) as discovery,
        discovery.register(name, port=1, ttl=3.0) as registration,
        discovery.watch(name, healthy=False) as watch,
    ):

        def stands() -> bool:
            return healthy() == [registration.id]

        await asyncio.to_thread(wait_until, stands, timeout=TIMEOUT, what="the registration")
        created = homeport.request("GET", f"/v1/catalog/service/{name}")[0]["CreateIndex"]
        outside = threading.Thread(target=watch_from_outside)
        outside.start()
        block_until(saw_it_fail)
        outside.join()
        async with asyncio.timeout(TIMEOUT):
            await registration.wait_for(Standing.REGISTERED)

        def all_is_well() -> bool:
            return not watch.current.stale and [one.id for one in watch.current if one.healthy] == healthy() != []

        # The failure may be over before the watch hears of it, so that it need not deliver anything.
        await asyncio.to_thread(wait_until, all_is_well, timeout=TIMEOUT, what="the renewal")
        assert homeport.request("GET", f"/v1/catalog/service/{name}")[0]["CreateIndex"] == created
