"""Following real files through `Discovery`, in all the ways in which files change."""

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from homeport import (
    BackendUnavailable,
    ClientSettings,
    Discovery,
    InvalidAnswer,
    PermissionDenied,
    Snapshot,
)
from homeport.backends.static.reading import FollowedFile
from homeport.client.watch import Watch
from homeport.testing.contract.waiting import fresh, stale, until

EAGER = ClientSettings(first_retry_interval=0.02, longest_retry_interval=0.05)


def content(*ports: int) -> str:
    return "services:\n  billing:\n" + "".join(f"    - 10.0.0.1:{port}\n" for port in ports)


def url(path: Path) -> str:
    return f"static://{path}?reload_interval=0.02"


def opened(path: Path) -> Discovery:
    return Discovery(url(path), settings=EAGER, environ={})


def has(*ports: int) -> Callable[[Snapshot], bool]:
    return lambda snapshot: sorted(one.port for one in snapshot) == sorted(ports)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "services.yaml"
    path.write_text(content(1))
    return path


def write_in_place(path: Path, text: str) -> None:
    path.write_text(text)


def rename_into_place(path: Path, text: str) -> None:
    new = path.with_suffix(".new")
    new.write_text(text)
    new.replace(path)


def remove_and_write(path: Path, text: str) -> None:
    path.unlink()
    path.write_text(text)


def remove(path: Path) -> None:
    path.unlink()


def modified(path: Path) -> int:
    return path.stat().st_mtime_ns


def keep_size_and_time(path: Path, text: str) -> None:
    """Only the inode tells."""
    about = path.stat()
    new = path.with_suffix(".new")
    new.write_text(text)
    os.utime(new, ns=(about.st_atime_ns, about.st_mtime_ns))
    new.replace(path)


async def test_a_file_is_found_and_listed(path: Path) -> None:
    write_in_place(path, content(1, 2) + "  api:\n    - {address: h, port: 3, tags: [x], status: critical}\n")
    async with opened(path) as discovery:
        found = await discovery.discover("billing")
        assert (sorted(one.port for one in found), found.backend) == ([1, 2], f"static://{path}")
        assert len(await discovery.discover("api")) == 0
        assert len(await discovery.discover("api", healthy=False)) == 1
        assert [(one.name, one.instances, one.passing) for one in await discovery.services()] == [
            ("api", 1, 0),
            ("billing", 2, 2),
        ]
        assert await discovery.backend.ping() == {
            "product": "static", "file": str(path), "services": "2", "instances": "3",
        }  # fmt: skip


async def test_json_is_read_too(tmp_path: Path) -> None:
    path = tmp_path / "services.json"
    write_in_place(path, '{\n\t"services": {"billing": [{"address": "h", "port": 7}]}}')
    async with opened(path) as discovery:
        assert (await discovery.resolve("billing")).port == 7
        write_in_place(path, '{"services": {"a": [], "a": []}}')
        with pytest.raises(InvalidAnswer, match=r"services\.json: a is given twice"):
            await discovery.discover("billing", use_cache=False)
        write_in_place(path, '{"services": ')
        with pytest.raises(InvalidAnswer, match=r"services\.json: line 1, column 14: it is not JSON"):
            await discovery.discover("billing", use_cache=False)


@pytest.mark.parametrize("write", [write_in_place, rename_into_place, remove_and_write, keep_size_and_time])
async def test_every_way_of_writing_is_seen(path: Path, write: Callable[[Path, str], None]) -> None:
    old = modified(path) - 10_000_000_000
    os.utime(path, ns=(old, old))  # long unchanged, so that nothing but the change itself makes it be read
    async with opened(path) as discovery, discovery.watch("billing") as billing:
        assert has(1)(billing.current)
        for port in (2, 3):
            write(path, content(port))
            await until(billing, has(port))
        assert billing.pick().port == 3


async def test_several_writes_within_one_moment_are_all_seen(path: Path) -> None:
    async with opened(path) as discovery, discovery.watch("billing") as billing:
        for port in range(2, 9):
            write_in_place(path, content(port))
            # As on a file system that counts in seconds: same size, same inode, and mostly the same time.
            second = int(time.time())
            os.utime(path, (second, second))
            await until(billing, has(port))


async def test_a_link_that_is_turned_as_kubernetes_does_is_seen(tmp_path: Path) -> None:
    """A ConfigMap: services.yaml -> ..data/services.yaml, and ..data -> a folder that is replaced."""

    def publish(version: str, text: str) -> None:
        folder = tmp_path / f"..{version}"
        folder.mkdir()
        (folder / "services.yaml").write_text(text)
        link = tmp_path / "..data_tmp"
        link.symlink_to(folder.name)
        link.replace(tmp_path / "..data")

    publish("2026_01", content(1))
    path = tmp_path / "services.yaml"
    path.symlink_to("..data/services.yaml")
    async with opened(path) as discovery, discovery.watch("billing") as billing:
        publish("2026_02", content(2))
        await until(billing, has(2))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("services: {a: [{addres: x}]}", "services.a[0].addres is no key of an instance; did you mean address?"),
        ("services: [", "line 1, column 12: expected the node content, but found '<stream end>'"),
        ("services:\n  a: []\n  a: []\n", "line 3, column 3: a is given twice"),
        ("", 'there must be "services:" in it'),
        ("services: {}\n---\nservices: {}\n", "it has 2 documents; put all services into one"),
    ],
)
async def test_a_broken_file_keeps_what_was_read_and_says_why(path: Path, text: str, reason: str) -> None:
    async with opened(path) as discovery, discovery.watch("billing") as billing:
        write_in_place(path, text)
        broken = await until(billing, stale)
        assert has(1)(broken)
        assert broken.reason.startswith(f"{path}: {reason}")
        with pytest.raises(InvalidAnswer) as caught:
            await discovery.discover("billing", use_cache=False)
        assert str(caught.value) == broken.reason
        assert caught.value.backend == f"static://{path}"
        write_in_place(path, content(2))
        mended = await until(billing, has(2))
        assert fresh(mended)


async def test_a_file_that_is_gone_keeps_what_was_read_until_it_is_back(path: Path) -> None:
    async with opened(path) as discovery, discovery.watch("billing") as billing:
        remove(path)
        gone = await until(billing, stale)
        assert (has(1)(gone), gone.reason) == (True, f"{path}: there is no such file")
        write_in_place(path, content(1))
        await until(billing, fresh)
        assert has(1)(billing.current)


async def test_a_file_that_was_never_there_is_out_of_reach(tmp_path: Path) -> None:
    async with opened(tmp_path / "absent.yaml") as discovery:
        with pytest.raises(BackendUnavailable, match=r"absent\.yaml: there is no such file"):
            await discovery.discover("billing")
        (tmp_path / "absent.yaml").write_text(content(1))
        assert (await discovery.resolve("billing")).port == 1


async def test_what_cannot_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(tmp_path) as discovery:
        with pytest.raises(BackendUnavailable, match="it cannot be read: Is a directory"):
            await discovery.discover("billing")
    forbidden = tmp_path / "forbidden.yaml"
    forbidden.write_bytes(b"\xff\xfe")
    async with opened(forbidden) as discovery:
        with pytest.raises(InvalidAnswer, match="it is not text in UTF-8"):
            await discovery.discover("billing")

    # Whoever runs the tests may be allowed to read everything.
    def denied(_path: Path) -> os.stat_result:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "stat", denied)
    async with opened(forbidden) as discovery:
        with pytest.raises(PermissionDenied, match="it cannot be read: Permission denied"):
            await discovery.discover("billing")


async def test_half_of_what_is_written_in_place_is_not_taken_for_the_whole(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow writer: after each line the file would be valid, with fewer instances."""
    # On a machine that stands still for a while, what it just wrote is old, and its lines take long.
    monkeypatch.setattr("homeport.backends.static.reading._RECENT", 3600.0)
    monkeypatch.setattr("homeport.backends.static.reading._PATIENCE", 10_000)
    write_in_place(path, content(*range(1, 41)))
    async with opened(path) as discovery, discovery.watch("billing") as billing:
        sizes: set[int] = set()
        finished = asyncio.Event()

        async def read() -> None:
            async for snapshot in billing:
                sizes.add(len(snapshot))
                if finished.is_set() and has(*range(101, 141))(snapshot):
                    return

        reader = asyncio.create_task(read())
        for first in (201, 101):
            with path.open("w") as file:
                file.write("services:\n  billing:\n")
                for port in range(first, first + 40):
                    file.write(f"    - 10.0.0.1:{port}\n")
                    file.flush()
                    await asyncio.sleep(0.004)
        finished.set()
        await until(billing, has(*range(101, 141)))
        await billing.close()
        await reader
        assert sizes == {40}


async def test_many_watches_share_one_reading(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"s{number}" for number in range(50)]
    text = "services:\n" + "".join(f"  {name}: [h:1]\n" for name in names)
    write_in_place(path, text)
    old = modified(path) - 10_000_000_000
    os.utime(path, ns=(old, old))
    readings: list[str] = []
    original = Path.read_text

    def counting(self: Path, *arguments: str, **options: str) -> str:
        if self == path:
            readings.append(str(self))
        return original(self, *arguments, **options)

    monkeypatch.setattr(Path, "read_text", counting)
    async with opened(path) as discovery:
        watches: list[Watch] = [await discovery.watch(name) for name in names]
        assert readings == [str(path)]
        rename_into_place(path, text.replace("h:1", "h:2"))
        os.utime(path, ns=(old + 1, old + 1))
        for watch in watches:
            await until(watch, has(2))
        assert len(readings) < 10


async def test_who_may_take_a_look_of_before_does_not_look_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[Path] = []
    original = Path.stat

    def counting(self: Path, **options: bool) -> os.stat_result:
        if self == path:
            looks.append(self)
        return original(self, **options)

    old = modified(path) - 10_000_000_000
    os.utime(path, ns=(old, old))
    monkeypatch.setattr(Path, "stat", counting)
    file = FollowedFile(path, backend="static://")
    readings = await asyncio.gather(*(file.read(not_older_than=3600) for _ in range(50)))
    assert len(looks) == 1
    assert {reading.position for reading in readings} == {1}
    await file.read()
    assert len(looks) == 2


async def test_a_look_that_stands_still_takes_nothing_new_for_old(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that does not run for some seconds, amid its look at a file of which half is written."""
    looks = 0
    original, written = Path.stat, modified(path) / 1e9

    def slow(self: Path, **options: bool) -> os.stat_result:
        nonlocal looks
        if self == path:
            looks += 1
            if looks == 2:
                write_in_place(path, content(1, 2))
        return original(self, **options)

    monkeypatch.setattr(Path, "stat", slow)
    monkeypatch.setattr("homeport.backends.static.reading.time", SimpleNamespace(time=lambda: written + 5.0 * looks))
    reading = await FollowedFile(path, backend="static://").read()
    assert len(reading.services["billing"]) == 2


async def test_the_interval_decides_when_a_change_is_seen(path: Path) -> None:
    slow = Discovery(f"static://{path}?reload_interval=3600", environ={})
    async with slow, opened(path) as quick, slow.watch("billing") as late, quick.watch("billing") as early:
        write_in_place(path, content(2))
        await until(early, has(2))
        assert has(1)(late.current)
        assert has(2)(await slow.discover("billing", use_cache=False))


async def test_it_stands_in_for_a_registry_that_is_not_there(path: Path) -> None:
    chain = ["homeport://127.0.0.1:1", url(path)]
    async with Discovery(chain, settings=EAGER, environ={}) as discovery:
        found = await discovery.discover("billing")
        assert (has(1)(found), found.backend, found.stale) == (True, f"static://{path}", False)
        assert [one.name for one in await discovery.services()] == ["billing"]
        with pytest.raises(BackendUnavailable, match="connection refused"):
            _ = await discovery.register("billing", port=1)


async def test_the_environment_may_name_the_chain(path: Path) -> None:
    environ = {"HOMEPORT_BACKEND": "homeport://127.0.0.1:1 static", "HOMEPORT_STATIC_FILE": str(path)}
    async with Discovery(environ=environ) as discovery:
        assert (await discovery.resolve("billing")).port == 1


async def test_the_core_alone_is_enough(path: Path, tmp_path: Path) -> None:
    """No optional dependency, and not even the HTTP client of the core, is imported."""
    code = (
        "import asyncio, json, sys\n"
        "from homeport import Discovery\n"
        "async def main():\n"
        f"    async with Discovery('static://{path}') as discovery:\n"
        "        return (await discovery.resolve('billing')).port\n"
        "port = asyncio.run(main())\n"
        "names = {name.partition('.')[0] for name in sys.modules}\n"
        "print(json.dumps([port, sorted(names & {'aiohttp', 'typer', 'rich', 'grpc', 'structlog', 'uvicorn'})]))\n"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, cwd=tmp_path
    )
    out, error = await process.communicate()
    assert json.loads(out) == [1, []], error.decode()
