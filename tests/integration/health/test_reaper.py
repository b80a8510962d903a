"""Services that are critical for too long."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from homeport.registry.checks import set_status
from homeport.registry.health import HealthSettings
from homeport.registry.store.contract import StoreFull
from homeport.registry.store.memory import MemoryStore
from homeport.registry.store.transaction import Transaction
from tests.integration.health.engine import Engine, TroubledStore, virtual
from tests.unit.health.virtual_time import VirtualTime


async def doomed(engine: Engine, after: float = 90.0, **more: Any) -> None:
    """``web-1`` with a TTL check that asks for its removal, and another check."""
    await engine.register(
        engine.check("t", kind="ttl", ttl=1000.0, deregister_after=after, **more),
        engine.check("u", kind="ttl", ttl=1000.0, status="passing"),
    )


def is_there(engine: Engine) -> bool:
    return engine.registry.catalog.service(engine.registry.node, "web-1") is not None


async def test_a_service_goes_with_all_its_checks_when_critical_for_longer_than_it_may() -> None:
    async with virtual() as engine:
        await doomed(engine)
        await engine.time.pass_(90.0)
        assert is_there(engine)
        await engine.time.pass_(31.0)
        assert not is_there(engine)
        assert engine.ids() == []


async def test_the_time_counts_from_the_turn_to_critical() -> None:
    async with virtual() as engine:
        await doomed(engine)
        await engine.health.heartbeat("t", "passing")
        await engine.time.pass_(500.0)
        await engine.health.heartbeat("t", "critical")
        await engine.time.pass_(89.0)
        assert is_there(engine)
        await engine.time.pass_(40.0)
        assert not is_there(engine)


async def test_who_recovers_in_time_stays() -> None:
    async with virtual() as engine:
        await doomed(engine)
        for _ in range(4):
            await engine.time.pass_(80.0)
            await engine.health.heartbeat("t", "passing")
            await engine.health.heartbeat("t", "critical")
        assert is_there(engine)


async def test_a_warning_is_not_critical() -> None:
    async with virtual() as engine:
        await doomed(engine)
        await engine.health.heartbeat("t", "warning")
        await engine.time.pass_(500.0)
        assert is_there(engine)


async def test_less_than_the_minimum_is_raised_to_it() -> None:
    async with virtual() as engine:
        await doomed(engine, after=1.0)
        await engine.time.pass_(59.0)
        assert is_there(engine)
        await engine.time.pass_(32.0)
        assert not is_there(engine)
    async with virtual(HealthSettings(deregister_minimum=5.0, reap_interval=1.0)) as engine:
        await doomed(engine, after=1.0)
        await engine.time.pass_(4.9)
        assert is_there(engine)
        await engine.time.pass_(1.5)
        assert not is_there(engine)


async def test_it_is_looked_for_as_often_as_told() -> None:
    async with virtual(HealthSettings(reap_interval=200.0)) as engine:
        await doomed(engine)
        await engine.time.pass_(199.0)
        assert is_there(engine)
        await engine.time.pass_(2.0)
        assert not is_there(engine)


async def test_exactly_the_time_is_not_too_long() -> None:
    async with virtual(HealthSettings(reap_interval=90.0)) as engine:
        await doomed(engine, after=90.0)
        await engine.time.pass_(90.5)
        assert is_there(engine)
        await engine.time.pass_(90.0)
        assert not is_there(engine)


async def test_time_in_which_the_process_stood_still_does_not_count() -> None:
    async with virtual() as engine:
        await doomed(engine)
        await engine.time.pass_(50.0)
        engine.time.stand_still(300.0)
        await engine.time.pass_(20.0)
        assert is_there(engine)
        await engine.time.pass_(60.0)
        assert not is_there(engine)


async def test_checks_of_a_node_and_checks_that_do_not_ask_remove_nothing() -> None:
    async with virtual() as engine:
        await engine.register(engine.check("t", kind="ttl", ttl=1000.0))
        await engine.put(engine.check("n", service="", kind="ttl", ttl=1000.0, deregister_after=60.0))
        await engine.time.pass_(500.0)
        assert is_there(engine)
        assert engine.record("n").status == "critical"


async def test_after_a_restart_the_whole_time_runs_again() -> None:
    store, time = MemoryStore(), VirtualTime()
    async with virtual(store=store, time=time) as engine:
        await doomed(engine)
        await engine.time.pass_(80.0)
    await time.pass_(3600.0)
    async with virtual(store=store, time=time) as engine:
        await engine.time.pass_(85.0)
        assert is_there(engine)
        await engine.time.pass_(40.0)
        assert not is_there(engine)


async def test_who_recovers_while_the_removal_is_on_its_way_stays() -> None:
    store = TroubledStore()
    async with virtual(store=store) as engine:
        await doomed(engine)
        check = engine.record("t")
        await engine.time.pass_(119.0)
        store.goes_on.clear()
        recovery = asyncio.create_task(
            engine.registry.transact(
                lambda transaction: set_status(transaction, check.node, "t", "passing", "back", now=engine.time.clock())
            )
        )
        await engine.time.pass_(2.0)
        assert engine.status("t") == "critical"
        store.goes_on.set()
        await recovery
        await engine.time.pass_(0.0)
        assert is_there(engine)


async def test_who_has_recovered_and_failed_again_gets_the_whole_time() -> None:
    store = TroubledStore()
    async with virtual(store=store) as engine:
        await doomed(engine)
        check = engine.record("t")

        def recover_and_fail(transaction: Transaction) -> None:
            set_status(transaction, check.node, "t", "passing", "", now=engine.time.clock())
            set_status(transaction, check.node, "t", "critical", "", now=engine.time.clock())

        await engine.time.pass_(119.0)
        store.goes_on.clear()
        between = asyncio.create_task(engine.registry.transact(recover_and_fail))
        await engine.time.pass_(2.0)
        store.goes_on.set()
        await between
        await engine.time.pass_(0.0)
        assert is_there(engine)


async def test_who_has_recovered_stays_also_when_that_could_not_be_written() -> None:
    store = TroubledStore()
    async with virtual(store=store) as engine:
        await doomed(engine)
        await engine.time.pass_(115.0)
        store.full = True
        with pytest.raises(StoreFull):
            await engine.health.heartbeat("t", "passing")
        await engine.time.pass_(4.9)
        store.full = False
        await engine.time.pass_(0.1)
        assert is_there(engine)
        await engine.time.pass_(40.0)
        assert is_there(engine)


async def test_while_the_store_is_full_nothing_goes_and_later_it_does() -> None:
    store = TroubledStore()
    async with virtual(store=store) as engine:
        await doomed(engine)
        store.full = True
        await engine.time.pass_(200.0)
        assert is_there(engine)
        store.full = False
        await engine.time.pass_(31.0)
        assert not is_there(engine)


async def test_it_is_told_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        async with virtual() as engine:
            await doomed(engine)
            await engine.time.pass_(125.0)
    (record,) = [record for record in caplog.records if "critical for too long" in record.message]
    assert (record.__dict__["service"], record.__dict__["id"], record.__dict__["check"]) == ("web", "web-1", "t")
