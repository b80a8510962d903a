"""Checks that an operator gives all instances of a service, from a file. Pure: text in, check records out.

::

    health_checks:
      api_service:                      # the service "api_service", or else "api"
        checks:
          - name: HTTP Health Endpoint
            type: http
            url: http://{{ .address }}:{{ .port }}/health
            expected_status: 200
          - name: Disk Space
            type: script
            script: |
              #!/bin/bash
              ...
            interval: 300s
        class: critical                 # which interval a check takes that gives none; "standard" unless said
        failure_threshold: 3
        success_threshold: 2
        deregister_critical_service_after: 90s

A key stands for the service of exactly that name. A service without such a key takes the one that is its name with
``_service`` behind it; hyphens and underscores count as the same then (``user-service`` takes ``user_service``, ``api``
takes ``api_service``). A check may give its own thresholds and its own ``deregister_critical_service_after``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar

import msgspec

from homeport.errors import SettingsError
from homeport.settings.shapes import Place, build, field_values
from homeport.wire.durations import format_duration

from ...checks import FROM_FILE
from ...records import CheckDefinition, CheckRecord, ServiceRecord
from ..live import SCRIPT
from ..settings import FileDefaults
from .interpreters import command_of
from .templates import Unsafe, check_places, fill, fill_command

N = TypeVar("N", int, float)
SECTION = "health_checks"
PREFIX = "file:"
"""How the ids of these checks begin; the id of the instance and a number follow."""
NOT_CHECKED = "Not checked yet."
"""The output of such a check before its first result; it passes until then.

A new line in a file must not take all instances of a service away.
"""

_COMMON = (
    "name", "type", "notes", "interval", "timeout", "failure_threshold", "warning_threshold", "success_threshold",
    "deregister_critical_service_after",
)  # fmt: skip
_OWN = {
    "http": (
        "url", "method", "header", "body", "expected_status", "expected_body", "follow_redirects", "tls_server_name",
        "tls_skip_verify",
    ),
    "tcp": ("address", "tls", "tls_server_name", "tls_skip_verify"),
    "grpc": ("address", "service", "tls", "tls_server_name", "tls_skip_verify"),
    SCRIPT: ("script",),
}  # fmt: skip
_NEEDED = {"http": "url", "tcp": "address", "grpc": "address", SCRIPT: "script"}
_NOT_FROM_A_FILE = ("ttl", "alias")


class FileCheck(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One check as the file gives it.

    ``script`` is a text for an interpreter, or a list of words. ``options`` are for kinds that packages bring.
    """

    name: str
    type: str
    notes: str = ""
    interval: float | None = None
    timeout: float | None = None
    failure_threshold: int | None = None
    warning_threshold: int | None = None
    success_threshold: int | None = None
    deregister_critical_service_after: float | None = None
    url: str = ""
    method: str = ""
    header: dict[str, Any] = {}
    body: str = ""
    expected_status: int = 0
    expected_body: str = ""
    follow_redirects: bool = True
    address: str = ""
    service: str = ""
    tls: bool = False
    tls_server_name: str = ""
    tls_skip_verify: bool = False
    script: Any = ""
    options: dict[str, Any] = {}


class ServiceChecks(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the file says about one service; the thresholds are for the checks that give none."""

    checks: tuple[FileCheck, ...]
    class_: Literal["critical", "standard"] = msgspec.field(name="class", default="standard")
    failure_threshold: int = 0
    warning_threshold: int = 0
    success_threshold: int = 0
    deregister_critical_service_after: float = 0.0


class FileChecks:
    """The checks of a file, by service."""

    def __init__(self, templates: Mapping[str, tuple[_Template, ...]]) -> None:
        self._templates = templates
        self._keys = {key.lower(): key for key in templates}
        self._alike = {_alike(key): key for key in templates}

    @property
    def kinds(self) -> dict[str, str]:
        """The kinds that are used, each with a place in the file where it is."""
        places: dict[str, str] = {}
        for checks in self._templates.values():
            for template in checks:
                places.setdefault(template.definition.kind, template.place)
        return places

    def __bool__(self) -> bool:
        return bool(self._templates)

    def key_for(self, service_name: str) -> str | None:
        """The key of the file that stands for a service."""
        alike = _alike(service_name)
        return self._keys.get(service_name.lower()) or self._alike.get(alike) or self._alike.get(f"{alike}-service")

    def records(self, service: ServiceRecord, address: str) -> list[CheckRecord]:
        """The checks of an instance, which is reached at ``address``, as they shall stand in the registry."""
        key = self.key_for(service.name)
        values = {
            "address": address, "port": str(service.port), "id": service.id, "name": service.name, "node": service.node,
        }  # fmt: skip
        templates = self._templates[key] if key is not None else ()
        return [_record(template, number, service, values) for number, template in enumerate(templates, 1)]


NO_FILE_CHECKS = FileChecks({})


def parse(section: object, defaults: FileDefaults, *, source: str = "") -> FileChecks:
    """The checks of the section ``health_checks`` of a file, which ``source`` names in errors.

    Raises:
        SettingsError: something in it cannot be right; the message names the place.
    """
    place = Place(source, SECTION)
    if section is None:
        return NO_FILE_CHECKS
    if not isinstance(section, Mapping):
        raise place.wrong(section, "the names of services with their checks below them")
    templates: dict[str, tuple[_Template, ...]] = {}
    alike: dict[str, str] = {}
    for key, content in section.items():
        at = place.below(key)
        other = alike.setdefault(_alike(str(key)), str(key))
        if other != key:
            raise SettingsError(f"{at} and {other} stand for the same services; keep one of them")
        checks: ServiceChecks = build(ServiceChecks, field_values(content, ServiceChecks, at), at)
        templates[str(key)] = tuple(
            _template(check, checks, defaults, at.below("checks").item(position))
            for position, check in enumerate(checks.checks)
        )
    return FileChecks(templates)


class _Template(msgspec.Struct, frozen=True):
    """A check whose definition still has places for the values of an instance."""

    name: str
    notes: str
    definition: CheckDefinition
    place: str


def _template(check: FileCheck, service: ServiceChecks, defaults: FileDefaults, place: Place) -> _Template:
    _check_fields(check, place)
    script = _command(check.script, place.below("script")) if check.script else ()
    definition = CheckDefinition(
        kind=check.type, http=check.url, method=check.method, header=_header(check.header, place.below("header")),
        body=check.body, disable_redirects=not check.follow_redirects, expected_status=check.expected_status,
        expected_body=check.expected_body, tcp=check.address if check.type == "tcp" else "", tcp_use_tls=check.tls,
        grpc=_grpc_target(check) if check.type == "grpc" else "", grpc_use_tls=check.tls, script=script,
        interval=check.interval or _interval(service, defaults),
        timeout=check.timeout or _timeout(check.type, defaults), tls_server_name=check.tls_server_name,
        tls_skip_verify=check.tls_skip_verify, success_before_passing=_first(check.success_threshold,
        service.success_threshold), failures_before_warning=_first(check.warning_threshold, service.warning_threshold),
        failures_before_critical=_first(check.failure_threshold, service.failure_threshold),
        deregister_after=_first(check.deregister_critical_service_after, service.deregister_critical_service_after),
        options={name: _option(value, place.below("options").below(name)) for name, value in check.options.items()},
    )  # fmt: skip
    try:
        _map_texts(definition, _checked, _checked)
    except ValueError as error:
        raise SettingsError(f"{place}: {error}") from None
    return _Template(check.name, check.notes, definition, str(place))


def _check_fields(check: FileCheck, place: Place) -> None:
    """Refuse what would not be obeyed."""
    if check.type in _NOT_FROM_A_FILE or not check.type:
        raise place.below("type").wrong(check.type, "http, tcp, grpc, script or a kind that a package brings")
    own = _OWN.get(check.type, ("options",))
    for field in msgspec.structs.fields(FileCheck):
        given = field.name not in _COMMON and getattr(check, field.name) != field.default
        if given and field.name not in own and getattr(check, field.name) != {}:
            raise SettingsError(f"{place.below(field.name)} is not a setting of a check of the type {check.type}")
    needed = _NEEDED.get(check.type)
    if needed is not None and not getattr(check, needed):
        raise SettingsError(f"{place.below(needed)} is missing")
    for name in ("interval", "timeout", "failure_threshold", "warning_threshold", "success_threshold"):
        if (value := getattr(check, name)) is not None and value <= 0:
            raise SettingsError(f"{place.below(name)} is {value}; it must be more than 0")
    warning, failure = check.warning_threshold, check.failure_threshold
    if warning is not None and failure is not None and warning > failure:
        raise SettingsError(
            f"{place}: warning_threshold ({warning}) must not be higher than failure_threshold ({failure})"
        )


def _command(script: object, place: Place) -> tuple[str, ...]:
    if isinstance(script, str):
        try:
            return command_of(script)
        except ValueError as error:
            raise SettingsError(f"{place}: {error}") from None
    if isinstance(script, list) and all(isinstance(word, str) for word in script):
        return tuple(script)
    raise place.wrong(script, "a text, or a list of words")


def _header(header: Mapping[str, Any], place: Place) -> dict[str, tuple[str, ...]]:
    made: dict[str, tuple[str, ...]] = {}
    for name, value in header.items():
        values = value if isinstance(value, list) else [value]
        if not all(isinstance(one, str) for one in values):
            raise place.below(name).wrong(value, "text, or a list of texts")
        made[name] = tuple(values)
    return made


def _option(value: object, place: Place) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise place.wrong(value, "text, a number, or true or false")


def _grpc_target(check: FileCheck) -> str:
    return f"{check.address}/{check.service}" if check.service else check.address


def _interval(service: ServiceChecks, defaults: FileDefaults) -> float:
    return defaults.critical_interval if service.class_ == "critical" else defaults.standard_interval


def _timeout(kind: str, defaults: FileDefaults) -> float:
    by_kind = {
        "http": defaults.http_timeout, "tcp": defaults.tcp_timeout, "grpc": defaults.grpc_timeout,
        SCRIPT: defaults.script_timeout,
    }  # fmt: skip
    return by_kind.get(kind, 0.0)


def _first(own: N | None, of_service: N) -> N:
    return of_service if own is None else own


def _alike(name: str) -> str:
    return name.lower().replace("_", "-")


def _checked(text: str) -> str:
    check_places(text)
    return text


def _map_texts(definition: CheckDefinition, text: Callable[[str], str], word: Callable[[str], str]) -> CheckDefinition:
    """The definition with every text that may have places put through ``text``, commands through ``word``."""
    return msgspec.structs.replace(
        definition, http=text(definition.http), body=text(definition.body), tcp=text(definition.tcp),
        grpc=text(definition.grpc), tls_server_name=text(definition.tls_server_name),
        header={name: tuple(map(text, values)) for name, values in definition.header.items()},
        script=tuple(map(word, definition.script)),
        options={name: text(value) for name, value in definition.options.items()},
    )  # fmt: skip


def _record(template: _Template, number: int, service: ServiceRecord, values: Mapping[str, str]) -> CheckRecord:
    definition = template.definition
    record = CheckRecord(
        node=service.node, id=f"{PREFIX}{service.id}:{number}", name=template.name, notes=template.notes,
        service_id=service.id, service_name=service.name, type=definition.kind, status="passing", output=NOT_CHECKED,
        interval=format_duration(definition.interval),
        timeout=format_duration(definition.timeout) if definition.timeout else "", origin=FROM_FILE,
    )  # fmt: skip
    try:
        filled = _map_texts(definition, lambda text: fill(text, values), lambda word: fill_command(word, values))
    except Unsafe as error:
        return msgspec.structs.replace(record, status="critical", output=f"{error}; the check is not executed")
    return msgspec.structs.replace(record, definition=filled, executed=True)
