"""Zone awareness: near first, as far as the near ones bear it, and the rest to the next nearest."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.balancing import Balancer, open_balancer
from homeport.balancing.least_connections import LeastConnections
from homeport.balancing.zone_aware import ZoneAware
from homeport.errors import SettingsError
from homeport.model import Instance, Snapshot

from .fleet import equal, instance, loads, picks, snapshot

CALLS = 1000


def zones(**sizes: int) -> Snapshot:
    """So many instances of each zone; the part of a name before an underscore is the region."""
    members: list[Instance] = []
    for name, size in sizes.items():
        region, _, zone = name.rpartition("_")
        members += [instance(len(members) + number, zone=zone, region=region) for number in range(size)]
    return snapshot(*members)


def shares(policy: Balancer, among: Snapshot) -> dict[str, float]:
    """The share of the calls that each zone got."""
    where = {one.id: f"{one.region}_{one.zone}".strip("_") for one in among.instances}
    found = Counter(where[name] for name in picks(policy.picker(among, loads()), CALLS))
    return {name: number / CALLS for name, number in found.items()}


def test_all_calls_stay_while_the_zone_bears_its_share() -> None:
    assert shares(ZoneAware(zone="a"), zones(a=3, b=3, c=3)) == {"a": 1.0}
    assert shares(ZoneAware(zone="a"), zones(a=5, b=7)) == {"a": 1.0}


def test_with_less_a_part_in_proportion_stays() -> None:
    # One of ten instances in three zones has 0.3 of a fair share, and bears 1.4 times that.
    found = shares(ZoneAware(zone="a"), zones(a=1, b=4, c=5))
    assert found["a"] == pytest.approx(0.42, abs=0.005)
    assert found["b"] / found["c"] == pytest.approx(4 / 5, abs=0.02)


def test_the_headroom_is_an_option() -> None:
    found = shares(open_balancer("zone_aware?zone=a&headroom=1"), zones(a=1, b=4, c=5))
    assert found["a"] == pytest.approx(0.3, abs=0.005)


@given(st.integers(0, 12))
def test_a_zone_that_loses_instances_overflows_gradually(left: int) -> None:
    found = shares(ZoneAware(zone="a"), zones(a=left, b=12, c=12))
    expected = min(1.0, 1.4 * left * (3 if left else 2) / (24 + left))
    assert found.get("a", 0.0) == pytest.approx(expected, abs=0.005)


def test_weights_are_capacity() -> None:
    light = [instance(number, zone="a", weight=1) for number in range(5)]
    heavy = [instance(5 + number, zone="b", weight=9) for number in range(5)]
    found = shares(ZoneAware(zone="a"), snapshot(*light, *heavy))
    assert found["a"] == pytest.approx(1.4 * 2 / 10, abs=0.005)


def test_what_overflows_goes_to_the_own_region_first() -> None:
    found = shares(ZoneAware(zone="a", region="eu"), zones(eu_a=1, eu_b=9, us_a=10))
    assert found == {"eu_a": pytest.approx(0.21, abs=0.005), "eu_b": pytest.approx(0.79, abs=0.005)}


def test_a_region_that_is_too_small_overflows_too() -> None:
    found = shares(ZoneAware(zone="a", region="eu"), zones(eu_a=1, eu_b=3, us_a=8, us_b=8))
    assert found["eu_a"] == pytest.approx(1.4 * 4 / 20, abs=0.005)
    assert found["eu_a"] + found["eu_b"] == pytest.approx(1.4 * 2 * 4 / 20, abs=0.005)


def test_a_zone_of_the_same_name_in_another_region_is_far() -> None:
    assert shares(ZoneAware(zone="a", region="eu"), zones(us_a=5, eu_b=5)) == {"eu_b": 1.0}
    assert set(shares(ZoneAware(zone="a"), zones(us_a=5, eu_b=5))) == {"us_a"}


def test_the_region_alone_counts_when_there_is_no_zone() -> None:
    assert set(shares(ZoneAware(region="eu"), zones(eu_a=3, eu_b=3, us_a=6))) == {"eu_a", "eu_b"}


def test_without_any_near_instance_everybody_is_called() -> None:
    assert set(shares(ZoneAware(zone="x", region="y"), zones(eu_a=1, us_b=1))) == {"eu_a", "us_b"}
    assert shares(ZoneAware(zone="x"), equal(3)) == {"": 1.0}
    assert ZoneAware(zone="x").picker(snapshot(), loads())(None) is None


def test_instances_of_weight_0_are_no_capacity() -> None:
    members = [instance(0, zone="a", weight=0), instance(1, zone="b"), instance(2, zone="b")]
    assert shares(ZoneAware(zone="a"), snapshot(*members)) == {"b": 1.0}


def test_a_key_stays_in_its_zone() -> None:
    pick = ZoneAware(zone="a").picker(zones(a=1, b=4, c=5), loads())
    for number in range(50):
        assert len({name == "0" for name in picks(pick, 20, f"user-{number}")}) == 1


def test_the_inner_policy_chooses_and_says_whether_it_needs_outcomes() -> None:
    assert ZoneAware(zone="a", inner=LeastConnections()).needs_outcomes
    assert not ZoneAware(zone="a").needs_outcomes
    pick = open_balancer("zone_aware?zone=a&inner=consistent_hash").picker(zones(a=5), loads())
    assert len(set(picks(pick, 20, "user-1"))) == 1


def test_the_zone_comes_from_the_text_or_the_environment_or_is_missed() -> None:
    environ = {"HOMEPORT_ZONE": "b", "HOMEPORT_REGION": "eu"}
    among = zones(eu_a=3, eu_b=3, us_b=3)
    assert shares(open_balancer("zone_aware", environ), among) == {"eu_b": 1.0}
    assert shares(open_balancer("zone_aware?zone=a", environ), among) == {"eu_a": 1.0}
    assert shares(open_balancer("zone_aware?region=us", environ), among) == {"us_b": 1.0}
    with pytest.raises(SettingsError, match="does not know where this program runs; give zone= or set HOMEPORT_ZONE"):
        open_balancer("zone_aware")
    with pytest.raises(SettingsError, match="headroom of the balancer zone_aware is 0"):
        ZoneAware(zone="a", headroom=0)
