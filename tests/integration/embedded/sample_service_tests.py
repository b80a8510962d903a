"""Tests of a service that finds another one: the sample of `docs/testing.md`, run by `test_fixtures.py`."""

import asyncio

# --8<-- [start:service]
import pytest

from homeport import BackendUnavailable, Discovery
from homeport.testing import Memory
from homeport.testing.fixtures import RunningRegistry


async def invoice_url(discovery: Discovery, number: int) -> str:
    """What is under test."""
    billing = await discovery.resolve("billing")
    return billing.url(f"/v1/invoices/{number}")


# --8<-- [end:service]
# --8<-- [start:memory]
@pytest.fixture
def memory() -> Memory:
    """Two instances of what we call, and no network."""
    return Memory(billing=["10.0.0.1:80", "10.0.0.2:80"])


async def test_invoices_come_from_billing(memory: Memory) -> None:
    async with Discovery(memory) as discovery:
        assert await invoice_url(discovery, 7) in {f"http://10.0.0.{n}:80/v1/invoices/7" for n in (1, 2)}


async def test_an_outage_of_the_registry_does_not_stop_us(memory: Memory) -> None:
    async with Discovery(memory) as discovery:
        await invoice_url(discovery, 7)
        with memory.outage():
            assert await invoice_url(discovery, 8)
            with pytest.raises(BackendUnavailable):
                await discovery.resolve("never-asked-for")


# --8<-- [end:memory]
# --8<-- [start:registry]
async def test_we_are_found_while_we_live(homeport_registry: RunningRegistry) -> None:
    async with homeport_registry.discovery() as ours, homeport_registry.discovery() as theirs:
        async with ours.register("billing", id="billing-1", port=8080):
            assert [one.id for one in await theirs.discover("billing", use_cache=False)] == ["billing-1"]
        assert not await theirs.discover("billing", use_cache=False)


async def test_we_survive_a_cut_network(homeport_registry: RunningRegistry) -> None:
    proxy = homeport_registry.fault_proxy()
    async with Discovery(f"homeport://{proxy.address}") as discovery, discovery.register("billing", port=8080):
        await invoice_url(discovery, 7)
        proxy.stop()
        assert await invoice_url(discovery, 8)
        proxy.start()


# --8<-- [end:registry]
def test_a_program_finds_the_registry_by_its_environment(homeport_registry: RunningRegistry) -> None:
    async def services() -> list[str]:
        async with Discovery(environ=homeport_registry.environ, handle_signals=False) as discovery:
            return [row.name for row in await discovery.services()]

    assert asyncio.run(services()) == []


async def test_memories_are_empty_and_apart(homeport_memory: Memory) -> None:
    assert await homeport_memory.services() == []
