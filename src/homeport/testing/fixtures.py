"""pytest fixtures: a backend in memory, and a real registry in the process of the tests.

Put ``pytest_plugins = ["homeport.testing.fixtures"]`` into the ``conftest.py`` at the root of your tests. It is not
loaded by itself, so that no other test run pays for it.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import pytest

from homeport.backends.opening import open_backend
from homeport.spi import Backend

if TYPE_CHECKING:
    from homeport.client.discovery import Discovery

    from .fault_proxy import FaultProxy
    from .memory import Memory

pytest.register_assert_rewrite("homeport.testing.contract")


@runtime_checkable
class _InProcess(Backend, Protocol):
    """A backend whose system runs in this process."""

    def start(self) -> str: ...

    def stop(self) -> None: ...


class RunningRegistry:
    """A real Homeport registry in memory, on a thread of its own, for one test or several; from any event loop."""

    def __init__(self, address: str, stack: ExitStack) -> None:
        self.address = address
        self._stack = stack

    @property
    def url(self) -> str:
        """Its URL as a backend: ``homeport://127.0.0.1:PORT``."""
        return f"homeport://{self.address}"

    @property
    def http_url(self) -> str:
        """The address of its HTTP API, which is Consul's, without a slash at its end."""
        return f"http://{self.address}"

    @property
    def environ(self) -> Mapping[str, str]:
        """The variables by which a program finds it."""
        return {"HOMEPORT_BACKEND": self.url}

    def discovery(self, **options: Any) -> Discovery:
        """A new `Discovery` on it, which the test closes: ``async with registry.discovery() as discovery:``."""
        from homeport.client.discovery import Discovery

        return Discovery(self.url, **{"handle_signals": False, "environ": {}, **options})

    def fault_proxy(self) -> FaultProxy:
        """A new `FaultProxy` in front of it, ended with the fixture; ``homeport://{proxy.address}`` goes through it."""
        from .fault_proxy import FaultProxy

        return self._stack.enter_context(FaultProxy(self.address))


@pytest.fixture
def homeport_memory() -> Memory:
    """An empty `Memory`."""
    from .memory import Memory

    return Memory()


@pytest.fixture
def homeport_registry() -> Iterator[RunningRegistry]:
    """A registry of the test's own; needs the extra ``server``."""
    backend = open_backend(f"embedded://?name={secrets.token_hex(6)}", {})
    assert isinstance(backend, _InProcess)
    with ExitStack() as stack:
        stack.callback(backend.stop)
        yield RunningRegistry(backend.start(), stack)
