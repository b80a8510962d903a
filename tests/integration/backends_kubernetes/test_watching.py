"""Following a real API server."""

import asyncio
from contextlib import AsyncExitStack, aclosing

from homeport.spi import Cursor, ServiceList
from homeport.testing import FaultProxy
from tests.integration.backends_kubernetes.conftest import PATIENCE, Open, Room, arriving, endpoint, following, statuses


async def test_changes_of_each_kind_of_object(room: Room, opened: Open) -> None:
    room.slice("s", "api", [endpoint("10.1.0.1", "api-0")])
    async with aclosing(opened("confirm_interval=50")) as backend, aclosing(backend.watch("api")) as stream:
        assert (await following(stream)).instances[0].version == ""
        await asyncio.to_thread(room.pod, "api-0", labels={"app.kubernetes.io/version": "2"})
        assert (await following(stream)).instances[0].version == "2"
        await asyncio.to_thread(room.service, "api", annotations={"homeport/tags": "eu"})
        assert (await following(stream)).instances[0].tags == ("eu",)
        await asyncio.to_thread(room.slice, "s", "api", [endpoint("10.1.0.1", "api-0", ready=False)])
        assert statuses(await following(stream)) == {"api-0": "critical"}
        await asyncio.to_thread(room.server.request, "DELETE", f"{room.slices}/s")
        assert statuses(await following(stream)) == {}


async def test_what_says_nothing_new_wakes_nobody(room: Room, opened: Open) -> None:
    room.pod("api-0")
    room.slice("s", "api", [endpoint("10.1.0.1", "api-0")])
    async with aclosing(opened("confirm_interval=50")) as backend, aclosing(backend.watch("api")) as stream:
        await following(stream)
        for number in range(3):
            await asyncio.to_thread(room.pod_status, "api-0", "10.1.0.1", message=f"heartbeat {number}")
            await asyncio.to_thread(room.slice, "s", "api", [endpoint("10.1.0.1", "api-0")], touched=str(number))
        await asyncio.to_thread(room.slice, "s", "api", [endpoint("10.1.0.1", "api-0", ready=False)])
        assert statuses(await following(stream)) == {"api-0": "critical"}


async def test_any_number_of_watches_share_a_few_connections(room: Room, opened: Open) -> None:
    with FaultProxy(room.server.address) as proxy:
        async with aclosing(opened("confirm_interval=50", address=proxy.address)) as backend, AsyncExitStack() as stack:
            streams = [await stack.enter_async_context(aclosing(backend.watch(f"s{number}"))) for number in range(40)]
            await asyncio.gather(*map(following, streams))
            await asyncio.to_thread(room.slice, "s", "s7", [endpoint("10.1.0.1", hostname="one")])
            assert statuses(await following(streams[7])) == {"one": "passing"}
            assert proxy.accepted <= 6


async def test_silence_is_confirmed_and_watches_go_on_from_where_they_were(room: Room, opened: Open) -> None:
    room.slice("s", "api", [endpoint("10.1.0.1", hostname="one")])
    with FaultProxy(room.server.address) as proxy:
        under_test = opened("confirm_interval=1", address=proxy.address)
        async with aclosing(under_test) as backend, aclosing(backend.watch("api")) as stream:
            first = await following(stream)
            for _ in range(3):
                again = await following(stream)
                assert again.instances == first.instances
                assert not again.reset
            accepted = proxy.accepted
            await asyncio.to_thread(room.slice, "s", "api", [endpoint("10.1.0.2", hostname="two")])
            await arriving(stream, lambda found: list(found) == ["two"])
            assert proxy.accepted <= accepted + 1


async def test_other_data_are_a_reset(room: Room, opened: Open) -> None:
    async with aclosing(opened()) as backend:
        cursor = (await backend.fetch("api")).cursor
        assert cursor.position > 0
        assert cursor.store
        for after, reset in (
            (cursor, False),
            (Cursor(position=cursor.position), False),
            (Cursor(position=cursor.position, store="another"), True),
            (Cursor(position=cursor.position + 10**6, store=cursor.store), True),
        ):
            async with aclosing(backend.watch("api", after=after)) as stream:
                assert (await following(stream)).reset == reset


async def test_the_list_of_services_is_followed(room: Room, opened: Open) -> None:
    room.service("a")
    async with aclosing(opened("datacenter=eu")) as backend, aclosing(backend.watch_services()) as stream:
        async with asyncio.timeout(PATIENCE):
            first = await anext(stream)
            assert first == ServiceList(names=frozenset("a"), changed=frozenset("a"))
            await asyncio.to_thread(room.slice, "s", "b", [endpoint("10.1.0.1", hostname="one")])
            while "b" not in (after := await anext(stream)).names:
                pass
            assert after.changed == {"b"}
            async with aclosing(backend.watch_services(datacenter="eu")) as within:
                assert (await anext(within)).names == {"b"}
            async with aclosing(backend.watch_services(datacenter="us")) as elsewhere:
                assert (await anext(elsewhere)).names == set()
