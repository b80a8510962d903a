"""Runs the tests as `make test` does: `python -m tests.run [ARGUMENT_OF_PYTEST …]`.

Thousands of tests against real servers, on a machine that does other things too, fail now and then where nothing is
wrong with the change. So the few tests of the rooms with servers that fail are run once more, alone, in a new process,
and what they do there counts. That a test needed it is told at the end, with both reports above: it is a defect of the
test or of the product, and somebody's next work. A unit test gets no second trial, nor do more than `MOST` tests, nor a
run that failed in any other way, such as by a process that was left behind.
"""

import subprocess
import sys
from collections.abc import Sequence

import pytest

ROOMS = ("tests/contract/", "tests/e2e/", "tests/integration/")
MOST = 3


class Failures:
    """What failed in a run; under xdist the reports arrive at the controller from every worker."""

    def __init__(self) -> None:
        self.tests: set[str] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count setup, call and teardown."""
        if report.failed:
            self.tests.add(report.nodeid)

    def get_a_second_trial(self, exit_code: int) -> bool:
        """Whether they are few, all of the rooms with servers, and all that was wrong."""
        return (
            exit_code == pytest.ExitCode.TESTS_FAILED
            and 0 < len(self.tests) <= MOST
            and all(test.startswith(ROOMS) for test in self.tests)
        )


def say(sentence: str, *tests: str) -> None:
    """Print a sentence about tests."""
    sys.stdout.write("\n  ".join([sentence, *tests]) + "\n")
    sys.stdout.flush()


def main(arguments: Sequence[str]) -> int:
    """Run the tests; the exit code is pytest's."""
    failures = Failures()
    exit_code = int(pytest.main([*arguments], plugins=[failures]))
    if not failures.get_a_second_trial(exit_code):
        return exit_code
    tests = sorted(failures.tests)
    say("\nOnce more, alone:", *tests)
    again = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:xdist", "-p", "no:cacheprovider", *tests], check=False
    )
    if again.returncode == 0:
        say("\nPassed, but only the second time; find out why:", *tests)
    return again.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
