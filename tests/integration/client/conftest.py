"""What the client's integration tests share."""

from uuid import uuid4

import pytest


@pytest.fixture
def name() -> str:
    """The name of a service that no other test uses."""
    return f"t-{uuid4().hex[:12]}"
