"""Outlier ejection: who is left out, for how long, how many at most, and how one comes back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.balancing import LoadTable
from homeport.balancing.ejection import EjectionSettings, OutlierEjection, admitted, most_left_out
from homeport.errors import SettingsError
from homeport.model import Instance

from .fleet import Clock, equal, instance


class Fleet:
    """Instances 0, 1, 2 … behind one judge, on a clock of the test's own."""

    def __init__(self, size: int, settings: EjectionSettings | None = None, *, members: int | None = None) -> None:
        self.settings = settings or EjectionSettings()
        self.clock = Clock(1000.0)
        self.table = LoadTable(self.clock, judge=OutlierEjection(self.settings))
        self.instances = equal(size).instances
        self.table.retain(equal(size if members is None else members).instances, unused_for=300.0)

    def begin(self, name: int) -> float:
        return self.table.begin(self.table.of(instance(name).endpoint))

    def end(self, name: int, began_at: float, *, succeeded: bool | None) -> None:
        self.table.end(self.table.of(instance(name).endpoint), began_at, succeeded=succeeded)

    def calls(self, name: int, outcomes: str) -> None:
        """Calls that end at once: ``+`` succeeds, ``-`` fails, ``.`` is cancelled."""
        for outcome in outcomes:
            self.end(name, self.begin(name), succeeded={"+": True, "-": False, ".": None}[outcome])

    def everybody(self, outcomes: str) -> None:
        for place in range(len(self.instances)):
            self.calls(place, outcomes)

    @property
    def there(self) -> str:
        """Who may be called now."""
        return "".join(one.id for one in self._admitted()[0])

    @property
    def again(self) -> float | None:
        """In how many seconds that has to be looked at again."""
        at = self._admitted()[1]
        return None if at is None else at - self.clock.now

    def _admitted(self) -> tuple[tuple[Instance, ...], float | None]:
        return admitted(self.instances, self.table, self.clock.now, most_ejected=self.settings.most_ejected)


def test_the_defaults_eject_after_five_failures_in_a_row_for_ten_seconds() -> None:
    fleet = Fleet(4)
    fleet.calls(0, "----+----")
    assert fleet.there == "0123"
    fleet.calls(0, "-")
    assert fleet.there == "123"
    assert fleet.again == 10.0


def test_how_many_in_a_row_is_a_setting_and_0_is_never() -> None:
    fleet = Fleet(4, EjectionSettings(consecutive_failures=2))
    fleet.calls(0, "--")
    assert fleet.there == "123"
    fleet = Fleet(4, EjectionSettings(consecutive_failures=0))
    fleet.calls(0, "-" * 100)
    assert fleet.there == "0123"


def test_cancelled_calls_say_nothing() -> None:
    fleet = Fleet(4)
    fleet.calls(0, "..........")
    assert fleet.there == "0123"
    fleet.calls(0, "--..--.-")
    assert fleet.there == "123"


def test_switched_off_it_ejects_nobody() -> None:
    fleet = Fleet(4, EjectionSettings(enabled=False))
    fleet.calls(0, "-" * 50)
    fleet.clock.now += 60.0
    fleet.calls(0, "-" * 50)
    assert fleet.there == "0123"
    assert fleet.table.verdicts == 0


def test_after_its_time_one_call_decides_alone() -> None:
    fleet = Fleet(4)
    fleet.calls(0, "-----")
    fleet.clock.now += 9.9
    assert fleet.there == "123"
    fleet.clock.now += 0.1
    assert fleet.there == "0123"
    verdicts = fleet.table.verdicts
    trial = fleet.begin(0)
    assert fleet.table.verdicts > verdicts
    assert fleet.there == "123"
    assert fleet.again is None
    fleet.end(0, trial, succeeded=True)
    assert fleet.there == "0123"
    fleet.calls(0, "----")
    assert fleet.there == "0123"


def test_a_trial_that_is_cancelled_leaves_room_for_another() -> None:
    fleet = Fleet(4)
    fleet.calls(0, "-----")
    fleet.clock.now += 10.0
    trial = fleet.begin(0)
    verdicts = fleet.table.verdicts
    fleet.end(0, trial, succeeded=None)
    assert fleet.table.verdicts > verdicts
    assert fleet.there == "0123"
    fleet.begin(0)
    assert fleet.there == "123"


def test_each_failed_trial_makes_the_ejection_longer_up_to_a_limit() -> None:
    fleet = Fleet(4, EjectionSettings(base_time=10.0, longest_time=25.0))
    fleet.calls(0, "-----")
    for seconds in (10.0, 20.0, 25.0, 25.0):
        assert fleet.again == seconds
        fleet.clock.now += seconds
        assert fleet.there == "0123"
        fleet.calls(0, "-")


def test_who_fails_again_soon_is_out_for_longer_and_who_held_out_begins_anew() -> None:
    fleet = Fleet(4)
    fleet.calls(0, "-----")
    fleet.clock.now += 10.0
    fleet.calls(0, "+")
    fleet.clock.now += 9.0
    fleet.calls(0, "-----")
    assert fleet.again == 20.0
    fleet.clock.now += 20.0
    fleet.calls(0, "+")
    fleet.clock.now += 20.0
    fleet.calls(0, "-----")
    assert fleet.again == 10.0


def test_calls_from_before_the_ejection_do_not_decide_the_trial() -> None:
    fleet = Fleet(4)
    before = [fleet.begin(0), fleet.begin(0)]
    fleet.calls(0, "-----")
    fleet.end(0, before[0], succeeded=True)
    assert fleet.there == "123"
    fleet.clock.now += 10.0
    trial = fleet.begin(0)
    fleet.end(0, before[1], succeeded=False)
    assert fleet.there == "123"
    assert fleet.again is None
    fleet.end(0, trial, succeeded=True)
    assert fleet.there == "0123"


def test_calls_that_somebody_else_made_eject_and_readmit_too() -> None:
    fleet = Fleet(4)
    load = fleet.table.of(instance(0).endpoint)
    for _ in range(5):
        fleet.table.observe(load, succeeded=False, duration=0.1)
    assert fleet.there == "123"
    fleet.clock.now += 10.5
    fleet.table.observe(load, succeeded=True, duration=1.0)
    assert load.on_probation
    fleet.table.observe(load, succeeded=True, duration=0.1)
    assert not load.on_probation


def test_who_is_back_is_not_judged_by_what_was() -> None:
    fleet = Fleet(4)
    fleet.calls(0, "-----")
    fleet.clock.now += 10.0
    fleet.calls(0, "+")
    load = fleet.table.of(instance(0).endpoint)
    assert (load.failure_share, load.consecutive_failures) == (0.0, 0)
    for place in range(4):
        fleet.calls(place, "+" * 30)
    fleet.clock.now += 10.0
    fleet.everybody("+")
    assert fleet.there == "0123"


def test_compared_with_the_others_who_fails_more_often_is_ejected() -> None:
    fleet = Fleet(6)
    fleet.everybody("+")
    for place in range(6):
        fleet.calls(place, "+++++++++-" * 3 if place == 0 else "+" * 30)
    assert fleet.there == "012345"
    fleet.clock.now += 10.0
    fleet.calls(1, "+")
    assert fleet.there == "12345"


@pytest.mark.parametrize(
    ("settings", "ejected"),
    [
        (EjectionSettings(), True),
        (EjectionSettings(interval=10.1), False),
        (EjectionSettings(minimum_calls=31), False),
        (EjectionSettings(minimum_instances=7), False),
        (EjectionSettings(deviations=2.3), False),
    ],
)
def test_each_setting_of_the_comparison_decides(settings: EjectionSettings, ejected: bool) -> None:
    fleet = Fleet(6, settings)
    fleet.calls(5, "+")
    for place in range(6):
        fleet.calls(place, ("+++++++++-" if place == 0 else "++++++++++") * 3)
    fleet.clock.now += 10.0
    fleet.calls(5, "+")
    assert (fleet.there == "12345") is ejected


def test_a_share_of_failures_that_is_too_high_is_enough() -> None:
    def left(share: float) -> str:
        # Two of four fail alike: the deviation is so great that neither stands out by it.
        fleet = Fleet(4, EjectionSettings(failure_share=share, consecutive_failures=0))
        fleet.everybody("+")
        for place in range(4):
            fleet.calls(place, "+-" * 15 if place < 2 else "+" * 30)
        fleet.clock.now += 10.0
        fleet.calls(3, "+")
        return fleet.there

    assert left(0.45) == "23"
    assert left(0.6) == "0123"


def test_when_all_fail_alike_nobody_stands_out() -> None:
    fleet = Fleet(4, EjectionSettings(consecutive_failures=0))
    fleet.everybody("-" * 30)
    fleet.clock.now += 10.0
    fleet.everybody("-")
    assert fleet.there == "0123"


def test_one_failure_among_instances_that_never_fail_is_no_reason() -> None:
    fleet = Fleet(10)
    fleet.everybody("+")
    for place in range(10):
        fleet.calls(place, "+" * 1000 + "-" * (place == 0))
    fleet.clock.now += 10.0
    fleet.calls(5, "+")
    assert fleet.there == "0123456789"


def test_each_interval_counts_for_itself() -> None:
    fleet = Fleet(6)
    fleet.everybody("+")
    fleet.calls(0, "----")
    for _ in range(3):
        fleet.clock.now += 10.0
        fleet.everybody("+" * 19)
    assert fleet.there == "012345"


@given(st.integers(1, 12), st.floats(0, 1))
def test_never_more_than_allowed_are_left_out_and_never_all(size: int, most_ejected: float) -> None:
    fleet = Fleet(size, EjectionSettings(most_ejected=most_ejected))
    for _ in range(2):
        fleet.everybody("-----")
        left_out = size - len(fleet._admitted()[0])
        assert left_out <= max(1, most_ejected * size)
        assert left_out < size
        assert left_out == most_left_out(size, most_ejected)
        fleet.clock.now += 10.0
        fleet.everybody("-")


def test_two_of_two_cannot_both_be_out_and_no_share_is_nobody() -> None:
    assert most_left_out(2, 0.5) == 1
    assert most_left_out(3, 0.1) == 1
    assert most_left_out(10, 1.0) == 9
    assert most_left_out(1, 1.0) == 0
    assert most_left_out(10, 0.0) == 0


def test_the_share_is_of_the_instances_that_are_asked_for() -> None:
    fleet = Fleet(8)
    for place in range(4):
        fleet.calls(place, "-----")
        fleet.clock.now += 1.0
    some = fleet.instances[:4]
    there, _ = admitted(some, fleet.table, fleet.clock.now, most_ejected=0.5)
    assert [one.id for one in there] == ["0", "1"]  # those who would come back first


def test_who_is_not_registered_takes_no_place_among_the_ejected() -> None:
    fleet = Fleet(5, members=4)
    for place in (4, 0, 1, 2):
        fleet.calls(place, "-----")
    assert [fleet.table.of(one.endpoint).on_probation for one in fleet.instances[:4]] == [True, True, False, False]


def test_who_is_on_trial_takes_a_place_among_the_ejected() -> None:
    fleet = Fleet(4, EjectionSettings(most_ejected=0.25))
    fleet.calls(0, "-----")
    fleet.clock.now += 10.0
    trial = fleet.begin(0)
    fleet.calls(1, "-----")
    assert not fleet.table.of(instance(1).endpoint).on_probation
    fleet.end(0, trial, succeeded=True)
    fleet.calls(1, "-")
    assert fleet.there == "023"


def test_failures_from_before_the_return_are_not_compared() -> None:
    fleet = Fleet(4, EjectionSettings(interval=100.0))
    fleet.everybody("+")
    before = [fleet.begin(0) for _ in range(30)]
    fleet.calls(0, "-----")
    for began_at in before:
        fleet.end(0, began_at, succeeded=False)
    fleet.clock.now += 10.0
    fleet.calls(0, "+")
    fleet.everybody("+" * 30)
    fleet.clock.now += 90.0
    fleet.everybody("+")
    assert fleet.there == "0123"


def test_who_could_not_be_ejected_is_as_soon_as_there_is_room() -> None:
    fleet = Fleet(4, EjectionSettings(most_ejected=0.25))
    fleet.calls(0, "-----")
    fleet.calls(1, "-------")
    assert fleet.there == "123"
    fleet.clock.now += 10.0
    fleet.calls(0, "+")
    fleet.calls(1, "-")
    assert fleet.there == "023"


@pytest.mark.parametrize(
    "wrong",
    [
        {"interval": 0},
        {"base_time": 0},
        {"longest_time": -1},
        {"consecutive_failures": -1},
        {"minimum_calls": -1},
        {"minimum_instances": -1},
        {"deviations": -0.1},
        {"failure_share": 1.1},
        {"most_ejected": -0.1},
    ],
)
def test_settings_that_cannot_be_right_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(SettingsError, match=rf"client\.ejection\.{next(iter(wrong))} is"):
        EjectionSettings(**wrong)  # type: ignore[arg-type]


def test_who_is_forgotten_is_not_on_probation_any_more() -> None:
    fleet = Fleet(4)
    fleet.calls(0, "-----")
    assert [load.endpoint for load in fleet.table.on_probation] == [instance(0).endpoint]
    fleet.clock.now += 301.0
    fleet.table.retain(fleet.instances[1:], unused_for=300.0)
    assert fleet.there == "0123"  # it is another one that has the address now
    assert not fleet.table.on_probation


def test_who_is_in_use_again_is_not_on_probation_any_more() -> None:
    fleet = Fleet(4)
    fleet.calls(0, "-----")
    fleet.clock.now += 10.0
    fleet.calls(0, "+")
    assert not fleet.table.on_probation
    assert fleet.there == "0123"
