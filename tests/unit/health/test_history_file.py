"""The file of the longer history."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from homeport.registry.health.history_file import HistoryFile, PastTransition


def past(at: float, *, check: str = "c", service: str = "web", output: str = "") -> PastTransition:
    return PastTransition(
        node="n", check_id=check, service=service, service_id=f"{service}-1", at=at, status="critical", output=output
    )


@pytest.fixture(params=["file", "memory"])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[HistoryFile]:
    made = HistoryFile(
        tmp_path / "new" / "history.db" if request.param == "file" else None, most_per_check=5, max_bytes=1 << 20
    )
    yield made
    made.close()


def test_what_is_written_is_read_in_order(file: HistoryFile) -> None:
    file.write([past(2), past(1, check="d")])
    file.write([past(3)])
    assert file.read(0, "") == [past(1, check="d"), past(2), past(3)]
    assert file.read(2, "") == [past(2), past(3)]


def test_a_service_is_found_without_regard_to_case(file: HistoryFile) -> None:
    file.write([past(1), past(2, service="other")])
    assert file.read(0, "WEB") == [past(1)]


def test_of_each_check_the_newest_are_kept(file: HistoryFile) -> None:
    file.write([past(at) for at in range(1, 8)])
    file.write([past(at, check="d") for at in range(1, 4)])
    file.write([past(8)])
    assert [row.at for row in file.read(0, "") if row.check_id == "c"] == [4, 5, 6, 7, 8]
    assert [row.at for row in file.read(0, "") if row.check_id == "d"] == [1, 2, 3]


def test_what_is_too_old_is_removed(file: HistoryFile) -> None:
    file.write([past(1), past(2), past(3)])
    file.remove_before(2)
    assert [row.at for row in file.read(0, "")] == [2, 3]


def test_it_outlives_being_closed(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    for at in (1, 2):
        file = HistoryFile(path, most_per_check=5, max_bytes=1 << 20)
        file.write([past(at)])
        file.close()
    file = HistoryFile(path, most_per_check=5, max_bytes=1 << 20)
    assert [row.at for row in file.read(0, "")] == [1, 2]
    file.close()


def test_beyond_its_size_the_oldest_go(tmp_path: Path) -> None:
    path, most = tmp_path / "history.db", 200_000
    file = HistoryFile(path, most_per_check=10_000, max_bytes=most)
    for number in range(100):
        file.write([past(number, output="x" * 4000), past(number, check="d", output="x" * 4000)])
    kept = [row.at for row in file.read(0, "")]
    file.close()
    assert path.stat().st_size <= most
    assert kept[-1] == 99
    assert kept[0] > 50
    assert kept == sorted(kept)


def test_making_room_in_vain_removes_nothing(tmp_path: Path) -> None:
    file = HistoryFile(tmp_path / "history.db", most_per_check=10_000, max_bytes=200_000)
    for number in range(20):
        file.write([past(number, output="x" * 4000)])
    with pytest.raises(sqlite3.OperationalError, match="full"):
        file.write([past(20, output="x" * 300_000)])
    assert [row.at for row in file.read(0, "")] == list(range(20))
    file.close()


def test_a_damaged_file_is_put_aside(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    path.write_bytes(b"this is no database" * 100)
    file = HistoryFile(path, most_per_check=5, max_bytes=1 << 20)
    file.write([past(1)])
    assert file.read(0, "") == [past(1)]
    file.close()
    assert (tmp_path / "history.damaged").read_bytes().startswith(b"this is no database")


def test_a_folder_that_cannot_be_made_raises_and_is_tried_again(tmp_path: Path) -> None:
    blocker = tmp_path / "folder"
    blocker.write_text("a file where the folder should be")
    file = HistoryFile(blocker / "history.db", most_per_check=5, max_bytes=1 << 20)
    with pytest.raises((OSError, sqlite3.Error)):
        file.write([past(1)])
    blocker.unlink()
    file.write([past(1)])
    assert file.read(0, "") == [past(1)]
    file.close()


def test_a_group_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    file = HistoryFile(tmp_path / "history.db", most_per_check=10_000, max_bytes=100_000)
    file.write([past(1)])
    with pytest.raises(sqlite3.Error):
        file.write([past(number, output="x" * 1000) for number in range(2, 500)])
    assert file.read(2, "") == []
    file.write([past(500)])
    assert [row.at for row in file.read(2, "")] == [500]
    file.close()
