"""Canary: a version has its share of the calls, however many instances it has."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.balancing import open_balancer
from homeport.balancing.canary import Canary
from homeport.balancing.least_connections import LeastConnections
from homeport.errors import SettingsError
from homeport.model import Snapshot

from .fleet import counted, equal, instance, loads, picks, snapshot


def versions(*texts: str) -> Snapshot:
    return snapshot(*(instance(place, version=text) for place, text in enumerate(texts)))


@given(st.floats(0, 1), st.integers(1, 5), st.integers(1, 5), st.integers(50, 500))
def test_a_version_has_its_share_of_any_number_of_calls(share: float, new: int, old: int, calls: int) -> None:
    found = counted(Canary({">=2": share}), versions(*["2.1"] * new, *["1.9"] * old), calls)
    got = sum(found[str(place)] for place in range(new))
    assert got == pytest.approx(calls * share, abs=3)


def test_within_a_version_the_inner_policy_goes_on() -> None:
    found = counted(Canary({">=2": 0.5}), versions("2", "2", "1", "1", "1"), 600)
    assert all(found[name] == pytest.approx(150, abs=2) for name in "01")
    assert all(found[name] == pytest.approx(100, abs=2) for name in "234")


def test_several_versions_each_have_their_share_and_the_first_that_fits_counts() -> None:
    canary = open_balancer("canary?version=>=3&share=10%&version=>=2&share=0.3")
    found = counted(canary, versions("3.1", "2.0", "1.0", ""), 1000)
    assert found["0"] == pytest.approx(100, abs=3)
    assert found["1"] == pytest.approx(300, abs=3)
    assert found["2"] + found["3"] == pytest.approx(600, abs=3)


def test_who_has_no_readable_version_belongs_to_the_rest() -> None:
    assert set(counted(Canary({">=2": 0.0}), versions("2", "", "nightly"), 50)) == {"1", "2"}


def test_the_share_of_nobody_goes_to_the_others() -> None:
    assert set(counted(Canary({">=2": 0.05}), versions("1", "1"), 50)) == {"0", "1"}
    assert set(counted(Canary({">=2": 0.05}), versions("2", "2"), 50)) == {"0", "1"}
    assert set(counted(Canary({">=2": 1.0}), versions("1"), 50)) == {"0"}
    found = counted(Canary({">=3": 0.1, ">=2": 0.3}), versions("3", "2"), 1000)
    assert found["0"] == pytest.approx(250, abs=3)
    assert Canary({">=2": 0.5}).picker(snapshot(), loads())(None) is None


def test_a_user_sees_one_version_and_moves_only_when_the_share_grows_over_him() -> None:
    among = versions("2", "1")
    users = [f"user-{number}" for number in range(2000)]
    before: set[str] = set()
    for share in (0.05, 0.2, 0.6):
        pick = Canary({"2": share}).picker(among, loads())
        new = {user for user in users if picks(pick, 1, user) == ["0"]}
        assert new == {user for user in users if picks(pick, 1, user) == ["0"]}
        assert before <= new
        assert len(new) == pytest.approx(share * len(users), rel=0.25)
        before = new


def test_parts_without_a_share_are_called_alike_when_the_others_are_empty() -> None:
    found = counted(Canary({">=3": 0.0, ">=2": 1.0}), versions("3", "1"), 1000)
    assert found["0"] == pytest.approx(500, abs=3)


def test_what_the_inner_policy_remembers_outlives_the_snapshot() -> None:
    kept = loads()
    canary = Canary({"2": 0.5}, inner="slow_start")
    canary.picker(versions("2", "2", "1"), kept)
    found = counted(canary, versions("2", "2", "1", "1"), 1000, by=kept)
    assert found["3"] < 100 < found["2"]


def test_keys_are_spread_anew_by_the_inner_policy() -> None:
    pick = Canary({"2": 0.2}, inner="consistent_hash").picker(versions(*["2"] * 5, "1"), loads())
    found = [picks(pick, 1, f"user-{number}")[0] for number in range(4000)]
    assert all(found.count(str(place)) > 80 for place in range(5))


def test_the_inner_policy_says_whether_it_needs_outcomes() -> None:
    assert Canary({"2": 0.5}, inner=LeastConnections()).needs_outcomes
    assert not Canary({"2": 0.5}).needs_outcomes


def test_the_turn_goes_on_through_snapshots() -> None:
    kept = loads()
    found = [picks(Canary({"2": 0.5}).picker(versions("2", "2", "1", "1"), kept), 1)[0] for _ in range(400)]
    assert all(found.count(name) == pytest.approx(100, abs=4) for name in "0123")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("canary", "needs a version and its share"),
        ("canary?version=2", "has 1 versions and 0 shares; give each version its share"),
        ("canary?version=2&share=120%", 'share of the balancer canary is "120%"; give a number between 0 and 1'),
        ("canary?version=new&share=5%", '"new" is not a version range'),
        ("canary?version=2&share=0.6&version=3&share=0.6", "add up to 1.2; give 1 at most"),
        ("canary?version=2&share=0.1&version=2&share=0.2", "is given twice"),
    ],
)
def test_what_cannot_be_right_is_refused(text: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        open_balancer(text)


def test_a_share_given_by_code_is_checked_too() -> None:
    with pytest.raises(SettingsError, match=r"the share of version 2 is 1\.5"):
        Canary({"2": 1.5})
    assert set(counted(Canary({"2": 0.5}), equal(2), 10)) == {"0", "1"}
