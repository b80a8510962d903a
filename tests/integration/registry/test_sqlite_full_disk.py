"""A disk without space, a size that is bounded, a place that cannot be written to: reads go on, writes say why not."""

import shutil
from itertools import count
from pathlib import Path

import pytest

from homeport.registry.store.contract import ReadOnly, StoreError, StoreFull
from homeport.registry.store.ledger import Ledger
from tests.integration.registry.ledgers import content, delete, ledger_in, put, stored
from tests.integration.registry.mounts import fill, read_only, small_disk


async def write_until_full(ledger: Ledger, size: int = 3000) -> int:
    """Write until there is no space; how many were acknowledged."""
    for number in count():
        try:
            await ledger.transact(put(f"n{number}", size))
        except StoreFull:
            return number
    raise AssertionError


async def test_on_a_full_disk_reads_go_on_and_writes_do_when_there_is_space(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", kib=1024) as disk:
        ballast = disk / "ballast"
        ballast.write_bytes(bytes(300 << 10))
        async with ledger_in(disk / "data") as ledger:
            written = await write_until_full(ledger)
            assert written > 20
            known, revision = content(ledger), ledger.image.revision
            for _ in range(5):
                with pytest.raises(StoreFull, match="no space left"):
                    await ledger.transact(put("more", 3000))
            with pytest.raises(StoreFull):
                await ledger.transact(put("n0"))
            assert content(ledger) == known
            assert set(known) == {f"node/n{number}" for number in range(written)}

            ballast.unlink()
            outcome = await ledger.transact(put("after", 3000))
            assert outcome.revision > revision
            known = content(ledger)
        assert await stored(disk / "data") == known


@pytest.mark.parametrize("crashed", [False, True], ids=["closed", "killed"])
async def test_a_store_on_a_full_disk_opens_and_serves_reads(tmp_path: Path, crashed: bool) -> None:
    with small_disk(tmp_path / "disk", kib=1024) as disk:
        folder = disk / "data"
        async with ledger_in(folder) as ledger:
            for number in range(20):
                await ledger.transact(put(f"n{number}", 3000))
            known, revision = content(ledger), ledger.image.revision
            if crashed:
                shutil.copytree(folder, disk / "killed")
        if crashed:
            shutil.rmtree(folder)
            folder = disk / "killed"
        ballast = fill(disk)

        async with ledger_in(folder) as ledger:
            assert content(ledger) == known
            assert ledger.image.revision >= revision
            for _ in range(3):
                with pytest.raises(StoreFull):
                    await ledger.transact(put("more", 3000))
            assert content(ledger) == known

            ballast.unlink()
            assert (await ledger.transact(put("after", 3000))).revision > revision
            known = content(ledger)
        assert await stored(folder) == known


async def test_closing_on_a_full_disk_loses_nothing(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", kib=1024) as disk:
        async with ledger_in(disk / "data") as ledger:
            await write_until_full(ledger)
            known = content(ledger)
        assert await stored(disk / "data") == known


async def test_a_new_store_needs_space_and_says_so(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", kib=64) as disk:
        (disk / "data").mkdir()
        ballast = fill(disk)
        with pytest.raises(StoreFull, match="no space left"):
            await stored(disk / "data")
        ballast.unlink()
        assert await stored(disk / "data") == {}


async def test_beyond_its_size_a_store_refuses_until_something_is_deleted(tmp_path: Path) -> None:
    async with ledger_in(tmp_path / "data", max_bytes=256 << 10) as ledger:
        written = await write_until_full(ledger)
        known = content(ledger)
        assert 20 < written < 100
        with pytest.raises(StoreFull):
            await ledger.transact(put("more", 3000))
        assert content(ledger) == known
        for number in range(10):
            await ledger.transact(delete(f"n{number}"))
        await ledger.transact(put("more", 3000))
        known = content(ledger)
    assert (tmp_path / "data" / "registry.db").stat().st_size <= 256 << 10
    assert await stored(tmp_path / "data") == known

    async with ledger_in(tmp_path / "data", max_bytes=512 << 10) as ledger:
        assert await write_until_full(ledger) > written


async def test_a_folder_that_cannot_be_written_to_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    async with ledger_in(folder) as ledger:
        await ledger.transact(put("a"))
        known = content(ledger)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with read_only(folder), pytest.raises(ReadOnly, match=f"{folder} cannot be written"):
        await stored(folder)
    with read_only(tmp_path), pytest.raises(ReadOnly, match="cannot be written"):
        await stored(tmp_path / "new")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert await stored(folder) == known


async def test_a_file_that_cannot_be_written_to_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    async with ledger_in(folder) as ledger:
        await ledger.transact(put("a"))
        known = content(ledger)
    with read_only(folder / "registry.db"), pytest.raises(StoreError, match=r"registry\.db cannot be written"):
        await stored(folder)
    assert await stored(folder) == known


async def test_the_log_does_not_grow_for_ever(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    log = folder / "registry.db-wal"
    bound = (8 << 20) + (1 << 20)
    async with ledger_in(folder) as ledger:
        for number in range(300):
            await ledger.transact(put(f"n{number % 40}", 100_000 + number))
            assert log.stat().st_size < bound

        def large(transaction: object) -> None:
            for number in range(200):
                put(f"large{number}", 100_000)(transaction)  # type: ignore[arg-type]

        await ledger.transact(large)
        assert log.stat().st_size > bound
        for number in range(3):
            await ledger.transact(put(f"n{number}", 1))
        assert log.stat().st_size < bound
        known = content(ledger)
    assert not log.exists()
    assert await stored(folder) == known
