import asyncio
import contextlib
import gc
import logging
import threading
import warnings
import weakref
from collections.abc import Callable, Coroutine, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from random import Random
from typing import Any

import pytest

import homeport
from homeport.balancing import Loads, Picker
from homeport.blocking import (
    BackendUnavailable,
    ClientSettings,
    Discovery,
    InvalidValue,
    NoInstances,
    NotReady,
    Registration,
    Service,
    Snapshot,
    Standing,
    Watch,
)
from homeport.blocking.loop_thread import LoopThread
from homeport.client.settings import CacheSettings
from tests.unit.blocking.waiting import PATIENCE, wait_until
from tests.unit.client.scripted_backend import ScriptedBackend, instance

InLoop = Callable[[Callable[[], None]], None]


def ids(snapshot: Snapshot) -> list[str]:
    return [one.id for one in snapshot]


def running(discovery: Discovery) -> list[str]:
    """The names of the coroutines that run in its loop."""

    async def names() -> list[str]:
        return [getattr(task.get_coro(), "__qualname__", "") for task in asyncio.all_tasks()]

    return discovery.loop_thread.run(names)


@contextlib.contextmanager
def standing_still(discovery: Discovery) -> Iterator[None]:
    """Its event loop does nothing while the block runs."""
    entered, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        entered.set()
        assert go_on.wait(PATIENCE)

    loop = discovery.loop_thread.loop
    assert loop is not None
    loop.call_soon_threadsafe(hold)
    assert entered.wait(PATIENCE)
    try:
        yield
    finally:
        go_on.set()


def new_threads(before: set[threading.Thread]) -> list[str]:
    """The names of those that are not the ones of before: others may still be ending."""
    return [thread.name for thread in set(threading.enumerate()) - before]


# finding


def test_it_answers_as_the_asynchronous_one_does(discovery: Discovery) -> None:
    assert ids(discovery.discover("billing")) == ["a", "b"]
    assert {discovery.resolve("billing").id, discovery.resolve("billing").id} == {"a", "b"}
    assert discovery.pick("billing").id in {"a", "b"}
    with discovery.call("billing") as call:
        assert call.instance.id in {"a", "b"}
    assert [summary.name for summary in discovery.services()] == ["billing"]
    assert discovery.backend.url == "scripted://"
    assert [one.url for one in discovery.backends] == ["scripted://"]
    assert discovery.cache_statistics().watched == 1
    assert repr(discovery) == "<blocking Discovery on scripted://>"


def test_every_question_narrows_its_answer(discovery: Discovery, backend: ScriptedBackend) -> None:
    backend.put(
        "shop",
        instance("a", "shop", tags=("eu",), version="1.0.0", environment="staging", meta={"k": "1"}),
        instance("b", "shop", tags=("us",), version="2.0.0", environment="production", meta={"k": "2"}),
        instance("c", "shop", status="critical"),
    )
    for question, answer in [
        ({"tags": ["eu"]}, ["a"]),
        ({"version": ">=2"}, ["b"]),
        ({"environment": "staging"}, ["a"]),
        ({"meta": {"k": 2}}, ["b"]),
    ]:
        assert ids(discovery.discover("shop", **question)) == answer  # type: ignore[arg-type]
        assert discovery.resolve("shop", **question).id == answer[0]  # type: ignore[arg-type]
        with discovery.watch("shop", **question) as watch:  # type: ignore[arg-type]
            assert ids(watch.current) == answer
    assert ids(discovery.discover("shop", healthy=False)) == ["a", "b", "c"]
    with discovery.watch("shop", healthy=False) as watch:
        assert ids(watch.current) == ["a", "b", "c"]
        assert watch.known == 3


def test_the_key_reaches_the_balancer(backend: ScriptedBackend) -> None:
    keys: list[str | None] = []

    class Remembering:
        needs_outcomes = False

        def picker(self, snapshot: Snapshot, loads: Loads) -> Picker:
            def pick(key: str | None) -> homeport.Instance | None:
                keys.append(key)
                return snapshot.instances[0]

            return pick

    with Discovery(backend, balancer=Remembering(), environ={}) as discovery:
        discovery.resolve("billing", key="1")
        discovery.pick("billing", key="2")
        with discovery.call("billing", key="3"):
            pass
        discovery.perform("billing", lambda _: None, key="4")
        with discovery.watch("billing") as watch:
            watch.pick("5")
            with watch.call("6"):
                pass
            watch.perform(lambda _: None, key="7")
    assert keys == ["1", "2", "3", "4", "5", "6", "7"]


def test_without_the_cache_the_backend_is_asked(discovery: Discovery, backend: ScriptedBackend) -> None:
    discovery.discover("billing")
    assert backend.asked["fetch billing"] == 0
    discovery.discover("billing", use_cache=False)
    assert backend.asked["fetch billing"] == 1


def test_a_service_that_was_never_resolved_is_not_ready_and_the_text_says_what_to_call(discovery: Discovery) -> None:
    for ask in (discovery.pick, discovery.call):
        with pytest.raises(NotReady, match=r'"billing" is not in memory: call `discovery.resolve\("billing"\)` first'):
            ask("billing")


def test_errors_are_those_of_the_asynchronous_one(
    discovery: Discovery, backend: ScriptedBackend, in_loop: InLoop
) -> None:
    with pytest.raises(NoInstances) as nobody:
        discovery.resolve("nobody")
    assert nobody.value.service == "nobody"
    in_loop(backend.fail)
    with pytest.raises(BackendUnavailable):
        discovery.discover("shop")
    with pytest.raises(BackendUnavailable):
        discovery.watch("shop")
    with pytest.raises(BackendUnavailable):
        discovery.register("shop", port=1)
    with pytest.raises(InvalidValue):
        discovery.discover("shop", tags="eu")


def test_settings_balancer_random_and_environment_are_obeyed(backend: ScriptedBackend) -> None:
    with pytest.raises(InvalidValue, match="no_such_policy"):
        Discovery(backend, balancer="no_such_policy", environ={})
    with pytest.raises(InvalidValue, match="nowhere"):
        Discovery(environ={"HOMEPORT_BACKEND": "nowhere://"})
    assert Discovery(environ={"HOMEPORT_BACKEND": "consul://c:1"}).backend.url == "consul://c:1"
    settings = ClientSettings(cache=CacheSettings(enabled=False))
    with Discovery(backend, settings=settings, environ={}) as discovery:
        asked = backend.asked["fetch billing"]
        discovery.discover("billing")
        discovery.perform("billing", lambda _: None)
        discovery.perform("billing", lambda _: None)
        assert backend.asked["fetch billing"] == asked + 3

    def first(seed: int) -> str:
        with Discovery(backend, random=Random(seed), environ={}) as discovery:
            return discovery.resolve("billing").id

    assert [first(1), first(1)] == [first(1)] * 2
    assert {first(seed) for seed in range(8)} == {"a", "b"}


def test_the_observer_is_told(backend: ScriptedBackend) -> None:
    class Counting:
        counted = 0

        def operation(self, name: str, labels: Mapping[str, str]) -> contextlib.AbstractContextManager[None]:
            self.counted += 1
            return contextlib.nullcontext()

        def count(self, name: str, labels: Mapping[str, str], amount: float = 1.0) -> None:
            self.counted += 1

        def gauge(self, name: str, labels: Mapping[str, str], value: float) -> None:
            self.counted += 1

    observer = Counting()
    with Discovery(backend, observer=observer, environ={}) as discovery:
        discovery.services()
    assert observer.counted > 0


def test_several_backends_are_a_fallback_chain(backend: ScriptedBackend) -> None:
    down = ScriptedBackend()
    down.fail()
    with Discovery([down, backend], environ={}) as discovery:
        assert ids(discovery.discover("billing", use_cache=False)) == ["a", "b"]
        assert discovery.backends == (down, backend)


# watching


def test_a_watch_has_begun_when_it_is_returned_and_with_closes_it(discovery: Discovery) -> None:
    watch = discovery.watch("billing")
    assert ids(watch.current) == ["a", "b"]
    with watch as same:
        assert same is watch
        assert {watch.pick().id, watch.pick().id} == {"a", "b"}
        assert watch.query.service == "billing"
        assert [watch.closed] == [False]
    assert [watch.closed] == [True]
    watch.close()
    assert ids(watch.current) == ["a", "b"]
    assert repr(watch) == "<blocking Watch of 'billing'>"


def test_iteration_gives_each_newer_snapshot_and_ends_with_the_watch(
    discovery: Discovery, backend: ScriptedBackend, in_loop: InLoop
) -> None:
    watch = discovery.watch("billing")
    seen: list[tuple[int, list[str]]] = []
    changes: Iterator[Callable[[], None]] = iter(
        [
            lambda: in_loop(lambda: backend.put("billing", instance("c"))),
            lambda: in_loop(backend.fail),
            watch.close,
        ]
    )
    for snapshot in watch:
        seen.append((snapshot.revision, ids(snapshot)))
        next(changes)()
    assert seen == [(1, ["a", "b"]), (2, ["c"]), (3, ["c"])]
    assert list(watch) == []


def test_a_state_that_came_back_meanwhile_is_delivered_once(
    discovery: Discovery, backend: ScriptedBackend, in_loop: InLoop
) -> None:
    with discovery.watch("billing") as watch:
        snapshots = iter(watch)
        first = next(snapshots)
        told = iter(discovery.watch("billing"))
        next(told)
        in_loop(lambda: backend.put("billing"))
        assert ids(next(told)) == []
        in_loop(lambda: backend.put("billing", instance("a"), instance("b")))
        assert ids(next(told)) == ids(first)
        assert watch.current.revision == 3
        with ThreadPoolExecutor(1) as pool:
            news = pool.submit(next, snapshots)
            wait_until(lambda: news.done() or "_newer" in running(discovery))
            in_loop(lambda: backend.put("billing", instance("c")))
            assert ids(news.result(PATIENCE)) == ["c"]


def test_an_own_write_is_in_the_next_answer(discovery: Discovery) -> None:
    with discovery.watch("api") as watch:
        discovery.register("api", id="api-1", port=1)
        assert ids(watch.settle()) == ["api-1"]
        assert watch.up_to_date


def test_reading_from_memory_never_crosses_the_thread(discovery: Discovery) -> None:
    watch = discovery.watch("billing")
    discovery.resolve("billing")
    shared = discovery.watching("billing")
    with standing_still(discovery):
        assert ids(watch.current) == ["a", "b"]
        assert watch.pick().id in {"a", "b"}
        with watch.call() as call, discovery.call("billing") as other:
            assert call.url("/x").startswith("http://10.0.0.")
            other.observe(status=500)
        watch.observe(watch.pick(), status=200, duration=0.1)
        assert discovery.pick("billing").id in {"a", "b"}
        assert discovery.watching("billing") is shared
        assert discovery.perform("billing", lambda call: call.instance.id) in {"a", "b"}
        assert watch.traffic.service == "billing"


def test_the_shared_watch_is_the_one_behind_pick_and_is_replaced_when_it_has_ended(discovery: Discovery) -> None:
    shared = discovery.watching("billing")
    assert discovery.pick("billing").id in {"a", "b"}
    shared.close()
    again = discovery.watching("billing")
    assert again is not shared
    assert again.pick().id in {"a", "b"}


def test_observed_failures_reach_the_shared_loads(discovery: Discovery) -> None:
    with discovery.watch("billing") as watch:
        chosen = watch.pick()
        watch.observe(chosen, error=OSError())
        watch.observe(chosen, status=503)
        assert watch.traffic.table.of(chosen.endpoint).failures == 2


# callbacks


def test_callbacks_run_on_one_thread_of_their_own_and_may_call_the_api(
    discovery: Discovery, backend: ScriptedBackend, in_loop: InLoop
) -> None:
    before = set(threading.enumerate())
    heard: SimpleQueue[tuple[str, list[str], list[str]]] = SimpleQueue()

    def on_change(snapshot: Snapshot) -> None:
        heard.put((threading.current_thread().name, ids(snapshot), ids(discovery.discover("billing"))))

    with discovery.watch("billing", on_change=on_change), discovery.watch("billing", on_change=on_change):
        for _ in range(2):
            assert heard.get(timeout=PATIENCE) == ("homeport callbacks", ["a", "b"], ["a", "b"])
        in_loop(lambda: backend.put("billing", instance("c")))
        for _ in range(2):
            assert heard.get(timeout=PATIENCE) == ("homeport callbacks", ["c"], ["c"])
    assert sorted(new_threads(before)) == ["homeport callbacks", "homeport loop"]


def test_a_callback_that_raises_is_logged_and_the_watch_goes_on(
    discovery: Discovery, backend: ScriptedBackend, in_loop: InLoop, caplog: pytest.LogCaptureFixture
) -> None:
    heard: SimpleQueue[list[str]] = SimpleQueue()
    trouble: list[BaseException] = [ValueError("a defect"), SystemExit(3)]

    def on_change(snapshot: Snapshot) -> None:
        heard.put(ids(snapshot))
        if trouble:
            raise trouble.pop(0)

    with caplog.at_level(logging.ERROR), discovery.watch("billing", on_change=on_change):
        assert heard.get(timeout=PATIENCE) == ["a", "b"]
        in_loop(lambda: backend.put("billing", instance("c")))
        assert heard.get(timeout=PATIENCE) == ["c"]
        in_loop(lambda: backend.put("billing", instance("d")))
        assert heard.get(timeout=PATIENCE) == ["d"]
    failures = [record for record in caplog.records if record.message == "a callback of a watch failed"]
    assert len(failures) == 2
    assert "a defect" in str(failures[0].exc_info)


def test_a_callback_may_close_its_own_watch_and_the_whole_object(backend: ScriptedBackend) -> None:
    discovery = Discovery(backend, environ={})
    done = threading.Event()
    watches: list[Watch] = []

    def on_change(snapshot: Snapshot) -> None:
        wait_until(lambda: bool(watches))
        watches[0].close()
        discovery.close()
        done.set()

    watches.append(discovery.watch("billing", on_change=on_change))
    assert done.wait(PATIENCE)
    assert watches[0].closed


def test_a_coroutine_function_is_refused_as_a_callback(discovery: Discovery) -> None:
    async def on_change(_: object) -> None:
        return

    with pytest.raises(InvalidValue, match="coroutine function on_change"):
        discovery.watch("billing", on_change=on_change)
    with pytest.raises(InvalidValue, match="coroutine function on_change"):
        discovery.register("billing", on_change=on_change)


def test_a_registration_tells_its_callback_how_it_stands(backend: ScriptedBackend) -> None:
    heard: SimpleQueue[tuple[str, Standing]] = SimpleQueue()

    def on_change(registration: Registration) -> None:
        heard.put((threading.current_thread().name, registration.standing))

    with Discovery(backend, environ={}) as discovery:
        registration = discovery.register("api", id="api-1", port=1, ttl=1.0, on_change=on_change)
        # Another program takes the id over.
        backend.registered["api-1"] = (registration.service, "another")
        assert registration.wait_for(Standing.REPLACED) is Standing.REPLACED
        assert heard.get(timeout=PATIENCE) == ("homeport callbacks", Standing.REPLACED)
        assert registration.lost
        assert registration.reason
        assert registration.close() is False


# registering


def test_a_registration_stands_when_it_is_returned_and_with_closes_it(
    discovery: Discovery, backend: ScriptedBackend
) -> None:
    registration = discovery.register("api", port=8080, tags=["x"], meta={"k": 1}, weight=2)
    assert registration.id in backend.registered
    assert (registration.standing, registration.lost, registration.reason) == (Standing.REGISTERED, False, "")
    assert registration.service.port == 8080
    with registration as same:
        assert same is registration
        registration.update(tags=["y"], weight=3)
        registration.update_meta({"m": 2})
        registered, _ = backend.registered[registration.id]
        assert (registered.tags, registered.weight, registered.meta["k"], registered.meta["m"]) == (("y",), 3, "1", "2")
    assert registration.standing is Standing.CLOSED
    assert not backend.registered
    assert registration.close() is False
    assert registration.wait_for(Standing.LOST) is Standing.CLOSED
    assert registration.id in repr(registration)


def test_a_registration_is_taken_wherever_an_id_is(discovery: Discovery, backend: ScriptedBackend) -> None:
    service_id = discovery.register(name="api", port=1)
    other = discovery.register(Service(name="api", id="other", port=2))
    discovery.update_meta(service_id, {"health_status": "healthy"})
    discovery.update(other.id, tags=["y"])
    assert backend.registered[service_id.id][0].meta["health_status"] == "healthy"
    assert backend.registered["other"][0].tags == ("y",)
    assert discovery.deregister(service_id) is True
    assert discovery.deregister(service_id) is False
    assert discovery.deregister("other") is True
    assert other.standing is Standing.CLOSED
    assert discovery.deregister("other") is False
    with pytest.raises(InvalidValue, match='no registration "other"'):
        discovery.update("other", tags=[])


def test_a_registration_of_another_object_is_left_alone(discovery: Discovery, backend: ScriptedBackend) -> None:
    with Discovery(backend, environ={}) as another:
        registration = another.register("api", port=1)
        assert discovery.deregister(registration) is False
        assert registration.standing is Standing.REGISTERED


def test_every_parameter_of_a_registration_reaches_the_backend(discovery: Discovery, backend: ScriptedBackend) -> None:
    check = {"http": "http://127.0.0.1/health", "interval": "10s"}
    discovery.register(
        "api", id="i", address="10.1.1.1", port=1, tags=["t"], meta={"m": "1"}, weight=5, version="1.2.3",
        environment="staging", checks=[check], health_check={"tcp": "127.0.0.1:1"}, ttl=5.0,
    )  # fmt: skip
    service, _ = backend.registered["i"]
    assert (service.address, service.port, service.tags, service.weight) == ("10.1.1.1", 1, ("t",), 5)
    assert (service.version, service.environment, service.meta["m"]) == ("1.2.3", "staging", "1")
    assert [type(one).__name__ for one in service.checks] == ["HTTPCheck", "TCPCheck"]
    discovery.update(
        "i", address="10.1.1.2", port=2, tags=["u"], meta={"n": "2"}, weight=6, version="2.0.0",
        environment="production", checks=[],
    )  # fmt: skip
    service, _ = backend.registered["i"]
    assert (service.address, service.port, service.tags, service.weight) == ("10.1.1.2", 2, ("u",), 6)
    assert (service.version, service.environment, service.checks) == ("2.0.0", "production", ())
    assert "m" not in service.meta
    assert service.meta["n"] == "2"


def test_closing_deregisters_and_closing_twice_is_harmless(backend: ScriptedBackend) -> None:
    discovery = Discovery(backend, environ={})
    registration = discovery.register("api", port=1)
    discovery.close()
    discovery.close()
    assert not backend.registered
    assert registration.close() is False
    assert registration.standing is Standing.CLOSED
    for ask in (discovery.discover, discovery.resolve, discovery.pick, discovery.watch, discovery.register):
        with pytest.raises(NotReady, match="was closed; make a new one"):
            ask("billing")
    with pytest.raises(NotReady, match="was closed"), discovery:
        pass


def test_an_object_that_was_never_used_starts_no_thread(backend: ScriptedBackend) -> None:
    before = set(threading.enumerate())
    with Discovery(backend, environ={}):
        assert new_threads(before) == []


# threads


def test_many_threads_may_ask_at_once(discovery: Discovery) -> None:
    before = set(threading.enumerate())

    def work(number: int) -> list[str]:
        name = f"api-{number}"
        with discovery.register(name, id=name, port=number + 1), discovery.watch(name) as watch:
            assert discovery.resolve(name).id == name
            return [*ids(discovery.discover(name)), watch.pick().id, discovery.pick(name).id]

    with ThreadPoolExecutor(16) as pool:
        for number, found in enumerate(pool.map(work, range(64))):
            assert found == [f"api-{number}"] * 3
    assert new_threads(before) == ["homeport loop"]


def test_closing_while_others_wait_for_an_answer_tells_them(backend: ScriptedBackend) -> None:
    backend.latency = 3600.0  # no answer comes
    discovery = Discovery(backend, environ={})
    with ThreadPoolExecutor(3) as pool:
        outcomes: list[Future[object]] = [
            pool.submit(discovery.discover, "shop"),
            pool.submit(discovery.watch, "shop"),
            pool.submit(discovery.register, "shop", id="s", address="10.0.0.1", port=1),
        ]
        wait_until(lambda: backend.asked["watch shop"] > 0 and backend.asked["register s"] > 0)
        discovery.close()
        for outcome in outcomes:
            assert isinstance(outcome.exception(PATIENCE), NotReady)


def test_closing_ends_iterations_and_waiting_for_a_standing(backend: ScriptedBackend) -> None:
    discovery = Discovery(backend, environ={})
    snapshots, registration = iter(discovery.watch("billing")), discovery.register("api", port=1)
    next(snapshots)
    with ThreadPoolExecutor(2) as pool:
        ended = pool.submit(next, snapshots, "ended")
        stood = pool.submit(registration.wait_for, Standing.REPLACED)
        discovery.close()
        assert ended.result(PATIENCE) == "ended"
        assert stood.result(PATIENCE) is Standing.CLOSED


def test_in_the_moment_of_closing_they_end_as_well(backend: ScriptedBackend) -> None:
    """What is asked for while the end is under way, and has reached nobody yet."""
    discovery = Discovery(backend, environ={})
    snapshots, registration = iter(discovery.watch("billing")), discovery.register("api", port=1)
    next(snapshots)
    with ThreadPoolExecutor(1) as pool:
        with standing_still(discovery):
            closing = pool.submit(discovery.close)
            wait_until(lambda: discovery.loop_thread.closed)
            assert next(snapshots, None) is None
            assert registration.wait_for(Standing.REPLACED) is Standing.CLOSED
        closing.result(PATIENCE)


def test_work_that_ignores_its_cancellation_does_not_keep_anybody_waiting(discovery: Discovery) -> None:
    entered, stop = threading.Event(), threading.Event()

    async def stubborn() -> None:
        entered.set()
        while not stop.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0.01)

    with ThreadPoolExecutor(2) as pool:
        outcome = pool.submit(discovery.loop_thread.run, stubborn)
        assert entered.wait(PATIENCE)
        closing = pool.submit(discovery.close)
        assert isinstance(outcome.exception(PATIENCE), NotReady)
        stop.set()
        closing.result(PATIENCE)


def test_what_was_begun_in_the_moment_of_an_interrupt_is_ended(
    discovery: Discovery, backend: ScriptedBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = LoopThread.run

    def interrupted(
        self: LoopThread, work: Callable[..., Coroutine[object, object, object]], *arguments: Any
    ) -> object:
        run(self, work, *arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(LoopThread, "run", interrupted)
        with pytest.raises(KeyboardInterrupt):
            discovery.register("api", id="api-1", port=1)
        with pytest.raises(KeyboardInterrupt):
            discovery.watch("billing")
    assert backend.asked["register api-1"] == 1
    assert backend.asked["watch billing"] == 1
    wait_until(lambda: not backend.registered and not backend.watching["billing"])


def test_its_own_loop_thread_is_refused_instead_of_waiting_for_itself(backend: ScriptedBackend) -> None:
    refused: list[Exception] = []

    class Asking:
        needs_outcomes = False

        def picker(self, snapshot: Snapshot, loads: Loads) -> Picker:
            for ask in (lambda: discovery.discover("shop"), discovery.close):
                try:
                    ask()
                except NotReady as error:
                    refused.append(error)
            return lambda _key: snapshot.instances[0]

    with Discovery(backend, balancer=Asking(), environ={}) as discovery:
        assert discovery.resolve("billing").id == "a"
    assert len(refused) == 2
    assert all("would wait for itself" in str(error) for error in refused)


def test_when_no_thread_can_be_started_that_is_said(backend: ScriptedBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    with (
        Discovery(backend, environ={}) as discovery,
        pytest.raises(NotReady, match="no thread can be started any more"),
    ):
        discovery.discover("billing")


async def test_it_works_where_an_event_loop_is_running(discovery: Discovery) -> None:
    assert asyncio.get_running_loop().is_running()
    assert ids(discovery.discover("billing")) == ["a", "b"]
    with discovery.register("api", port=1) as registration:
        assert registration.standing is Standing.REGISTERED


# collection


def _forget(kept: list[Discovery] | list[Watch]) -> None:
    kept.clear()
    gc.collect()


def test_an_object_that_is_forgotten_warns_and_leaves_no_thread(backend: ScriptedBackend) -> None:
    before = set(threading.enumerate())
    discovery = Discovery(backend, environ={})
    discovery.discover("billing")
    (thread,) = set(threading.enumerate()) - before
    gone = weakref.ref(discovery)
    kept = [discovery]
    del discovery
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        _forget(kept)
    assert gone() is None
    assert [(one.category, str(one.message)) for one in caught] == [
        (ResourceWarning, "unclosed <blocking Discovery on scripted://>; use `with`, or close() it")
    ]
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert backend.watching["billing"] == 0


def test_an_object_that_was_never_used_is_forgotten_in_silence(backend: ScriptedBackend) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Discovery(backend, environ={})
        gc.collect()


def test_a_watch_keeps_its_object_alive(backend: ScriptedBackend) -> None:
    watch = Discovery(backend, environ={}).watch("billing")
    gc.collect()
    assert watch.pick().id in {"a", "b"}
    assert ids(watch.settle()) == ["a", "b"]
    kept = [watch]
    del watch
    with pytest.warns(ResourceWarning, match="unclosed"):
        _forget(kept)


def test_what_is_registered_stays_registered_though_nobody_keeps_it(backend: ScriptedBackend) -> None:
    made = [Discovery(backend, environ={})]
    kept = weakref.ref(made[0])
    made.pop().register("api", id="api-1", port=1)
    gc.collect()
    assert "api-1" in backend.registered
    discovery = kept()
    assert discovery is not None
    discovery.close()
