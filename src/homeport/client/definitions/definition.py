"""One service definition: what a file says, and the service that it means here and now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec

from homeport.errors import InvalidValue, SettingsError
from homeport.model import HealthCheck, Service, frozen_meta
from homeport.settings import problems
from homeport.settings.shapes import Place, build, convert, field_values, struct_fields
from homeport.settings.templates import filled, is_open, places

from ..check_form import health_check, kind_of
from ..configuration.policy import CheckDefaults, RegistrationPolicy
from .variables import HOST_IP, PORT, Variables


class Form(msgspec.Struct, frozen=True, kw_only=True):
    """A definition as it is written, its places filled.

    Without ``name`` it is ``DISCOVERY_SERVICE_NAME``, without ``address`` the address of this host as the backend sees
    it. ``health_checks`` are as `homeport.Discovery.register` takes them as dictionaries. ``class`` says which of the
    intervals of ``high_availability`` they take.
    """

    name: str = ""
    id: str = ""
    address: str = ""
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 0
    tags: tuple[str, ...] = ()
    meta: dict[str, Any] = {}
    weight: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 1
    version: str = ""
    environment: str = ""
    class_: Literal["critical", "standard"] = msgspec.field(name="class", default="standard")
    health_checks: tuple[Any, ...] = ()
    connect: Any = None


_NUMBERS = {field.name: field.type for field in struct_fields(Form) if field.name in ("port", "weight")}


class Definition(msgspec.Struct, frozen=True):
    """A definition with its places still open; ``place`` is where it stands."""

    content: Mapping[str, Any]
    place: Place

    def __str__(self) -> str:
        return str(self.place)

    @property
    def needs_host_ip(self) -> bool:
        """Whether it asks for the address of this host."""
        return any(asked == f".{HOST_IP}" for text in _texts(self.content) for _, asked in places(text))

    def service(self, known: Variables, policy: RegistrationPolicy, *, name: str = "") -> Service:
        """The service that it means; ``name`` is for one without a name of its own.

        Raises:
            SettingsError: it cannot be right; the message names file, field and what is wrong there.
        """
        service, found = self.read(known, policy, name=name)
        if service is None:
            raise found[0]
        return service

    def read(
        self, known: Variables, policy: RegistrationPolicy, *, name: str = ""
    ) -> tuple[Service | None, list[SettingsError]]:
        """The service that it means, or everything that is wrong with it."""
        found: list[SettingsError] = []
        content = self._filled(known, found)
        found += problems(content, Form, self.place)
        if found:
            return None, found
        form: Form = build(Form, field_values(content, Form, self.place), self.place)
        if form.connect is not None:
            found.append(_no_mesh(form.connect, self.place.below("connect")))
        checks = self._checks(form, policy.checks, found)
        if found:
            return None, found
        try:
            service = Service(
                name=form.name or name,
                id=form.id,
                version=form.version,
                environment=form.environment,
                address=form.address,
                port=form.port,
                tags=form.tags,
                meta=frozen_meta(form.meta),
                weight=form.weight,
                checks=checks,
            )
        except InvalidValue as error:
            unnamed = "; give it one, or set DISCOVERY_SERVICE_NAME" if not (form.name or name) else ""
            return None, [SettingsError(f"{self.place}: {error}{unnamed}")]
        return policy.applied(service), []

    def _filled(self, known: Variables, found: list[SettingsError]) -> dict[str, Any]:
        """The content with its places filled; ``.port`` is the port of the definition, where it has one."""
        content = dict(self.content)
        for field, kind in _NUMBERS.items():
            if not isinstance(content.get(field), str):
                continue
            before = len(found)
            text = _fill(content.pop(field), self.place.below(field), known, found)
            if len(found) == before:
                try:
                    content[field] = convert(text, kind, self.place.below(field).as_text())
                except SettingsError as error:
                    found.append(error)
        port = content.get(PORT)
        if isinstance(port, int) and port:
            known = known.having(port=str(port))
        rest = {key: value for key, value in content.items() if key not in _NUMBERS}
        return {**content, **_fill(rest, self.place, known, found)}

    def _checks(self, form: Form, defaults: CheckDefaults, found: list[SettingsError]) -> tuple[HealthCheck, ...]:
        place = self.place.below("health_checks")
        if len(form.health_checks) > 1 and not defaults.several:
            found.append(
                SettingsError(
                    f"{place} has {len(form.health_checks)} checks, but "
                    "high_availability.health_checks.multiple_checks is false; keep one, or set it to true"
                )
            )
        checks = []
        for position, one in enumerate(form.health_checks):
            try:
                kind = kind_of(one)
                checks.append(health_check({**defaults.fields(kind, form.class_), **one}))
            except InvalidValue as error:
                found.append(SettingsError(f"{place.item(position)}: {error}"))
        return tuple(checks) if defaults.enabled else ()


def _fill(value: Any, place: Place, known: Variables, found: list[SettingsError]) -> Any:
    if isinstance(value, str):
        if is_open(value):
            found.append(SettingsError(f'{place} is "{value}", in which a place does not end; write {{{{ .name }}}}'))
            return value
        try:
            return filled(value, known.value)
        except InvalidValue as error:
            found.append(SettingsError(f"{place}: {error}"))
            return value
    if isinstance(value, Mapping):
        return {key: _fill(one, place.below(key), known, found) for key, one in value.items()}
    if isinstance(value, list):
        return [_fill(one, place.item(position), known, found) for position, one in enumerate(value)]
    return value


def _texts(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        value = list(value.values())
    return [text for one in value for text in _texts(one)] if isinstance(value, list) else []


def _no_mesh(connect: object, place: Place) -> SettingsError:
    key = next(iter(connect)) if isinstance(connect, Mapping) and connect else ""
    asked = place.below(key) if key else place
    return SettingsError(
        f"{asked} asks for a sidecar proxy, which this version does not set up; take it out to register the service "
        "without one"
    )
