"""What `watch` prints for a sequence of snapshots."""

import json
from typing import Any

import msgspec
import pytest

from homeport.cli.options import Form
from homeport.cli.watch import ChangeReporter, what_changed
from homeport.model import CheckState, Event, Instance, Snapshot

ONE = Instance(id="api-1", service="api", address="h", port=1)
ILL = msgspec.structs.replace(ONE, status="critical")
MOVED = msgspec.structs.replace(ONE, port=2, tags=("eu",))


def snapshot(*instances: Instance, **fields: Any) -> Snapshot:
    return Snapshot(service="api", instances=instances, **fields)


def lines(
    capsys: pytest.CaptureFixture[str], form: Form, *snapshots: Snapshot, follow: bool = True
) -> tuple[list[str], list[bool]]:
    reporter = ChangeReporter("api", form=form, clock=lambda: 1_700_000_000.0)
    ended = [reporter.take(one, follow=follow) for one in snapshots]
    return capsys.readouterr().out.splitlines(), ended


def words(line: str) -> list[str]:
    """A line for people without its time, which is that of this place on Earth."""
    return line.split()[1:]


def test_following_begins_with_what_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    shown, ended = lines(capsys, "table", snapshot(ONE))
    assert [words(line) for line in shown] == [["present", "api-1", "h:1", "passing"]]
    assert ended == [False]


def test_each_difference_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    shown, _ = lines(capsys, "table", snapshot(), snapshot(ONE), snapshot(ILL), snapshot(MOVED), snapshot())
    assert [words(line) for line in shown] == [
        ["registered", "api-1", "h:1", "passing"],
        ["health_changed", "api-1", "h:1", "passing", "→", "critical"],
        [
            "changed",
            "api-1",
            "h:2",
            "critical",
            "→",
            "passing,",
            "endpoint",
            "h:1",
            "→",
            "h:2,",
            "tags",
            "-",
            "→",
            "eu",
        ],
        ["deregistered", "api-1", "h:2"],
    ]


def test_stale_and_recovered_are_lines_of_their_own(capsys: pytest.CaptureFixture[str]) -> None:
    stale = snapshot(ONE, stale_since=1_600_000_000.0, reason="no answer")
    shown, _ = lines(capsys, "table", snapshot(ONE), stale, snapshot(ONE))
    assert [words(line) for line in shown[1:]] == [["stale", "no", "answer"], ["recovered"]]
    shown, _ = lines(capsys, "ndjson", snapshot(ONE), stale, snapshot(ONE))
    assert [json.loads(line) for line in shown[1:]] == [
        {"at": "2023-11-14T22:13:20Z", "event": "stale", "service": "api", "reason": "no answer",
         "since": "2020-09-13T12:26:40Z"},
        {"at": "2023-11-14T22:13:20Z", "event": "recovered", "service": "api"},
    ]  # fmt: skip


def test_programs_get_the_state_first_and_then_events(capsys: pytest.CaptureFixture[str]) -> None:
    shown, _ = lines(capsys, "ndjson", snapshot(ONE), snapshot(ILL))
    first, second = map(json.loads, shown)
    assert (first["event"], [one["id"] for one in first["instances"]]) == ("snapshot", ["api-1"])
    assert (second["event"], second["instance"]["status"], second["previous"]["status"]) == (
        "health_changed", "critical", "passing",
    )  # fmt: skip


def test_without_following_the_first_change_ends_it(capsys: pytest.CaptureFixture[str]) -> None:
    stale = snapshot(stale_since=1.0, reason="no answer")
    shown, ended = lines(capsys, "json", snapshot(), stale, snapshot(), snapshot(ONE, ILL), follow=False)
    assert ended == [False, False, False, True]
    assert {event["event"] for event in json.loads("\n".join(shown))} == {"registered"}


@pytest.mark.parametrize(
    ("current", "expected"),
    [
        (msgspec.structs.replace(ONE, checks=(CheckState(id="c", name="port"),)), "checks: port"),
        (msgspec.structs.replace(ONE, zone="b"), "details"),
        (msgspec.structs.replace(ONE, meta={"k": "v"}, weight=2), "weight 1 → 2, meta - → k=v"),
    ],
)
def test_what_is_different_is_named(current: Instance, expected: str) -> None:
    event = Event(kind="changed", service="api", id="api-1", previous=ONE, current=current)
    assert what_changed(event) == expected


def test_a_check_that_is_gone_is_named() -> None:
    before = msgspec.structs.replace(ONE, checks=(CheckState(id="c", name="port"),))
    event = Event(kind="changed", service="api", id="api-1", previous=before, current=ONE)
    assert what_changed(event) == "checks: port (gone)"
