"""How many results it takes to move a status."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from homeport.model import Status
from homeport.registry.health.thresholds import NO_RESULTS, Streak, advance
from homeport.registry.records import CheckDefinition

STATUSES = st.sampled_from(("passing", "warning", "critical"))


def run(results: str, definition: CheckDefinition, current: Status = "critical") -> str:
    """The statuses after each of ``results``, by first letters."""
    words: dict[str, Status] = {"p": "passing", "w": "warning", "c": "critical"}
    streak, statuses = NO_RESULTS, ""
    for letter in results:
        streak, status = advance(streak, current, words[letter], definition)
        current = status or current
        statuses += current[0]
    return statuses


def test_without_thresholds_every_result_counts_at_once() -> None:
    assert run("pwcpcw", CheckDefinition()) == "pwcpcw"


def test_passing_takes_as_many_successes_in_a_row_as_asked() -> None:
    assert run("ppcppp", CheckDefinition(success_before_passing=3)) == "cccccp"


def test_a_warning_is_a_success_for_the_counters() -> None:
    assert run("wwp", CheckDefinition(success_before_passing=3)) == "ccp"
    assert run("ccwcc", CheckDefinition(failures_before_critical=3), "passing") == "ppwww"


def test_critical_takes_as_many_failures_in_a_row_as_asked() -> None:
    assert run("ccpccc", CheckDefinition(failures_before_critical=3), "passing") == "pppppc"


def test_failures_warn_first_when_asked() -> None:
    definition = CheckDefinition(failures_before_warning=2, failures_before_critical=4)
    assert run("cccc", definition, "passing") == "pwwc"


def test_a_failure_never_makes_a_status_better() -> None:
    definition = CheckDefinition(failures_before_warning=1, failures_before_critical=3)
    assert run("c", definition, "critical") == "c"
    assert run("c", definition, "passing") == "w"


@given(st.lists(STATUSES, max_size=30), STATUSES, st.integers(0, 4), st.integers(0, 4), st.integers(0, 4))
def test_a_status_gets_better_only_by_successes_and_worse_only_by_failures(
    results: list[Status], current: Status, successes: int, warnings: int, failures: int
) -> None:
    definition = CheckDefinition(
        success_before_passing=successes,
        failures_before_warning=min(warnings, failures),
        failures_before_critical=failures,
    )
    order = ("passing", "warning", "critical")
    streak = NO_RESULTS
    for result in results:
        streak, status = advance(streak, current, result, definition)
        assert streak.successes == 0 or streak.failures == 0
        if status is not None:
            if result == "critical":
                assert order.index(status) >= order.index(current)
            else:
                assert status == result
                assert streak.successes >= successes
            current = status


@given(st.integers(1, 6))
def test_the_threshold_is_exact(threshold: int) -> None:
    results = "c" * threshold
    assert run(results, CheckDefinition(failures_before_critical=threshold), "passing") == "p" * (threshold - 1) + "c"
    results = "p" * threshold
    assert run(results, CheckDefinition(success_before_passing=threshold), "critical") == "c" * (threshold - 1) + "p"


def test_a_streak_is_broken_by_its_opposite() -> None:
    streak, _ = advance(Streak(successes=2), "passing", "critical", CheckDefinition())
    assert streak == Streak(failures=1)
