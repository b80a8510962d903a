"""Calls with retries, hedging and deadlines, on the caller's thread and on threads of their own."""

import contextvars
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import TypeVar

import pytest

from homeport.blocking import Call, ClientSettings, DeadlineExceeded, Discovery, NoInstances
from homeport.blocking.performing import SpareThreads
from homeport.client.resilience.settings import CircuitSettings, RetrySettings
from tests.unit.blocking.waiting import PATIENCE, wait_until
from tests.unit.client.scripted_backend import ScriptedBackend, instance

Handler = Callable[[Call], str]
T = TypeVar("T")


class Service:
    """Three instances, each of which does what it is told; remembers who was called.

    ``now`` is the time of calls and deadlines, which only a test moves.
    """

    def __init__(self) -> None:
        self.backend = ScriptedBackend()
        self.names = ["i0", "i1", "i2"]
        self.backend.put("billing", *(instance(name) for name in self.names))
        self.called: list[str] = []
        self.threads: set[threading.Thread] = set()
        self.behaviour: dict[str, Handler] = {}
        self.let_go = threading.Event()
        self.now = 1000.0

    def work(self, call: Call) -> str:
        name = call.instance.id
        self.threads.add(threading.current_thread())
        self.called.append(name)
        return self.behaviour[name](call) if name in self.behaviour else name

    def everybody(self, behaviour: Handler) -> None:
        self.behaviour = dict.fromkeys(self.names, behaviour)

    def first(self, behaviour: Handler) -> None:
        """Whoever is called first behaves so."""

        def maybe(call: Call) -> str:
            return behaviour(call) if call.instance.id == self.called[0] else call.instance.id

        self.everybody(maybe)

    def hang(self, _call: Call) -> str:
        assert self.let_go.wait(PATIENCE)
        return "late"


class InTurn(SpareThreads):
    """The work of a thread is under way before the next one begins."""

    def __init__(self, service: Service) -> None:
        super().__init__(name="homeport hedged call")
        self.called = service.called

    def start(self, work: Callable[[], T]) -> Future[T] | None:
        before = len(self.called)
        outcome = super().start(work)
        wait_until(lambda: len(self.called) > before or outcome is None or outcome.done())
        return outcome


@pytest.fixture
def service() -> Iterator[Service]:
    service = Service()
    yield service
    service.let_go.set()


def client(service: Service, **retry: object) -> Discovery:
    settings = ClientSettings(retry=RetrySettings(**retry), circuit=CircuitSettings(enabled=False))  # type: ignore[arg-type]
    made = Discovery(service.backend, settings=settings, environ={}, handle_signals=False, clock=lambda: service.now)
    made.spare_threads = InTurn(service)
    return made


def refused(_call: Call) -> str:
    raise ConnectionRefusedError(111, "refused")


def broken(_call: Call) -> str:
    raise ConnectionResetError(104, "reset")


def unavailable(call: Call) -> str:
    call.observe(status=503)
    return "sorry"


def test_an_idempotent_call_goes_on_elsewhere_on_the_thread_of_the_caller(service: Service) -> None:
    service.behaviour = {"i0": broken, "i1": broken}
    with client(service) as discovery, discovery.watch("billing") as watch:
        for _ in range(3):
            assert discovery.perform("billing", service.work, idempotent=True) == "i2"
            assert watch.perform(service.work, idempotent=True) == "i2"
        assert service.threads == {threading.current_thread()}
        assert watch.traffic.table.of(instance("i0").endpoint).failures > 0
    assert set(service.called) == {"i0", "i1", "i2"}


def test_a_call_that_may_have_arrived_is_made_once_unless_it_is_idempotent(service: Service) -> None:
    service.everybody(broken)
    with client(service) as discovery, pytest.raises(ConnectionResetError):
        discovery.perform("billing", service.work)
    assert len(service.called) == 1


def test_any_call_is_repeated_when_it_was_never_sent(service: Service) -> None:
    service.behaviour = {"i0": refused, "i1": refused}
    with client(service) as discovery:
        assert discovery.perform("billing", service.work) == "i2"


@pytest.mark.parametrize("attempts", [1, 2, 5])
def test_the_number_of_attempts_is_obeyed_and_the_last_error_raised(service: Service, attempts: int) -> None:
    service.everybody(refused)
    with client(service, attempts=attempts, first_pause=0.0) as discovery, pytest.raises(ConnectionRefusedError):
        discovery.perform("billing", service.work)
    assert len(service.called) == attempts


def test_a_status_that_is_worth_a_retry_is_one_and_the_last_answer_stands(service: Service) -> None:
    service.everybody(unavailable)
    with client(service) as discovery:
        assert discovery.perform("billing", service.work, idempotent=True) == "sorry"
    assert sorted(service.called) == service.names


def test_no_instances_at_first_is_raised_and_later_gives_the_last_error(service: Service) -> None:
    with client(service) as discovery, pytest.raises(NoInstances):
        discovery.perform("nobody", service.work)
    assert service.called == []


def test_work_that_lets_the_time_run_out_has_exceeded_the_deadline(service: Service) -> None:
    def impatient(call: Call) -> str:
        assert call.remaining == 0.5
        service.now += 0.5
        raise TimeoutError("the read timed out")

    service.everybody(impatient)
    with client(service) as discovery, discovery.watch("billing") as watch:
        with pytest.raises(DeadlineExceeded, match=r"not answered within 0.5 s \(1 attempt\)") as exceeded:
            watch.perform(service.work, idempotent=True, deadline=0.5)
        assert str(exceeded.value.__cause__) == "the read timed out"
        assert sum(watch.traffic.table.of(instance(name).endpoint).failures for name in service.names) == 1


def test_an_answer_that_comes_late_is_still_an_answer(service: Service) -> None:
    def late(call: Call) -> str:
        assert call.remaining == 0.5
        service.now += 0.5
        return "late"

    service.everybody(late)
    with client(service, deadline=0.5) as discovery:
        assert discovery.perform("billing", service.work) == "late"


def test_a_slow_call_is_made_a_second_time_and_the_first_answer_counts(service: Service) -> None:
    service.first(service.hang)
    with client(service) as discovery, discovery.watch("billing") as watch:
        answer = watch.perform(service.work, idempotent=True, hedge_after=0.001)
        slow, fast = service.called
        assert answer == fast != slow
        assert threading.current_thread() not in service.threads
        service.let_go.set()
        for thread in service.threads:
            thread.join(PATIENCE)
        # The one that lost counts as neither, though it returned.
        assert watch.traffic.table.of(instance(slow).endpoint).successes == 0
        assert watch.traffic.table.of(instance(slow).endpoint).failures == 0
        assert watch.traffic.table.of(instance(slow).endpoint).in_flight == 0


def test_the_settings_hedge_too_and_only_what_is_idempotent(service: Service) -> None:
    with client(service, hedge_after=PATIENCE) as discovery:
        assert discovery.perform("billing", service.work) in service.names
        assert service.threads == {threading.current_thread()}
        service.first(service.hang)
    service.called.clear()
    with client(service, hedge_after=0.001) as discovery:
        assert discovery.perform("billing", service.work, idempotent=True) == service.called[1]


def test_a_fast_call_is_made_once(service: Service) -> None:
    with client(service) as discovery:
        discovery.perform("billing", service.work, idempotent=True, hedge_after=PATIENCE)
    assert len(service.called) == 1


def test_when_both_fail_the_next_attempt_is_made_and_at_last_the_error_of_the_first_raised(service: Service) -> None:
    ready = threading.Barrier(2)

    def together(call: Call) -> str:
        ready.wait(PATIENCE)
        raise ConnectionResetError(104, call.instance.id)

    service.everybody(together)
    with client(service, attempts=2) as discovery, pytest.raises(ConnectionResetError) as error:
        discovery.perform("billing", service.work, idempotent=True, hedge_after=0.001)
    assert len(service.called) == 2
    assert error.value.strerror == service.called[0]


def test_an_error_status_waits_for_the_other_attempt(service: Service) -> None:
    entered = threading.Event()

    def first(call: Call) -> str:
        assert entered.wait(PATIENCE)
        return unavailable(call)

    def behave(call: Call) -> str:
        if call.instance.id == service.called[0]:
            return first(call)
        entered.set()
        time.sleep(0.01)
        return "good"

    service.everybody(behave)
    with client(service) as discovery:
        assert discovery.perform("billing", service.work, idempotent=True, hedge_after=0.001) == "good"


def test_a_hedged_call_ends_with_the_deadline_whatever_the_work_does(service: Service) -> None:
    service.everybody(service.hang)
    with client(service) as discovery:
        with pytest.raises(DeadlineExceeded, match=r"\(2 attempts\)"):
            discovery.perform("billing", service.work, idempotent=True, hedge_after=0.001, deadline=0.5)
        assert len(service.called) == 2
        assert all(thread.is_alive() for thread in service.threads)


def test_a_hedged_call_sees_the_context_of_its_caller(service: Service) -> None:
    variable = contextvars.ContextVar("variable", default="none")
    variable.set("the caller's")
    with client(service) as discovery:
        seen = discovery.perform("billing", lambda _: variable.get(), idempotent=True, hedge_after=PATIENCE)
    assert seen == "the caller's"


def test_when_too_many_threads_are_busy_the_call_is_made_without_a_hedge(service: Service) -> None:
    with client(service) as discovery:
        discovery.spare_threads = SpareThreads(name="homeport hedged call", most=0)
        assert discovery.perform("billing", service.work, idempotent=True, hedge_after=0.001) == service.called[0]
        assert service.threads == {threading.current_thread()}


def test_threads_are_free_again_when_their_work_has_ended_or_failed() -> None:
    threads = SpareThreads(name="homeport hedged call", most=1)

    def fail() -> None:
        raise ValueError("a defect")

    outcomes = [threads.start(fail)]
    assert outcomes[0] is not None
    assert isinstance(outcomes[0].exception(PATIENCE), ValueError)
    deadline = time.monotonic() + PATIENCE
    while (second := threads.start(lambda: 1)) is None:
        assert time.monotonic() < deadline
    assert second.result(PATIENCE) == 1


def test_attempts_can_be_driven_by_hand(service: Service) -> None:
    service.behaviour = {"i0": refused, "i1": refused}
    with client(service) as discovery, discovery.watch("billing") as watch:
        attempts = watch.attempts(idempotent=True, key="k", deadline=PATIENCE)
        while True:
            failure: Exception | None = None
            answer = ""
            try:
                with attempts.next() as call:
                    answer = service.work(call)
            except OSError as error:
                failure = error
            if attempts.pause(error=failure) is None:
                break
        assert answer == "i2"
