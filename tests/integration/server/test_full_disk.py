"""A disk without space, as clients see it: writes are refused with 507, reads go on, writes come back by themselves."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.integration.registry.mounts import fill, small_disk
from tests.integration.server.talking import Talk
from tests.servers.factory import HomeportFactory
from tests.unit.server.answered import Answered


@contextmanager
def disk_of_a_store(folder: Path) -> Iterator[Path]:
    """A small disk, of which the history of checks takes and frees nothing, as it would at times of its own."""
    with small_disk(folder, kib=2048) as disk:
        (disk / "data" / "history.db").mkdir(parents=True)
        yield disk


def register(talk: Talk, name: str, *, size: int = 4000) -> Answered:
    """Register an instance with a check; its record has about so many bytes."""
    body = {
        "Name": name, "Meta": {f"k{number}": "x" * 500 for number in range(size // 500)},
        "Check": {"TTL": "600s", "Status": "passing"},
    }  # fmt: skip
    return talk.put("/v1/agent/service/register", json.dumps(body).encode())


def register_until_full(talk: Talk, prefix: str) -> set[str]:
    """Register instances until one is refused; the names of those that were not."""
    kept: set[str] = set()
    while register(talk, f"{prefix}{len(kept)}").status == 200:
        kept.add(f"{prefix}{len(kept)}")
        assert len(kept) < 1000
    return kept


def services(talk: Talk) -> set[str]:
    return set(talk.ask("/v1/agent/services").json)


def test_writes_are_refused_and_come_back(homeport_factory: HomeportFactory, tmp_path: Path) -> None:
    with disk_of_a_store(tmp_path / "disk") as disk:
        ballast = disk / "ballast"
        ballast.write_bytes(bytes(800 << 10))
        server = homeport_factory(arguments=["--data-dir", str(disk / "data")])
        try:
            with Talk(server.address) as talk, Talk(server.address) as watcher:
                kept = register_until_full(talk, "s")
                assert len(kept) > 20
                refused = 0
                for number in range(10):
                    answer = register(talk, f"more{number}")
                    if answer.status == 200:
                        kept.add(f"more{number}")
                    else:
                        assert (answer.status, answer.header("Content-Type")) == (507, "text/plain; charset=utf-8")
                        assert answer.text.startswith("nothing was written: no space left for ")
                        refused += 1
                    # What is small may find a place, and make one.
                    status = talk.put(f"/v1/agent/service/deregister/s{number}").status
                    assert status in (200, 507)
                    if status == 200:
                        kept.remove(f"s{number}")
                    # What is no write works: reads of both ways, a heartbeat that changes nothing.
                    assert services(talk) == kept
                    assert len(talk.ask("/v1/health/service/s20").json) == 1
                    assert talk.put("/v1/agent/check/pass/service:s20").status == 200
                assert refused > 0

                kept |= register_until_full(talk, "last")
                index = talk.ask("/v1/catalog/services").index
                watcher.get(f"/v1/catalog/services?index={index}")
                assert register(talk, "refused").status == 507
                assert talk.ask("/v1/catalog/services").index == index
                ballast.unlink()
                assert register(talk, "after").status == 200
                assert watcher.answer().index > index
                assert services(talk) == kept | {"after"}
            assert server.stop() == 0
            server.start()
            with Talk(server.address) as talk:
                assert services(talk) == kept | {"after"}
                checks = set(talk.ask("/v1/agent/checks").json)
                assert checks == {f"service:{name}" for name in kept | {"after"}}
        finally:
            server.kill()


def test_a_server_starts_on_a_full_disk_and_answers_reads(homeport_factory: HomeportFactory, tmp_path: Path) -> None:
    with disk_of_a_store(tmp_path / "disk") as disk:
        server = homeport_factory(arguments=["--data-dir", str(disk / "data")])
        try:
            with Talk(server.address) as talk:
                assert register(talk, "kept").status == 200
            server.kill()
            ballast = fill(disk)
            server.start()
            with Talk(server.address) as talk:
                assert services(talk) == {"kept"}
                assert register(talk, "refused").status == 507
                ballast.unlink()
                assert register(talk, "after").status == 200
                assert services(talk) == {"kept", "after"}
        finally:
            server.kill()
