"""The attempts of one request, and the outcome of each."""

import asyncio
from collections import deque
from collections.abc import Collection

import pytest

from homeport.balancing.ejection import EjectionSettings
from homeport.balancing.loads import Load
from homeport.client.resilience.attempts import Attempts
from homeport.client.resilience.settings import CircuitSettings, RetrySettings
from homeport.client.resilience.traffic import Traffic
from homeport.errors import DeadlineExceeded, NoInstances
from homeport.integrations.http.exchange import Abandoned, Exchange
from homeport.model import Instance
from tests.unit.client.scripted_backend import instance


class Service:
    """Instances that are chosen in order, at a time that a test sets."""

    def __init__(self, *instances: Instance, deadline: float | None = None) -> None:
        self.instances = list(instances)
        self.now = 100.0
        self.abandoned: Abandoned = deque()
        self.traffic = Traffic(
            "users",
            ejection=EjectionSettings(),
            circuit=CircuitSettings(),
            retry=RetrySettings(deadline=deadline),
            clock=lambda: self.now,
        )

    def choose(self, _key: str | None, avoid: Collection[str]) -> tuple[Instance, Load]:
        if not self.instances:
            raise NoInstances('"users" has no instances')
        chosen = next((one for one in self.instances if one.endpoint not in avoid), self.instances[0])
        return chosen, self.load(chosen)

    def exchange(self, *, idempotent: bool = True) -> Exchange:
        return Exchange(Attempts(self.choose, self.traffic, idempotent=idempotent), self.abandoned)

    def load(self, one: Instance) -> Load:
        return self.traffic.table.of(one.endpoint)


A, B = instance("a", "users"), instance("b", "users")


def outcome(load: Load) -> tuple[int, int, int]:
    return load.in_flight, load.successes, load.failures


def test_the_end_of_the_body_is_the_end_of_the_call() -> None:
    service = Service(A)
    exchange = service.exchange()
    assert exchange.begin().instance == A
    assert exchange.answered(200) is None
    assert outcome(service.load(A)) == (1, 0, 0)
    exchange.complete()
    exchange.complete()
    exchange.broke(ConnectionError())
    exchange.closed()
    assert outcome(service.load(A)) == (0, 1, 0)


def test_an_error_status_is_a_failure_whatever_becomes_of_its_body() -> None:
    service = Service(A)
    exchange = service.exchange()
    exchange.begin()
    assert exchange.answered(500) is None
    exchange.closed()
    assert outcome(service.load(A)) == (0, 0, 1)


def test_a_failed_attempt_is_ended_before_the_next_begins() -> None:
    service = Service(A, B)
    exchange = service.exchange()
    exchange.begin()
    assert exchange.failed(ConnectionResetError()) == 0.0
    assert outcome(service.load(A)) == (0, 0, 1)
    assert exchange.begin().instance == B
    assert exchange.answered(503) is not None
    assert outcome(service.load(B)) == (0, 0, 1)


def test_what_may_have_arrived_is_not_repeated_unless_it_is_idempotent() -> None:
    service = Service(A, B)
    exchange = service.exchange(idempotent=False)
    exchange.begin()
    assert exchange.failed(ConnectionError(), sent=True) is None
    exchange = service.exchange(idempotent=False)
    exchange.begin()
    assert exchange.failed(ConnectionError(), sent=False) == 0.0


def test_the_last_error_stands_when_there_is_nothing_left_to_call() -> None:
    service = Service(A)
    exchange = service.exchange()
    exchange.begin()
    error = ConnectionResetError("lost")
    assert exchange.failed(error) is not None
    service.instances.clear()
    with pytest.raises(ConnectionResetError) as caught:
        exchange.begin()
    assert caught.value is error
    assert isinstance(error.__cause__, NoInstances)
    with pytest.raises(NoInstances):
        service.exchange().begin()


def test_the_end_of_the_time_is_a_failure_with_its_cause() -> None:
    service = Service(A, deadline=2.0)
    exchange = service.exchange()
    assert exchange.remaining == 2.0
    exchange.begin()
    service.now += 3.0
    cause = ConnectionError()
    error = exchange.exceeded(cause)
    assert isinstance(error, DeadlineExceeded)
    assert error.__cause__ is cause
    assert outcome(service.load(A)) == (0, 0, 1)
    with pytest.raises(DeadlineExceeded):
        exchange.begin()


def closed_while_handling(exchange: Exchange, error: BaseException | None) -> None:
    if error is None:
        exchange.closed()
        return
    try:
        raise error
    except BaseException:  # noqa: BLE001 - as the end of a with block would
        exchange.closed()


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (None, (0, 1, 0)),
        (ValueError(), (0, 1, 0)),  # a defect of the program
        (TimeoutError(), (0, 0, 1)),
        (asyncio.CancelledError(), (0, 0, 0)),
    ],
)
def test_closing_early_means_what_it_was_closed_for(
    error: BaseException | None, expected: tuple[int, int, int]
) -> None:
    service = Service(A)
    exchange = service.exchange()
    exchange.begin()
    exchange.answered(200)
    closed_while_handling(exchange, error)
    assert outcome(service.load(A)) == expected


def test_a_cancelled_attempt_and_a_disregarded_one_count_as_nothing() -> None:
    service = Service(A)
    cancelled, disregarded = service.exchange(), service.exchange()
    cancelled.begin()
    cancelled.broke(asyncio.CancelledError())
    disregarded.begin()
    disregarded.disregard()
    disregarded.disregard()
    assert outcome(service.load(A)) == (0, 0, 0)


def test_a_response_thrown_away_is_ended_by_the_next_exchange_and_takes_no_lock_itself() -> None:
    service = Service(A)
    exchange = service.exchange()
    exchange.begin()
    exchange.answered(200)
    del exchange
    assert outcome(service.load(A)) == (1, 0, 0)
    other = service.exchange()
    other.begin()
    assert outcome(service.load(A)) == (1, 0, 0)
    other.complete()
    assert outcome(service.load(A)) == (0, 1, 0)
