"""The scenarios that every backend has to pass; needs pytest and pytest-asyncio (the extra ``testing``).

An author of a backend writes a `Harness` for the system behind it, and a subclass of `BackendContract`::

    class TestMine(BackendContract):
        @pytest.fixture
        def harness(self) -> Iterator[Harness]:
            with MySystem() as system:
                yield MyHarness(system)

What a harness says that it cannot do is skipped, and told so.
"""

from __future__ import annotations

from .finding import FindingContract
from .harness import CUT, GARBAGE, HALF_OPEN, OUTAGE, SLOW, Harness
from .leaks import LeakContract
from .proxied import HTTP_GARBAGE, ProxiedHarness
from .registering import RegisteringContract
from .troubles import TroubleContract

__all__ = [
    "CUT",
    "GARBAGE",
    "HALF_OPEN",
    "HTTP_GARBAGE",
    "OUTAGE",
    "SLOW",
    "BackendContract",
    "FindingContract",
    "Harness",
    "LeakContract",
    "ProxiedHarness",
    "RegisteringContract",
    "TroubleContract",
]


class BackendContract(FindingContract, RegisteringContract, TroubleContract, LeakContract):
    """All scenarios. A subclass named ``Test…`` gives the fixture ``harness``."""
