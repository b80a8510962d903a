"""The thread for work that must not overlap."""

import asyncio
import threading
from collections.abc import AsyncIterator
from functools import partial

import pytest

from homeport.registry.own_thread import OwnThread

NAME = "the thread of this test"


def threads() -> int:
    return sum(thread.name == NAME for thread in threading.enumerate())


@pytest.fixture
async def own() -> AsyncIterator[OwnThread]:
    thread = OwnThread(NAME)
    yield thread
    thread.close()
    assert threads() == 0


async def test_what_is_asked_for_at_once_is_done_in_turn_on_one_thread(own: OwnThread) -> None:
    assert threads() == 0  # nothing before the first use
    at_work: list[int] = []
    done: list[int] = []

    def work(number: int) -> str:
        at_work.append(number)
        assert at_work == [number]
        done.append(at_work.pop())
        return threading.current_thread().name

    assert await asyncio.gather(*(own.do(partial(work, n)) for n in range(50))) == [NAME] * 50
    assert done == list(range(50))


async def test_what_work_raises_its_caller_gets_and_the_next_is_done(own: OwnThread) -> None:
    with pytest.raises(ZeroDivisionError):
        await own.do(lambda: 1 // 0)
    with pytest.raises(SystemExit):
        await own.do(lambda: exec("raise SystemExit"))
    assert await own.do(lambda: 7) == 7


async def test_what_nobody_waits_for_any_more_is_not_begun(own: OwnThread) -> None:
    free = threading.Event()
    done: list[str] = []
    first = asyncio.create_task(own.do(free.wait))
    second = asyncio.create_task(own.do(lambda: done.append("second")))
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.wait((second,))
    free.set()
    assert await first
    await own.do(lambda: done.append("third"))
    assert done == ["third"]


async def test_its_end_waits_for_what_was_asked_for_and_it_takes_nothing_after_that(own: OwnThread) -> None:
    done: list[int] = []
    works = [asyncio.create_task(own.do(partial(done.append, n))) for n in range(5)]
    await asyncio.sleep(0)
    own.close()
    assert done == list(range(5))
    await asyncio.gather(*works)
    with pytest.raises(RuntimeError, match=f"the thread {NAME} was closed"):
        await own.do(lambda: None)


async def test_where_no_thread_can_be_started_it_works_all_the_same(
    own: OwnThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        assert await own.do(threading.current_thread) is threading.current_thread()
        with pytest.raises(ZeroDivisionError):
            await own.do(lambda: 1 // 0)
    assert (await own.do(threading.current_thread)).name == NAME
