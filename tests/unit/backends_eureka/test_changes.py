"""One copy of the registry for all: when it is read whole, when by a delta, and when its data were lost."""

import asyncio
from contextlib import aclosing

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from homeport.backends.eureka.api import Reading
from homeport.backends.eureka.changes import Changes
from homeport.errors import BackendUnavailable
from homeport.spi import Cursor
from tests.unit.backends_eureka.registry_server import RegistryServer, read
from tests.unit.backends_eureka.test_contents import carry_out, change

NEVER = 3600.0


def following(server: RegistryServer, interval: float = NEVER) -> Changes:
    return Changes(server, read, interval=interval, identity="copy")


async def ids(changes: Changes, service: str = "a") -> list[str]:
    return [one.id for one in (await changes.refresh()).contents.instances(service)]


@examples(max_examples=60)
@given(steps=st.lists(change, max_size=25), seed=st.integers(0, 9))
def test_whatever_a_server_forgets_it_ends_in_the_same_state(
    steps: list[tuple[str, tuple[str, str] | None, object]], seed: int
) -> None:
    async def run() -> None:
        server = RegistryServer(seed=seed)
        async with aclosing(following(server)) as changes:
            forgot = False
            for kind, where, what in (*steps, ("read", None, None)):
                if kind != "read":
                    carry_out(server, kind, where, what)
                    forgot = forgot or kind == "forget"
                    continue
                state = await changes.refresh()
                assert state.contents.hashcode == _hash(server)
                if not forgot:
                    assert state.contents.keys == set(server.registered)
                    assert server.asked["whole"] == 1

    asyncio.run(run())


def _hash(server: RegistryServer) -> str:
    return "".join(f"{status}_{count}_" for status, count in sorted(server.statuses.items()) if count)


async def test_after_the_first_reading_deltas_are_enough() -> None:
    server = RegistryServer()
    server.add("A", "1")
    async with aclosing(following(server)) as changes:
        assert await ids(changes) == ["1"]
        server.add("A", "2")
        assert await ids(changes) == ["1", "2"]
        server.cancel("A", "1")
        assert await ids(changes) == ["2"]
        assert server.asked == {"whole": 1, "delta": 2}


async def test_a_hash_that_does_not_fit_leads_to_a_whole_reading() -> None:
    server = RegistryServer()
    server.add("A", "0")
    async with aclosing(following(server)) as changes:
        await changes.refresh()
        server.add("A", "1")
        server.forget()
        assert await ids(changes) == ["0", "1"]
        assert server.asked["whole"] == 2


async def test_without_deltas_everything_is_read() -> None:
    server = RegistryServer()
    server.offers_deltas = False
    server.add("A", "0")
    server.add("A", "1")
    async with aclosing(following(server)) as changes:
        known = (await changes.refresh()).cursor
        server.cancel("A", "1")
        assert await ids(changes) == ["0"]
        assert server.asked["whole"] == 2
        assert not changes.lost_since(known)


async def test_versions_that_go_back_lead_to_a_whole_reading() -> None:
    server = RegistryServer()
    server.add("A", "0")
    async with aclosing(following(server)) as changes:
        for _ in range(3):
            await changes.refresh()
        assert server.asked["whole"] == 1
        server.lose()
        server.add("A", "0", port=9)  # the same hash, and a delta that fits
        assert await ids(changes) == ["0"]
        assert server.asked["whole"] == 2


async def test_another_server_is_read_whole() -> None:
    server = RegistryServer()
    server.add("A", "0")
    async with aclosing(following(server)) as changes:
        known = (await changes.refresh()).cursor
        server.origin = "http://two"
        assert await ids(changes) == ["0"]
        assert server.asked["whole"] == 2
        assert not changes.lost_since(known)


async def test_what_was_read_long_ago_is_read_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    server = RegistryServer()
    server.add("A", "0")
    loop = asyncio.get_running_loop()
    async with aclosing(following(server)) as changes:
        await changes.refresh()
        now = loop.time()
        monkeypatch.setattr(loop, "time", lambda: now + 121)
        assert await ids(changes) == ["0"]
        assert server.asked["whole"] == 2


@pytest.mark.parametrize("back", [[], ["1"], ["1", "2"]])
async def test_instances_that_nobody_removed_are_lost_data(back: list[str]) -> None:
    server = RegistryServer()
    for number in "123":
        server.add("A", number)
    async with aclosing(following(server)) as changes:
        known = (await changes.refresh()).cursor
        server.lose()
        for number in back:
            server.add("A", number)
        state = await changes.refresh()
        assert changes.lost_since(known)
        assert state.cursor.store != known.store
        assert [one.id for one in state.contents.instances("a")] == back
        assert not changes.lost_since(state.cursor)
        server.add("A", "3")
        assert not changes.lost_since((await changes.refresh()).cursor)


async def test_a_server_that_has_everything_again_lost_nothing() -> None:
    server = RegistryServer()
    server.add("A", "1")
    async with aclosing(following(server)) as changes:
        known = (await changes.refresh()).cursor
        server.lose()
        server.add("A", "1")
        await changes.refresh()
        assert not changes.lost_since(known)


async def test_what_a_server_forgot_to_tell_is_no_loss_while_it_goes_on() -> None:
    server = RegistryServer()
    server.add("A", "stays")
    server.add("A", "1")
    async with aclosing(following(server)) as changes:
        known = (await changes.refresh()).cursor
        server.cancel("A", "1")
        server.forget()
        assert await ids(changes) == ["stays"]
        assert not changes.lost_since(known)


async def test_the_last_instance_that_is_removed_is_no_loss() -> None:
    server = RegistryServer()
    server.add("A", "1")
    async with aclosing(following(server)) as changes:
        known = (await changes.refresh()).cursor
        server.cancel("A", "1")
        assert await ids(changes) == []
        assert not changes.lost_since(known)


async def test_another_server_that_knows_less_lost_data_unless_it_says_who_left() -> None:
    for told in (True, False):
        server = RegistryServer()
        server.add("A", "1")
        server.add("A", "2")
        async with aclosing(following(server)) as changes:
            known = (await changes.refresh()).cursor
            server.origin = "http://two"
            server.cancel("A", "1")
            if not told:
                server.forget()
            assert await ids(changes) == ["2"]
            assert changes.lost_since(known) is not told


def test_a_position_of_another_copy_says_nothing() -> None:
    changes = following(RegistryServer())
    assert not changes.lost_since(None)
    assert not changes.lost_since(Cursor(position=1, store="other-0"))


async def test_who_asks_together_is_answered_by_one_reading() -> None:
    server = RegistryServer()
    async with aclosing(following(server)) as changes:
        await asyncio.gather(*(changes.refresh() for _ in range(1000)))
        assert server.asked == {"whole": 1}
        await asyncio.gather(*(changes.refresh() for _ in range(1000)))
        assert server.asked == {"whole": 1, "delta": 1}


async def test_who_asks_during_a_reading_waits_for_the_next_one() -> None:
    server = RegistryServer()
    async with aclosing(following(server)) as changes:
        first = asyncio.create_task(ids(changes))
        while not server.asked:  # noqa: ASYNC110 - it is a matter of turns
            await asyncio.sleep(0)
        server.add("A", "1")  # after it was read, maybe
        assert await ids(changes) == ["1"]
        await first


async def test_a_failure_is_told_to_all_and_the_next_reading_heals() -> None:
    server = RegistryServer()
    server.add("A", "1")
    async with aclosing(following(server)) as changes:
        await changes.refresh()
        follower = changes.follow()
        server.failure = BackendUnavailable("away")
        found = await asyncio.gather(*(changes.refresh() for _ in range(3)), return_exceptions=True)
        assert [str(one) for one in found] == ["away"] * 3
        assert len({id(one) for one in found}) == 3  # a traceback belongs to one raise only
        with pytest.raises(BackendUnavailable, match="away"):
            await follower.next()
        await changes.leave(follower)
        server.failure = None
        server.add("A", "2")
        assert await ids(changes) == ["1", "2"]
        assert server.asked["whole"] == 1  # what was known before the failure is gone on with


async def test_who_followed_hears_of_a_failure_also_after_a_reading_that_succeeded() -> None:
    server = RegistryServer()
    async with aclosing(following(server)) as changes:
        await changes.refresh()
        follower = changes.follow()
        server.failure = BackendUnavailable("away")
        with pytest.raises(BackendUnavailable):
            await changes.refresh()
        server.failure = None
        later = changes.follow()
        await changes.refresh()
        with pytest.raises(BackendUnavailable, match="away"):
            await follower.next()
        await later.next()
        await changes.leave(follower)
        assert changes.followed
        await changes.leave(later)


async def test_while_somebody_follows_it_is_read_again_and_again_and_then_no_more() -> None:
    server = RegistryServer()
    async with aclosing(following(server, interval=0.001)) as changes:
        await changes.refresh()
        followers = [changes.follow() for _ in range(3)]
        for _ in range(3):
            for follower in followers:
                await follower.next()
        asked = server.asked["delta"]
        assert asked >= 3
        for follower in followers:
            await changes.leave(follower)
        assert not changes.followed
        before = server.asked["delta"]
        await asyncio.sleep(0.02)
        assert server.asked["delta"] == before


async def test_a_reading_that_nobody_waits_for_is_given_up() -> None:
    server = RegistryServer()
    begun, never = asyncio.Event(), asyncio.Event()

    async def stall(*, purpose: str) -> None:
        begun.set()
        await never.wait()

    server.applications = stall  # type: ignore[assignment]
    changes = following(server)
    waiting = [asyncio.create_task(changes.refresh()) for _ in range(2)]
    await begun.wait()
    before = asyncio.all_tasks()
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)
    await asyncio.sleep(0)
    assert all(task.cancelled() for task in waiting)
    assert not [task for task in before if task.get_name() == "homeport eureka registry" and not task.done()]
    await changes.aclose()


async def test_closing_ends_what_is_waited_for() -> None:
    server = RegistryServer()
    begun = asyncio.Event()

    async def stall(*, purpose: str) -> None:
        begun.set()
        await asyncio.Event().wait()

    server.applications = stall  # type: ignore[assignment]
    changes = following(server)
    waiting = asyncio.create_task(changes.refresh())
    await begun.wait()
    await changes.aclose()
    with pytest.raises(BackendUnavailable, match="was closed"):
        await waiting


async def test_who_comes_after_one_that_gave_up_is_answered() -> None:
    server = RegistryServer()
    server.add("A", "1")
    begun, go_on = asyncio.Event(), asyncio.Event()
    answer = server.applications

    async def stall(*, purpose: str) -> Reading:
        begun.set()
        await go_on.wait()
        return await answer(purpose=purpose)

    server.applications = stall  # type: ignore[method-assign]
    async with aclosing(following(server)) as changes:
        first = asyncio.create_task(ids(changes))
        await begun.wait()
        second = asyncio.create_task(ids(changes))  # waits for the reading after that
        await asyncio.sleep(0)
        second.cancel()
        await asyncio.wait([second])
        third = asyncio.create_task(ids(changes))
        await asyncio.sleep(0)
        go_on.set()
        assert await first == await third == ["1"]


async def test_who_follows_is_told_that_it_was_closed() -> None:
    changes = following(RegistryServer())
    await changes.refresh()
    follower = changes.follow()
    waiting = asyncio.ensure_future(follower.next())
    await asyncio.sleep(0)
    await changes.aclose()
    with pytest.raises(BackendUnavailable, match="was closed"):
        async with asyncio.timeout(30.0):
            await waiting
    await changes.leave(follower)
