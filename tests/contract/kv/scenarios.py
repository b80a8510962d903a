"""What holds for keys and values whatever system keeps them: `KeyValue`, scenario by scenario."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Protocol

import pytest

from homeport import BackendUnavailable, Conflict, Refused
from homeport.spi import KeysObserved, KeyValue

PATIENCE = 60.0
LARGE_BYTES = 600 * 1024


class Keeper(Protocol):
    """A system of the test's own that keeps keys and values of up to 512 KiB."""

    def open(self) -> KeyValue:
        """A new backend, which hears a confirmation every second."""
        ...

    async def stop(self) -> None:
        """End the system."""
        ...

    async def start(self) -> None:
        """Start it again, with its data."""
        ...

    async def wipe(self) -> None:
        """Take away the data of the ended system."""
        ...


async def until(watch: AsyncIterator[KeysObserved], wanted: Callable[[dict[str, bytes]], bool]) -> KeysObserved:
    """Follow a watch until the keys with their values are as wanted."""
    async with asyncio.timeout(PATIENCE):
        async for observed in watch:
            if wanted({entry.key: entry.value for entry in observed.entries}):
                return observed
    raise AssertionError("the watch ended")


class KeyValueScenarios:
    """Given the fixtures ``backend``, ``folder`` (a prefix that no other test uses) and ``keeper``."""

    async def test_what_is_written_is_read(self, backend: KeyValue, folder: str) -> None:
        for key, value in (("a", b"text"), ("b/c d/é", bytes(range(256))), ("empty", b"")):
            assert await backend.read_key(f"{folder}{key}") is None
            await backend.write_key(f"{folder}{key}", value)
            entry = await backend.read_key(f"{folder}{key}")
            assert entry is not None
            assert (entry.key, entry.value) == (f"{folder}{key}", value)
            assert entry.revision > 0

    async def test_a_prefix_is_plain_text(self, backend: KeyValue, folder: str) -> None:
        for key in ("b", "app/b", "apple", "app/a"):
            await backend.write_key(f"{folder}{key}", key.encode())
        found = await backend.list_keys(f"{folder}app")
        assert [entry.key for entry in found] == [f"{folder}{key}" for key in ("app/a", "app/b", "apple")]
        assert [entry.value for entry in await backend.list_keys(f"{folder}app/")] == [b"app/a", b"app/b"]
        assert list(await backend.list_keys(f"{folder}none")) == []
        assert {entry.key for entry in found} < {entry.key for entry in await backend.list_keys("")}

    async def test_a_key_is_created_once(self, backend: KeyValue, folder: str) -> None:
        key = f"{folder}once"
        await backend.write_key(key, b"first", revision=0)
        with pytest.raises(Conflict, match="is at another revision; read it again and decide anew"):
            await backend.write_key(key, b"second", revision=0)
        entry = await backend.read_key(key)
        assert entry is not None
        assert entry.value == b"first"

    async def test_of_those_who_decide_on_one_revision_one_writes(self, backend: KeyValue, folder: str) -> None:
        key = f"{folder}counted"
        await backend.write_key(key, b"0")

        async def count() -> None:
            while True:
                entry = await backend.read_key(key)
                assert entry is not None
                try:
                    return await backend.write_key(key, b"%d" % (int(entry.value) + 1), revision=entry.revision)
                except Conflict:
                    continue

        await asyncio.gather(*(count() for _ in range(10)))
        entry = await backend.read_key(key)
        assert entry is not None
        assert entry.value == b"10"
        await backend.delete_key(key)
        with pytest.raises(Conflict):
            await backend.write_key(key, b"11", revision=entry.revision)

    async def test_only_what_was_seen_is_removed(self, backend: KeyValue, folder: str) -> None:
        key = f"{folder}removed"
        await backend.write_key(key, b"1")
        seen = await backend.read_key(key)
        assert seen is not None
        await backend.write_key(key, b"2")
        with pytest.raises(Conflict):
            await backend.delete_key(key, revision=seen.revision)
        now = await backend.read_key(key)
        assert now is not None
        assert now.value == b"2"
        await backend.delete_key(key, revision=now.revision)
        assert await backend.read_key(key) is None
        await backend.delete_key(key, revision=now.revision)  # it is gone, which is what was wanted
        await backend.delete_key(key)

    async def test_a_value_that_is_too_large_is_refused(self, keeper: Keeper, folder: str) -> None:
        async with opened(keeper) as backend:
            with pytest.raises(Refused, match=f'write the key "{folder}large"'):
                await backend.write_key(f"{folder}large", b"x" * LARGE_BYTES)
            assert await backend.read_key(f"{folder}large") is None

    async def test_every_final_state_below_a_prefix_is_seen(self, backend: KeyValue, folder: str) -> None:
        async with aclosing(backend.watch_keys(folder, prefix=True)) as watch:
            assert (await anext(watch)).entries == ()
            for number in range(20):
                await backend.write_key(f"{folder}{number % 3}", b"%d" % number)
            await backend.delete_key(f"{folder}0")
            observed = await until(watch, lambda keys: keys == {f"{folder}1": b"19", f"{folder}2": b"17"})
            assert [entry.key for entry in observed.entries] == [f"{folder}1", f"{folder}2"]
            assert not observed.reset

    async def test_one_key_is_watched_alone(self, backend: KeyValue, folder: str) -> None:
        async with aclosing(backend.watch_keys(f"{folder}a")) as watch:
            assert (await anext(watch)).entries == ()
            await backend.write_key(f"{folder}ab", b"other")
            await backend.write_key(f"{folder}a", b"own")
            await until(watch, lambda keys: keys == {f"{folder}a": b"own"})
            await backend.delete_key(f"{folder}a")
            await until(watch, lambda keys: keys == {})

    async def test_a_silent_watch_is_confirmed(self, backend: KeyValue, folder: str) -> None:
        await backend.write_key(f"{folder}a", b"1")
        async with asyncio.timeout(PATIENCE), aclosing(backend.watch_keys(folder, prefix=True)) as watch:
            observed = [await anext(watch) for _ in range(4)]
        assert len({one.entries for one in observed}) == 1
        assert not any(one.reset for one in observed)

    async def test_an_outage_ends_a_watch_and_nothing_is_lost(self, keeper: Keeper, folder: str) -> None:
        async with opened(keeper) as backend:
            await backend.write_key(f"{folder}a", b"1")
            async with aclosing(backend.watch_keys(folder, prefix=True)) as watch:
                before = await anext(watch)
                await keeper.stop()
                with pytest.raises(BackendUnavailable):
                    await until(watch, lambda keys: keys == {})
            with pytest.raises(BackendUnavailable):
                await backend.read_key(f"{folder}a")
            await keeper.start()
            async with aclosing(backend.watch_keys(folder, prefix=True, after=before.cursor)) as watch:
                observed = await anext(watch)
                assert (observed.entries, observed.reset) == (before.entries, False)

    async def test_lost_data_are_told_from_removed_keys(self, keeper: Keeper, folder: str) -> None:
        async with opened(keeper) as backend:
            for number in range(5):
                await backend.write_key(f"{folder}{number}", b"1")
            async with aclosing(backend.watch_keys(folder, prefix=True)) as watch:
                before = await anext(watch)
                await keeper.stop()
                with pytest.raises(BackendUnavailable):
                    await until(watch, lambda keys: keys == {})
            await keeper.wipe()
            await keeper.start()
            async with aclosing(backend.watch_keys(folder, prefix=True, after=before.cursor)) as watch:
                observed = await anext(watch)
                assert (observed.entries, observed.reset) == ((), True)


@asynccontextmanager
async def opened(keeper: Keeper) -> AsyncIterator[KeyValue]:
    """A backend of the keeper, closed at the end."""
    backend = keeper.open()
    try:
        yield backend
    finally:
        await backend.aclose()
