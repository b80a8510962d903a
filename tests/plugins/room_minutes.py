"""Ends a test run with the minutes of each room (the first folder below `tests/`) and the ten slowest tests."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import PurePosixPath

import pytest

SLOWEST = 10


def room_of(nodeid: str) -> str:
    """The room of a test: `unit` for `tests/unit/model/test_diff.py::test_x`; `tests` for a file beside the rooms."""
    parts = PurePosixPath(nodeid.partition("::")[0]).parts
    below = parts[parts.index("tests") + 1 :] if "tests" in parts else parts
    return below[0] if len(below) > 1 else "tests"


def summary(seconds: Mapping[str, float]) -> list[str]:
    """The lines for the seconds that each test took, its fixtures included."""
    rooms: defaultdict[str, float] = defaultdict(float)
    tests: Counter[str] = Counter()
    for nodeid, taken in seconds.items():
        rooms[room_of(nodeid)] += taken
        tests[room_of(nodeid)] += 1
    lines = [
        f"{room:<12} {rooms[room] / 60:6.2f} min  {tests[room]:5d} test{'' if tests[room] == 1 else 's'}"
        for room in sorted(rooms)
    ]
    slowest = sorted(seconds.items(), key=lambda item: (-item[1], item[0]))[:SLOWEST]
    return [*lines, "slowest:", *(f"{taken:8.2f} s  {nodeid}" for nodeid, taken in slowest)]


class RoomMinutes:
    """Adds up the reports; under xdist they arrive at the controller from every worker."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count setup, call and teardown."""
        self._seconds[report.nodeid] = self._seconds.get(report.nodeid, 0.0) + report.duration

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the table, if more than one test ran."""
        if len(self._seconds) > 1:
            terminalreporter.write_sep("=", "time per room, over all workers")
            for line in summary(self._seconds):
                terminalreporter.write_line(line)


def pytest_configure(config: pytest.Config) -> None:
    """Measure where the results come together."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(RoomMinutes(), "room-minutes")
