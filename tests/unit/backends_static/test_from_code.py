"""Instances that a program lists itself. On virtual time."""

import asyncio
import threading

import pytest

from homeport import Discovery, Instance, InvalidValue, Unsupported
from homeport.backends.static import StaticBackend
from homeport.spi import Discoverer, Registrar
from tests.unit.client.virtual_time import run


def test_it_finds_what_it_was_given() -> None:
    async def main() -> None:
        own = Instance(id="own", service="billing", address="10.0.0.3", port=80)
        backend = StaticBackend({"billing": ["10.0.0.1:80", {"address": "10.0.0.2", "port": 80, "tags": ["eu"]}, own]})
        assert isinstance(backend, Discoverer)
        assert not isinstance(backend, Registrar)
        async with Discovery(backend, environ={}) as discovery:
            found = await discovery.discover("billing")
            assert sorted(one.endpoint for one in found) == ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"]
            assert found.backend == "static://"
            assert (await discovery.resolve("billing", tags=["eu"])).address == "10.0.0.2"
            assert len(await discovery.discover("other")) == 0
            assert [(one.name, one.instances) for one in await discovery.services()] == [("billing", 3)]
            assert await backend.ping() == {"product": "static", "services": "1", "instances": "3"}
            with pytest.raises(Unsupported, match="static:// takes no registrations"):
                _ = await discovery.register("x", port=1)

    run(main())


def test_a_replacement_is_seen_at_once_and_by_the_watches_of_that_service_alone() -> None:
    async def main() -> None:
        backend = StaticBackend({"billing": ["10.0.0.1:80"], "api": ["10.0.0.9:80"]})
        discovery = Discovery(backend, environ={})
        async with discovery, discovery.watch("billing") as billing, discovery.watch("api") as api:
            backend.replace("billing", ["10.0.0.2:80"])
            await asyncio.sleep(0.001)
            assert billing.pick().address == "10.0.0.2"
            assert (billing.current.revision, api.current.revision) == (2, 1)
            backend.replace("billing", [])
            backend.replace("new", ["10.0.0.5:80"])
            await asyncio.sleep(0.001)
            assert len(billing.current) == 0
            assert (await discovery.resolve("new")).port == 80

    run(main())


def test_a_quiet_watch_is_confirmed_and_not_taken_for_a_dead_one() -> None:
    async def main() -> None:
        async with Discovery(StaticBackend({"a": ["h:1"]}), environ={}) as discovery, discovery.watch("a") as watch:
            await asyncio.sleep(3600)
            assert watch.current.revision == 1

    run(main())


def test_it_may_be_replaced_from_any_thread() -> None:
    async def main() -> None:
        backend = StaticBackend()
        async with Discovery(backend, environ={}) as discovery, discovery.watch("a") as watch:

            def work(number: int) -> None:
                for turn in range(50):
                    backend.replace("a", [f"10.0.{number}.{turn}:80"])

            threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                await asyncio.to_thread(thread.join)
            await asyncio.sleep(0.01)
            current = (await backend.fetch("a")).instances
            assert watch.current.instances == current
            assert current[0].address.endswith(".49")

    run(main())


def test_a_datacenter_narrows_what_is_found() -> None:
    async def main() -> None:
        east = {"address": "h", "port": 1, "datacenter": "east"}
        async with Discovery(StaticBackend({"a": [east, "h:2"], "b": ["h:3"]}), environ={}) as discovery:
            assert [one.port for one in await discovery.discover("a", datacenter="east")] == [1]
            assert len(await discovery.discover("a")) == 2
            assert len(await discovery.discover("a", datacenter="west")) == 0
            assert [(one.name, one.instances) for one in await discovery.services(datacenter="east")] == [("a", 1)]

    run(main())


def test_what_cannot_be_right_changes_nothing() -> None:
    with pytest.raises(InvalidValue, match=r"^billing\[0\]\.addres is no key of an instance; did you mean address\?$"):
        StaticBackend({"billing": [{"addres": "x"}]})

    async def main() -> None:
        backend = StaticBackend({"a": ["h:1"]})
        with pytest.raises(InvalidValue, match=r'^a\[1\] is "x"; give host:port'):
            backend.replace("a", ["h:2", "x"])
        assert [one.port for one in (await backend.fetch("a")).instances] == [1]

    run(main())


def test_a_watch_leaves_nothing_behind() -> None:
    async def main() -> None:
        backend = StaticBackend({"a": ["h:1"]})
        async with Discovery(backend, environ={}) as discovery:
            for _ in range(3):
                async with discovery.watch("a"):
                    pass
            assert not backend._watching
        await backend.aclose()

    run(main())


def test_one_backend_may_serve_one_event_loop_after_another() -> None:
    backend = StaticBackend({"a": ["h:1"]})

    async def main() -> None:
        async with Discovery(backend, environ={}) as discovery, discovery.watch("a") as watch:
            port = watch.pick().port
            backend.replace("a", [f"h:{port + 1}"])
            await asyncio.sleep(0.01)
            assert watch.pick().port == port + 1

    for _ in range(3):
        run(main())
