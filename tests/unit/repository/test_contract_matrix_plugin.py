"""Which scenarios of the contract run when, and what is written down of them."""

import json
from pathlib import Path

import pytest

from tests.plugins.contract_matrix import PARITY

PLUGIN = 'pytest_plugins = ["tests.plugins.contract_matrix"]'
SUITE = """
    import pytest
    from homeport.errors import BackendUnavailable
    from homeport.testing import Memory
    from homeport.testing.contract import LIST, WIPE, BackendContract, Harness

    class Broken(Memory):
        async def ping(self):
            raise BackendUnavailable("no", backend=self.url)

    class MemoryHarness(Harness):
        cannot = {WIPE: "Why.", "test_changes_arrive": "Why not."}
        system = "Memory 7"

        def __init__(self, memory):
            self.memory = memory

        def backend(self):
            return self.memory

    class TestMine(BackendContract):
        @pytest.fixture
        def harness(self):
            return MemoryHarness(Broken())
"""
LOOPS = ("-o", "asyncio_mode=auto", "-o", "asyncio_default_fixture_loop_scope=function")
ARGUMENTS = ("-q", "-p", "no:randomly", "-p", "no:xdist", *LOOPS, "-o", "addopts=")


@pytest.fixture
def suite(pytester: pytest.Pytester) -> pytest.Pytester:
    """A suite of the system `mine`."""
    pytester.makeconftest(PLUGIN)
    pytester.makepyfile(test_mine=SUITE)
    return pytester


def collected(suite: pytest.Pytester, *arguments: str) -> set[tuple[str, str]]:
    """The scenarios and modes that would run."""
    lines = suite.runpytest_inprocess(*ARGUMENTS, "--collect-only", *arguments).outlines
    return {
        (name, mode.rstrip("]"))
        for name, _, mode in (line.split("::")[-1].partition("[") for line in lines if "::" in line)
    }


def test_without_the_option_a_few_run_in_the_blocking_mode_and_with_it_all(
    suite: pytest.Pytester, tmp_path: Path
) -> None:
    few = collected(suite)
    assert {name for name, mode in few if mode == "blocking"} == PARITY
    everything = collected(suite, f"--contract-matrix={tmp_path / 'outcomes.json'}")
    assert few < everything
    assert ("test_garbage_is_never_believed", "blocking") in everything
    assert ("test_cancellation_is_honoured", "blocking") not in everything  # it asks a backend


def test_outcomes_are_written_with_reasons_and_systems(suite: pytest.Pytester, tmp_path: Path) -> None:
    path = tmp_path / "outcomes.json"
    chosen = "changes_arrive or believed or who_it_is or listed_by"
    suite.runpytest_inprocess(*ARGUMENTS, f"--contract-matrix={path}", "-k", chosen)
    document = json.loads(path.read_text())
    cells = [cell for cell in document["cells"] if cell["mode"] == "async"]
    found = {cell["scenario"]: (cell["system"], cell["outcome"], cell["reason"]) for cell in cells}
    assert found["test_checks_are_listed_by_status"] == ("mine", "passed", "")
    assert found["test_changes_arrive"] == ("mine", "declared", "Why not.")
    assert found["test_after_the_grace_lost_data_are_believed"] == ("mine", "declared", "Why.")
    assert found["test_garbage_is_never_believed"][1:] == (
        "skipped",
        "test_mine.py::TestMine::test_garbage_is_never_believed[async]: this harness does not offer: garbage",
    )
    assert found["test_it_says_who_it_is"][1] == "failed"
    assert document["systems"] == {"mine": "Memory 7"}
