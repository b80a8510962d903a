"""What is mirrored, from where, and how: by URLs, a variable, or the section ``sources`` of the settings file."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from urllib.parse import unquote_plus, urlencode

import msgspec

from homeport.connections.backend_url import UnknownParameter
from homeport.connections.near_miss import did_you_mean
from homeport.errors import SettingsError
from homeport.settings import SettingsFile
from homeport.settings.shapes import Place, build, field_values

SECTION = "sources"
VARIABLE = "HOMEPORT_SOURCES"
_PATTERN = re.compile(r"[*?\[]")


class SourceSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One source.

    ``url`` is that of a backend. ``name`` is the node its services stand on, by default made of the URL. Of the
    services, those are mirrored whose name is one of ``services`` or matches a pattern there (all, if it is empty), and
    of these the instances with all of the ``tags``, in ``datacenter`` if one is named; with ``passing`` only those that
    pass. ``prefix`` is put before the names here. With ``merge``, a service that exists here too has the instances of
    both; without, it is not mirrored. When more than half of the instances of a source go at once, they are kept for
    ``removal_hold`` seconds. Where the list of services cannot be followed, it is asked for every ``poll_interval``
    seconds.
    """

    url: str
    name: str = ""
    services: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    datacenter: str = ""
    passing: bool = False
    prefix: str = ""
    merge: bool = False
    removal_hold: float = 60.0
    poll_interval: float = 5.0

    def __post_init__(self) -> None:
        if "://" not in self.url:
            raise SettingsError(f'the source "{self.url}" is no URL; write for example consul://HOST:8500')
        if not self.removal_hold >= 0:
            raise SettingsError(f"removal_hold of a source is {self.removal_hold}; it must not be below 0")
        if not self.poll_interval > 0:
            raise SettingsError(f"poll_interval of a source is {self.poll_interval}; it must be above 0")
        if "/" in self.name or not self.name.isprintable():
            raise SettingsError(f"name of a source is {self.name!a}; give one without a slash that can be printed")

    def __repr__(self) -> str:
        return f"<SourceSettings of {self.url.partition('?')[0]}>"  # the parameters may hold secrets

    @property
    def named_services(self) -> frozenset[str]:
        """The services that are meant by their names, so that they need not be in any list."""
        return frozenset(one for one in self.services if not _PATTERN.search(one))

    @property
    def needs_list(self) -> bool:
        """Whether the source must tell which services there are."""
        return not self.services or len(self.named_services) < len(self.services)

    def wants(self, service: str) -> bool:
        """Whether a service of that name is mirrored."""
        if not self.services:
            # Consul's own servers are a service of theirs; here they would pass for those of this registry.
            return not (service == "consul" and self.url.startswith("consul://"))
        return any(service == one or fnmatchcase(service, one) for one in self.services)


_FIELDS = frozenset(name for name in SourceSettings.__struct_fields__ if name != "url")
_ALSO_OF_THE_BACKEND = {"eureka": frozenset({"poll_interval"}), "kubernetes": frozenset({"datacenter"})}
"""Settings that a backend has too, by the scheme of its URL: they mean the same there, and are for both."""


def source_of_url(text: str, *, place: Place) -> SourceSettings:
    """A source from the URL of its backend, whose parameters may name our own settings too.

    For example ``consul://10.0.0.1:8500?dc=dc2&services=api,web-*&merge=true``.

    Raises:
        SettingsError: a parameter of ours cannot be right.
    """
    base, _, query = text.strip().partition("?")
    shared = _shared(base)
    kept: list[str] = []
    own: dict[str, object] = {}
    for pair in query.split("&") if query else ():
        name, _, value = pair.partition("=")
        if name not in _FIELDS or name in shared:
            kept.append(pair)
        if name in own:
            raise SettingsError(f"{place} gives {name} twice")
        if name in _FIELDS:
            own[name] = unquote_plus(value)
    values = field_values(own, SourceSettings, place.as_text())
    made: SourceSettings = build(
        SourceSettings, {"url": "?".join([base, *filter(None, ["&".join(kept)])]), **values}, place
    )
    return made


def chosen_sources(
    arguments: Sequence[str] | None, *, environ: Mapping[str, str], file: SettingsFile | None
) -> tuple[SourceSettings, ...]:
    """The sources that the command line names, else ``HOMEPORT_SOURCES`` (URLs, by spaces), else the file.

    Raises:
        SettingsError: one of them cannot be right; the message names the place.
    """
    if arguments:
        return tuple(source_of_url(one, place=Place("", "--source")) for one in arguments)
    if named := environ.get(VARIABLE, "").split():
        return tuple(source_of_url(one, place=Place("", VARIABLE)) for one in named)
    return sources_in(file) if file is not None else ()


def sources_in(file: SettingsFile) -> tuple[SourceSettings, ...]:
    """The sources of a file: a list of URLs, or of mappings with ``url``, our settings and parameters of the backend.

    Raises:
        SettingsError: the section cannot be right.
    """
    written, place = file.content.get(SECTION), Place(file.name, SECTION)
    if written is None:
        return ()
    if not isinstance(written, list):
        raise place.wrong(written, "a list of sources")
    return tuple(_one_of_file(one, place.item(position)) for position, one in enumerate(written))


def _one_of_file(written: object, place: Place) -> SourceSettings:
    if isinstance(written, str):
        return source_of_url(written, place=place)
    if not isinstance(written, Mapping) or not isinstance(written.get("url"), str):
        raise SettingsError(f"{place} must be a URL such as consul://HOST:8500, or url: with its settings")
    base = source_of_url(written["url"], place=place)
    own = {key: value for key, value in written.items() if key in _FIELDS}
    not_theirs = {"url", *_FIELDS} - _shared(base.url)
    others = {key: _parameter(value, place.below(key)) for key, value in written.items() if key not in not_theirs}
    url = base.url
    if others:
        url = f"{url}{'&' if '?' in url else '?'}{urlencode(others)}"
    values = {name: getattr(base, name) for name in _FIELDS}
    values.update(field_values(own, SourceSettings, place))
    made: SourceSettings = build(SourceSettings, {**values, "url": url}, place)
    return made


def unknown_setting(error: UnknownParameter) -> SettingsError:
    """The error about a parameter that no backend has, if it may be one of our settings that is misspelled."""
    if error.explained:
        return error
    return SettingsError(f"{str(error).rstrip('.')}{did_you_mean(error.name, _FIELDS)}")


def _shared(url: str) -> frozenset[str]:
    return _ALSO_OF_THE_BACKEND.get(url.partition("://")[0].partition("+")[0], frozenset())


def _parameter(value: object, place: Place) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    hint = did_you_mean(place.key.rpartition(".")[2], _FIELDS)
    raise SettingsError(f"{place} must be text, a number, or true or false{hint}")


def node_name(settings: SourceSettings, clean_url: str) -> str:
    """The node of a source: its name, else its URL without credentials, with dashes for what is no letter or digit."""
    return settings.name or re.sub(r"[^A-Za-z0-9._]+", "-", clean_url).strip("-.")
