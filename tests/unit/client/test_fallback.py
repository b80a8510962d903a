"""Who answers of several backends, given how they stand and since when."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.client.fallback import Decision, Reach, decide
from homeport.client.settings import FallbackSettings
from homeport.errors import SettingsError

SETTINGS = FallbackSettings(takeover_after=2, stale_grace=10, handback_after=30)
ABSENT = Reach()


def silent(since: float) -> Reach:
    """Followed, and has neither answered nor failed."""
    return Reach(followed_since=since)


def failed(since: float) -> Reach:
    """Has never answered."""
    return Reach(followed_since=0, trouble_since=since)


def stale(since: float) -> Reach:
    return Reach(followed_since=0, known=True, trouble_since=since)


def sound(since: float) -> Reach:
    return Reach(followed_since=0, known=True, sound_since=since)


def at(now: float, *chain: Reach, answering: int | None = None, settings: FallbackSettings = SETTINGS) -> Decision:
    return decide(chain, answering=answering, now=now, settings=settings)


def test_a_sound_first_backend_answers_alone() -> None:
    assert at(1, sound(0), ABSENT, ABSENT) == Decision(answering=0, followed=1, look_again_at=30)
    assert at(100, sound(0), ABSENT, ABSENT, answering=0) == Decision(answering=0, followed=1, look_again_at=None)


def test_a_single_backend_is_always_its_own_answer() -> None:
    assert at(0, silent(0)).answering is None
    assert at(9, failed(1)).answering is None
    assert at(1000, stale(1), answering=0).answering == 0


def test_a_fallback_is_followed_once_the_one_before_it_was_silent_for_too_long() -> None:
    assert at(101.9, silent(100), ABSENT) == Decision(answering=None, followed=1, look_again_at=102)
    assert at(102, silent(100), ABSENT).followed == 2


def test_a_fallback_is_followed_at_once_when_nothing_is_known_of_the_one_before_it_and_that_failed() -> None:
    assert at(100, failed(100), ABSENT, ABSENT).followed == 2
    assert at(100, failed(100), failed(100), ABSENT).followed == 3


def test_a_fallback_is_followed_before_the_grace_is_over_so_that_its_answer_is_there_by_then() -> None:
    assert at(101.9, stale(100), ABSENT, answering=0).followed == 1
    assert at(102, stale(100), ABSENT, answering=0) == Decision(answering=0, followed=2, look_again_at=110)


def test_what_is_known_of_the_first_is_used_until_the_grace_is_over() -> None:
    chain = (stale(100), sound(102))
    assert at(109.9, *chain, answering=0).answering == 0
    assert at(110, *chain, answering=0).answering == 1


@pytest.mark.parametrize(("grace", "takeover", "since"), [(0, 2, 102), (1, 5, 105), (10, 2, 110), (10, 20, 120)])
def test_the_longer_of_grace_and_take_over_decides(grace: float, takeover: float, since: float) -> None:
    settings = FallbackSettings(takeover_after=takeover, stale_grace=grace, handback_after=30)
    chain = (stale(100), sound(101))
    assert at(since - 0.1, *chain, answering=0, settings=settings).answering == 0
    assert at(since, *chain, answering=0, settings=settings).answering == 1


def test_without_a_sound_one_what_is_known_is_kept() -> None:
    assert at(500, stale(100), failed(103), answering=0).answering == 0
    assert at(500, stale(100), stale(400), answering=1).answering == 1
    assert at(500, failed(100), stale(400), answering=None).answering == 1
    assert at(500, stale(100), stale(400), answering=None).answering == 1  # the newer knowledge


def test_a_fallback_answers_until_the_former_was_sound_for_long_enough() -> None:
    chain = (sound(200), sound(102))
    assert at(229.9, *chain, answering=1) == Decision(answering=1, followed=2, look_again_at=230)
    assert at(230, *chain, answering=1) == Decision(answering=0, followed=1, look_again_at=None)


def test_a_former_that_is_sound_answers_at_once_when_its_fallback_is_in_trouble() -> None:
    assert at(201, sound(200), stale(201), answering=1).answering == 0


def test_a_fallback_in_trouble_has_a_grace_too_before_the_next_one_answers() -> None:
    chain = (stale(100), stale(200), sound(202))
    assert at(209, *chain, answering=1).answering == 1
    assert at(210, *chain, answering=1).answering == 2


def test_of_three_the_first_that_was_sound_for_long_enough_is_handed_back_to() -> None:
    assert at(230, stale(100), sound(200), sound(150), answering=2) == Decision(
        answering=1, followed=2, look_again_at=None
    )
    assert at(230, sound(210), sound(200), sound(150), answering=2).answering == 1
    assert at(240, sound(210), sound(200), sound(150), answering=2) == Decision(
        answering=0, followed=1, look_again_at=None
    )


def test_a_first_answer_is_taken_from_the_first_in_order_that_has_one() -> None:
    assert at(3, silent(0), sound(2)).answering == 1
    assert at(3, sound(3), sound(2)).answering == 0


@pytest.mark.parametrize("name", ["takeover_after", "stale_grace", "handback_after"])
def test_settings_below_zero_are_refused(name: str) -> None:
    with pytest.raises(SettingsError, match=rf"client\.fallback\.{name} is -1; it must not be below 0"):
        FallbackSettings(**{name: -1})


TIMES = st.integers(0, 100)
REACHES = st.one_of(
    st.builds(silent, TIMES),
    st.builds(failed, TIMES),
    st.builds(stale, TIMES),
    st.builds(sound, TIMES),
)


@given(st.lists(REACHES, min_size=1, max_size=4), st.integers(0, 3), st.integers(0, 200))
def test_rules_that_always_hold(followed: list[Reach], absent: int, now: int) -> None:
    chain = [*followed, *[ABSENT] * absent]
    for answering in (None, *(place for place, reach in enumerate(chain) if reach.known)):
        decision = decide(chain, answering=answering, now=now, settings=SETTINGS)
        sound_ones = [place for place, reach in enumerate(chain) if reach.sound]
        known = [place for place, reach in enumerate(chain) if reach.known]
        # Who answers knows something, is followed, and nobody is silent as long as anybody knows anything.
        assert (decision.answering is None) == (not known)
        assert decision.answering is None or decision.answering in known
        assert (decision.answering or 0) < decision.followed <= len(chain)
        # Nobody in trouble for long answers while somebody is sound.
        if sound_ones and decision.answering not in sound_ones:
            assert decision.answering is not None
            since = chain[decision.answering].trouble_since
            assert since is not None
            assert now < since + 10
        # Deciding again at the same time changes nothing.
        again = decide(chain, answering=decision.answering, now=now, settings=SETTINGS)
        assert again == decision
        assert decision.look_again_at is None or decision.look_again_at > now


@given(st.lists(REACHES, min_size=2, max_size=4), TIMES)
def test_between_two_looks_time_alone_changes_nothing(chain: list[Reach], now: int) -> None:
    """Looking again only when told to misses nothing."""
    looks = []
    answering, moment = None, float(now)
    for _ in range(20):
        decision = decide(chain, answering=answering, now=moment, settings=SETTINGS)
        looks.append((moment, decision))
        answering = decision.answering
        if decision.look_again_at is None:
            break
        moment = decision.look_again_at
    else:
        pytest.fail("it never comes to rest")
    for (begin, decision), (end, _) in pairwise([*looks, (moment + 1000, looks[-1][1])]):
        for moment in (begin + (end - begin) * 0.3, begin + (end - begin) * 0.99):
            later = decide(chain, answering=decision.answering, now=moment, settings=SETTINGS)
            assert (later.answering, later.followed) == (decision.answering, decision.followed)
