"""The nouns of service discovery: services, instances, checks, queries and snapshots.

All values are immutable and compare by content. Durations are seconds, times are Unix seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Literal, TypeAlias, get_args

import msgspec

from .check_rules import wrong_field
from .errors import InvalidValue
from .versions import version_range

Status: TypeAlias = Literal["passing", "warning", "critical", "maintenance"]
STATUSES: tuple[Status, ...] = get_args(Status)
_WORST_FIRST: tuple[Status, ...] = ("maintenance", "critical", "warning", "passing")


def worst_status(statuses: Iterable[str]) -> Status:
    """The aggregate of several check statuses: maintenance > critical > warning > passing; nothing is passing."""
    present = set(statuses)
    return next((status for status in _WORST_FIRST if status in present), "passing")


class Check(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What every kind of health check shares.

    ``success_before_passing``, ``failures_before_warning`` and ``failures_before_critical`` count consecutive results
    before the status moves; 0 moves at once. ``deregister_after`` removes the whole service when the check has been
    critical for that long (None: never). ``status`` is the status until the first result.

    A check that could never be asked is refused with `InvalidValue`; the message names the check and the field.
    """

    id: str = ""
    name: str = ""
    notes: str = ""
    status: Status | None = None
    success_before_passing: int = 0
    failures_before_warning: int = 0
    failures_before_critical: int = 0
    deregister_after: float | None = None

    def __post_init__(self) -> None:
        wrong = wrong_field(str(self.__struct_config__.tag), msgspec.structs.asdict(self))
        if wrong is not None:
            raise InvalidValue(wrong)


class HTTPCheck(Check, frozen=True, tag="http"):
    """Asks a URL: 2xx passes, 429 warns, anything else is critical, unless an expectation is given."""

    url: str
    interval: float = 10.0
    timeout: float = 5.0
    method: str = "GET"
    headers: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict)
    body: str = ""
    expected_status: int | None = None
    expected_body: str | None = None
    follow_redirects: bool = True
    tls_server_name: str = ""
    tls_skip_verify: bool = False


class TCPCheck(Check, frozen=True, tag="tcp"):
    """Opens a connection to ``host:port`` and closes it again."""

    target: str
    interval: float = 10.0
    timeout: float = 3.0


class GRPCCheck(Check, frozen=True, tag="grpc"):
    """Asks ``host:port[/service]`` by ``grpc.health.v1.Health/Check``; SERVING passes."""

    target: str
    interval: float = 10.0
    timeout: float = 5.0
    tls: bool = False
    tls_skip_verify: bool = False


class ScriptCheck(Check, frozen=True, tag="script"):
    """Runs a command on the registry's host: exit 0 passes, 1 warns, anything else is critical.

    Refused by a registry that does not have script checks switched on.
    """

    command: tuple[str, ...]
    interval: float = 30.0
    timeout: float = 10.0


class TTLCheck(Check, frozen=True, tag="ttl"):
    """Turns critical unless somebody reports a status at least every ``ttl`` seconds."""

    ttl: float = 15.0


class AliasCheck(Check, frozen=True, tag="alias"):
    """Follows the status of another service."""

    service: str


HealthCheck: TypeAlias = HTTPCheck | TCPCheck | GRPCCheck | ScriptCheck | TTLCheck | AliasCheck


class Service(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a program registers: one instance of the service ``name``.

    An empty ``id`` asks for a generated unique one, an empty ``address`` for the address of this host as the backend
    sees it. ``version`` and ``environment`` travel as metadata of the same name where a backend has no word for them.
    """

    name: str
    id: str = ""
    version: str = ""
    environment: str = ""
    address: str = ""
    port: int = 0
    tags: tuple[str, ...] = ()
    meta: dict[str, str] = msgspec.field(default_factory=dict)
    weight: int = 1
    checks: tuple[HealthCheck, ...] = ()

    def __post_init__(self) -> None:
        if not self.name:
            raise InvalidValue("a service needs a name")
        for field in ("name", "id", "version", "environment", "address"):
            refuse_no_text(getattr(self, field), what=f'the {field} of "{self.name}"')
        for field in ("port", "weight"):
            value = getattr(self, field)  # os.environ["PORT"], most of the time
            if not isinstance(value, int) or isinstance(value, bool):
                raise InvalidValue(f'the {field} of "{self.name}" is {value!r}; give a whole number')
        if not 0 <= self.port <= 65535:
            raise InvalidValue(f'the port of "{self.name}" is {self.port}; it must lie between 0 and 65535')
        if not 0 <= self.weight <= 65535:
            raise InvalidValue(f'the weight of "{self.name}" is {self.weight}; it must lie between 0 and 65535')


class CheckState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The state of one health check of an instance. ``checked_at`` is None where the backend does not tell."""

    id: str
    name: str = ""
    status: Status = "critical"
    output: str = ""
    notes: str = ""
    kind: str = ""
    checked_at: float | None = None
    flapping: bool = False


class Instance(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One running instance of a service, as a backend knows it.

    ``status`` is the worst of its checks; ``healthy`` is true for ``passing`` alone. ``address`` is where to call it,
    never empty.
    """

    id: str
    service: str
    address: str
    port: int = 0
    tags: tuple[str, ...] = ()
    meta: dict[str, str] = msgspec.field(default_factory=dict)
    weight: int = 1
    status: Status = "passing"
    checks: tuple[CheckState, ...] = ()
    version: str = ""
    environment: str = ""
    node: str = ""
    datacenter: str = ""
    region: str = ""
    zone: str = ""
    started_at: str = ""

    @property
    def healthy(self) -> bool:
        """Whether every check passes."""
        return self.status == "passing"

    @property
    def endpoint(self) -> str:
        """``host:port``, an IPv6 address in brackets (RFC 3986, 3.2.2)."""
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{host}:{self.port}"

    @property
    def last_check(self) -> float | None:
        """When the newest result of any check came in, or None where the backend does not tell."""
        return max((check.checked_at for check in self.checks if check.checked_at is not None), default=None)

    def url(self, path: str = "/", *, scheme: str | None = None) -> str:
        """The URL of ``path`` on this instance; the scheme is the argument, else the metadata ``scheme``, else http."""
        return f"{scheme or self.meta.get('scheme', 'http')}://{self.endpoint}/{path.removeprefix('/')}"


class Query(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which instances of a service are wanted. Every condition that is given must hold.

    ``tags`` must all be present; ``version`` is a version or a range such as ``>=2,<3``; ``meta`` must be contained;
    ``healthy`` False includes instances that do not pass.
    """

    service: str
    tags: tuple[str, ...] = ()
    version: str = ""
    environment: str = ""
    meta: dict[str, str] = msgspec.field(default_factory=dict)
    datacenter: str = ""
    healthy: bool = True

    def __post_init__(self) -> None:
        if not self.service:
            raise InvalidValue("a query needs the name of a service")
        refuse_no_text(self.service, what="the name of a service")
        refuse_no_text(self.version, what="a version")
        if self.version:
            version_range(self.version)  # refuses an unreadable range here, not at the first instance

    @property
    def narrows(self) -> bool:
        """Whether anything but health is asked for."""
        return bool(self.tags or self.version or self.environment or self.meta)

    def selects(self, instance: Instance) -> bool:
        """Whether everything but the health of ``instance`` is as asked."""
        return (
            (not self.tags or all(tag in instance.tags for tag in self.tags))
            and (not self.version or version_range(self.version)(instance.version))
            and (not self.environment or instance.environment == self.environment)
            and (not self.meta or all(instance.meta.get(key) == value for key, value in self.meta.items()))
        )

    def matches(self, instance: Instance) -> bool:
        """Whether ``instance`` is an answer to this query."""
        return (instance.healthy or not self.healthy) and self.selects(instance)


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """All instances that answer a query at one moment, and how far to trust them; it can be used as a sequence of them.

    ``revision`` counts the states a watch has seen and strictly increases within it. ``registered`` counts the
    instances that match whatever their health. ``stale_since`` is None while the backend confirms the snapshot;
    otherwise the time since when it no longer does, and ``reason`` says why.
    """

    service: str
    instances: tuple[Instance, ...] = ()
    registered: int = 0
    revision: int = 0
    backend: str = ""
    stale_since: float | None = None
    reason: str = ""
    protected: bool = False

    @property
    def stale(self) -> bool:
        """Whether the backend can no longer confirm this snapshot."""
        return self.stale_since is not None

    def __iter__(self) -> Iterator[Instance]:
        return iter(self.instances)

    def __len__(self) -> int:
        return len(self.instances)

    def __getitem__(self, place: int) -> Instance:
        return self.instances[place]


EventKind: TypeAlias = Literal["registered", "deregistered", "changed", "health_changed"]


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One difference between two sets of instances of a service.

    ``previous`` is None for a new instance, ``current`` for one that is gone.
    """

    kind: EventKind
    service: str
    id: str
    previous: Instance | None = None
    current: Instance | None = None


def diff(previous: Iterable[Instance], current: Iterable[Instance]) -> tuple[Event, ...]:
    """The events that lead from one set of instances to another, departures first.

    Applying them to ``previous`` gives exactly ``current``. An instance is known by its node and id; when both its
    health and anything else changed, that is one ``changed`` event.
    """
    before = {(instance.node, instance.id): instance for instance in previous}
    after = {(instance.node, instance.id): instance for instance in current}
    events = [_event("deregistered", old, None) for key, old in before.items() if key not in after]
    for key, new in after.items():
        old = before.get(key)
        if old is None:
            events.append(_event("registered", None, new))
        elif old != new:
            events.append(_event("health_changed" if _only_health(old, new) else "changed", old, new))
    return tuple(events)


def _only_health(old: Instance, new: Instance) -> bool:
    return old.status != new.status and msgspec.structs.replace(old, status=new.status, checks=new.checks) == new


def _event(kind: EventKind, previous: Instance | None, current: Instance | None) -> Event:
    subject = current or previous
    assert subject is not None
    return Event(kind=kind, service=subject.service, id=subject.id, previous=previous, current=current)


def refuse_no_text(value: object, *, what: str) -> None:
    """Refuse what is no text, such as a version that was read as a number.

    Raises:
        InvalidValue: it is none.
    """
    if not isinstance(value, str):
        hint = f': "{value}"' if isinstance(value, int | float) else ""
        raise InvalidValue(f"{what} is {value!r}; give a text{hint}")


def frozen_meta(meta: Mapping[str, object] | None) -> dict[str, str]:
    """Metadata as text to text; numbers and booleans become their JSON text.

    Raises:
        InvalidValue: it is no mapping, or a value is neither text, number nor boolean.
    """
    if meta is not None and not isinstance(meta, Mapping):
        raise InvalidValue(f"metadata is a {type(meta).__name__}; give a dictionary")
    result: dict[str, str] = {}
    for key, value in (meta or {}).items():
        if isinstance(value, bool):
            result[key] = "true" if value else "false"
        elif isinstance(value, str | int | float):
            result[key] = str(value)
        else:
            raise InvalidValue(f'metadata "{key}" is a {type(value).__name__}; give text, a number or a boolean')
    return result
