"""The scenarios that every backend has to pass; needs pytest and pytest-asyncio (the extra ``testing``).

An author of a backend writes a `Harness` for the system behind it, and a subclass of `BackendContract`::

    class TestMine(BackendContract):
        @pytest.fixture
        def harness(self) -> Iterator[Harness]:
            with MySystem() as system:
                yield MyHarness(system)

Every scenario runs through the asynchronous API and through its blocking twin (the class attribute ``modes``). What a
harness says that it cannot do is skipped, and told so; `Harness.cannot` gives the reasons.
"""

from __future__ import annotations

from .capabilities import COMPACT, FOLLOW_LIST, HEALTH, LIST, METADATA, REGISTER, RESTART, ROTATE, WATCH, WIPE
from .finding import FindingContract
from .harness import ASYNC, BLOCKING, CUT, GARBAGE, HALF_OPEN, OUTAGE, SLOW, Harness, Mode
from .leaks import LeakContract
from .proxied import HTTP_GARBAGE, ProxiedHarness
from .registering import RegisteringContract
from .troubles import TroubleContract

__all__ = [
    "ASYNC",
    "BLOCKING",
    "COMPACT",
    "CUT",
    "FOLLOW_LIST",
    "GARBAGE",
    "HALF_OPEN",
    "HEALTH",
    "HTTP_GARBAGE",
    "LIST",
    "METADATA",
    "OUTAGE",
    "REGISTER",
    "RESTART",
    "ROTATE",
    "SLOW",
    "WATCH",
    "WIPE",
    "BackendContract",
    "FindingContract",
    "Harness",
    "LeakContract",
    "Mode",
    "ProxiedHarness",
    "RegisteringContract",
    "TroubleContract",
]


class BackendContract(FindingContract, RegisteringContract, TroubleContract, LeakContract):
    """All scenarios. A subclass named ``Test…`` gives the fixture ``harness``."""
