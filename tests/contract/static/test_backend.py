"""The contract suite that is shipped to authors of backends, on a real file."""

from pathlib import Path

import pytest

from homeport.testing.contract import BackendContract, Harness
from tests.contract.static.harness import StaticHarness


class TestStatic(BackendContract):
    @pytest.fixture
    def harness(self, tmp_path: Path) -> Harness:
        """A file of the test's own."""
        return StaticHarness(tmp_path / "services.yaml")
