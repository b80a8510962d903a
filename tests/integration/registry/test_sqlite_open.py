"""Opening what is in use, is not ours, is newer, or is damaged: one sentence, and nothing is changed."""

import asyncio
import os
import random
import shutil
import sqlite3
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from homeport.registry.store.contract import StoreBusy, StoreDamaged, StoreError
from homeport.registry.store.sqlite import SqliteStore
from tests.contract.store.effects import node_put, write
from tests.contract.store.follower import Follower
from tests.integration.registry.ledgers import Content, content, ledger_in, put, stored

HOLDS_A_STORE = """
import asyncio, sys
from pathlib import Path
from homeport.registry.store.sqlite import SqliteStore
from tests.contract.store.follower import Follower

async def main():
    await SqliteStore(Path(sys.argv[1])).open(Follower())
    print("open", flush=True)
    sys.stdin.read()

asyncio.run(main())
"""
HOLDS_THE_FILE = """
import sqlite3, sys

connection = sqlite3.connect(sys.argv[1] + "/registry.db", isolation_level=None)
connection.execute("SELECT * FROM record").fetchall()
print("open", flush=True)
sys.stdin.read()
"""


@asynccontextmanager
async def another_process(program: str, folder: Path) -> AsyncIterator[None]:
    """A Python process that says when it is ready, until the end."""
    environ = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, str(folder),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, env=environ,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert await process.stdout.readline() == b"open\n"
        yield
    finally:
        process.stdin.close()
        await process.wait()


async def written(folder: Path) -> Content:
    """A store with a few records, closed."""
    async with ledger_in(folder) as ledger:
        for name in "abc":
            await ledger.transact(put(name))
        return content(ledger)


def everything_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


async def refused(folder: Path) -> str:
    """The one line that opening the folder fails with."""
    with pytest.raises(StoreError) as raised:
        await stored(folder)
    text = str(raised.value)
    assert "\n" not in text
    assert str(folder) in text
    return text


async def test_a_folder_belongs_to_one_process(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    known = await written(folder)
    async with another_process(HOLDS_A_STORE, folder):
        for _ in range(2):
            with pytest.raises(StoreBusy, match=f"another process is using the data folder {folder}"):
                await stored(folder)
    assert await stored(folder) == known


async def test_a_folder_belongs_to_one_store_of_a_process(tmp_path: Path) -> None:
    async with ledger_in(tmp_path) as ledger:
        with pytest.raises(StoreBusy):
            await stored(tmp_path)
        await ledger.transact(put("a"))
    assert await stored(tmp_path) == content(ledger)


async def test_a_file_that_another_program_has_open_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    async with ledger_in(folder) as ledger:
        await ledger.transact(put("a"))
        shutil.copytree(folder, tmp_path / "copy")  # with its log, so that the other program enters WAL mode, too
    async with another_process(HOLDS_THE_FILE, tmp_path / "copy"):
        with pytest.raises(StoreBusy, match=r"another process is using .*registry\.db"):
            await stored(tmp_path / "copy")
    assert await stored(tmp_path / "copy") == content(ledger)


async def test_nobody_writes_beside_an_open_store(tmp_path: Path) -> None:
    async with ledger_in(tmp_path):
        with (
            closing(sqlite3.connect(tmp_path / "registry.db", timeout=0)) as other,
            pytest.raises(sqlite3.OperationalError, match="locked"),
        ):
            other.execute("SELECT * FROM record")


@pytest.mark.parametrize("text", [b"x", b"This is a letter.\n" * 500, bytes(range(256)) * 40])
async def test_a_file_that_is_no_database_is_left_alone(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "registry.db").write_bytes(text)
    assert "not a registry's database" in await refused(tmp_path)
    assert (tmp_path / "registry.db").read_bytes() == text


@pytest.mark.parametrize(
    "schema",
    ["CREATE TABLE invoice (id)", "CREATE TABLE record (id); CREATE TABLE state (a)", "CREATE TABLE state (format)"],
)
@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
async def test_a_database_of_somebody_elses_is_left_alone(tmp_path: Path, schema: str, mode: str) -> None:
    connection = sqlite3.connect(tmp_path / "registry.db", isolation_level=None)
    connection.execute(f"PRAGMA journal_mode = {mode}")
    connection.executescript(schema)
    connection.close()
    before = (tmp_path / "registry.db").read_bytes()
    text = await refused(tmp_path)
    assert "registry's database" in text
    assert (tmp_path / "registry.db").read_bytes() == before


def change(folder: Path, sql: str) -> None:
    """Change a closed store behind its back."""
    connection = sqlite3.connect(folder / "registry.db")
    with connection:
        connection.execute(sql)
    connection.close()


async def test_another_format_is_named_and_left_alone(tmp_path: Path) -> None:
    await written(tmp_path)
    change(tmp_path, "UPDATE state SET format = 2")
    before = everything_in(tmp_path)
    assert "another version of Homeport (format 2, this one reads 1)" in await refused(tmp_path)
    assert everything_in(tmp_path) == before
    change(tmp_path, "UPDATE state SET format = 1")
    assert len(await stored(tmp_path)) == 3


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE record SET value = x'7b' WHERE key = 'node/b'",
        "UPDATE record SET value = '{\"name\": 5}' WHERE key = 'node/b'",
        "UPDATE record SET value = 7 WHERE key = 'node/b'",
        "UPDATE record SET key = 'what/b' WHERE key = 'node/b'",
        "UPDATE record SET key = x'6e6f64652fff' WHERE key = 'node/b'",
        "UPDATE record SET modified = 'soon' WHERE key = 'node/b'",
        "UPDATE state SET revision = 'many'",
        "DELETE FROM state",
        "DROP TABLE record",
    ],
)
async def test_a_damaged_record_is_named_and_left_alone(tmp_path: Path, sql: str) -> None:
    await written(tmp_path)
    change(tmp_path, sql)
    before = everything_in(tmp_path)
    with pytest.raises(StoreDamaged) as raised:
        await stored(tmp_path)
    assert "\n" not in str(raised.value)
    assert everything_in(tmp_path) == before


async def test_a_damaged_page_is_no_surprise(tmp_path: Path) -> None:
    """Whatever is overwritten: it opens, or says that it cannot, and never with an error that nobody expects."""
    whole, random_source = tmp_path / "whole", random.Random(7)
    async with ledger_in(whole) as ledger:
        for number in range(200):
            await ledger.transact(put(f"n{number}", 200))
    original = (whole / "registry.db").read_bytes()
    refusals = []
    for number in range(60):
        folder = tmp_path / str(number)
        folder.mkdir()
        damaged = bytearray(original)
        start = random_source.randrange(len(damaged))
        length = random_source.choice([1, 16, 4096])
        damaged[start : start + length] = random_source.randbytes(len(damaged[start : start + length]))
        (folder / "registry.db").write_bytes(damaged)
        try:
            await stored(folder)
        except StoreError as error:
            refusals.append(str(error))
    assert len(refusals) > 10
    assert not any("\n" in refusal for refusal in refusals)


async def test_a_new_store_is_made_with_its_folders_for_its_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "some" / "where" / "data"
    async with ledger_in(folder):
        assert folder.stat().st_mode & 0o777 == 0o700
        assert (folder / "registry.db").stat().st_mode & 0o077 == 0


async def test_a_store_that_died_while_it_was_made_is_made_again(tmp_path: Path) -> None:
    (tmp_path / "registry.db").touch()
    (tmp_path / "registry.lock").touch()
    assert await stored(tmp_path) == {}
    assert len(await written(tmp_path)) == 3


@pytest.mark.parametrize("name", ["registry.db", "registry.lock"])
async def test_a_folder_in_the_place_of_a_file_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    assert "is a directory" in await refused(tmp_path)


async def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    for folder in (tmp_path / "data", tmp_path / "data" / "below"):
        assert "cannot be used" in await refused(folder)


async def test_a_closed_store_leaves_no_thread_and_can_be_opened_again(tmp_path: Path) -> None:
    store, first = SqliteStore(tmp_path), Follower()
    for _ in range(3):
        await store.open(first)
        await store.commit([write(node_put("a"))])
        await store.aclose()
        second = Follower()
        await store.open(second)
        assert second.content() == first.content()
        await store.aclose()
    assert set(everything_in(tmp_path)) == {"registry.db", "registry.lock"}
    assert store.description == str(tmp_path / "registry.db")


def test_a_store_that_failed_to_open_leaves_no_thread(tmp_path: Path) -> None:
    (tmp_path / "registry.db").write_bytes(b"no database")
    before = set(threading.enumerate())

    async def main() -> None:
        for _ in range(3):
            await refused(tmp_path)

    asyncio.run(main())
    assert set(threading.enumerate()) <= before


@pytest.mark.parametrize("what", ["removed", "replaced"])
async def test_nothing_is_acknowledged_that_nobody_could_find_again(tmp_path: Path, what: str) -> None:
    folder = tmp_path / "data"
    async with ledger_in(folder) as ledger:
        await ledger.transact(put("a"))
        known = content(ledger)
        folder.rename(tmp_path / "elsewhere")
        if what == "replaced":
            await written(folder)
        for _ in range(2):
            with pytest.raises(StoreError, match="was removed or replaced while in use"):
                await ledger.transact(put("b"))
        assert content(ledger) == known
    assert await stored(tmp_path / "elsewhere") == known
    assert folder.exists() == (what == "replaced")
