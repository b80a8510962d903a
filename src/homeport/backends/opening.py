"""From URLs, bare names or the environment to backends.

Backends are found through a lazy table, so that one that is not used is not imported. A scheme that is not in the
table is looked for among the entry points of the group ``homeport.backends``: each names a function like
`BackendFactory`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

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
    "dns": "homeport.backends.dns:open_dns",
    "etcd": "homeport.backends.etcd:open_etcd",
    "kubernetes": "homeport.backends.kubernetes:open_kubernetes",
    "eureka": "homeport.backends.eureka:open_eureka",
    "static": "homeport.backends.static:open_static",
    "embedded": "homeport.server.embedded:open_embedded",
}

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
    """The backend that is meant when none is named: a URL or a bare name, or several separated by spaces.

    ``HOMEPORT_BACKEND``, else ``DISCOVERY_PROVIDER``, else Consul if ``CONSUL_HTTP_ADDR`` is set, else the registry
    on this host.
    """
    named = environ.get("HOMEPORT_BACKEND", "").strip() or environ.get("DISCOVERY_PROVIDER", "").strip()
    if named:
        return named
    return "consul" if environ.get("CONSUL_HTTP_ADDR", "").strip() else DEFAULT_BACKEND


class Opened(NamedTuple):
    """A backend, and whether it was opened here, so that it is to be closed here too."""

    backend: Backend
    owned: bool


def open_backends(
    backend: str | Backend | Sequence[str | Backend] | None, environ: Mapping[str, str]
) -> tuple[Opened, ...]:
    """The backends of a fallback chain, in order: what `open_backend` takes, or a list of URLs and objects.

    None takes `default_backend`, which may name several.

    Raises:
        SettingsError: the list is empty, or see `open_backend`.
    """
    if backend is None:
        chain: Sequence[str | Backend] = default_backend(environ).split()
    elif isinstance(backend, str | bytes) or not isinstance(backend, Sequence):
        chain = (backend,)
    else:
        chain = backend
    if not chain:
        raise SettingsError("the list of backends is empty; name at least one, such as homeport://127.0.0.1:8500")
    return tuple(Opened(open_backend(one, environ), owned=isinstance(one, str)) for one in chain)


def open_backend(backend: str | B | None, environ: Mapping[str, str]) -> Backend | B:
    """The backend that is meant by a URL, a bare scheme, None, or a backend object.

    A bare scheme takes its own variables and defaults, None takes `default_backend`, and an object is returned as it
    is.
    Nothing is connected yet.

    Raises:
        SettingsError: the scheme is unknown, the URL or a variable cannot be right, or the environment names several.
    """
    if backend is not None and not isinstance(backend, str):
        if not isinstance(backend, Backend):
            raise SettingsError(
                f"a backend cannot be of the type {type(backend).__name__}; give a URL such as {DEFAULT_BACKEND}, a "
                "name, or an object that is a Backend"
            )
        return backend
    text = (backend or default_backend(environ)).strip()
    if not backend and len(text.split()) > 1:
        raise SettingsError("the environment names several backends, a fallback chain, where one is wanted; name one")
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
    known = backend_names()
    if scheme in ("http", "https") or ":" in scheme:  # where it is, and not what
        raise SettingsError(
            f'"{scheme}" does not say what kind of backend it is; write for example homeport://HOST:PORT or '
            "consul://HOST:PORT" + ("?scheme=https" if scheme == "https" else "")
        )
    raise SettingsError(f'"{scheme}" is not a backend; there are {", ".join(known)}{did_you_mean(scheme, known)}')
