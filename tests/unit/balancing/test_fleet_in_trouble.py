"""All together: a slow, a failing and a hanging instance among ten, in the simulation of the benchmark."""

from bench.balancing import HEALTHY, POLICIES, TROUBLED
from bench.fleet import Outcome, simulate


def run(name: str, *, ejection: bool) -> Outcome:
    return simulate(POLICIES[name], TROUBLED, seed=7, duration=30.0, ejection=ejection)


def test_p2c_ewma_with_ejection_is_far_better_than_round_robin() -> None:
    plain, ours = run("round_robin", ejection=False), run("p2c_ewma", ejection=True)
    assert ours.percentile(0.99) <= 0.25 * plain.percentile(0.99)
    assert ours.error_share <= 0.1 * plain.error_share


def test_each_half_of_that_is_worth_having() -> None:
    plain = run("round_robin", ejection=False)
    for half in (run("round_robin", ejection=True), run("p2c_ewma", ejection=False)):
        assert half.percentile(0.99) <= 0.25 * plain.percentile(0.99)
        assert half.error_share <= 0.2 * plain.error_share


def test_without_trouble_nobody_is_disadvantaged() -> None:
    for name, make in POLICIES.items():
        outcome = simulate(make, HEALTHY, seed=7, duration=10.0, ejection=True, keyed=name == "consistent_hash")
        assert outcome.fairness > 0.98, name
        assert outcome.errors == 0


def test_the_simulation_is_the_same_every_time() -> None:
    assert run("p2c_ewma", ejection=True) == run("p2c_ewma", ejection=True)
