"""More services than a backend bears watches for: what the list says to have changed is read at once."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from homeport.errors import Unsupported
from homeport.spi import Observed, ServiceList
from homeport.testing.memory import Memory
from tests.unit.client.virtual_time import run
from tests.unit.server.sources.mirrored import mirroring, one, source


class Hinting(Memory):
    """Bears one watch, and tells which service changed."""

    def __init__(self) -> None:
        super().__init__(a=[one("a", 1)], b=[one("b", 1)])
        self.hints: asyncio.Queue[str] = asyncio.Queue()

    @property
    def watch_limit(self) -> int | None:
        return 1

    async def watch_services(self, *, datacenter: str = "") -> AsyncGenerator[ServiceList, None]:
        assert datacenter == ""
        yield ServiceList(names=frozenset("ab"))
        while True:
            yield ServiceList(names=frozenset("ab"), changed=frozenset(await self.hints.get()))


def test_a_hint_is_followed_before_the_next_look() -> None:
    async def scenario() -> None:
        memory = Hinting()
        async with mirroring(source(), one=memory) as mirrored:
            await mirrored.until_ids("a-1", "b-1")
            for number in range(2, 6):
                began = asyncio.get_running_loop().time()
                for name in "ab":
                    memory.put(name, one(name, number))
                    memory.hints.put_nowait(name)
                await mirrored.until_ids(f"a-{number}", f"b-{number}")
                assert asyncio.get_running_loop().time() - began < 0.5, "what is only polled is seen after up to 2 s"
                await asyncio.sleep(100)

    run(scenario())


class Crowded(Hinting):
    """Counts how often the services are asked for that it bears no watch for; tells of changes if ``hints`` says so."""

    def __init__(self, *, hinting: bool) -> None:
        super().__init__()
        self.hinting = hinting
        self.fetched = 0

    async def fetch(self, service: str, *, datacenter: str = "") -> Observed:
        self.fetched += 1
        return await super().fetch(service, datacenter=datacenter)

    async def watch_services(self, *, datacenter: str = "") -> AsyncGenerator[ServiceList, None]:
        if not self.hinting:
            raise Unsupported("no list can be followed")
        async for listed in super().watch_services(datacenter=datacenter):
            yield listed


@pytest.mark.parametrize(("hinting", "fewest", "most"), [(True, 2, 5), (False, 40, 60)])
def test_a_service_without_a_watch_is_asked_for_rarely_where_hints_come(hinting: bool, fewest: int, most: int) -> None:
    async def scenario() -> None:
        memory = Crowded(hinting=hinting)
        async with mirroring(source(), one=memory) as mirrored:
            await mirrored.until_ids("a-1", "b-1")
            await asyncio.sleep(80)
            assert fewest <= memory.fetched <= most

    run(scenario())
