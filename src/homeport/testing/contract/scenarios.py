"""What all scenarios share."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from homeport.errors import Unsupported
from homeport.model import Service
from homeport.spi import Discoverer

from .harness import Harness


class Scenarios:
    """Scenarios over the fixture ``harness``; they run under pytest-asyncio in either of its modes."""

    pytestmark = pytest.mark.asyncio

    @pytest.fixture
    def harness(self) -> Harness:
        """The system under test: a subclass gives it."""
        raise NotImplementedError("give the fixture `harness` in your subclass")

    @pytest.fixture
    def name(self) -> str:
        """The name of a service that no other test uses."""
        return f"t-{uuid4().hex[:12]}"


def one(name: str, number: int, **fields: Any) -> Service:
    """An instance of a service, with an id and a port of that number."""
    return Service(name=name, id=f"{name}-{number}", address="10.0.0.1", port=number + 1, **fields)


async def can_watch(backend: Discoverer, name: str) -> bool:
    """Whether the system can be watched; where it cannot, the client asks again and again."""
    stream = backend.watch(name)
    try:
        await anext(stream)
    except Unsupported:
        return False
    finally:
        await stream.aclose()
    return True


def need(possible: object, what: str) -> None:
    """Skip the scenario when the harness has no way to do ``what``."""
    if not possible:
        pytest.skip(f"this harness cannot {what}")
