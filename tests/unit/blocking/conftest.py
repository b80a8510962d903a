"""A blocking Discovery on a backend in memory, and threads that must all be gone at the end."""

import threading
from collections.abc import Callable, Iterator

import pytest

from homeport.blocking import Discovery
from tests.unit.blocking.waiting import PATIENCE
from tests.unit.client.scripted_backend import ScriptedBackend, instance


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        if thread.name.startswith("homeport"):
            thread.join(PATIENCE)
            assert not thread.is_alive(), thread


@pytest.fixture
def backend() -> ScriptedBackend:
    """Two instances of billing."""
    backend = ScriptedBackend()
    backend.put("billing", instance("a"), instance("b"))
    return backend


@pytest.fixture
def discovery(backend: ScriptedBackend) -> Iterator[Discovery]:
    with Discovery(backend, environ={}) as discovery:
        yield discovery


@pytest.fixture
def in_loop(discovery: Discovery) -> Callable[[Callable[[], None]], None]:
    """Calls something in the event loop, where the backend lives."""

    def call(function: Callable[[], None]) -> None:
        async def work() -> None:
            function()

        discovery.loop_thread.run(work)

    return call
