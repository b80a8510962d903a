"""Between the shapes of Consul's HTTP API and Homeport's model; pure.

Consul has no words for version, environment and start time: they travel as metadata of these names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from homeport.abilities import EXPECTING
from homeport.errors import InvalidAnswer, InvalidValue, Unsupported
from homeport.model import (
    STATUSES,
    AliasCheck,
    CheckState,
    GRPCCheck,
    HealthCheck,
    HTTPCheck,
    Instance,
    ScriptCheck,
    Service,
    Status,
    TCPCheck,
    TTLCheck,
    worst_status,
)
from homeport.spi import Cursor, ServiceSummary, check_label
from homeport.wire import consul as wire
from homeport.wire.durations import format_duration

INCARNATION_KEY = "homeport-incarnation"
"""The metadata key that tells apart two registrations of one id."""

LEASE_CHECK_NAME = "Homeport lease"
LEASE_REMOVAL_AFTER = 60.0
"""How long an expired lease stays listed as critical; Consul takes nothing shorter, and looks every 30 s."""

_META_KEY = re.compile(r"[A-Za-z0-9_-]{1,128}\Z")
_META_PAIRS = 64
_META_VALUE_LENGTH = 512


class ExpectingCheck(wire.AgentCheck, frozen=True, kw_only=True):
    """A check definition with the two fields that only Homeport's registry knows."""

    expected_status: int = 0
    expected_body: str = ""


def lease_check_id(service_id: str, incarnation: str) -> str:
    """The id of the TTL check that is a registration's lease.

    It names the incarnation: a successor's registration replaces the check, so that its predecessor's renewals fail
    instead of keeping the successor alive.
    """
    return f"service:{service_id}:homeport-lease:{incarnation}"


def registration(
    service: Service, *, ttl: float | None, incarnation: str, expectations: bool
) -> wire.ServiceRegistration:
    """The body that registers ``service`` with a lease of ``ttl`` seconds, or without one.

    ``expectations`` says whether the registry knows the expected status and body of HTTP checks.

    Raises:
        InvalidValue: Consul would refuse the metadata.
        Unsupported: a weight of 0, or an expectation that the registry does not know.
    """
    if service.weight < 1:
        raise Unsupported(
            f'Consul takes no weight of 0 for "{service.name}"',
            instead="give 1, or take the instance out by maintenance",
        )
    checks = [
        agent_check(check, service, position, expectations=expectations)
        for position, check in enumerate(service.checks)
    ]
    if ttl is not None:
        checks.append(_lease(service.id, incarnation, ttl))
    return wire.ServiceRegistration(
        id=service.id,
        name=service.name,
        tags=list(service.tags),
        address=service.address,
        port=service.port,
        meta=_meta(service, incarnation),
        weights=wire.Weights(passing=service.weight, warning=1),
        checks=checks,
    )


def _lease(service_id: str, incarnation: str, ttl: float) -> wire.AgentCheck:
    return wire.AgentCheck(
        check_id=lease_check_id(service_id, incarnation),
        name=LEASE_CHECK_NAME,
        ttl=format_duration(ttl),
        status="passing",
        notes="Renewed by the program that registered the service; critical when it no longer runs.",
        deregister_critical_service_after=format_duration(LEASE_REMOVAL_AFTER),
    )


def agent_check(check: HealthCheck, service: Service, position: int, *, expectations: bool) -> wire.AgentCheck:
    """The definition of one check of ``service``, whose place among its checks is ``position`` (from 0).

    Its id begins with the service's, since the ids of all checks of an agent share one space.

    Raises:
        Unsupported: it carries an expectation that the registry does not know.
    """
    fields: dict[str, Any] = {
        "check_id": f"{service.id}:{check.id}" if check.id else f"service:{service.id}:{position + 1}",
        "name": check_label(check, position),
        "notes": check.notes,
        "status": check.status or "",
        "success_before_passing": check.success_before_passing,
        "failures_before_warning": check.failures_before_warning,
        "failures_before_critical": check.failures_before_critical,
        "deregister_critical_service_after": _optional_duration(check.deregister_after),
        **_kind(check),
    }
    if not isinstance(check, HTTPCheck) or (check.expected_status is None and check.expected_body is None):
        return wire.AgentCheck(**fields)
    if not expectations:
        raise Unsupported(
            f'Consul cannot expect a status or a body ("{check_label(check, position)}" of "{service.name}")',
            instead="leave expected_status and expected_body out",
            able=EXPECTING,
        )
    return ExpectingCheck(**fields, expected_status=check.expected_status or 0, expected_body=check.expected_body or "")


def _kind(check: HealthCheck) -> dict[str, Any]:
    """The fields that only this kind of check has."""
    match check:
        case HTTPCheck():
            return {
                "http": check.url,
                "method": "" if check.method == "GET" else check.method,
                "header": {name: list(values) for name, values in check.headers.items()} or None,
                "body": check.body,
                "disable_redirects": not check.follow_redirects,
                "tls_server_name": check.tls_server_name,
                "tls_skip_verify": check.tls_skip_verify,
                **_pace(check.interval, check.timeout),
            }
        case TCPCheck():
            return {"tcp": check.target, **_pace(check.interval, check.timeout)}
        case GRPCCheck():
            return {
                "grpc": check.target,
                "grpc_use_tls": check.tls,
                "tls_skip_verify": check.tls_skip_verify,
                **_pace(check.interval, check.timeout),
            }
        case ScriptCheck():
            return {"script_args": list(check.command), **_pace(check.interval, check.timeout)}
        case TTLCheck():
            return {"ttl": format_duration(check.ttl)}
        case AliasCheck():
            return {"alias_service": check.service}


def _pace(interval: float, timeout: float) -> dict[str, Any]:
    return {"interval": format_duration(interval), "timeout": format_duration(timeout)}


def _optional_duration(seconds: float | None) -> str:
    return "" if seconds is None else format_duration(seconds)


def _meta(service: Service, incarnation: str) -> dict[str, str]:
    meta = dict(service.meta)
    for key, value in (("version", service.version), ("environment", service.environment)):
        if value and meta.setdefault(key, value) != value:
            raise InvalidValue(
                f'"{service.name}" has the {key} "{value}", but its metadata says "{meta[key]}"; give one of them'
            )
    meta[INCARNATION_KEY] = incarnation
    for key, value in meta.items():
        if not _META_KEY.match(key) or key.startswith("consul-"):
            raise InvalidValue(
                f'"{key}" cannot be a metadata key: Consul takes up to 128 of A-Z, a-z, 0-9, "-" and "_", '
                'not beginning with "consul-"'
            )
        if len(value) > _META_VALUE_LENGTH:
            raise InvalidValue(
                f'the metadata "{key}" is {len(value)} characters long; Consul takes {_META_VALUE_LENGTH}'
            )
    if len(meta) > _META_PAIRS:
        raise InvalidValue(
            f'"{service.name}" has {len(meta) - 1} pairs of metadata; Consul takes {_META_PAIRS - 1} beside our own'
        )
    return meta


def instances(entries: Iterable[wire.ServiceEntry]) -> tuple[Instance, ...]:
    """The instances of an answer of ``health/service``.

    Raises:
        InvalidAnswer: a status is none that Consul has, or an instance has neither an address nor a node with one.
    """
    return tuple(map(instance, entries))


def instance(entry: wire.ServiceEntry) -> Instance:
    """One instance with the checks of its node and its own.

    Raises:
        InvalidAnswer: see `instances`.
    """
    node, service = entry.node, entry.service
    address = service.address or node.address
    if not address:
        raise InvalidAnswer(f'the registry lists the instance "{service.id}" without any address')
    checks = tuple(map(check_state, entry.checks))
    meta = {key: value for key, value in (service.meta or {}).items() if key != INCARNATION_KEY}
    locality = service.locality or node.locality
    return Instance(
        id=service.id,
        service=service.service,
        address=address,
        port=service.port,
        tags=tuple(service.tags),
        meta=meta,
        weight=service.weights.passing,
        status=worst_status(check.status for check in checks),
        checks=checks,
        version=meta.get("version", ""),
        environment=meta.get("environment", ""),
        node=node.node,
        datacenter=node.datacenter,
        region=locality.region if locality else meta.get("region", ""),
        zone=locality.zone if locality else meta.get("zone", ""),
        started_at=meta.get("started_at", ""),
    )


def dns_server(debug_config: Mapping[str, object], *, agent: str) -> str:
    """Where an agent answers DNS, HOST:PORT, after what it says of itself; "" where it does not, or does not say.

    An agent that listens everywhere is asked where it was asked by HTTP: at the URL ``agent``.
    """
    listed = debug_config.get("DNSAddrs")
    for text in listed if isinstance(listed, list) else ():
        place = urlsplit(str(text))
        if place.scheme == "udp" and place.port:
            everywhere = place.hostname in (None, "0.0.0.0", "::")  # noqa: S104 - compared, not bound
            host = urlsplit(agent).hostname if everywhere else place.hostname
            return f"[{host}]:{place.port}" if ":" in str(host) else f"{host}:{place.port}"
    return ""


def connections_of_a_client(debug_config: Mapping[str, object]) -> int:
    """How many connections an agent allows one client at once, after what it says of itself; 0 when it does not say.

    Where it sets no limit, that is more than anybody has.
    """
    limit = debug_config.get("HTTPMaxConnsPerClient")
    if not isinstance(limit, int):
        return 0
    return limit if limit > 0 else 1 << 16


def check_state(check: wire.HealthCheck) -> CheckState:
    """The state of one check. Consul does not tell when it was last checked.

    Raises:
        InvalidAnswer: its status is none that Consul has.
    """
    return CheckState(
        id=check.check_id,
        name=check.name,
        status=status_of(check.check_id, check.status),
        output=check.output,
        notes=check.notes,
        kind=check.type,
    )


def status_of(check_id: str, status: str) -> Status:
    """A status word as the model has it; the checks by which Consul marks maintenance are that, not critical.

    Raises:
        InvalidAnswer: it is no status word.
    """
    if check_id == "_node_maintenance" or check_id.startswith("_service_maintenance:"):
        return "maintenance"
    for known in STATUSES:
        if status == known:
            return known
    raise InvalidAnswer(f'the registry says that the check "{check_id}" is "{status[:40]}", which is no status')


def find_check(checks: Sequence[wire.HealthCheck], service_id: str, wanted: str) -> wire.HealthCheck | None:
    """The check of ``service_id`` with that id (as registered or as Consul has it), else with that name.

    An empty ``wanted`` is the service's only TTL check; the lease is none of its checks.
    """
    own = [check for check in checks if check.service_id == service_id and ":homeport-lease" not in check.check_id]
    if not wanted:
        ttl_checks = [check for check in own if check.type == "ttl"]
        return ttl_checks[0] if len(ttl_checks) == 1 else None
    by_id = (check for check in own if check.check_id in (wanted, f"{service_id}:{wanted}"))
    by_name = (check for check in own if check.name == wanted)
    return next(by_id, None) or next(by_name, None)


def summaries(services: Mapping[str, tuple[str, ...]]) -> tuple[ServiceSummary, ...]:
    """An answer of ``catalog/services``, by name; it has no counts."""
    return tuple(ServiceSummary(name=name, tags=tuple(sorted(tags))) for name, tags in sorted(services.items()))


def cursor(index_header: str | None, store: str) -> Cursor:
    """Where an answer stands, from its ``X-Consul-Index``.

    An index of 0 counts as 1: asking with 0 would not block
    (https://developer.hashicorp.com/consul/api-docs/features/blocking#implementation-details).

    Raises:
        InvalidAnswer: the header is missing or not a number; without it changes cannot be waited for.
    """
    if index_header is None or not (index_header.isascii() and index_header.isdigit()):
        raise InvalidAnswer(
            "the answer carries no X-Consul-Index, so changes cannot be waited for; "
            "is there a proxy that removes headers?"
        )
    return Cursor(position=max(1, int(index_header)), store=store)


def is_reset(known: Cursor | None, now: Cursor, *, may_lag: bool = False) -> bool:
    """Whether ``now`` does not continue ``known``: other data, or an index that went back.

    ``may_lag`` says that an answer may be older than the one before it: then the same data are no reset.
    """
    if known is None:
        return False
    if known.store and now.store:
        if known.store != now.store:
            return True
        if may_lag:
            return False
    return now.position < known.position
