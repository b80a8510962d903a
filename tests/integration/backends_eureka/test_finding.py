"""Finding and following what other clients registered on a real Eureka server."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from homeport import Discovery
from homeport.backends.eureka import EurekaBackend, open_eureka
from homeport.spi import Observed
from homeport.testing import FaultProxy
from tests.plugins.following import PATIENCE, Until
from tests.servers.eureka import EurekaServer
from tests.servers.factory import EurekaFactory


def backend(eureka: EurekaServer, parameters: str = "poll_interval=0.1") -> EurekaBackend:
    return open_eureka(f"eureka://{eureka.address}/eureka?{parameters}", {})


async def put(eureka: EurekaServer, app: str, instance_id: str, **fields: object) -> None:
    def register() -> None:
        eureka.register(app, instance_id, duration=3600, **fields)  # type: ignore[arg-type]

    await asyncio.to_thread(register)


async def following(stream: AsyncGenerator[Observed, None]) -> Observed:
    async with asyncio.timeout(PATIENCE):
        return await anext(stream)


def ids(observed: Observed) -> list[str]:
    return [one.id for one in observed.instances]


async def test_names_know_no_case_and_the_list_has_them_in_lower_case(eureka: EurekaServer, name: str) -> None:
    await put(eureka, name, "1", metadata={"tags": "b,a"})
    await put(eureka, name, "2", status="DOWN")
    async with aclosing(backend(eureka)) as under_test:
        for asked in (name, name.upper(), name.title()):
            assert ids(await under_test.fetch(asked)) == ["1", "2"]
        (row,) = [row for row in await under_test.services() if row.name == name]
        assert (row.tags, row.instances, row.passing) == (("a", "b"), 2, 1)


async def test_by_vip_addresses_an_instance_is_of_several_services(eureka: EurekaServer, name: str) -> None:
    await put(eureka, f"{name}-app", "1", vipAddress=f"{name}-blue,{name.upper()}-Any")
    await put(eureka, f"{name}-app", "2", vipAddress=f"{name}-green,{name}-any", secureVipAddress=f"{name}-safe")
    async with aclosing(backend(eureka, "by=vip")) as under_test:
        found = {row.name for row in await under_test.services() if row.name.startswith(name)}
        assert found == {f"{name}-{vip}" for vip in ("blue", "green", "any", "safe")}
        assert ids(await under_test.fetch(f"{name}-any")) == ["1", "2"]
        assert ids(await under_test.fetch(f"{name}-safe")) == ["2"]
        assert [one.service for one in (await under_test.fetch(f"{name}-blue")).instances] == [f"{name}-blue"]
        assert ids(await under_test.fetch(f"{name}-app")) == []
    async with aclosing(backend(eureka)) as under_test:
        assert ids(await under_test.fetch(f"{name}-app")) == ["1", "2"]
        assert ids(await under_test.fetch(f"{name}-any")) == []


async def test_an_instance_is_called_by_its_name_or_by_its_ip_address(eureka: EurekaServer, name: str) -> None:
    await put(eureka, name, "1", host="web-1.example", ipAddr="10.0.0.9")
    for parameters, address in (("", "web-1.example"), ("prefer_ip=true", "10.0.0.9")):
        async with aclosing(backend(eureka, parameters)) as under_test:
            assert [one.address for one in (await under_test.fetch(name)).instances] == [address]


async def test_only_instances_of_the_datacenter_that_is_asked_for(eureka: EurekaServer, name: str) -> None:
    for datacenter in ("eu", "us"):
        await put(eureka, name, datacenter, metadata={"datacenter": datacenter})
    async with aclosing(backend(eureka)) as under_test:
        assert ids(await under_test.fetch(name)) == ["eu", "us"]
        assert ids(await under_test.fetch(name, datacenter="us")) == ["us"]
        async with aclosing(under_test.watch(name, datacenter="eu")) as stream:
            assert ids(await following(stream)) == ["eu"]
            assert ids(await under_test.fetch(name, datacenter="us")) == ["us"]  # from the copy, while it is watched
        assert {row.name: row.instances for row in await under_test.services(datacenter="eu")}[name] == 1


async def test_a_watch_without_news_confirms_what_is_known_over_one_connection(eureka: EurekaServer, name: str) -> None:
    await put(eureka, name, "1")
    with FaultProxy(eureka.address) as proxy:
        under_test = open_eureka(f"eureka://{proxy.address}/eureka?poll_interval=0.05", {})
        async with aclosing(under_test), aclosing(under_test.watch(name)) as stream:
            first = await following(stream)
            for _ in range(5):
                again = await following(stream)
                assert again.instances is first.instances
                assert again.cursor.position > first.cursor.position
            assert proxy.accepted == 1


async def test_the_interval_decides_when_a_change_is_seen(eureka: EurekaServer, name: str) -> None:
    slow = backend(eureka, "poll_interval=60")
    async with (
        aclosing(slow),
        aclosing(slow.watch(name)) as never,
        aclosing(backend(eureka)) as quick,
        aclosing(quick.watch(name)) as soon,
    ):
        assert ids(await following(never)) == []
        waiting = asyncio.create_task(anext(never))
        await following(soon)
        await put(eureka, name, "1")
        while not ids(await following(soon)):
            pass
        assert not waiting.done()
        assert ids(await slow.fetch(name)) == ["1"]
        assert ids(await waiting) == ["1"]  # what one asks for is told to all


async def test_the_list_of_services_says_which_changed(eureka: EurekaServer, name: str) -> None:
    async with aclosing(backend(eureka)) as under_test, aclosing(under_test.watch_services()) as lists:
        assert name not in (await anext(lists)).names
        for instance_id, fields in (("1", {}), ("2", {}), ("1", {"status": "DOWN"})):
            await put(eureka, name, instance_id, **fields)
            async with asyncio.timeout(PATIENCE):
                while name not in (told := await anext(lists)).changed:
                    pass
            assert name in told.names
        for instance_id in ("1", "2"):
            await asyncio.to_thread(eureka.cancel, name, instance_id)
        async with asyncio.timeout(PATIENCE):
            while name in (await anext(lists)).names:
                pass


async def test_a_server_without_deltas_is_followed_too(eureka_factory: EurekaFactory, name: str, until: Until) -> None:
    eureka = await asyncio.to_thread(eureka_factory, delta=False)
    async with (
        Discovery(f"eureka://{eureka.address}/eureka?poll_interval=0.1", environ={}) as discovery,
        discovery.watch(name) as watch,
        discovery.watch(f"{name}-b") as other,
    ):
        await put(eureka, name, "1")
        await put(eureka, f"{name}-b", "2")
        await until(watch, lambda snapshot: len(snapshot) == 1)
        await until(other, lambda snapshot: len(snapshot) == 1)
        await asyncio.to_thread(eureka.cancel, name, "1")
        assert not (await until(watch, lambda snapshot: not snapshot.instances)).stale
        assert (await discovery.backend.ping())["hashcode"] == "UP_1_"
