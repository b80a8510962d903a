"""Calls with retries, hedging and deadlines, on virtual time."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from homeport.client.call import Call
from homeport.client.discovery import Discovery
from homeport.client.resilience.attempts import never_sent
from homeport.client.resilience.settings import CircuitSettings, RetrySettings
from homeport.client.settings import ClientSettings
from homeport.errors import CircuitOpen, DeadlineExceeded, NoInstances, SettingsError
from tests.unit.client.scripted_backend import ScriptedBackend, instance
from tests.unit.client.virtual_time import now, run

Handler = Callable[[Call], Awaitable[str]]


class Service:
    """Three instances, each of which does what it is told; remembers who was called and when."""

    def __init__(self, size: int = 3) -> None:
        self.backend = ScriptedBackend()
        self.names = [f"i{number}" for number in range(size)]
        self.backend.put("billing", *(instance(name) for name in self.names))
        self.called: list[str] = []
        self.at: list[float] = []
        self.behaviour: dict[str, Handler] = {}
        self.cancelled: list[str] = []

    async def work(self, call: Call) -> str:
        name = call.instance.id
        self.called.append(name)
        self.at.append(now())
        try:
            if name in self.behaviour:
                return await self.behaviour[name](call)
        except asyncio.CancelledError:
            self.cancelled.append(name)
            raise
        return name

    def everybody(self, behaviour: Handler) -> None:
        self.behaviour = dict.fromkeys(self.names, behaviour)


def client(service: Service, *, balancer: str = "round_robin", **retry: object) -> Discovery:
    settings = ClientSettings(retry=RetrySettings(**retry), circuit=CircuitSettings(enabled=False))  # type: ignore[arg-type]
    return Discovery(service.backend, balancer=balancer, settings=settings, environ={}, handle_signals=False, clock=now)


async def refused(_call: Call) -> str:
    raise ConnectionRefusedError(111, "refused")


async def broken(_call: Call) -> str:
    raise ConnectionResetError(104, "reset")


async def unavailable(call: Call) -> str:
    call.observe(status=503)
    return "sorry"


async def endless(_call: Call) -> str:
    await asyncio.sleep(3600)
    return "late"


def slow(seconds: float) -> Handler:
    async def behaviour(call: Call) -> str:
        await asyncio.sleep(seconds)
        return call.instance.id

    return behaviour


def test_an_idempotent_call_goes_on_elsewhere_at_once() -> None:
    async def main() -> None:
        service = Service()
        service.behaviour = {"i0": broken, "i1": broken}
        async with client(service) as discovery:
            for _ in range(6):
                began = now()
                assert await discovery.perform("billing", service.work, idempotent=True) == "i2"
                assert now() == began
        assert set(service.called) == {"i0", "i1", "i2"}

    run(main())


def test_it_goes_on_elsewhere_though_the_balancer_would_choose_the_same_again() -> None:
    async def main() -> None:
        service = Service()
        service.behaviour = {"i0": broken, "i1": broken}
        async with client(service, balancer="consistent_hash", budget_per_second=1000.0) as discovery:
            for user in range(20):
                service.called.clear()
                assert await discovery.perform("billing", service.work, key=f"u{user}", idempotent=True) == "i2"
                assert len(service.called) == len(set(service.called))

    run(main())


def test_a_call_that_is_not_idempotent_is_made_once_when_it_may_have_arrived() -> None:
    async def main() -> None:
        service = Service()
        service.everybody(broken)
        async with client(service) as discovery:
            with pytest.raises(ConnectionResetError):
                await discovery.perform("billing", service.work)
        assert len(service.called) == 1

    run(main())


def test_any_call_is_repeated_when_it_was_never_sent() -> None:
    async def main() -> None:
        service = Service()
        service.behaviour = {"i0": refused, "i1": refused}
        async with client(service) as discovery:
            assert await discovery.perform("billing", service.work) == "i2"

    run(main())


@pytest.mark.parametrize(("attempts", "expected"), [(1, 1), (2, 2), (3, 3), (5, 5)])
def test_the_number_of_attempts_is_obeyed_and_the_last_error_raised(attempts: int, expected: int) -> None:
    async def main() -> None:
        service = Service()
        service.everybody(refused)
        async with client(service, attempts=attempts) as discovery:
            with pytest.raises(ConnectionRefusedError):
                await discovery.perform("billing", service.work, idempotent=True)
        assert len(service.called) == expected
        assert len(set(service.called)) == min(expected, 3)

    run(main())


@pytest.mark.parametrize(("statuses", "expected"), [((503,), ["i2"]), ((), ["i2", "sorry"])])
def test_a_status_worth_a_retry_is_one_for_idempotent_calls(statuses: tuple[int, ...], expected: list[str]) -> None:
    async def main() -> None:
        service = Service()
        service.behaviour = {"i0": unavailable, "i1": unavailable}
        async with client(service, statuses=statuses) as discovery:
            answers = {await discovery.perform("billing", service.work, idempotent=True) for _ in range(6)}
            assert sorted(answers) == expected
            service.everybody(unavailable)
            service.called.clear()
            assert await discovery.perform("billing", service.work) == "sorry"
            assert len(service.called) == 1

    run(main())


def test_the_last_answer_stands_when_all_were_worth_a_retry() -> None:
    async def main() -> None:
        service = Service()
        service.everybody(unavailable)
        async with client(service) as discovery:
            assert await discovery.perform("billing", service.work, idempotent=True) == "sorry"
        assert len(service.called) == 3

    run(main())


def test_nobody_is_tried_twice_without_a_pause() -> None:
    async def main() -> None:
        service = Service(size=2)
        service.everybody(refused)
        async with client(service, attempts=4, first_pause=10.0) as discovery:
            with pytest.raises(ConnectionRefusedError):
                await discovery.perform("billing", service.work, idempotent=True)
        assert len(set(service.called[:2])) == 2
        assert service.at[0] == service.at[1] < service.at[2] < service.at[3]

    run(main())


@pytest.mark.parametrize(("per_second", "expected"), [(0.0, 1), (1.0, 2)])
def test_the_budget_bounds_the_retries(per_second: float, expected: int) -> None:
    async def main() -> None:
        service = Service()
        service.everybody(refused)
        async with client(service, budget_share=0.0, budget_per_second=per_second) as discovery:
            with pytest.raises(ConnectionRefusedError):
                await discovery.perform("billing", service.work, idempotent=True)
        assert len(service.called) == expected

    run(main())


@pytest.mark.parametrize("by_settings", [True, False])
def test_the_deadline_bounds_everything_and_is_a_failure_of_the_instance(*, by_settings: bool) -> None:
    async def main() -> None:
        service = Service()
        service.everybody(endless)
        async with client(service, deadline=2.0 if by_settings else None) as discovery:
            began = now()
            with pytest.raises(
                DeadlineExceeded, match=r'the call of "billing" was not answered within 2 s \(1 attempt\)'
            ):
                await discovery.perform("billing", service.work, idempotent=True, deadline=None if by_settings else 2.0)
            assert now() - began == pytest.approx(2.0)
            watch = await discovery.watching("billing")
            assert sum(load.failures for load in watch.traffic.table.values()) == 1

    run(main())


def test_the_time_that_is_left_is_known_within_the_call() -> None:
    async def main() -> None:
        service = Service()
        seen: list[float | None] = []

        async def look(call: Call) -> None:
            seen.append(call.remaining)

        async with client(service) as discovery:
            await discovery.perform("billing", look, deadline=5.0)
            await discovery.perform("billing", look)
        assert seen[0] == 5.0
        assert seen[1] is None

    run(main())


def test_a_time_out_of_the_work_itself_is_its_error() -> None:
    async def main() -> None:
        service = Service()

        async def impatient(_call: Call) -> None:
            async with asyncio.timeout(1.0):
                await asyncio.sleep(10)

        async with client(service) as discovery:
            with pytest.raises(TimeoutError) as caught:
                await discovery.perform("billing", impatient, deadline=60.0)
            assert not isinstance(caught.value, DeadlineExceeded)

    run(main())


@pytest.mark.parametrize("by_settings", [True, False])
def test_a_hedge_is_faster_than_an_instance_that_hangs(*, by_settings: bool) -> None:
    async def main() -> None:
        service = Service(size=2)
        service.behaviour = {"i0": endless}
        async with client(service, hedge_after=0.5 if by_settings else None) as discovery:
            for _ in range(4):
                began = now()
                answer = await discovery.perform(
                    "billing", service.work, idempotent=True, hedge_after=None if by_settings else 0.5
                )
                assert answer == "i1"
                assert now() - began in (0.0, 0.5)
            watch = await discovery.watching("billing")
            loads = {load.endpoint: load for load in watch.traffic.table.values()}
            assert all(load.in_flight == 0 and load.failures == 0 for load in loads.values())
            slow = loads[instance("i0").endpoint]
            assert slow.latency == pytest.approx(0.5)  # it took that long at least
        assert service.cancelled
        assert set(service.cancelled) == {"i0"}

    run(main())


def test_the_first_may_still_win_after_the_hedge_began() -> None:
    async def main() -> None:
        service = Service(size=2)
        service.everybody(slow(0.7))
        async with client(service) as discovery:
            began = now()
            first = await discovery.perform("billing", service.work, idempotent=True, hedge_after=0.5)
            assert first == service.called[0]
            assert now() - began == pytest.approx(0.7)
        assert service.cancelled == [service.called[1]]

    run(main())


def test_without_an_answer_in_doubt_there_is_no_hedge() -> None:
    async def main() -> None:
        service = Service()
        service.everybody(slow(0.4))
        async with client(service) as discovery:
            await discovery.perform("billing", service.work, idempotent=True, hedge_after=0.5)
            service.everybody(slow(0.6))
            await discovery.perform("billing", service.work, hedge_after=0.5)  # not idempotent
        assert len(service.called) == 2

    run(main())


def test_when_both_fail_the_ordinary_retry_goes_on() -> None:
    async def main() -> None:
        service = Service()

        async def late_failure(_call: Call) -> str:
            await asyncio.sleep(1.0)
            raise ConnectionResetError(104, "reset")

        service.behaviour = {"i0": late_failure, "i1": late_failure, "i2": late_failure}
        async with client(service) as discovery:
            with pytest.raises(ConnectionResetError):
                await discovery.perform("billing", service.work, idempotent=True, hedge_after=0.5)
        assert len(service.called) == 3

    run(main())


def test_cancelled_it_leaves_nothing_behind() -> None:
    async def main() -> None:
        service = Service(size=2)
        service.everybody(endless)
        async with client(service) as discovery:
            task = asyncio.create_task(discovery.perform("billing", service.work, idempotent=True, hedge_after=0.5))
            await asyncio.sleep(1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            watch = await discovery.watching("billing")
            for load in watch.traffic.table.values():
                assert (load.in_flight, load.failures, load.latency) == (0, 0, None)  # nobody was faster
        assert sorted(service.cancelled) == ["i0", "i1"]

    run(main())


def test_a_service_that_vanishes_between_attempts_leaves_the_first_error() -> None:
    async def main() -> None:
        service = Service(size=1)

        async def vanish(_call: Call) -> str:
            service.backend.put("billing")
            await asyncio.sleep(1)
            raise ConnectionRefusedError(111, "refused")

        service.everybody(vanish)
        async with client(service) as discovery:
            with pytest.raises(ConnectionRefusedError):
                await discovery.perform("billing", service.work, idempotent=True)
            with pytest.raises(NoInstances):
                await discovery.perform("billing", service.work, idempotent=True)

    run(main())


def test_the_circuit_opens_for_the_service_and_says_so() -> None:
    async def main() -> None:
        service = Service()
        service.everybody(broken)
        settings = ClientSettings(circuit=CircuitSettings(minimum_calls=10))
        client = Discovery(service.backend, settings=settings, environ={}, handle_signals=False, clock=now)
        async with client as discovery:
            for _ in range(10):
                with pytest.raises(ConnectionResetError):
                    await discovery.perform("billing", service.work)
            with pytest.raises(CircuitOpen):
                await discovery.perform("billing", service.work)
            with pytest.raises(CircuitOpen), discovery.call("billing"):
                pass
        assert len(service.called) == 10

    run(main())


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ConnectionRefusedError(), True),
        (OSError(113, "no route"), True),
        (ConnectionResetError(104, "reset"), False),
        (TimeoutError(), False),
        (ValueError(), False),
    ],
)
def test_whether_it_was_sent(error: Exception, *, expected: bool) -> None:
    assert never_sent(error) is expected
    wrapped = RuntimeError("of a library")
    wrapped.__cause__ = error
    assert never_sent(wrapped) is expected
    aside = RuntimeError("the second address broke")
    aside.__context__ = ConnectionRefusedError()
    assert not never_sent(aside)


@pytest.mark.parametrize(
    "values", [{"attempts": 0}, {"budget_share": -1}, {"budget_per_second": -1}, {"hedge_after": 0}, {"deadline": -1}]
)
def test_values_that_cannot_be_right_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(SettingsError, match=f"client.retry.{next(iter(values))} is "):
        RetrySettings(**values)  # type: ignore[arg-type]
