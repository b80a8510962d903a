"""The contract suite that is shipped to authors of backends, on a registry in the process of the tests."""

from collections.abc import Iterator
from contextlib import closing
from uuid import uuid4

import pytest

from homeport.testing.contract import BackendContract, Harness
from tests.contract.embedded.harness import EmbeddedHarness


class TestEmbedded(BackendContract):
    @pytest.fixture
    def harness(self) -> Iterator[Harness]:
        """A registry of the test's own."""
        with closing(EmbeddedHarness(f"embedded://?name={uuid4().hex}")) as harness:
            yield harness
