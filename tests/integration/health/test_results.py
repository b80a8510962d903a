"""From results to statuses: thresholds, flapping, lazy outputs, the grid of runs; on virtual time."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from homeport.model import Status
from homeport.registry.health import HealthSettings
from homeport.registry.store.memory import MemoryStore
from tests.integration.health.brought_kinds import Switch, switches
from tests.integration.health.engine import Engine, TroubledStore, virtual
from tests.unit.health.virtual_time import VirtualTime, settle

pytestmark = pytest.mark.usefixtures("brought_kinds")


class Switched:
    """A check ``s`` with an interval of 10 s whose results a test sets."""

    def __init__(self, engine: Engine, prober: Switch) -> None:
        self.engine = engine
        self.prober = prober

    async def say(self, *statuses: Status) -> list[str]:
        """The status of the check after each of these results, one an interval."""
        found = []
        for status in statuses:
            self.prober.said["s"] = status
            await self.engine.time.pass_(10.0)
            found.append(self.engine.status("s"))
        return found


async def switched(engine: Engine, **definition: Any) -> Switched:
    """Registered, run once with the result ``passing``, and in the middle of its grid."""
    await engine.register(engine.check("s", kind="switch", interval=10.0, options={"name": "s"}, **definition))
    await engine.health.run_now("s")
    await engine.time.pass_(0.0)
    return Switched(engine, switches[-1])


async def test_results_become_statuses_at_once_without_thresholds() -> None:
    async with virtual() as engine:
        check = await switched(engine)
        assert await check.say("warning", "critical", "passing") == ["warning", "critical", "passing"]


async def test_thresholds_are_obeyed() -> None:
    async with virtual() as engine:
        check = await switched(engine, success_before_passing=2, failures_before_warning=2, failures_before_critical=3)
        await check.say("passing")
        assert await check.say("critical", "critical", "critical") == ["passing", "warning", "critical"]
        assert await check.say("passing", "passing") == ["critical", "passing"]


async def test_a_result_below_the_threshold_changes_not_even_the_output() -> None:
    async with virtual() as engine:
        check = await switched(engine, failures_before_critical=3)
        await check.say("critical")
        view = engine.health.live("s")
        assert view is not None
        assert (view.status, view.output) == ("passing", "s is passing")
        assert view.checked_at == pytest.approx(engine.time.clock(), abs=10)


async def test_another_definition_begins_to_count_anew() -> None:
    async with virtual() as engine:
        check = await switched(engine, failures_before_critical=3)
        await check.say("critical", "critical")
        await engine.register(
            engine.check(
                "s", kind="switch", interval=10.0, options={"name": "s"}, failures_before_critical=3, timeout=5.0
            )
        )
        assert await check.say("critical", "critical") == ["passing", "passing"]
        assert await check.say("critical") == ["critical"]


async def test_the_same_definition_again_goes_on_counting() -> None:
    async with virtual() as engine:
        check = await switched(engine, failures_before_critical=3)
        await check.say("critical", "critical")
        await engine.register(
            engine.check("s", kind="switch", interval=10.0, options={"name": "s"}, failures_before_critical=3)
        )
        assert await check.say("critical") == ["critical"]


FLAPPING: tuple[Status, ...] = ("critical", "passing", "critical", "passing", "critical")


async def test_the_sixth_change_within_ten_intervals_is_held_at_the_worst() -> None:
    async with virtual() as engine:
        check = await switched(engine)
        assert await check.say(*FLAPPING) == list(FLAPPING)
        assert await check.say("passing") == ["critical"]
        view = engine.health.live("s")
        assert view is not None
        assert view.flapping
        assert await check.say("passing", "passing", "passing", "passing") == ["critical"] * 4
        assert await check.say("passing", "passing") == ["passing", "passing"]
        view = engine.health.live("s")
        assert view is not None
        assert not view.flapping


async def test_flapping_is_as_the_settings_say() -> None:
    async with virtual(HealthSettings(flap_changes=0)) as engine:
        check = await switched(engine)
        assert await check.say(*FLAPPING, "passing", "critical", "passing") == [
            *FLAPPING,
            "passing",
            "critical",
            "passing",
        ]
    async with virtual(HealthSettings(flap_changes=2)) as engine:
        check = await switched(engine)
        assert await check.say("critical", "passing") == ["critical", "critical"]
    async with virtual(HealthSettings(flap_intervals=3)) as engine:
        check = await switched(engine)
        assert await check.say(*FLAPPING, "passing") == [*FLAPPING, "passing"]


async def test_flapping_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        async with virtual() as engine:
            check = await switched(engine)
            await check.say(*FLAPPING, "passing", "critical", "passing")
    assert len([record for record in caplog.records if record.message == "a check flaps"]) == 1


async def test_a_status_that_is_reported_is_shown_as_flapping_but_never_held() -> None:
    async with virtual() as engine:
        await engine.register(engine.check("t", kind="ttl", ttl=100.0))
        for status in ("passing", *FLAPPING, "passing"):
            await engine.health.heartbeat("t", status)
            assert engine.status("t") == status
        view = engine.health.live("t")
        assert view is not None
        assert view.flapping


async def test_a_new_output_is_shown_at_once_and_written_later() -> None:
    async with virtual(random=0.5) as engine:
        check = await switched(engine)
        revision = engine.registry.catalog.revision
        await engine.register(engine.check("s", kind="switch", interval=10.0, options={"name": "t"}))
        await engine.time.pass_(10.0)
        view = engine.health.live("s")
        assert view is not None
        assert view.output == "t is passing"
        assert engine.record("s").output == "s is passing"
        assert engine.registry.catalog.revision == revision + 1
        await engine.time.pass_(301.0)
        assert engine.record("s").output == "t is passing"
        assert check.prober.asked > 20


async def test_runs_lie_on_a_grid_that_begins_at_random() -> None:
    for random, first in ((0.0, 0.0), (0.25, 2.5), (0.9, 9.0)):
        async with virtual(random=random) as engine:
            await switched(engine)
            await engine.deregister()
            prober = switches[-1]
            await engine.register(engine.check("s", kind="switch", interval=10.0))
            asked = prober.asked
            await engine.time.pass_(first + 0.1)
            assert prober.asked == asked + 1
            await engine.time.pass_(49.9 - first - 0.2)
            assert prober.asked == asked + 5
            await engine.time.pass_(0.4 + first)
            assert prober.asked == asked + 6


async def test_a_short_interval_is_raised_to_the_minimum() -> None:
    async with virtual(HealthSettings(minimum_interval=5.0)) as engine:
        await switched(engine)
        await engine.register(engine.check("s", kind="switch", interval=0.001))
        asked = switches[-1].asked
        await engine.time.pass_(20.0)
        assert switches[-1].asked == asked + 4


async def test_a_run_that_outlasts_its_interval_is_not_run_again_beside_itself() -> None:
    async with virtual() as engine:
        check = await switched(engine, timeout=100.0)
        check.prober.goes_on.clear()
        asked = check.prober.asked
        await engine.time.pass_(65.0)
        assert check.prober.asked == asked + 1
        check.prober.goes_on.set()
        await engine.time.pass_(10.0)
        assert check.prober.asked == asked + 2


async def test_the_grid_does_not_move_with_a_loop_that_stands_still() -> None:
    async with virtual(random=0.0) as engine:
        await switched(engine)
        await engine.deregister()
        prober = switches[-1]
        await engine.register(engine.check("s", kind="switch", interval=10.0))
        asked = prober.asked
        await engine.time.pass_(4.0)
        engine.time.stand_still(3.0)
        await engine.time.pass_(2.5)
        assert prober.asked == asked + 1
        await engine.time.pass_(1.0)
        assert prober.asked == asked + 2
        engine.time.stand_still(34.0)
        await engine.time.pass_(0.5)
        assert prober.asked == asked + 3
        await engine.time.pass_(5.0)
        assert prober.asked == asked + 4


async def test_a_probe_gets_the_time_back_in_which_the_loop_stood_still() -> None:
    async with virtual(random=0.0) as engine:
        check = await switched(engine, timeout=2.0)
        check.prober.goes_on.clear()
        await engine.time.pass_(10.5)
        engine.time.stand_still(60.0)
        await engine.time.pass_(0.5)
        assert engine.status("s") == "passing"
        await engine.time.pass_(2.0)
        assert engine.status("s") == "critical"


async def test_a_status_that_could_not_be_written_is_tried_again() -> None:
    store = TroubledStore()
    async with virtual(store=store) as engine:
        check = await switched(engine)
        store.full = True
        assert await check.say("critical") == ["passing"]
        store.full = False
        await engine.time.pass_(5.1)
        assert engine.status("s") == "critical"


async def test_a_result_does_not_reach_a_check_that_is_being_defined_anew() -> None:
    store = TroubledStore()
    async with virtual(store=store) as engine:
        check = await switched(engine)
        store.goes_on.clear()
        anew = engine.check("s", kind="switch", interval=10.0, timeout=5.0, options={"name": "s"})
        registering = asyncio.create_task(engine.register(anew))
        await settle()
        check.prober.said["s"] = "critical"
        running = engine.run_soon("s")
        await settle()
        store.goes_on.set()
        await asyncio.gather(registering, running)
        assert engine.status("s") == "passing"


async def test_after_a_restart_the_status_stays_until_the_first_result() -> None:
    store, time = MemoryStore(), VirtualTime()
    async with virtual(store=store, time=time) as engine:
        check = await switched(engine)
        assert await check.say("warning") == ["warning"]
    async with virtual(store=store, time=time) as engine:
        assert engine.status("s") == "warning"
        view = engine.health.live("s")
        assert view is not None
        assert view.checked_at is None
        assert (await engine.health.run_now("s")).status == "passing"


async def test_a_check_that_becomes_one_of_the_catalog_is_executed_no_longer() -> None:
    async with virtual() as engine:
        check = await switched(engine)
        asked = check.prober.asked
        await engine.put(engine.written("s"))
        await engine.time.pass_(50.0)
        assert check.prober.asked == asked
