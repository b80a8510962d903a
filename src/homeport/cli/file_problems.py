"""Everything that is wrong with a file of settings or of service definitions."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import entry_points
from pathlib import Path

import msgspec

from homeport.backends.opening import open_backends
from homeport.client.configuration.backend_choice import BackendChoice, choose_backend
from homeport.client.configuration.backend_sections import described_section, section, stand_ins
from homeport.client.configuration.configuration import ClientSection, configuration_of
from homeport.client.configuration.consul_section import SECTION as CONSUL
from homeport.client.configuration.consul_section import ConsulSection
from homeport.client.configuration.dns_section import SECTION as DNS
from homeport.client.configuration.dns_section import DNSSection
from homeport.client.configuration.etcd_section import SECTION as ETCD
from homeport.client.configuration.etcd_section import EtcdSection
from homeport.client.configuration.high_availability import SECTION as HIGH_AVAILABILITY
from homeport.client.configuration.high_availability import HighAvailability
from homeport.client.configuration.kubernetes_section import SECTION as KUBERNETES
from homeport.client.configuration.kubernetes_section import KubernetesSection
from homeport.client.configuration.policy import RegistrationPolicy
from homeport.client.definitions.definition import Definition
from homeport.client.definitions.files import KEYS, definitions_in, is_settings, read_definitions
from homeport.client.definitions.variables import Variables
from homeport.connections.backend_url import UnknownParameter
from homeport.errors import HomeportError, SettingsError
from homeport.registry.health.file_checks.parsing import parse
from homeport.registry.health.kinds.probers import GROUP
from homeport.registry.health.settings import FileDefaults
from homeport.server.listening import parse_address
from homeport.server.settings import ServerSettings
from homeport.server.sources.settings import SECTION as SOURCES
from homeport.server.sources.settings import sources_in, unknown_setting
from homeport.server.zones.settings import zones_in
from homeport.settings import SettingsFile, lines, load, problems, read_documents, read_file, read_text
from homeport.settings.file import NOT_YET, SECTIONS
from homeport.settings.shapes import Place, unknown_key

_DOCUMENT = re.compile(r", document (\d+)")
_KEY = re.compile(r": ([A-Za-z0-9_.\[\]-]+)")
_STAND_IN_NAME = "service"
_KINDS = ("http", "tcp", "grpc", "script")
_SHAPES: dict[str, type[msgspec.Struct]] = {
    "client": ClientSection, "server": ServerSettings, CONSUL: ConsulSection, ETCD: EtcdSection,
    KUBERNETES: KubernetesSection, DNS: DNSSection, HIGH_AVAILABILITY: HighAvailability,
}  # fmt: skip

_OF_BACKENDS = (CONSUL, ETCD, KUBERNETES, DNS)


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What a look at a file led to: what is in it, and what is wrong with it. A problem is (line or None, sentence)."""

    file: str
    sections: tuple[str, ...] = ()
    services: int = 0
    problems: tuple[tuple[int | None, str], ...] = ()


def look_at(path: Path, known: Variables) -> Finding:
    """Look at a file; ``known`` are the variables for its definitions, lenient about what only a program knows."""
    try:
        if path.exists() and not path.is_file():
            raise SettingsError(f"{path}: it is no file but a pipe or a device; write its content into a file first")
        documents = [one for one in read_documents(path) if one is not None]
        if documents and not is_settings(path):
            definitions = read_definitions(path)
            return _finding(
                path, KEYS, len(definitions), list(_of_definitions(definitions, RegistrationPolicy(), known))
            )
        content = _content(path, documents)
    except SettingsError as error:
        return _finding(path, (), 0, [error])
    number, found = _of_settings(content, str(path), known)
    return _finding(path, tuple(map(str, content)), number, found)


def _content(path: Path, documents: Sequence[object]) -> Mapping[str, object]:
    """The content of a settings file, whatever its keys are.

    Raises:
        SettingsError: it is not one mapping.
    """
    content = documents[0] if documents else {}
    if len(documents) > 1 or not isinstance(content, Mapping):
        read_file(path)
    assert isinstance(content, Mapping)
    return content


def _of_settings(content: Mapping[str, object], source: str, known: Variables) -> tuple[int, list[SettingsError]]:
    """The number of definitions, and everything that is wrong."""
    found: list[SettingsError] = []
    for key in content:
        if key in NOT_YET:
            found.append(SettingsError(f"{source}: {key} is known but not available in this version; take it out"))
        elif key not in SECTIONS:
            found.append(unknown_key(source, "", str(key), known=SECTIONS))
    for name, shape in _SHAPES.items():
        found += problems(content.get(name), shape, Place(source, name))
    file = SettingsFile(name=source, content={key: one for key, one in content.items() if key in SECTIONS})
    try:
        definitions = list(definitions_in(content, source))
    except SettingsError as error:
        found.append(error)
        definitions = []
    if not found:
        found += _of_whole(file)
    policy = RegistrationPolicy() if found else configuration_of(file, environ=stand_ins(file)).policy
    if not any(str(error).startswith(f"{source}: {name}") for error in found for name in _OF_BACKENDS):
        found += _of_backend(file)
        found += _of_zones(file)
    found += _of_sources(file)
    return len(definitions), [*found, *_of_checks(file), *_of_definitions(definitions, policy, known)]


def _of_whole(file: SettingsFile) -> Iterator[SettingsError]:
    """What only shows when sections are taken together, or are used."""
    try:
        configuration_of(file, environ=stand_ins(file))
        habits = section(file, HIGH_AVAILABILITY, HighAvailability)
        server = load(ServerSettings, prefix="server", file=file, implied=habits.implied_for_server())
    except SettingsError as error:
        yield error
        return
    for key in ("http", "dns"):
        try:
            parse_address(getattr(server, key), option=f"{file.name}: server.{key}")
        except HomeportError as error:
            yield SettingsError(str(error))


def _of_backend(file: SettingsFile) -> Iterator[SettingsError]:
    """Whether the backends can be opened as they are named."""
    try:
        chosen, completed = choose_backend(None, file=file, environ=stand_ins(file))
    except SettingsError as error:
        yield error
        return
    try:
        asyncio.run(_open(chosen, completed))
    except SettingsError as error:
        key = "backend" if file.content.get("backend") else described_section(file) or "backend"
        yield SettingsError(f"{file.name}: {key}: {error}")


def _of_zones(file: SettingsFile) -> Iterator[SettingsError]:
    """Whether the backends of the zones can be opened as they are named."""
    try:
        zones = zones_in(file, stand_ins(file))
    except SettingsError as error:
        yield error
        return
    for position, one in enumerate(zones):
        if one.backend is not None:
            try:
                asyncio.run(_open(one.backend, one.environ))
            except SettingsError as error:
                yield SettingsError(f"{file.name}: {DNS}.zones[{position}].type: {error}")


def _of_sources(file: SettingsFile) -> Iterator[SettingsError]:
    """Whether the sources can be opened as they are named."""
    try:
        sources = sources_in(file)
    except SettingsError as error:
        yield error
        return
    for position, one in enumerate(sources):
        try:
            asyncio.run(_open(one.url, {}))
        except SettingsError as error:
            told = unknown_setting(error) if isinstance(error, UnknownParameter) else error
            yield SettingsError(f"{file.name}: {SOURCES}[{position}]: {told}")


async def _open(chosen: BackendChoice, environ: Mapping[str, str]) -> None:
    """Make the backends, which connects to nothing, and close them."""
    for one in open_backends(chosen, environ):
        await one.backend.aclose()


def _of_checks(file: SettingsFile) -> Iterator[SettingsError]:
    """The problems of the section ``health_checks``, one for each service."""
    written = file.content.get("health_checks")
    services = [{key: one} for key, one in written.items()] if isinstance(written, Mapping) else [written]
    before = 0
    for part in services:
        try:
            kinds = parse(part, FileDefaults(), source=file.name).kinds
        except SettingsError as error:
            before += 1
            yield error
            continue
        for kind, place in kinds.items():
            if kind not in _KINDS and not entry_points(group=GROUP, name=kind):
                yield SettingsError(
                    f'{place}: there is no kind of check "{kind}"; there are {", ".join(_KINDS)}, '
                    f'and those that packages bring by the entry point "{GROUP}"'
                )
    if not before:
        try:
            parse(written, FileDefaults(), source=file.name)
        except SettingsError as error:
            yield error


def _of_definitions(
    definitions: Sequence[Definition], policy: RegistrationPolicy, known: Variables
) -> Iterator[SettingsError]:
    """The problems of definitions, each by itself, and ids that are given twice."""
    origin: dict[str, Definition] = {}
    for definition in definitions:
        service, found = definition.read(known, policy, name=_STAND_IN_NAME)
        yield from found
        if service is None or not service.id:
            continue
        if service.id in origin:
            yield SettingsError(f'{definition} has the id "{service.id}", as {origin[service.id]} has; change one')
        origin[service.id] = definition


def _finding(path: Path, sections: tuple[str, ...], services: int, found: Sequence[SettingsError]) -> Finding:
    texts = dict.fromkeys(str(error) for error in found)  # two looks may find the same
    try:
        places = lines(read_text(path)) if path.is_file() else []
    except SettingsError:
        places = []
    return Finding(
        file=str(path),
        sections=sections,
        services=services,
        problems=tuple(sorted((_located(text, str(path), places) for text in texts), key=_by_line)),
    )


def _by_line(problem: tuple[int | None, str]) -> int:
    return problem[0] or 0


def _located(text: str, source: str, places: Sequence[Mapping[str, int]]) -> tuple[int | None, str]:
    """The line that a sentence is about, found by the key with which it begins, and the sentence without the file."""
    rest = text.removeprefix(source)
    document = _DOCUMENT.match(rest)
    shown = rest.removeprefix(": ").removeprefix(", ")
    number = int(document[1]) - 1 if document else 0
    key = _KEY.match(rest[document.end() :] if document else rest)
    name = key[1].rstrip(".") if key else ""
    while name and len(places) > number:
        if name in places[number]:
            return places[number][name], shown
        name = name[: max(name.rfind("."), name.rfind("["), 0)]
    return None, shown
