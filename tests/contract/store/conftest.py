from pathlib import Path

import pytest

from tests.contract.store.places import PLACES, Place


@pytest.fixture(params=list(PLACES))
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Every kind of store in turn."""
    return PLACES[request.param](tmp_path)
