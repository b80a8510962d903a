"""The history of checks: what the store keeps, what the file keeps, and a disk that fails."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from homeport.model import Status
from homeport.registry.health import HealthSettings
from homeport.registry.health.agenda import Agenda
from homeport.registry.health.history import History
from homeport.registry.health.history_file import HistoryFile, PastTransition
from homeport.registry.store.memory import MemoryStore
from tests.integration.health.engine import Engine, virtual
from tests.unit.health.virtual_time import START, VirtualTime


async def turns(engine: Engine, number: int, check_id: str = "t") -> None:
    """So many changes of status, one a second."""
    for position in range(number):
        status: Status = "critical" if position % 2 else "passing"
        await engine.time.pass_(1.0)
        await engine.health.heartbeat(check_id, status, f"turn {position}")


async def with_ttl(engine: Engine, check_id: str = "t", service_id: str = "web-1", name: str = "web") -> None:
    check = engine.check(check_id, service=service_id, kind="ttl", ttl=10_000.0)
    await engine.register(check, service_id=service_id, name=name)


async def outputs(engine: Engine, *, service: str = "", since: float = 0.0) -> list[str]:
    return [past.output for past in await engine.health.history(service=service, since=since) if past.output]


async def test_every_change_is_found_in_order() -> None:
    async with virtual() as engine:
        await with_ttl(engine)
        await turns(engine, 3)
        found = [past for past in await engine.health.history(service="web") if past.check_id == "t"]
        assert [(past.status, past.output, past.at - START) for past in found] == [
            ("critical", "", 0), ("passing", "turn 0", 1), ("critical", "turn 1", 2), ("passing", "turn 2", 3),
        ]  # fmt: skip
        assert {(past.service, past.service_id, past.node) for past in found} == {
            ("web", "web-1", engine.registry.node)
        }


async def test_a_time_and_a_service_may_be_asked_for() -> None:
    async with virtual() as engine:
        await with_ttl(engine)
        await with_ttl(engine, "u", "db-1", "db")
        await turns(engine, 2)
        await turns(engine, 2, "u")
        assert await outputs(engine, service="WEB") == ["turn 0", "turn 1"]
        assert await outputs(engine, service="db", since=START + 4) == ["turn 1"]
        assert len(await outputs(engine)) == 5  # with the agent's own check
        assert await outputs(engine, service="nobody") == []


async def test_more_than_the_store_keeps_is_found_once_each() -> None:
    async with virtual(HealthSettings(history_per_check=40)) as engine:
        await with_ttl(engine)
        await turns(engine, 60)
        assert await outputs(engine, service="web") == [f"turn {position}" for position in range(20, 60)]


async def test_the_history_of_what_is_gone_stays() -> None:
    async with virtual() as engine:
        await with_ttl(engine)
        await turns(engine, 2)
        await engine.deregister()
        assert await outputs(engine, service="web") == ["turn 0", "turn 1"]


async def test_it_outlives_the_process_in_a_file(tmp_path: Path) -> None:
    time, path = VirtualTime(), tmp_path / "history.db"
    for expected in (0, 60):
        async with virtual(HealthSettings(), time=time, store=MemoryStore(), history_path=path) as engine:
            assert len(await outputs(engine, service="web")) == expected
            await with_ttl(engine)
            await turns(engine, 60)


async def test_without_a_file_it_ends_with_the_process_but_for_what_the_store_keeps() -> None:
    time, store = VirtualTime(), MemoryStore()
    async with virtual(time=time, store=store) as engine:
        await with_ttl(engine)
        await turns(engine, 60)
    async with virtual(time=time, store=store) as engine:
        assert await outputs(engine, service="web") == [f"turn {position}" for position in range(40, 60)]


async def test_what_is_too_old_goes() -> None:
    async with virtual(HealthSettings(history_retention=3000.0)) as engine:
        await with_ttl(engine)
        await turns(engine, 60)
        await engine.deregister()
        await engine.time.pass_(2000.0)
        assert len(await outputs(engine, service="web")) == 60
        for _ in range(5):
            await engine.time.pass_(400.0)
            await outputs(engine)  # its thread has come so far
        assert await outputs(engine, service="web") == []


async def test_a_long_output_is_shortened_in_the_history_only() -> None:
    async with virtual() as engine:
        await with_ttl(engine)
        await engine.health.heartbeat("t", "passing", "x" * 3000)
        assert len(engine.record("t").output) == 3000
        (past,) = [past for past in await engine.health.history(service="web") if past.output]
        assert past.output == "x" * 512 + " …"


async def test_a_disk_that_fails_stops_nothing_and_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "folder"
    folder.write_text("a file where the folder should be")
    with caplog.at_level(logging.INFO):
        async with virtual(history_path=folder / "history.db") as engine:
            await with_ttl(engine)
            await turns(engine, 30)
            assert await outputs(engine, service="web") == [f"turn {position}" for position in range(30)]
            await engine.time.pass_(100.0)
            await turns(engine, 10)
            assert len(await outputs(engine, service="web")) == 40  # and no try is under way
            folder.unlink()
            await engine.time.pass_(31.0)
            assert len(await outputs(engine, service="web")) == 40
    told = [record.message for record in caplog.records if "history" in record.message]
    assert told == ["the history of checks is not recorded for now", "the history of checks is recorded again"]
    async with virtual(history_path=folder / "history.db") as engine:
        assert len(await outputs(engine, service="web")) == 40


async def test_what_comes_at_once_may_be_more_than_the_file_holds(tmp_path: Path) -> None:
    path, time = tmp_path / "history.db", VirtualTime()
    agenda = Agenda(monotonic=time.monotonic, call_later=time.call_later)
    history = History(
        path, agenda, retention=1e9, most_per_check=100_000, max_bytes=200_000, clock=time.clock
    )  # fmt: skip
    history.note(
        PastTransition(
            node="n", check_id="t", service="web", service_id="web-1", at=float(at), status="passing", output="x" * 500
        )
        for at in range(2000)
    )
    await history.aclose()
    file = HistoryFile(path, most_per_check=100_000, max_bytes=200_000)
    kept = [past.at for past in file.read(0.0, "")]
    file.close()
    assert len(kept) > 100
    assert kept == [float(at) for at in range(2000 - len(kept), 2000)]
    assert path.stat().st_size <= 200_000


async def test_its_size_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    settings = HealthSettings(history_max_bytes=200_000, history_per_check=100_000)
    async with virtual(settings, history_path=path) as engine:
        await with_ttl(engine)
        for position in range(1000):
            engine.time.run(0.01)
            await engine.health.heartbeat("t", "critical" if position % 2 else "passing", "x" * 500)
        assert len(await outputs(engine, service="web")) >= 20
    assert path.stat().st_size <= 200_000
