"""Collects garbage after every test, so that what a test left open is told of that test and not of a later one.

A socket, transport or file that nobody closed warns when it is collected, and a warning fails the test that runs then.
What outlives its test is set aside (`gc.freeze`), so that the next collection looks only at what is new: the tests take
no longer than with the interpreter's own collections. Now and then everything is looked at.
"""

import gc
from collections.abc import Generator

import pytest

# A whole collection takes tens of milliseconds, one of what is new less than one.
TESTS_BETWEEN_WHOLE_COLLECTIONS = 64
ended_key = pytest.StashKey[int]()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Set aside what was imported and collected."""
    session.config.stash[ended_key] = 0
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None]:
    """Collect after the last fixture of the test is gone, and before pytest looks at what warned."""
    try:
        return (yield)
    finally:
        ended = item.config.stash[ended_key] = item.config.stash[ended_key] + 1
        if ended % TESTS_BETWEEN_WHOLE_COLLECTIONS == 0:
            gc.unfreeze()
        gc.collect()
        gc.freeze()
