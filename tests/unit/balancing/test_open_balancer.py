"""By name, with options, by entry point, or as an object."""

import sys
import threading
from importlib.metadata import EntryPoint, EntryPoints
from types import ModuleType
from typing import Any

import pytest

from homeport.balancing import Balancer, Loads, Picker, balancer_names, open_balancer
from homeport.balancing.options import Options
from homeport.errors import SettingsError
from homeport.model import Snapshot

from .fleet import counted, equal, loads, picks, weighing

EVERY = {
    "canary": "canary?version=2&share=5%",
    "zone_aware": "zone_aware?zone=a",
}


class Last:
    """Somebody's own policy: always the last, or as many before it."""

    needs_outcomes = False

    def __init__(self, back: int) -> None:
        self.back = back

    def picker(self, snapshot: Snapshot, loads: Loads) -> Picker:
        chosen = snapshot.instances[-1 - self.back]
        return lambda _key: chosen


def open_last(options: Options) -> Last:
    return Last(int(options.number("back", 0, least=0)))


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A distribution that offers a policy, as installing it would."""
    module = ModuleType("somebodys_balancers")
    module.open_last = open_last  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "somebodys_balancers", module)
    point = EntryPoint("the-last", "somebodys_balancers:open_last", "homeport.balancers")

    def entry_points(*, group: str) -> EntryPoints:
        return EntryPoints([point] if group == "homeport.balancers" else [])

    monkeypatch.setattr("importlib.metadata.entry_points", entry_points)


@pytest.mark.parametrize("name", balancer_names())
def test_every_name_is_a_policy_that_calls_everybody(name: str) -> None:
    policy = open_balancer(EVERY.get(name, name))
    assert isinstance(policy, Balancer)
    assert set(counted(policy, equal(3), 300)) == {"0", "1", "2"}


@pytest.mark.parametrize("name", balancer_names())
def test_threads_share_a_picker_of_every_policy(name: str) -> None:
    kept = loads()
    pick = open_balancer(EVERY.get(name, name)).picker(weighing(1, 2, 3, 4), kept)
    chosen: list[list[str]] = []

    def work() -> None:
        mine = []
        for _ in range(500):
            instance = pick(None)
            assert instance is not None
            mine.append(instance.id)
            load = kept.of(instance.endpoint)
            kept.table.end(load, kept.table.begin(load), succeeded=True)
        chosen.append(mine)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [len(mine) for mine in chosen] == [500] * 8
    assert {name for mine in chosen for name in mine} == set("0123")
    assert sum(load.successes for load in kept.table.values()) == 4000


@pytest.mark.parametrize("name", balancer_names())
def test_every_policy_obeys_the_same_picker(name: str) -> None:
    policy = open_balancer(EVERY.get(name, name))
    assert not picks(policy.picker(equal(0), loads()), 1)
    assert picks(policy.picker(equal(1), loads()), 2, "a key") == ["0", "0"]


def test_an_object_is_itself() -> None:
    own = Last(1)
    assert open_balancer(own) is own


@pytest.mark.parametrize("balancer", [None, 5, Last])
def test_what_is_no_policy_is_refused_before_it_is_used(balancer: Any) -> None:
    with pytest.raises(SettingsError, match="is not a balancer; give a name, or an object with picker"):
        open_balancer(balancer)


def test_a_third_party_policy_is_found_by_its_entry_point_and_has_options(installed: None) -> None:
    assert counted(open_balancer("the_last"), equal(3), 5) == {"2": 5}
    assert counted(open_balancer("the-last?back=1"), equal(3), 5) == {"1": 5}
    assert counted(open_balancer("zone_aware?zone=a&inner=the_last?back=2"), equal(3), 5) == {"0": 5}
    assert "the-last" in balancer_names()
    with pytest.raises(SettingsError, match="bakc is not an option of the balancer the_last; did you mean back"):
        open_balancer("the-last?bakc=1")


def test_the_names_of_the_documents_are_understood() -> None:
    for name in ("LEAST_CONN", "least_conn", "Least-Connections", " round_robin "):
        open_balancer(name)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rond_robin", '"rond_robin" is not a balancer; there are .*round_robin.*; did you mean round_robin?'),
        ("", '"" is not a balancer'),
        ("consistent_hash?bond=2", "bond is not an option of the balancer consistent_hash; did you mean bound?"),
        ("round_robin?weight=2", "weight is not an option of the balancer round_robin; it has none."),
        ("consistent_hash?bound", 'the options of the balancer consistent_hash are "bound"; write option=value'),
        ("consistent_hash?bound=", "write option=value"),
        ("consistent_hash?bound=much", 'bound of the balancer consistent_hash is "much"; give a number'),
        ("consistent_hash?bound=1.5&bound=2", "bound of the balancer consistent_hash is given 2 times; give it once"),
        ("slow_start?inner=randum", '"randum" is not a balancer; .*did you mean random?'),
    ],
)
def test_what_cannot_be_right_is_told_in_a_sentence(text: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message.replace("?", r"\?")):
        open_balancer(text)


def test_policies_can_be_nested_with_options_of_their_own() -> None:
    text = "canary?version=2&share=0.5&inner=zone_aware?zone=a&inner=slow_start?window=10s&inner=weighted_round_robin"
    assert counted(open_balancer(text), weighing(1, 3), 40) == {"0": 10, "1": 30}
