"""A request made a second time while the first is without an answer, on virtual time."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import NamedTuple

import pytest

from homeport.balancing.ejection import EjectionSettings
from homeport.balancing.loads import Load
from homeport.client.resilience.attempts import Attempts
from homeport.client.resilience.settings import CircuitSettings, RetrySettings
from homeport.client.resilience.traffic import Traffic
from homeport.errors import NoInstances
from homeport.integrations.http.exchange import Exchange
from homeport.integrations.http.hedging import first_response, patience_for
from homeport.model import Instance
from tests.unit.client.scripted_backend import instance
from tests.unit.client.virtual_time import now, run

A, B = instance("a", "users"), instance("b", "users")


class Response(NamedTuple):
    served_by: str
    status: int = 200


Behaviour = Callable[[], Awaitable[int]]


class Service:
    """Two instances, chosen in order, that do what they are told; it remembers what became of each request."""

    def __init__(self, a: Behaviour, b: Behaviour, **retry: float) -> None:
        self.behaviours = {"a": a, "b": b}
        self.instances = [A, B]
        self.traffic = Traffic(
            "users",
            ejection=EjectionSettings(),
            circuit=CircuitSettings(),
            retry=RetrySettings(hedge_after=1.0, **retry),  # type: ignore[arg-type]
            clock=now,
        )
        self.sent: list[str] = []
        self.cancelled: list[str] = []
        self.discarded: list[Response] = []

    def choose(self, _key: str | None, avoid: Collection[str]) -> tuple[Instance, Load]:
        chosen = next((one for one in self.instances if one.endpoint not in avoid), None)
        if chosen is None:
            raise NoInstances('"users" has no other instances')
        return chosen, self.load(chosen)

    def load(self, one: Instance) -> Load:
        return self.traffic.table.of(one.endpoint)

    def outcome(self, one: Instance) -> tuple[int, int, int]:
        load = self.load(one)
        return load.in_flight, load.successes, load.failures

    def exchange(self) -> Exchange:
        return Exchange(Attempts(self.choose, self.traffic, idempotent=True), deque())

    async def ask(self) -> Response:
        exchange = self.exchange()
        response = await first_response(exchange, self, patience=1.0)
        assert exchange.answered(response.status) is None
        exchange.complete()
        return response

    async def send(self, exchange: Exchange) -> Response:
        name = exchange.begin().instance.id
        self.sent.append(name)
        try:
            return Response(name, await self.behaviours[name]())
        except asyncio.CancelledError:
            self.cancelled.append(name)
            raise

    def status(self, response: Response) -> int:
        return response.status

    def ended(self, exchange: Exchange, error: BaseException) -> None:
        exchange.broke(error)

    async def discard(self, response: Response) -> None:
        self.discarded.append(response)


def after(seconds: float, status: int = 200) -> Behaviour:
    async def answer() -> int:
        await asyncio.sleep(seconds)
        return status

    return answer


def failing_after(seconds: float) -> Behaviour:
    async def fail() -> int:
        await asyncio.sleep(seconds)
        raise ConnectionResetError(f"lost after {seconds:g} s")

    return fail


def test_an_answer_in_time_is_not_asked_for_twice() -> None:
    async def main() -> None:
        service = Service(after(0.9), after(0.0))
        assert await service.ask() == Response("a")
        assert service.sent == ["a"]
        assert service.outcome(A) == (0, 1, 0)

    run(main())


def test_the_second_is_faster_and_the_first_is_cancelled_and_remembered_as_slow() -> None:
    async def main() -> None:
        service = Service(after(10.0), after(0.5))
        began = now()
        assert await service.ask() == Response("b")
        assert now() - began == pytest.approx(1.5)
        assert service.cancelled == ["a"]
        assert (service.outcome(A), service.outcome(B)) == ((0, 0, 0), (0, 1, 0))
        assert service.load(A).latency == pytest.approx(1.5)

    run(main())


def test_the_first_may_still_be_faster() -> None:
    async def main() -> None:
        service = Service(after(1.2), after(5.0))
        assert await service.ask() == Response("a")
        assert service.cancelled == ["b"]
        assert (service.outcome(A), service.outcome(B)) == ((0, 1, 0), (0, 0, 0))

    run(main())


def test_of_two_answers_at_once_one_is_closed_and_counts_too() -> None:
    async def main() -> None:
        service = Service(after(2.0), after(1.0))
        answer = await service.ask()
        assert [answer, *service.discarded] in ([Response("a"), Response("b")], [Response("b"), Response("a")])
        assert (service.outcome(A), service.outcome(B)) == ((0, 1, 0), (0, 1, 0))

    run(main())


def test_a_failure_waits_for_the_other() -> None:
    async def main() -> None:
        service = Service(failing_after(1.1), after(1.0))
        assert await service.ask() == Response("b")
        assert (service.outcome(A), service.outcome(B)) == ((0, 0, 1), (0, 1, 0))

    run(main())


def test_a_status_worth_another_attempt_waits_for_the_other_and_is_closed() -> None:
    async def main() -> None:
        service = Service(after(1.1, status=503), after(1.0))
        assert await service.ask() == Response("b")
        assert service.discarded == [Response("a", 503)]
        assert (service.outcome(A), service.outcome(B)) == ((0, 0, 1), (0, 1, 0))

    run(main())


def test_a_status_worth_another_attempt_is_better_than_no_answer() -> None:
    async def main() -> None:
        service = Service(failing_after(2.0), after(0.5, status=503), attempts=2)
        assert await service.ask() == Response("b", 503)
        assert (service.outcome(A), service.outcome(B)) == ((0, 0, 1), (0, 0, 1))

    run(main())


def test_when_both_fail_it_is_the_error_of_the_first() -> None:
    async def main() -> None:
        service = Service(failing_after(3.0), failing_after(1.0))
        with pytest.raises(ConnectionResetError, match="lost after 3 s"):
            await service.ask()
        assert (service.outcome(A), service.outcome(B)) == ((0, 0, 1), (0, 0, 1))

    run(main())


def test_with_nobody_else_to_ask_the_first_goes_on() -> None:
    async def main() -> None:
        service = Service(after(3.0), after(0.0))
        service.instances.remove(B)
        assert await service.ask() == Response("a")
        assert service.sent == ["a"]

    run(main())


@pytest.mark.parametrize("retry", [{"attempts": 1}, {"budget_share": 0.0, "budget_per_second": 0.0}])
def test_attempts_and_the_budget_bound_it(retry: Mapping[str, float]) -> None:
    async def main() -> None:
        service = Service(after(3.0), after(0.0), **retry)
        assert await service.ask() == Response("a")
        assert service.sent == ["a"]

    run(main())


def test_cancelled_it_leaves_nothing_behind() -> None:
    async def main() -> None:
        service = Service(after(60.0), after(60.0))
        task = asyncio.create_task(service.ask())
        await asyncio.sleep(2.0)
        assert [service.load(one).in_flight for one in (A, B)] == [1, 1]
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert sorted(service.cancelled) == ["a", "b"]
        assert (service.outcome(A), service.outcome(B)) == ((0, 0, 0), (0, 0, 0))
        assert service.load(A).latency is None  # nobody was faster

    run(main())


def test_cancelled_while_the_loser_ends_it_closes_the_response_as_well() -> None:
    async def main() -> None:
        ending = asyncio.Event()

        async def slow_to_end() -> int:
            try:
                await asyncio.sleep(60.0)
            finally:
                ending.set()
                await asyncio.sleep(5.0)
            return 200

        service = Service(slow_to_end, after(1.0))
        asking = asyncio.create_task(service.ask())
        await ending.wait()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert service.discarded == [Response("b")]
        assert (service.outcome(A), service.outcome(B)) == ((0, 0, 0), (0, 1, 0))

    run(main())


def test_a_time_out_that_ends_the_attempts_as_well_is_a_failure_of_each() -> None:
    async def main() -> None:
        attempts: list[asyncio.Task[object]] = []

        async def timed_out_when_cancelled() -> int:  # as aiohttp's total time-out does, which cancels all that wait
            task = asyncio.current_task()
            assert task is not None
            attempts.append(task)
            try:
                await asyncio.sleep(60.0)
            except asyncio.CancelledError:
                if task.uncancel() > 0:
                    raise
                raise TimeoutError from None
            return 200

        service = Service(timed_out_when_cancelled, timed_out_when_cancelled)
        asking = asyncio.create_task(service.ask())
        await asyncio.sleep(2.0)
        for task in (asking, *attempts):
            task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert (service.outcome(A), service.outcome(B)) == ((0, 0, 1), (0, 0, 1))

    run(main())


class Request(NamedTuple):
    method: str
    headers: dict[str, str]


@pytest.mark.parametrize(
    ("method", "headers", "doubled"),
    [
        ("GET", {}, True),
        ("HEAD", {"Range": "bytes=0-1"}, True),
        ("OPTIONS", {}, True),
        ("POST", {}, False),
        ("POST", {"Idempotency-Key": "7"}, False),
        ("PUT", {}, False),
        ("DELETE", {}, False),
        ("GET", {"Content-Length": "3"}, False),
        ("GET", {"Transfer-Encoding": "chunked"}, False),
        ("GET", {"Upgrade": "websocket"}, False),
    ],
)
def test_only_what_reads_and_has_no_body_is_made_twice(method: str, headers: dict[str, str], *, doubled: bool) -> None:
    async def main() -> None:
        exchange = Service(after(0.0), after(0.0)).exchange()
        assert patience_for(Request(method, headers), exchange) == (1.0 if doubled else None)

    run(main())


def test_not_what_may_not_be_repeated() -> None:
    async def main() -> None:
        service = Service(after(0.0), after(0.0))
        exchange = Exchange(Attempts(service.choose, service.traffic, idempotent=False), deque())
        assert patience_for(Request("GET", {}), exchange) is None

    run(main())
