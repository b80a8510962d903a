"""From a URL, a bare name or the environment to a backend.

Backends are found through a lazy table, so that one that is not used is not imported. A scheme that is not in the
table is looked for among the entry points of the group ``homeport.backends``: each names a function like
`BackendFactory`.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Protocol, TypeVar

from homeport.connections.near_miss import did_you_mean
from homeport.errors import SettingsError
from homeport.spi import Backend

if TYPE_CHECKING:
    from importlib.metadata import EntryPoints

ENTRY_POINT_GROUP = "homeport.backends"
DEFAULT_BACKEND = "homeport://127.0.0.1:8500"

_BUILT_IN = {
    "homeport": "homeport.backends.consul:open_homeport",
    "consul": "homeport.backends.consul:open_consul",
}
_NOT_YET = ("etcd", "kubernetes", "eureka", "dns", "static")

B = TypeVar("B", bound=Backend)


class BackendFactory(Protocol):
    """Makes a backend from its URL (``scheme://…``, or ``scheme://`` alone for defaults) and the environment.

    It connects to nothing yet. It raises SettingsError for a URL or a variable that cannot be right.
    """

    def __call__(self, url: str, environ: Mapping[str, str]) -> Backend:
        """Make it."""
        ...


def backend_names() -> tuple[str, ...]:
    """The schemes that can be opened here, those of installed packages included."""
    return tuple(sorted({*_BUILT_IN, *(point.name for point in _entry_points())}))


def default_backend(environ: Mapping[str, str]) -> str:
    """The backend that is meant when none is named: a URL or a bare name.

    ``HOMEPORT_BACKEND``, else ``DISCOVERY_PROVIDER``, else Consul if ``CONSUL_HTTP_ADDR`` is set, else the registry
    on this host.
    """
    named = environ.get("HOMEPORT_BACKEND", "").strip() or environ.get("DISCOVERY_PROVIDER", "").strip()
    if named:
        return named
    return "consul" if environ.get("CONSUL_HTTP_ADDR", "").strip() else DEFAULT_BACKEND


def open_backend(backend: str | B | None, environ: Mapping[str, str]) -> Backend | B:
    """The backend that is meant by a URL, a bare scheme, None, or a backend object.

    A bare scheme takes its own variables and defaults, None takes `default_backend`, and an object is returned as it
    is.
    Nothing is connected yet.

    Raises:
        SettingsError: the scheme is unknown, or the URL or a variable cannot be right.
    """
    if backend is not None and not isinstance(backend, str):
        return backend
    text = (backend or default_backend(environ)).strip()
    scheme, separator, _ = text.partition("://")
    scheme = scheme.lower()
    return _factory(scheme)(text if separator else f"{scheme}://", environ)


def _entry_points() -> EntryPoints:
    from importlib.metadata import entry_points  # slow to load, and rarely needed

    return entry_points(group=ENTRY_POINT_GROUP)


def _factory(scheme: str) -> BackendFactory:
    place = _BUILT_IN.get(scheme)
    if place is not None:
        module, _, name = place.partition(":")
        built_in: BackendFactory = getattr(import_module(module), name)
        return built_in
    for point in _entry_points().select(name=scheme):
        third_party: BackendFactory = point.load()
        return third_party
    if scheme in _NOT_YET:
        raise SettingsError(f"this version of Homeport has no {scheme} backend yet; use homeport:// or consul://")
    known = backend_names()
    raise SettingsError(f'"{scheme}" is not a backend; there are {", ".join(known)}{did_you_mean(scheme, known)}')
