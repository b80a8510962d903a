"""How soon a change in a system is a snapshot in the client, beside the system's own client or command.

A system runs alone, with one process that writes and one that observes; both read CLOCK_MONOTONIC, which is one clock
for the whole machine. Observers take turns, round by round.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack

from ..results import Table
from ..rounds import Spread, alternate, number, percentile
from .observing import Delays, observed
from .systems import OURS, SYSTEMS, MissingError, System

MOST_ADDED = 5.0
HEADER = ("system", "observer", "p50, ms", "p99, ms", "Homeport adds to p50, ms", "to p99, ms", "target")
TEXT = (
    "One instance changes its port again and again. A figure is the time from sending the change (Eureka and DNS: from "
    "when the server has it) until the observer knows the new port. Since a watch of Homeport lets only 20 "
    "observations a second through in the long run, changes are at least 70 ms apart. Where observers only ask every "
    "so often, changes are 1.2 to 2 times as far apart, at random, so that they come at all phases alike, and a "
    "round is six times as long; those that another one overtook before they were asked for are missed."
)


def measure(*, rounds: int, seconds: int) -> list[Table]:
    """Every system that is here, one after the other."""
    rows: list[list[str]] = []
    text = [TEXT]
    for name, opened in SYSTEMS.items():
        with ExitStack() as stack:
            try:
                system = stack.enter_context(opened())
            except MissingError as error:
                text.append(f"{name} was not measured: {error}.")
                continue
            runs = {who: observed(observer, system, seconds=seconds) for who, observer in system.observers.items()}
            rows += _rows(name, system, alternate(runs, rounds))
            text += [f"{name}: {system.note}."] if system.note else []
    return [Table("From a change in a system to a snapshot", " ".join(text), rows, HEADER)]


def _rows(name: str, system: System, taken: Mapping[str, Sequence[Delays]]) -> list[list[str]]:
    middle = {who: [percentile(delays.values, 0.5) * 1e3 for delays in runs] for who, runs in taken.items()}
    slow = {who: [percentile(delays.values, 0.99) * 1e3 for delays in runs] for who, runs in taken.items()}
    rows = []
    for who, runs in taken.items():
        missed = sum(delays.missed for delays in runs)
        row = [
            name,
            f"{who} ({missed} missed)" if missed else who,
            Spread.of(middle[who]).text(),
            Spread.of(slow[who]).text(),
        ]
        if who == OURS:
            rows.append([*row, "", "", ""])
            continue
        added, added_slow = _added(middle[OURS], middle[who]), _added(slow[OURS], slow[who])
        verdict = "reached" if added.median <= MOST_ADDED else "**missed**"
        target = f"≤ {number(MOST_ADDED)} at p50 {verdict}" if system.has_target else "stated"
        rows.append([*row, _signed(added), _signed(added_slow), target])
    return rows


def _added(ours: Sequence[float], theirs: Sequence[float]) -> Spread:
    """Ours less theirs, round by round."""
    return Spread.of([our - their for our, their in zip(ours, theirs, strict=True)])


def _signed(spread: Spread) -> str:
    return f"{spread.median:+.2f} ({spread.low:+.2f} to {spread.high:+.2f})"
