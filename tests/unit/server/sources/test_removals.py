"""When a removal is put off."""

from homeport.server.sources.removals import Removals


def decided(removals: Removals, *gone: str, mirrored: int, now: float) -> list[str]:
    for one in gone:
        removals.gone(one, now=now)
    due = removals.decide(mirrored=mirrored, now=now)
    removals.removed(due, now=now)
    return sorted(due)


def test_half_goes_at_once_and_more_is_put_off() -> None:
    removals = Removals(60.0)
    assert decided(removals, "a", "b", "c", mirrored=6, now=0.0) == ["a", "b", "c"]
    other = Removals(60.0)
    assert decided(other, "a", "b", "c", "d", mirrored=6, now=0.0) == []
    assert other.due_at == 60.0
    assert decided(other, mirrored=6, now=59.0) == []
    assert decided(other, mirrored=6, now=60.0) == ["a", "b", "c", "d"]
    assert other.due_at is None


def test_two_may_always_go() -> None:
    assert decided(Removals(60.0), "a", "b", mirrored=2, now=0.0) == ["a", "b"]


def test_many_small_ones_count_together_but_not_for_ever() -> None:
    removals = Removals(60.0)
    assert decided(removals, "a", "b", mirrored=6, now=0.0) == ["a", "b"]
    assert decided(removals, "c", mirrored=4, now=10.0) == ["c"]
    assert decided(removals, "d", mirrored=3, now=20.0) == []
    assert removals.until("d") == 80.0
    slow = Removals(60.0)
    assert decided(slow, "a", "b", mirrored=6, now=0.0) == ["a", "b"]
    assert decided(slow, "c", "d", mirrored=4, now=61.0) == ["c", "d"]


def test_what_is_put_off_stays_so_when_others_come_back() -> None:
    removals = Removals(60.0)
    assert decided(removals, "a", "b", "c", "d", mirrored=6, now=0.0) == []
    removals.back("a")
    removals.back("b")
    assert decided(removals, mirrored=6, now=1.0) == []
    assert removals.held == {"c", "d"}
    assert decided(removals, mirrored=6, now=60.0) == ["c", "d"]


def test_what_was_put_off_does_not_hold_back_what_goes_after_it() -> None:
    removals = Removals(60.0)
    decided(removals, "a", "b", "c", "d", mirrored=7, now=0.0)
    decided(removals, mirrored=7, now=60.0)
    assert decided(removals, "e", mirrored=3, now=61.0) == ["e"]


def test_no_hold_at_all() -> None:
    assert decided(Removals(0.0), "a", "b", "c", mirrored=3, now=0.0) == ["a", "b", "c"]


def test_what_could_not_be_removed_stays_due() -> None:
    removals = Removals(60.0)
    for one in "abc":
        removals.gone(one, now=0.0)
    assert sorted(removals.decide(mirrored=6, now=0.0)) == ["a", "b", "c"]
    removals.removed(["a"], now=0.0)
    assert sorted(removals.decide(mirrored=5, now=1.0)) == ["b", "c"], (
        "what was tried in vain does not count as removed"
    )
    removals.removed(["b", "c"], now=1.0)
    assert decided(removals, "d", mirrored=3, now=2.0) == [], "what was removed in the end counts"
    assert decided(removals, mirrored=3, now=62.0) == ["d"]
    removals.gone("e", now=70.0)
    for one in "fg":
        removals.gone(one, now=70.0)
    assert removals.decide(mirrored=3, now=70.0) == []
    assert sorted(removals.decide(mirrored=3, now=130.0)) == ["e", "f", "g"]
    assert sorted(removals.decide(mirrored=3, now=131.0)) == ["e", "f", "g"]
