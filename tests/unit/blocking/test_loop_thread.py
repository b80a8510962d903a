"""The event loop on a thread of its own."""

import asyncio
import signal
import subprocess
import sys
import threading
from collections.abc import Coroutine, Iterator
from typing import Any

import pytest

from homeport.blocking.loop_thread import LoopThread
from homeport.errors import NotReady
from tests.servers.process import clean_environment
from tests.unit.blocking.waiting import PATIENCE

NAME = "the loop of this test"


async def nothing() -> None:
    """Nothing."""


@pytest.fixture
def thread() -> Iterator[LoopThread]:
    made = LoopThread(name=NAME)
    yield made
    made.close(nothing, timeout=PATIENCE)


def interrupt() -> None:
    """Have the main thread handle SIGUSR1."""
    main = threading.main_thread().ident
    assert main is not None
    signal.pthread_kill(main, signal.SIGUSR1)


async def _where() -> str:
    return threading.current_thread().name


def test_coroutines_are_made_and_run_there(thread: LoopThread) -> None:
    made: list[str] = []

    def work() -> Coroutine[Any, Any, str]:
        made.append(threading.current_thread().name)
        return _where()

    assert thread.run(work) == NAME
    assert made == [NAME]


def test_what_cannot_be_made_is_told_to_the_caller(thread: LoopThread) -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument"):
        thread.run(_where, wrong=1)  # type: ignore[call-arg]
    assert thread.run(_where) == NAME


class Stop(Exception):
    """What a signal handler raises."""


def test_who_stops_waiting_ends_what_he_waits_for(thread: LoopThread) -> None:
    ended = threading.Event()
    stopped: list[Stop] = []

    async def waiting() -> None:
        try:
            while not stopped:  # a signal that comes just before a thread goes to sleep does not wake it
                interrupt()
                await asyncio.sleep(0.01)
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            ended.set()
            raise

    def stop(*_: object) -> None:
        if not stopped:
            stopped.append(Stop())
            raise stopped[0]

    before = signal.signal(signal.SIGUSR1, stop)
    try:
        with pytest.raises(Stop):
            thread.run(waiting)
        assert ended.wait(PATIENCE)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert thread.run(_where) == NAME


def test_a_signal_that_wakes_nobody_is_handled_soon(thread: LoopThread, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("homeport.blocking.loop_thread._TURN", 0.01)
    handled: list[int] = []

    async def waiting() -> None:
        async with asyncio.timeout(PATIENCE):
            while not handled:
                interrupt()
                await asyncio.sleep(0.01)

    before = signal.signal(signal.SIGUSR1, lambda number, _: handled.append(number))
    # The system goes on with what was interrupted, as if the signal had come just before: it ends no sleep.
    signal.siginterrupt(signal.SIGUSR1, False)
    try:
        thread.run(waiting)
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_who_is_interrupted_in_the_moment_of_asking_ends_that_too(
    thread: LoopThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    thread.run(nothing)
    loop = thread.loop
    assert loop is not None
    ask = loop.call_soon_threadsafe

    def interrupted(*asked: Any) -> None:
        monkeypatch.undo()
        ask(*asked)
        raise Stop

    async def waiting() -> None:
        await asyncio.sleep(3600)

    async def left() -> set[asyncio.Task[Any]]:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        return (await asyncio.wait(others, timeout=PATIENCE))[1] if others else set()

    monkeypatch.setattr(loop, "call_soon_threadsafe", interrupted)
    with pytest.raises(Stop):
        thread.run(waiting)
    assert not thread.run(left)


# In a process of its own: the alarm clock of this one is used to end tests that hang.
HANDLING = """
import faulthandler, signal
from homeport.blocking.loop_thread import LoopThread

async def work():
    return 1

async def nothing():
    pass

faulthandler.dump_traceback_later(200, exit=True)
thread, handled, number = LoopThread(name="loop"), [], 0
thread.run(work)
signal.signal(signal.SIGALRM, lambda *_: handled.append(thread.run(work)))
while len(handled) < 1000:
    number += 1
    signal.setitimer(signal.ITIMER_REAL, 1e-6 + number % 100 * 2e-6)
    for _ in range(5):
        thread.run(work)
signal.setitimer(signal.ITIMER_REAL, 0)
thread.close(nothing, timeout=10)
print({*handled})
"""


def test_a_signal_handler_may_wait_for_it_while_its_thread_does() -> None:
    """At any moment: also while the thread begins to wait, or takes the outcome."""
    done = subprocess.run(
        [sys.executable, "-c", HANDLING],
        capture_output=True, text=True, timeout=240, check=False, env=clean_environment(),
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "{1}\n"), done.stderr


def test_when_it_is_closed_who_waits_is_told() -> None:
    thread = LoopThread(name=NAME)
    begun, told = threading.Event(), threading.Event()

    async def waiting() -> None:
        begun.set()
        await asyncio.sleep(60)

    def wait() -> None:
        with pytest.raises(NotReady, match="was closed"):
            thread.run(waiting)
        told.set()

    waiter = threading.Thread(target=wait)
    waiter.start()
    assert begun.wait(PATIENCE)
    thread.close(nothing, timeout=PATIENCE)
    assert told.wait(PATIENCE)
    waiter.join()
    with pytest.raises(NotReady, match="was closed"):
        thread.run(_where)
