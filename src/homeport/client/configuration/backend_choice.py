"""Which backend the settings file and the environment mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias
from urllib.parse import urlencode

from homeport.errors import SettingsError
from homeport.settings import SettingsFile
from homeport.settings.shapes import Place
from homeport.spi import Backend

from .backend_sections import BackendSections

BackendChoice: TypeAlias = str | Backend | Sequence[str | Backend] | None
"""One backend, several of which each next one is the fallback of those before it, or None for the default."""

BACKEND_VARIABLES = ("HOMEPORT_BACKEND", "DISCOVERY_PROVIDER", "CONSUL_HTTP_ADDR")
"""The variables by which the environment names a backend; `homeport.backends.opening.default_backend` reads them."""


def choose_backend(
    backend: BackendChoice, *, file: SettingsFile, environ: Mapping[str, str]
) -> tuple[BackendChoice, Mapping[str, str]]:
    """The backend, and the environment to open it with: argument > environment > ``backend`` > a section.

    Where a kind of backend is meant without saying which one, it is that of its section.

    Raises:
        SettingsError: the file cannot be right, or does not say which of several sections is meant.
    """
    sections = BackendSections(file)
    chosen = backend
    if chosen is None:
        named = [names for variable in BACKEND_VARIABLES[:2] if (names := environ.get(variable, "").split())]
        chosen = (named[0] if len(named[0]) > 1 else named[0][0]) if named else None
    if chosen is None:
        chosen = "consul" if environ.get("CONSUL_HTTP_ADDR", "").strip() else _of_file(file)
    if chosen is None:
        chosen = sections.meant()
    if chosen is None:
        return None, environ
    if isinstance(chosen, Sequence) and not isinstance(chosen, str):
        return sections.completed(chosen, environ)
    (one,), completed = sections.completed([chosen], environ)
    return one, completed


def _of_file(file: SettingsFile) -> BackendChoice:
    """What the section ``backend`` names: a URL or a bare name, ``url`` with its parameters, or a list of these.

    Raises:
        SettingsError: it is something else.
    """
    written = file.content.get("backend")
    place = Place(file.name, "backend")
    if written is None:
        return None
    if isinstance(written, list):
        if not written:
            raise SettingsError(f"{place} is an empty list; name a backend, or take it out")
        chain = [_one_of_file(one, place.item(position)) for position, one in enumerate(written)]
        return chain if len(chain) > 1 else chain[0]
    return _one_of_file(written, place)


def _one_of_file(written: object, place: Place) -> str:
    if isinstance(written, str) and written.strip():
        return written
    if not isinstance(written, Mapping):
        raise SettingsError(f"{place} must be a URL such as homeport://127.0.0.1:8500, or url: with its parameters")
    url = written.get("url")
    if not isinstance(url, str):
        raise SettingsError(f"{place}.url is missing; give for example url: homeport://127.0.0.1:8500")
    parameters = {key: _parameter(value, place.below(key)) for key, value in written.items() if key != "url"}
    if not parameters:
        return url
    full = url if "://" in url else f"{url}://"
    return f"{full}{'&' if '?' in full else '?'}{urlencode(parameters)}"


def _parameter(value: object, place: Place) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise SettingsError(f"{place} must be text, a number, or true or false")
