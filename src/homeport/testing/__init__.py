"""For people who test programs that use Homeport, and for authors of backends.

- `Memory`: a backend in memory, for tests without a network: ``Discovery(Memory(billing=["10.0.0.1:80"]))``.
- `FaultProxy`: a TCP proxy that does what networks and broken servers do.
- `homeport.testing.contract`: the scenarios that every backend has to pass. Needs pytest.
- `homeport.testing.fixtures`: pytest fixtures, among them a real registry.

Importing this package loads none of them; each name is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False  # type checkers take it for true; importing typing costs more than this package
if TYPE_CHECKING:
    from .fault_proxy import FaultProxy
    from .memory import Memory

__all__ = ["FaultProxy", "Memory"]

_PLACES = {"FaultProxy": "fault_proxy", "Memory": "memory"}


def __getattr__(name: str) -> object:
    """Load a public name when it is first asked for (PEP 562)."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
