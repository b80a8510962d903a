"""Whom the balancer gets to see: instances whose calls fail are left out for a while, on a clock of the test's own."""

import threading

import pytest

from homeport.balancing.ejection import EjectionSettings
from homeport.client.discovery import Discovery
from homeport.client.resilience.settings import CircuitSettings
from homeport.client.settings import ClientSettings
from homeport.client.watch import Watch
from homeport.errors import HomeportError
from tests.unit.client.scripted_backend import ScriptedBackend, instance
from tests.unit.client.virtual_time import run

EJECTION = EjectionSettings(consecutive_failures=3, base_time=10.0, most_ejected=0.5)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Billing:
    """Instances, some of which are broken; calls them through a watch."""

    def __init__(self, size: int = 4, ejection: EjectionSettings = EJECTION) -> None:
        self.backend = ScriptedBackend()
        self.clock = Clock()
        self.backend.put(
            "billing", *(instance(f"i{number}", tags=("even",) * (number % 2 == 0)) for number in range(size))
        )
        self.broken: set[str] = set()
        self.discovery = Discovery(
            self.backend,
            settings=ClientSettings(ejection=ejection, circuit=CircuitSettings(enabled=False)),
            environ={},
            handle_signals=False,
            clock=self.clock,
        )

    def calls(self, watch: Watch, number: int) -> list[str]:
        """Make so many calls; who got them."""
        called = []
        for _ in range(number):
            try:
                with watch.call() as call:
                    called.append(call.instance.id)
                    if call.instance.id in self.broken:
                        raise OSError("broken")
            except OSError:
                pass
        return called


def test_who_fails_in_a_row_is_left_out_and_tried_again_with_one_call() -> None:
    async def main() -> None:
        billing = Billing()
        billing.broken = {"i1"}
        async with billing.discovery, billing.discovery.watch("billing") as watch:
            assert billing.calls(watch, 12).count("i1") == 3
            assert billing.calls(watch, 40).count("i1") == 0
            assert watch.pick().id != "i1"
            billing.clock.now += 10.0
            assert billing.calls(watch, 40).count("i1") == 1  # the one trial
            billing.clock.now += 10.0
            assert billing.calls(watch, 40).count("i1") == 0  # the second time takes longer
            billing.clock.now += 10.0
            billing.broken.clear()
            assert billing.calls(watch, 40).count("i1") == 10

    run(main())


def test_while_the_trial_is_under_way_nobody_else_tries() -> None:
    async def main() -> None:
        billing = Billing(size=2)
        billing.broken = {"i1"}
        async with billing.discovery, billing.discovery.watch("billing") as watch:
            billing.calls(watch, 6)
            billing.broken.clear()
            billing.clock.now += 10.0
            trial = next(call for call in (watch.call() for _ in range(2)) if call.__enter__().instance.id == "i1")
            assert set(billing.calls(watch, 10)) == {"i0"}
            trial.__exit__(None, None, None)
            assert set(billing.calls(watch, 10)) == {"i0", "i1"}

    run(main())


def test_one_service_one_verdict_for_all_its_watches_and_snapshots() -> None:
    async def main() -> None:
        billing = Billing()
        billing.broken = {"i2"}
        async with (
            billing.discovery,
            billing.discovery.watch("billing") as watch,
            billing.discovery.watch("billing", tags=["even"]) as even,
        ):
            billing.calls(watch, 12)
            assert set(billing.calls(even, 10)) == {"i0"}
            billing.backend.put("billing", *(instance(f"i{number}") for number in range(6)))
            async for snapshot in watch:
                if len(snapshot) == 6:
                    break
            assert "i2" not in billing.calls(watch, 30)

    run(main())


@pytest.mark.parametrize(("share", "left_out"), [(0.25, 1), (0.5, 2), (0.75, 3), (1.0, 3), (0.0, 0)])
def test_never_more_than_a_share_and_never_all(share: float, left_out: int) -> None:
    async def main() -> None:
        billing = Billing(ejection=EjectionSettings(consecutive_failures=3, most_ejected=share))
        billing.broken = {"i0", "i1", "i2", "i3"}
        async with billing.discovery, billing.discovery.watch("billing") as watch:
            for _ in range(40):
                billing.calls(watch, 1)
            assert len(set(billing.calls(watch, 40))) == 4 - left_out

    run(main())


def test_the_only_one_that_matches_is_called_whatever_it_did() -> None:
    async def main() -> None:
        billing = Billing(size=3)
        billing.broken = {"i0"}
        async with billing.discovery, billing.discovery.watch("billing", tags=["even"], meta={}) as even:
            billing.calls(even, 10)
            billing.backend.put("billing", instance("i0", tags=("even",)), instance("i1"), instance("i2"))
            async for snapshot in even:
                if len(snapshot) == 1:
                    break
            assert billing.calls(even, 3) == ["i0"] * 3

    run(main())


def test_switched_off_nobody_is_left_out() -> None:
    async def main() -> None:
        billing = Billing(ejection=EjectionSettings(enabled=False, consecutive_failures=1))
        billing.broken = {"i1"}
        async with billing.discovery, billing.discovery.watch("billing") as watch:
            assert billing.calls(watch, 400).count("i1") == 100

    run(main())


@pytest.mark.parametrize(
    ("outcome", "left_out"), [({"status": 503}, True), ({"error": OSError()}, True), ({"status": 404}, False)]
)
def test_what_is_observed_counts_as_a_call_does(outcome: dict[str, object], *, left_out: bool) -> None:
    async def main() -> None:
        billing = Billing()
        async with billing.discovery, billing.discovery.watch("billing") as watch:
            chosen = watch.pick()
            for _ in range(3):
                watch.observe(chosen, duration=0.5, **outcome)  # type: ignore[arg-type]
            assert watch.traffic.table.of(chosen.endpoint).latency == 0.5
            assert (chosen.id in billing.calls(watch, 20)) is not left_out

    run(main())


def test_observed_without_a_duration_the_latency_is_left_alone() -> None:
    async def main() -> None:
        billing = Billing()
        async with billing.discovery, billing.discovery.watch("billing") as watch:
            chosen = watch.pick()
            watch.observe(chosen, duration=0.5)
            watch.observe(chosen)
            assert watch.traffic.table.of(chosen.endpoint).latency == 0.5

    run(main())


def test_before_it_has_begun_nothing_can_be_told() -> None:
    async def main() -> None:
        billing = Billing()
        async with billing.discovery:
            with pytest.raises(HomeportError, match="has not begun"):
                billing.discovery.watch("billing").observe(instance("i0"))

    run(main())


def test_threads_that_call_while_verdicts_change() -> None:
    async def main() -> None:
        billing = Billing(size=8)
        billing.broken = {"i1", "i5"}
        async with billing.discovery, billing.discovery.watch("billing") as watch:
            threads = [threading.Thread(target=billing.calls, args=(watch, 2000)) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert not set(billing.calls(watch, 100)) & billing.broken
            assert all(load.in_flight == 0 for load in watch.traffic.table.values())
            assert sum(load.successes + load.failures for load in watch.traffic.table.values()) == 8100

    run(main())
