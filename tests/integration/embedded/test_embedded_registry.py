"""`EmbeddedRegistry`: a registry in the event loop of a program."""

import asyncio
import doctest
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from homeport import Discovery, InvalidValue, NotReady
from homeport.server.embedded import EmbeddedRegistry
from homeport.server.listening import CannotStart
from homeport.testing.contract.leaks import Left
from homeport.testing.contract.waiting import ids, until
from tests.servers.ports import LOOPBACK, PortLease


async def test_it_serves_within_the_block_and_leaves_nothing() -> None:
    async with EmbeddedRegistry() as registry:  # what is made once for the process
        pass
    before = Left()
    async with EmbeddedRegistry() as registry:
        assert registry.url == f"homeport://{registry.address}"
        async with Discovery(registry.url, environ={}) as discovery, discovery.watch("api") as watch:
            async with discovery.register("api", id="api-1", port=80):
                await until(watch, lambda snapshot: ids(snapshot) == ["api-1"])
            await until(watch, lambda snapshot: not snapshot.instances)
        with pytest.raises(InvalidValue, match="is running already"):
            await registry.__aenter__()
    await before.returns()


async def test_the_example_in_its_documentation_runs() -> None:
    (example,) = doctest.DocTestParser().get_examples(EmbeddedRegistry.__doc__ or "")
    names: dict[str, Any] = {"EmbeddedRegistry": EmbeddedRegistry, "Discovery": Discovery}
    exec(example.source, names)
    await names["main"]()


async def test_it_is_who_it_is_told_to_be(tmp_path: Path) -> None:
    async def who(registry: EmbeddedRegistry) -> tuple[str, str]:
        async with registry, Discovery(registry.url, environ={}) as discovery:
            facts = await discovery.backend.ping()
            return facts["node"], facts["datacenter"]

    assert await who(EmbeddedRegistry(tmp_path, node="n7", datacenter="dc7")) == ("n7", "dc7")
    assert await who(EmbeddedRegistry(tmp_path)) == ("n7", "dc7")  # it is in the folder


async def test_a_taken_port_is_told_and_a_free_one_does() -> None:
    with PortLease() as lease:
        address = f"{LOOPBACK}:{lease.ports[0]}"
        async with EmbeddedRegistry(http=address):
            with pytest.raises(CannotStart, match=f"port {lease.ports[0]} is taken"):
                await asyncio.to_thread(asyncio.run, _enter(address))
        async with EmbeddedRegistry(http=address) as again:
            assert again.address == address


async def _enter(address: str) -> None:
    async with EmbeddedRegistry(http=address):
        pass


async def test_a_folder_that_is_in_use_is_told(tmp_path: Path) -> None:
    async with EmbeddedRegistry(tmp_path):
        with pytest.raises(CannotStart, match=r"is using the data folder .*; choose another data_dir$"):
            await EmbeddedRegistry(tmp_path).__aenter__()


def test_it_runs_in_the_lifespan_of_an_application() -> None:
    registry = EmbeddedRegistry()
    with pytest.raises(NotReady, match="has not begun"):
        assert registry.url

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with registry:
            discovery = app.state.discovery = Discovery(registry.url, environ={}, handle_signals=False)
            async with discovery, discovery.register("api", id="api-1", port=80):
                yield

    app = FastAPI(lifespan=lifespan)

    @app.get("/services")
    async def services() -> list[str]:
        discovery: Discovery = app.state.discovery
        return [row.name for row in await discovery.services()]

    with TestClient(app) as client:
        assert client.get("/services").json() == ["api"]
