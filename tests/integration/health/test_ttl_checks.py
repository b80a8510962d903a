"""TTL checks: heartbeats, running out, and what is written when."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from homeport.registry.health import HealthSettings
from homeport.registry.store.contract import StoreFull
from homeport.registry.store.memory import MemoryStore
from homeport.registry.store.transaction import Refusal
from tests.integration.health.engine import Engine, TroubledStore, virtual
from tests.unit.health.virtual_time import VirtualTime, settle


async def with_ttl(engine: Engine, ttl: float = 10.0, **definition: Any) -> None:
    await engine.register(engine.check("t", kind="ttl", ttl=ttl, **definition))


async def test_a_heartbeat_sets_the_status_and_is_visible_on_return() -> None:
    async with virtual() as engine:
        await with_ttl(engine)
        for status in ("passing", "warning", "critical", "passing"):
            await engine.health.heartbeat("t", status, f"now {status}")
            assert (engine.record("t").status, engine.record("t").output) == (status, f"now {status}")


async def test_without_heartbeats_it_turns_critical_when_the_ttl_is_over() -> None:
    async with virtual() as engine:
        await with_ttl(engine)
        await engine.health.heartbeat("t", "passing", "fine")
        await engine.time.pass_(9.9)
        assert engine.status("t") == "passing"
        await engine.time.pass_(0.2)
        record = engine.record("t")
        assert record.status == "critical"
        assert record.output == "TTL expired (last output before timeout follows): fine"
        assert record.critical_since == pytest.approx(engine.time.clock(), abs=0.2)


async def test_heartbeats_keep_it_alive_and_bring_it_back() -> None:
    async with virtual() as engine:
        await with_ttl(engine)
        for _ in range(5):
            await engine.health.heartbeat("t", "passing")
            await engine.time.pass_(9.0)
            assert engine.status("t") == "passing"
        await engine.time.pass_(5.0)
        assert engine.record("t").output == "TTL expired"
        await engine.health.heartbeat("t", "passing", "back")
        assert engine.status("t") == "passing"
        await engine.time.pass_(11.0)
        assert engine.status("t") == "critical"


async def test_a_heartbeat_that_changes_nothing_is_no_write() -> None:
    async with virtual() as engine:
        await with_ttl(engine)
        await engine.health.heartbeat("t", "passing", "fine")
        before = engine.registry.catalog.revision
        for _ in range(20):
            await engine.time.pass_(1.0)
            await engine.health.heartbeat("t", "passing", "fine")
        assert engine.registry.catalog.revision == before


async def test_a_new_output_alone_is_shown_at_once_and_written_later() -> None:
    async with virtual(random=0.25) as engine:
        await with_ttl(engine, ttl=1000.0)
        await engine.health.heartbeat("t", "passing", "one")
        before = engine.registry.catalog.revision
        await engine.health.heartbeat("t", "passing", "two")
        view = engine.health.live("t")
        assert view is not None
        assert view.output == "two"
        await engine.time.pass_(0.74 * 300)
        assert engine.registry.catalog.revision == before
        await engine.health.heartbeat("t", "passing", "three")
        await engine.time.pass_(0.02 * 300)
        assert engine.record("t").output == "three"
        assert engine.registry.catalog.revision == before + 1


async def test_the_first_output_is_written_at_once() -> None:
    """A new check is critical from the start; whoever has just registered it asks why."""
    async with virtual() as engine:
        await with_ttl(engine)
        assert (engine.record("t").status, engine.record("t").output) == ("critical", "")
        await engine.health.heartbeat("t", "critical", "out of memory")
        assert engine.record("t").output == "out of memory"


async def test_with_no_update_interval_a_new_output_is_written_at_once() -> None:
    async with virtual(HealthSettings(check_update_interval=0.0)) as engine:
        await with_ttl(engine)
        await engine.health.heartbeat("t", "passing", "one")
        await engine.health.heartbeat("t", "passing", "two")
        assert engine.record("t").output == "two"


async def test_a_long_output_keeps_its_beginning() -> None:
    async with virtual(HealthSettings(output_max_bytes=100)) as engine:
        await with_ttl(engine)
        await engine.health.heartbeat("t", "warning", "x" * 500)
        assert engine.record("t").output == "x" * 100 + " ... (captured 100 of 500 bytes)"
    async with virtual(HealthSettings(output_max_bytes=100)) as engine:
        await with_ttl(engine, output_max_bytes=10)
        await engine.health.heartbeat("t", "warning", "x" * 500)
        assert engine.record("t").output == "x" * 10 + " ... (captured 10 of 500 bytes)"
    async with virtual(HealthSettings(output_max_bytes=100)) as engine:
        await with_ttl(engine, output_max_bytes=1000)
        await engine.health.heartbeat("t", "warning", "x" * 500)
        assert engine.record("t").output == "x" * 100 + " ... (captured 100 of 500 bytes)"


async def test_ids_compare_without_case() -> None:
    async with virtual() as engine:
        await engine.register(engine.check("Service:Web", kind="ttl", ttl=10.0))
        await engine.health.heartbeat("service:WEB", "passing")
        assert engine.status("Service:Web") == "passing"


async def test_a_heartbeat_for_an_unknown_check_is_refused() -> None:
    async with virtual() as engine:
        with pytest.raises(Refusal) as caught:
            await engine.health.heartbeat("nope", "passing")
        assert caught.value.status == 404
        assert str(caught.value) == 'Unknown check ID "nope". Ensure that the check ID is passed, not the check name.'


async def test_a_heartbeat_for_a_check_without_ttl_is_refused() -> None:
    async with virtual() as engine:
        await engine.register(engine.check("h", kind="tcp", tcp="127.0.0.1:1", interval=60.0))
        for check_id in ("h", "serfHealth"):
            with pytest.raises(Refusal) as caught:
                await engine.health.heartbeat(check_id, "passing")
            assert caught.value.status == 500
            assert str(caught.value) == f'CheckID "{check_id}" does not have associated TTL'


async def test_registering_again_starts_the_ttl_again() -> None:
    async with virtual() as engine:
        await with_ttl(engine)
        await engine.health.heartbeat("t", "passing")
        await engine.time.pass_(8.0)
        await with_ttl(engine)
        engine.health.restart_ttl(["t", "unknown"])
        await engine.time.pass_(8.0)
        assert engine.status("t") == "passing"
        await engine.time.pass_(3.0)
        assert engine.status("t") == "critical"


async def test_another_ttl_counts_from_its_registration() -> None:
    async with virtual() as engine:
        await with_ttl(engine, ttl=100.0)
        await engine.health.heartbeat("t", "passing")
        await with_ttl(engine, ttl=5.0)
        await engine.time.pass_(4.0)
        assert engine.status("t") == "passing"
        await engine.time.pass_(2.0)
        assert engine.status("t") == "critical"


async def test_after_a_restart_the_whole_ttl_runs_again() -> None:
    store, time = MemoryStore(), VirtualTime()
    async with virtual(store=store, time=time) as engine:
        await with_ttl(engine)
        await engine.health.heartbeat("t", "passing", "fine")
    await time.pass_(3600.0)
    async with virtual(store=store, time=time) as engine:
        assert engine.status("t") == "passing"
        await engine.time.pass_(9.0)
        assert engine.status("t") == "passing"
        await engine.time.pass_(2.0)
        assert engine.record("t").output == "TTL expired (last output before timeout follows): fine"


async def test_time_in_which_the_process_stood_still_does_not_count() -> None:
    async with virtual() as engine:
        await with_ttl(engine)
        await engine.health.heartbeat("t", "passing")
        await engine.time.pass_(5.0)
        engine.time.stand_still(120.0)
        await engine.time.pass_(1.0)
        assert engine.status("t") == "passing"
        await engine.time.pass_(10.0)
        assert engine.status("t") == "critical"


async def test_a_check_that_is_gone_does_not_run_out() -> None:
    async with virtual() as engine:
        await with_ttl(engine)
        await engine.deregister()
        await engine.time.pass_(20.0)
        assert engine.ids() == []
        with pytest.raises(Refusal):
            await engine.health.heartbeat("t", "passing")


async def test_the_last_word_stands_however_quickly_they_come() -> None:
    async with virtual() as engine:
        await with_ttl(engine)
        beat = engine.health.heartbeat
        await asyncio.gather(
            beat("t", "passing", "1"), beat("t", "critical", "2"), beat("t", "warning", "3"), beat("t", "critical", "4")
        )
        await engine.time.pass_(0.0)
        assert (engine.status("t"), engine.record("t").output) == ("critical", "4")


async def test_the_last_word_stands_while_the_one_before_is_being_written() -> None:
    store = TroubledStore()
    async with virtual(store=store) as engine:
        await with_ttl(engine)
        store.goes_on.clear()
        first = asyncio.create_task(engine.health.heartbeat("t", "passing", "first"))
        await settle()
        second = asyncio.create_task(engine.health.heartbeat("t", "critical", "second"))
        await settle()
        store.goes_on.set()
        await asyncio.gather(first, second)
        assert (engine.status("t"), engine.record("t").output) == ("critical", "second")


async def test_what_is_reported_stands_also_when_the_ttl_changes_meanwhile() -> None:
    store = TroubledStore()
    async with virtual(store=store) as engine:
        await with_ttl(engine)
        store.goes_on.clear()
        registering = asyncio.create_task(with_ttl(engine, ttl=20.0))
        await settle()
        reporting = asyncio.create_task(engine.health.heartbeat("t", "passing"))
        await settle()
        store.goes_on.set()
        await asyncio.gather(registering, reporting)
        assert engine.status("t") == "passing"


async def test_thousands_that_run_out_together_all_turn_critical() -> None:
    async with virtual() as engine:
        for number in range(2000):
            await engine.register(
                engine.check(f"t{number}", service=f"w{number}", kind="ttl", ttl=10.0, status="passing"),
                service_id=f"w{number}",
            )
        await engine.time.pass_(10.5)
        await engine.until(lambda: all(view.status == "critical" for view in engine.health.state(service="web")))


async def test_while_the_store_is_full_the_caller_is_told_and_it_is_written_later() -> None:
    store = TroubledStore()
    async with virtual(store=store) as engine:
        await with_ttl(engine)
        store.full = True
        with pytest.raises(StoreFull):
            await engine.health.heartbeat("t", "passing", "fine")
        assert engine.status("t") == "critical"
        store.full = False
        await engine.time.pass_(6.0)
        assert (engine.status("t"), engine.record("t").output) == ("passing", "fine")


async def test_a_ttl_that_runs_out_while_the_store_is_full_is_written_later() -> None:
    store = TroubledStore()
    async with virtual(store=store) as engine:
        await with_ttl(engine)
        await engine.health.heartbeat("t", "passing")
        store.full = True
        await engine.time.pass_(30.0)
        assert engine.status("t") == "passing"
        store.full = False
        await engine.time.pass_(6.0)
        assert engine.status("t") == "critical"


async def test_when_it_was_last_heard_of_is_known() -> None:
    async with virtual() as engine:
        await with_ttl(engine)
        view = engine.health.live("t")
        assert view is not None
        assert view.checked_at is None
        await engine.time.pass_(5.0)
        await engine.health.heartbeat("t", "passing")
        heard = engine.time.clock()
        await engine.time.pass_(12.0)
        view = engine.health.live("t")
        assert view is not None
        assert (view.checked_at, view.status) == (heard, "critical")
        assert view.critical_since == pytest.approx(heard + 10, abs=0.1)
