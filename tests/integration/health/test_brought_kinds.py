"""Kinds of checks that other packages bring, and what any prober may do to the engine."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from homeport.errors import SettingsError
from homeport.registry.health import HealthSettings
from homeport.registry.health.file_checks.parsing import parse
from homeport.registry.health.settings import FileDefaults
from tests.integration.health.brought_kinds import NotProbed, Switch, switches
from tests.integration.health.engine import Engine, real, virtual
from tests.unit.health.virtual_time import settle

pytestmark = pytest.mark.usefixtures("brought_kinds")


def switch(engine: Engine, check_id: str = "s", **definition: Any) -> Any:
    return engine.check(check_id, kind="switch", interval=3600.0, options={"name": check_id}, **definition)


async def made(engine: Engine) -> Switch:
    """The switch of this engine, after its first run."""
    await engine.register(switch(engine))
    await engine.health.run_now("s")
    return switches[-1]


async def test_a_brought_kind_is_asked_with_its_options() -> None:
    async with real() as engine:
        assert await engine.result(switch(engine)) == ("passing", "s is passing")
        switches[-1].said["s"] = "warning"
        view = await engine.health.run_now("s")
        assert (view.status, view.output) == ("warning", "s is warning")


async def test_one_prober_is_made_for_all_checks_and_closed_at_the_end() -> None:
    before = Switch.made
    async with real() as engine:
        for number in range(3):
            assert (await engine.result(switch(engine, f"s{number}")))[0] == "passing"
        assert Switch.made == before + 1
        assert not switches[-1].closed
    assert switches[-1].closed


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("no-such-kind", 'this registry has no checks of the kind "no-such-kind"'),
        ("odd", 'no method "probe"'),
        ("broken", "the licence has run out"),
        ("absent", "No module named"),
    ],
)
async def test_a_kind_that_cannot_be_used_is_critical_and_says_why(kind: str, message: str) -> None:
    async with real() as engine:
        status, output = await engine.result(engine.check("x", kind=kind, interval=3600.0))
        assert status == "critical"
        assert message in output


async def test_a_kind_can_be_used_from_the_file() -> None:
    section = {"web": {"checks": [{"name": "s", "type": "switch", "options": {"name": "{{ .id }}"}}]}}
    async with real(file_checks=parse(section, FileDefaults())) as engine:
        await engine.register()
        await engine.until(lambda: "file:web-1:1" in engine.ids())
        assert (await engine.health.run_now("file:web-1:1")).output == "web-1 is passing"


async def test_a_kind_that_nobody_brings_is_refused_in_the_file() -> None:
    section = {"web": {"checks": [{"name": "s", "type": "swicth"}]}}
    with pytest.raises(SettingsError, match=r'health_checks\.web\.checks\[0\]\.type is "swicth"'):
        async with real(file_checks=parse(section, FileDefaults())):
            pass


async def test_a_run_that_takes_too_long_is_ended_and_its_output_so_far_kept() -> None:
    async with real() as engine:
        prober = await made(engine)
        prober.goes_on.clear()
        await engine.register(switch(engine, timeout=0.1))
        view = await engine.health.run_now("s")
        assert (view.status, view.output) == ("critical", "switch check: timed out after 100ms\n\nhalf of it")
        assert engine.probed[-1].result.reason == "timeout"
        prober.goes_on.set()
        assert (await engine.health.run_now("s")).status == "passing"


async def test_an_exception_of_a_prober_is_critical_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    async with real() as engine:
        prober = await made(engine)
        prober.trouble = RuntimeError("a bug")
        with caplog.at_level(logging.ERROR):
            views = [await engine.health.run_now("s") for _ in range(3)]
        assert (views[-1].status, views[-1].output) == (
            "critical",
            "the check could not be executed: RuntimeError: a bug",
        )
        assert len([record for record in caplog.records if record.message == "a kind of check failed"]) == 1


async def test_what_lies_in_this_process_changes_no_status(caplog: pytest.LogCaptureFixture) -> None:
    async with real() as engine:
        prober = await made(engine)
        prober.trouble = NotProbed("too many open files")
        with caplog.at_level(logging.INFO):
            for _ in range(3):
                assert (await engine.health.run_now("s")).status == "passing"
            prober.trouble = None
            await engine.health.run_now("s")
        told = [record.message for record in caplog.records if "executed" in record.message]
        assert told == ["checks cannot be executed; they keep their status", "checks can be executed again"]


async def test_a_result_for_a_definition_that_has_changed_meanwhile_is_dropped() -> None:
    async with real() as engine:
        prober = await made(engine)
        prober.said["s"] = "critical"
        prober.goes_on.clear()
        asked = prober.asked
        await engine.register(engine.check("s", kind="switch", interval=0.01, options={"name": "s"}))
        await engine.until_true(lambda: prober.asked > asked)
        await engine.register(switch(engine, timeout=60.0))
        prober.goes_on.set()
        assert engine.status("s") == "passing"
        assert (await engine.health.run_now("s")).status == "critical"


async def test_a_check_runs_once_at_a_time_and_a_run_on_demand_joins_it() -> None:
    async with real() as engine:
        prober = await made(engine)
        prober.goes_on.clear()
        asked = prober.asked
        await engine.register(engine.check("s", kind="switch", interval=0.01, timeout=60.0, options={"name": "s"}))
        await engine.until_true(lambda: prober.asked > asked)
        joined = [engine.run_soon("s") for _ in range(3)]
        await settle()
        assert prober.asked == asked + 1
        prober.goes_on.set()
        assert [(await task).status for task in joined] == ["passing"] * 3


async def test_only_so_many_checks_run_at_a_time() -> None:
    async with virtual(HealthSettings(running_checks=3)) as engine:
        prober = await made(engine)
        prober.goes_on.clear()
        asked = prober.asked
        await engine.register(
            *(
                engine.check(f"s{number}", kind="switch", interval=10.0, timeout=1000.0, options={"name": "x"})
                for number in range(10)
            )
        )
        await engine.time.pass_(100.0)
        assert prober.asked == asked + 3
        prober.goes_on.set()
        await engine.time.pass_(1.0)
        assert prober.asked == asked + 10


async def test_who_counts_is_told_of_every_run() -> None:
    async with virtual() as engine:
        prober = await made(engine)
        prober.said["s"] = "warning"
        await engine.health.run_now("s")
        probed = engine.probed[-1]
        assert (probed.check.id, probed.result.status, probed.result.reason) == ("s", "warning", "switched")
        assert (probed.duration, probed.delay) == (0, 0)
