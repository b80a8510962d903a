"""What is done when, and how the clock stands still with the loop."""

from __future__ import annotations

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.registry.health.agenda import EARLY, Agenda
from tests.unit.health.virtual_time import VirtualTime


class Diary:
    """An agenda on virtual time, and what was done at which time of it."""

    def __init__(self) -> None:
        self.time = VirtualTime()
        self.agenda = Agenda(monotonic=self.time.monotonic, call_later=self.time.call_later)
        self.done: list[tuple[str, float]] = []

    def enter(self, due: float, name: str) -> None:
        self.agenda.at(due, lambda: self.done.append((name, round(self.time.now, 3))))


def test_actions_are_done_when_they_are_due_in_order() -> None:
    diary = Diary()
    for due, name in ((3.0, "c"), (1.0, "a"), (2.0, "b"), (3.0, "d")):
        diary.enter(due, name)
    diary.time.run(2.5)
    assert diary.done == [("a", 1.0), ("b", 2.0)]
    diary.time.run(2.5)
    assert diary.done[2:] == [("c", 3.0), ("d", 3.0)]


def test_an_action_may_enter_another() -> None:
    diary = Diary()
    diary.agenda.at(1.0, diary.enter, 1.5, "later")
    diary.time.run(2.0)
    assert diary.done == [("later", 1.5)]


def test_an_earlier_action_that_is_entered_later_is_not_late() -> None:
    diary = Diary()
    diary.enter(0.2, "second")
    diary.enter(0.1, "first")
    diary.time.run(1.0)
    assert diary.done == [("first", 0.1), ("second", 0.2)]


def test_nothing_is_done_after_the_end() -> None:
    diary = Diary()
    diary.enter(1.0, "never")
    diary.agenda.close()
    diary.enter(1.0, "never")
    diary.time.run(5.0)
    assert diary.done == []


def test_a_defect_in_one_action_does_not_end_the_others(caplog: pytest.LogCaptureFixture) -> None:
    diary = Diary()
    diary.agenda.at(1.0, [].remove, "nothing")
    diary.enter(1.0, "next")
    with caplog.at_level(logging.ERROR):
        diary.time.run(2.0)
    assert diary.done == [("next", 1.0)]
    assert "an action of the health engine failed" in caplog.text


def test_heard_time_does_not_count_the_time_in_which_the_loop_stands_still() -> None:
    diary = Diary()
    diary.enter(10.0, "time")
    diary.time.run(5.0)
    assert diary.agenda.heard() == diary.agenda.now() == 5.0
    diary.time.stand_still(60.0)
    diary.time.run(0.5)
    assert [name for name, _ in diary.done] == ["time"]
    assert diary.agenda.now() == 65.5
    assert 5.5 <= diary.agenda.heard() < 6.0
    assert 59.0 < diary.agenda.stopped <= 60.0


def test_after_a_stop_the_loop_turns_before_anything_is_done() -> None:
    """A deadline that was near when the process stopped is not missed by what has been waiting in a socket since."""
    diary = Diary()
    diary.enter(0.1, "deadline")
    diary.time.stand_still(60.0)
    heard: list[int] = []

    def turn() -> None:
        heard.append(len(diary.done))
        if len(heard) < 4:
            diary.time.call_later(0.0, turn)

    diary.time.call_later(0.0, turn)
    diary.time.run(1.0)
    assert heard == [0, 0, 0, 0]
    assert [name for name, _ in diary.done] == ["deadline"]


def test_small_delays_are_no_stops() -> None:
    diary = Diary()
    for _ in range(100):
        diary.enter(diary.agenda.now() + 0.1, "tick")
        diary.time.stand_still(0.1 + 0.015)
        diary.time.run(0.0)
    assert diary.agenda.stopped == 0.0
    assert len(diary.done) == 100


def test_progress_is_made_even_when_every_timer_is_late() -> None:
    diary = Diary()
    for number in range(5):
        diary.enter(0.1 * number, "work")
    for _ in range(40):
        diary.time.stand_still(0.3)
        diary.time.run(0.0)
    assert len(diary.done) == 5


@given(st.lists(st.floats(0, 20), min_size=1, max_size=40), st.lists(st.floats(0.01, 3), max_size=30))
def test_everything_is_done_once_and_never_early(dues: list[float], steps: list[float]) -> None:
    diary = Diary()
    for number, due in enumerate(dues):
        diary.enter(due, str(number))
    for step in (*steps, 25.0):
        diary.time.run(step)
    assert sorted(int(name) for name, _ in diary.done) == list(range(len(dues)))
    assert all(at >= dues[int(name)] - EARLY - 0.001 for name, at in diary.done)
