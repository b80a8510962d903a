"""Finding instances, and saying in a sentence why there are none."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from homeport.client.absence import no_instances
from homeport.connections.near_miss import near_miss
from homeport.errors import HomeportError, InvalidValue, NoInstances, Unsupported
from homeport.model import Instance, Query
from homeport.spi import Discoverer, ServiceSummary

from .exits import Failure, Misuse, complain
from .views import ordered


class SeveralInstances(Misuse):
    """One instance is meant, and there are several."""

    def __init__(self, message: str, instances: Sequence[Instance]) -> None:
        super().__init__(message)
        self.instances = instances


_AT_ONCE = 32
"""How many services are read at a time where a question is about all of them."""
MOST_COUNTED = 100
"""Of so many services the instances are counted one service at a time, where their list does not tell."""
COUNT_TIMEOUT = 2.0


async def instances_of(backend: Discoverer, query: Query) -> list[Instance]:
    """The instances that answer ``query``, by id.

    Raises:
        NoInstances: there are none; the message says why, and which other service may be meant.
    """
    known = (await backend.fetch(query.service, datacenter=query.datacenter)).instances
    found = ordered(instance for instance in known if query.matches(instance))
    if found:
        return found
    matching = sum(map(query.selects, known))
    error = no_instances(query, backend=backend.url, known=len(known), matching=matching)
    hint = "" if known else await _meant(backend, query)
    raise NoInstances(f"{error}{hint}", service=query.service, registered=matching)


async def instances_of_all(backend: Discoverer, names: Iterable[str], *, datacenter: str = "") -> list[Instance]:
    """The instances of several services, healthy or not."""
    limit = asyncio.Semaphore(_AT_ONCE)

    async def read(name: str) -> Sequence[Instance]:
        async with limit:
            try:
                return (await backend.fetch(name, datacenter=datacenter)).instances
            except InvalidValue as error:  # a name that is listed but cannot be asked for must not hide all others
                complain(error)
                return ()

    try:
        async with asyncio.TaskGroup() as group:
            reads = [group.create_task(read(name)) for name in names]
    except* HomeportError as errors:
        raise first_error(errors) from None
    return ordered(instance for one in reads for instance in one.result())


class Counted(NamedTuple):
    """A list of services with the numbers of their instances; ``gap`` says why some are not known, "" if all are."""

    summaries: Sequence[ServiceSummary]
    gap: str = ""


async def counted(backend: Discoverer, summaries: Sequence[ServiceSummary], *, datacenter: str = "") -> Counted:
    """The same services, with the numbers that the backend did not tell with its list.

    They are read service by service, if those are at most `MOST_COUNTED`, for at most `COUNT_TIMEOUT` seconds.
    """
    unknown = [one.name for one in summaries if one.instances is None]
    if not unknown:
        return Counted(summaries)
    if len(unknown) > MOST_COUNTED:
        gap = (
            f"{backend.url} tells numbers service by service only, and {len(unknown)} services are too many for that; "
            'narrow them by --tag, or take the time by "homeport health-summary".'
        )
        return Counted(summaries, gap)
    limit = asyncio.Semaphore(_AT_ONCE)
    known: dict[str, ServiceSummary] = {}
    failures: list[HomeportError] = []

    async def count(one: ServiceSummary) -> None:
        async with limit:
            try:
                found = (await backend.fetch(one.name, datacenter=datacenter)).instances
            except HomeportError as error:  # the list itself is known, and worth showing
                failures.append(error)
                return
        passing = sum(instance.healthy for instance in found)
        known[one.name] = msgspec.structs.replace(one, instances=len(found), passing=passing)

    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(COUNT_TIMEOUT), asyncio.TaskGroup() as group:
            for one in summaries:
                if one.instances is None:
                    group.create_task(count(one))
    gap = ""
    if missing := len(unknown) - len(known):
        reason = failures[0] if failures else f"that took longer than {COUNT_TIMEOUT:g} s"
        gap = f"the numbers of {missing} of the services could not be read ({str(reason).rstrip('.')})."
    return Counted([known.get(one.name, one) for one in summaries], gap)


def one_of(instances: Sequence[Instance], service_id: str, *, backend: str) -> Instance:
    """The instance with that id, or the only one when none is named.

    Raises:
        Failure: none has that id.
        SeveralInstances: none is named, and there are several.
    """
    service = instances[0].service
    if service_id:
        for instance in instances:
            if instance.id == service_id:
                return instance
        there = ", ".join(instance.id for instance in instances)
        raise Failure(f'"{service}" has no instance "{service_id}" on {backend}; it has {there}.')
    if len(instances) > 1:
        message = f'"{service}" has {len(instances)} instances on {backend}; name one with --service-id.'
        raise SeveralInstances(message, instances)
    return instances[0]


async def _meant(backend: Discoverer, query: Query) -> str:
    """A question that names the service that was probably meant, "" when none is close."""
    try:
        summaries = {one.name: one for one in await backend.services(datacenter=query.datacenter)}
    except Unsupported:  # DNS, for one, has no list of services
        return ""
    close = near_miss(query.service, summaries)
    if not close:
        return ""
    count = summaries[close].instances
    if count is None:
        count = len((await backend.fetch(close, datacenter=query.datacenter)).instances)
    return f' Did you mean "{close}" ({count})?'


def first_error(errors: BaseExceptionGroup[HomeportError]) -> HomeportError:
    """One error of several that happened at a time."""
    first = errors.exceptions[0]
    return first_error(first) if isinstance(first, BaseExceptionGroup) else first


def by_service(instances: Iterable[Instance]) -> dict[str, list[Instance]]:
    """Instances by the name of their service, in the order in which the names come."""
    found: dict[str, list[Instance]] = {}
    for instance in instances:
        found.setdefault(instance.service, []).append(instance)
    return found
