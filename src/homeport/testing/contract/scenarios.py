"""What all scenarios share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, TypeVar
from uuid import uuid4

import msgspec
import pytest

from homeport.client.settings import ClientSettings
from homeport.model import Service

from .capabilities import skip_lacking
from .harness import ASYNC, BLOCKING, Harness, Mode

Scenario = TypeVar("Scenario", bound=Callable[..., object])

LASTING = 600.0
"""A ttl in seconds that no scenario outlives, however slow the machine is."""

_HARNESSES = ("harness", "durable_harness", "guarded_harness")
_OF_A_BACKEND = "of_a_backend"


def of_a_backend(scenario: Scenario) -> Scenario:
    """Mark a scenario that asks the backend itself, whose methods are asynchronous whatever the program is."""
    setattr(scenario, _OF_A_BACKEND, True)
    return scenario


class Scenarios:
    """Scenarios over the fixture ``harness``; they run under pytest-asyncio in either of its modes.

    ``modes`` are the APIs through which each runs: the asynchronous one, its blocking twin, or both.
    """

    pytestmark = pytest.mark.asyncio
    modes: ClassVar[Sequence[Mode]] = (ASYNC, BLOCKING)

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run a scenario once a mode."""
        if "mode" in metafunc.fixturenames:
            metafunc.parametrize("mode", modes_of(metafunc.function, self.modes))

    @pytest.fixture
    def harness(self) -> Harness:
        """The system under test: a subclass gives it."""
        raise NotImplementedError("give the fixture `harness` in your subclass")

    @pytest.fixture
    def durable_harness(self, harness: Harness) -> Harness:
        """The harness for restarts, wipes and compactions; a subclass whose ``harness`` is shared gives one apart."""
        return harness

    @pytest.fixture
    def guarded_harness(self, durable_harness: Harness) -> Harness:
        """The harness for rotations; a subclass whose system asks for credentials only then gives one apart."""
        return durable_harness

    @pytest.fixture
    def name(self) -> str:
        """The name of a service that no other test uses."""
        return f"t-{uuid4().hex[:12]}"

    @pytest.fixture(autouse=True)
    def in_mode(self, request: pytest.FixtureRequest, mode: Mode) -> None:
        """Tell the harness the mode; skip what it declares that it cannot."""
        scenario = getattr(request.function, "__name__", "")
        for fixture in _HARNESSES:
            if fixture in request.fixturenames:
                harness: Harness = request.getfixturevalue(fixture)
                harness.mode = mode
                if scenario in harness.cannot:
                    skip_lacking(harness, scenario)


def modes_of(scenario: Callable[..., object], modes: Sequence[Mode]) -> Sequence[Mode]:
    """In which of these modes a scenario makes sense."""
    return (ASYNC,) if getattr(scenario, _OF_A_BACKEND, False) else tuple(modes)


def one(name: str, number: int, **fields: Any) -> Service:
    """An instance of a service, with an id and a port of that number."""
    return Service(name=name, id=f"{name}-{number}", address="10.0.0.1", port=number + 1, **fields)


def renewing(harness: Harness) -> ClientSettings:
    """The settings with which even a `LASTING` lease is renewed as often as the shortest one runs out.

    What becomes of such a registration has another cause than that it was renewed late.
    """
    return msgspec.structs.replace(harness.settings, renew_interval=harness.ttl)


def known(harness: Harness, name: str, *numbers: int) -> list[str]:
    """The ids under which the instances of these numbers are seen."""
    return sorted(harness.id_of(one(name, number)) for number in numbers)
