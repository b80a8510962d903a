"""Which backend a command talks to."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from urllib.parse import urlencode

from homeport.backends.opening import open_backend
from homeport.errors import SettingsError, Unsupported
from homeport.settings import SettingsFile, find_file, read_file
from homeport.spi import Backend, Discoverer, HealthReporter, Registrar

from .exits import Misuse
from .running import READ_TIMEOUT, within

_VARIABLES = ("HOMEPORT_BACKEND", "DISCOVERY_PROVIDER", "CONSUL_HTTP_ADDR")
"""The variables by which the environment names a backend; `homeport.backends.opening.default_backend` reads them."""


def settings_file(argument: str | None, environ: Mapping[str, str]) -> SettingsFile | None:
    """The settings file that is meant, read; None when there is none.

    Raises:
        SettingsError: it is missing or broken.
    """
    path = find_file(argument, environ)
    return None if path is None else read_file(path)


def chosen_backend(named: Sequence[str] | None, *, environ: Mapping[str, str], file: SettingsFile | None) -> Backend:
    """The backend that the command line, else the environment, else the file names, else the registry on this host.

    Nothing is connected yet.

    Raises:
        Misuse: the command line names several, or one that cannot be right.
        SettingsError: the environment or the file does.
    """
    if named:
        if len(named) > 1:
            raise Misuse(
                "several backends are a fallback chain, which this version does not have yet; name one --backend"
            )
        try:
            return open_backend(named[0], environ)
        except SettingsError as error:
            raise Misuse(f"--backend: {error}") from error
    if file is None or any(environ.get(variable, "").strip() for variable in _VARIABLES):
        return open_backend(None, environ)
    try:
        return open_backend(_of_file(file), environ)
    except SettingsError as error:
        prefix = "" if str(error).startswith(file.name) else f"{file.name}: backend: "
        raise SettingsError(f"{prefix}{error}") from error


@asynccontextmanager
async def opened(named: Sequence[str] | None, *, config: str | None) -> AsyncIterator[Backend]:
    """The chosen backend, closed at the end.

    Raises:
        Misuse: see `chosen_backend`.
        SettingsError: see `chosen_backend`.
    """
    backend = chosen_backend(named, environ=os.environ, file=settings_file(config, os.environ))
    try:
        yield backend
    finally:
        await backend.aclose()


@asynccontextmanager
async def reading(named: Sequence[str] | None, *, config: str | None) -> AsyncIterator[Discoverer]:
    """The chosen backend, for a command that only reads and gives up when that takes too long.

    Raises:
        BackendUnavailable: it took too long.
        HomeportError: see `opened` and `discoverer`.
    """
    async with opened(named, config=config) as backend, within(READ_TIMEOUT, backend):
        yield discoverer(backend)


def discoverer(backend: Backend) -> Discoverer:
    """The backend as one that finds services.

    Raises:
        Unsupported: it does not.
    """
    if not isinstance(backend, Discoverer):
        raise Unsupported(f"the backend {backend.url} does not find services", backend=backend.url)
    return backend


def reporter(backend: Backend) -> HealthReporter:
    """The backend as one whose checks can be asked and set.

    Raises:
        Unsupported: they cannot.
    """
    if not isinstance(backend, HealthReporter):
        raise Unsupported(f"the backend {backend.url} has no health checks that can be asked", backend=backend.url)
    return backend


def registrar(backend: Backend) -> Registrar:
    """The backend as one that takes registrations.

    Raises:
        Unsupported: it does not.
    """
    if not isinstance(backend, Registrar):
        raise Unsupported(f"the backend {backend.url} takes no registrations", backend=backend.url)
    return backend


def _of_file(file: SettingsFile) -> str | None:
    """The backend that the file names: a URL or a bare name, or a mapping of ``url`` and its parameters.

    Raises:
        SettingsError: it is something else, or several.
    """
    section = file.content.get("backend")
    place = f"{file.name}: backend"
    if section is None:
        return None
    if isinstance(section, str):
        return section
    if isinstance(section, list):
        raise SettingsError(f"{place} is a list, a fallback chain, which this version does not have yet; name one")
    if not isinstance(section, Mapping):
        raise SettingsError(f"{place} must be a URL such as homeport://127.0.0.1:8500, or url: with its parameters")
    url = section.get("url")
    if not isinstance(url, str):
        raise SettingsError(f"{place}.url is missing; give for example url: homeport://127.0.0.1:8500")
    parameters = {key: _parameter(value, f"{place}.{key}") for key, value in section.items() if key != "url"}
    if not parameters:
        return url
    full = url if "://" in url else f"{url}://"
    return f"{full}{'&' if '?' in full else '?'}{urlencode(parameters)}"


def _parameter(value: object, place: str) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise SettingsError(f"{place} must be text, a number, or true or false")
