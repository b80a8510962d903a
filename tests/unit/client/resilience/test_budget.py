"""The budget: retries are a share of the calls, beside a few a second that are always allowed."""

import pytest

from homeport.client.resilience.budget import RetryBudget
from homeport.client.resilience.settings import RetrySettings


def taken(budget: RetryBudget, now: float, most: int = 100_000) -> int:
    """How many retries are allowed at a time."""
    return next((number for number in range(most) if not budget.take(now)), most)


@pytest.mark.parametrize(("share", "expected"), [(0.0, 0), (0.2, 200), (1.0, 1000)])
def test_retries_are_a_share_of_the_calls(share: float, expected: int) -> None:
    budget = RetryBudget(RetrySettings(budget_share=share, budget_per_second=0))
    for _ in range(1000):
        budget.paid()
    assert abs(taken(budget, 0.0) - expected) <= 1


@pytest.mark.parametrize("rate", [0.0, 1.0, 10.0])
def test_a_few_a_second_are_always_allowed(rate: float) -> None:
    budget = RetryBudget(RetrySettings(budget_share=0, budget_per_second=rate))
    assert taken(budget, 0.0) == int(rate)
    total = sum(taken(budget, 1.0 + tenth / 10) for tenth in range(100))
    assert abs(total - 10 * rate) <= 1 + rate


def test_a_long_pause_saves_up_one_second_only() -> None:
    budget = RetryBudget(RetrySettings(budget_share=0, budget_per_second=5))
    taken(budget, 0.0)
    assert taken(budget, 1000.0) == 5


def test_what_calls_pay_in_is_bounded() -> None:
    budget = RetryBudget(RetrySettings(budget_share=0.5, budget_per_second=0))
    for _ in range(100_000):
        budget.paid()
    assert taken(budget, 0.0) == 500
