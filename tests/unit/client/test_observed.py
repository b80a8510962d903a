"""What an observer is told while a program registers, finds and calls: every measure of the catalogue."""

import asyncio
import contextlib
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from homeport.balancing.ejection import EjectionSettings
from homeport.client import measures
from homeport.client.call import Call
from homeport.client.discovery import Discovery
from homeport.client.resilience.settings import CircuitSettings, RetrySettings
from homeport.client.settings import CacheSettings, ClientSettings
from homeport.errors import BackendUnavailable, CircuitOpen, NoInstances
from tests.unit.client.scripted_backend import ScriptedBackend, instance
from tests.unit.client.virtual_time import now, run

HERE = "scripted://"


class Recorder:
    """Remembers all it is told; operations with how they ended."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, ...]] = Counter()
        self.gauges: dict[tuple[str, ...], float] = {}
        self.operations: Counter[tuple[str, ...]] = Counter()

    @contextmanager
    def operation(self, name: str, labels: Mapping[str, str]) -> Iterator[None]:
        outcome = "failure"
        try:
            yield
            outcome = "success"
        finally:
            self.operations[name, *labels.values(), outcome] += 1

    def count(self, name: str, labels: Mapping[str, str], amount: float = 1.0) -> None:
        self.counts[name, *labels.values()] += int(amount)

    def gauge(self, name: str, labels: Mapping[str, str], value: float) -> None:
        self.gauges[name, *labels.values()] = value

    def names(self) -> set[str]:
        return {key[0] for told in (self.counts, self.gauges, self.operations) for key in told}


class Observed:
    """A discovery with a recorder, on a scripted backend with a few instances of billing."""

    def __init__(self, **settings: Any) -> None:
        self.told = Recorder()
        self.backend = ScriptedBackend()
        self.backend.put("billing", *(instance(f"i{number}") for number in range(3)))
        self.discovery = Discovery(
            self.backend,
            observer=self.told,
            settings=ClientSettings(**settings),
            environ={},
            handle_signals=False,
            clock=now,
        )


def test_registrations_their_standing_and_their_losses() -> None:
    async def main() -> None:
        seen = Observed()
        told, backend = seen.told, seen.backend
        async with seen.discovery as discovery:
            one = await discovery.register("api", id="a", port=1)
            async with discovery.register("api", id="b", port=2):
                assert told.gauges["registered_services_total", HERE, ""] == 2
            assert told.gauges["registered_services_total", HERE, ""] == 1
            assert told.operations["service_registration_duration", HERE, "api", "success"] == 2
            backend.wipe("two")
            backend.latency = 0.5
            await one.wait_for(one.standing.LOST)
            assert told.gauges["registered_services_total", HERE, ""] == 0
            await one.wait_for(one.standing.REGISTERED)
            assert told.gauges["registered_services_total", HERE, ""] == 1
            assert told.counts["lease_losses_total", "api", HERE] == 1
            assert told.counts["registrations_total", HERE, "success"] == 3
            assert told.counts["backend_errors_total", HERE, "renew", "LeaseLost"] == 1
            backend.fail()
            with pytest.raises(BackendUnavailable):
                await one.update(tags=["x"])
            assert told.counts["registrations_total", HERE, "failure"] == 1
            assert told.counts["backend_errors_total", HERE, "register", "BackendUnavailable"] == 1
            backend.recover()

    run(main())


def test_questions_and_whether_memory_was_enough() -> None:
    async def main() -> None:
        seen = Observed()
        told = seen.told
        async with seen.discovery as discovery:
            await discovery.discover("billing")
            await discovery.resolve("billing")
            await discovery.discover("billing", use_cache=False)
            await discovery.services()
            with pytest.raises(NoInstances):
                await discovery.resolve("nobody")
            assert told.counts["discovery_cache_hits_total", HERE] == 1
            assert told.counts["discovery_cache_misses_total", HERE] == 2
            for query, service in (
                ("discover", "billing"),
                ("resolve", "billing"),
                ("fetch", "billing"),
                ("services", ""),
            ):
                assert told.operations["service_discovery_duration", HERE, query, service, "success"] == 1
            assert told.operations["service_discovery_duration", HERE, "resolve", "nobody", "failure"] == 1
            seen.backend.fail()
            with pytest.raises(BackendUnavailable):
                await discovery.discover("billing", use_cache=False)
            assert told.counts["backend_errors_total", HERE, "fetch", "BackendUnavailable"] == 1

    run(main())


def test_without_a_cache_every_question_is_a_miss() -> None:
    async def main() -> None:
        seen = Observed(cache=CacheSettings(enabled=False))
        async with seen.discovery as discovery:
            for _ in range(3):
                await discovery.discover("billing")
            assert seen.told.counts["discovery_cache_misses_total", HERE] == 3

    run(main())


def test_how_a_watch_stands() -> None:
    async def main() -> None:
        seen = Observed()
        told = seen.told
        async with seen.discovery as discovery:
            async with discovery.watch("billing") as watch:
                assert told.gauges["healthy_services_total", "billing", HERE] == 3
                assert told.gauges["watch_stale_seconds", "billing", HERE] == 0
                seen.backend.put("billing", instance("i0"), instance("i1", status="critical"))
                await asyncio.sleep(0.1)
                assert told.gauges["healthy_services_total", "billing", HERE] == 1
                seen.backend.fail()
                await asyncio.sleep(10)
                since = watch.current.stale_since
                assert since is not None
                assert told.gauges["watch_stale_seconds", "billing", HERE] == since
                assert told.counts["backend_errors_total", HERE, "watch", "BackendUnavailable"] > 2
                assert told.counts["watch_reconnects_total", "billing", HERE] > 2
                seen.backend.recover()
                await asyncio.sleep(10)
                assert told.gauges["watch_stale_seconds", "billing", HERE] == 0
            assert math.isnan(told.gauges["healthy_services_total", "billing", HERE])
            assert math.isnan(told.gauges["watch_stale_seconds", "billing", HERE])

    run(main())


def test_calls_retries_hedges_ejections_and_the_circuit() -> None:
    async def main() -> None:
        seen = Observed(
            retry=RetrySettings(attempts=2, budget_share=0, budget_per_second=2),
            ejection=EjectionSettings(consecutive_failures=2),
            circuit=CircuitSettings(minimum_calls=12, failure_share=0.5),
        )
        told = seen.told
        broken = {"i0"}

        async def work(call: Call) -> str:
            if call.instance.id in broken:
                raise OSError("broken")
            return call.instance.id

        async with seen.discovery as discovery:
            for _ in range(6):
                await discovery.perform("billing", work, idempotent=True)
            assert told.gauges["circuit_state", "billing"] == 0
            endpoint = instance("i0").endpoint
            assert told.operations["call_duration", "billing", endpoint, "failure"] == 2
            assert sum(number for key, number in told.operations.items() if key[0] == "call_duration") == 8
            assert told.counts["retries_total", "billing", "success"] == 2
            assert told.counts["ejections_total", "billing"] == 1
            assert told.gauges["ejected_instances", "billing"] == 1

            async def slow(_call: Call) -> None:
                await asyncio.sleep(5)

            await discovery.perform("billing", slow, idempotent=True, hedge_after=1.0)
            assert told.counts["hedges_total", "billing"] == 1

            broken |= {"i1", "i2"}

            async def until_it_opens() -> None:
                while True:
                    with contextlib.suppress(OSError):
                        await discovery.perform("billing", work, idempotent=True)

            with pytest.raises(CircuitOpen):
                await until_it_opens()
            assert told.counts["retries_total", "billing", "refused"] > 0
            assert told.gauges["circuit_state", "billing"] == 2

    run(main())


def test_an_observed_failure_without_an_exception_is_one() -> None:
    async def main() -> None:
        seen = Observed()
        async with seen.discovery as discovery:
            watch = await discovery.watching("billing")
            with watch.call() as call:
                call.observe(status=500)
            outcomes = {key[-1] for key in seen.told.operations if key[0] == "call_duration"}
            assert outcomes == {"failure"}

    run(main())


def test_every_measure_of_the_catalogue_is_told_somewhere_here() -> None:
    """Each test above covers some; a new measure needs a place where it is told."""
    source = Path(__file__).read_text(encoding="utf-8")
    assert [one.name for one in measures.MEASURES if f'"{one.name}"' not in source] == []
