"""Prepared queries as a source of instances (https://developer.hashicorp.com/consul/api-docs/query)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from homeport.abilities import QUERIES
from homeport.connections.http import Answer
from homeport.errors import InvalidAnswer, Refused, Unsupported
from homeport.spi import Observed, ServiceSummary
from homeport.wire import consul as wire

from . import mapping
from .api import STORE_HEADER, ConsulAPI, quoted
from .permissions import confirm_absence

_ENTRIES = msgspec.json.Decoder(list[wire.ServiceEntry])


class QueryResult(msgspec.Struct, frozen=True, rename="pascal"):
    """The answer of ``query/…/execute``: the instances of ``service`` that the query chose.

    They are like those of ``health/service``, but for lists that are null where those there are empty.
    """

    service: str
    nodes: tuple[dict[str, Any], ...] | None = ()

    def entries(self) -> list[wire.ServiceEntry]:
        """The instances in the shape of ``health/service``.

        Raises:
            msgspec.DecodeError: one has another.
        """
        return _ENTRIES.decode(msgspec.json.encode([_without_nulls(row) for row in self.nodes or ()]))


class QueryDefinition(msgspec.Struct, frozen=True, rename="pascal"):
    """A row of ``query``."""

    name: str = ""


_RESULT = msgspec.json.Decoder(QueryResult)
_DEFINITIONS = msgspec.json.Decoder(list[QueryDefinition])


class PreparedQueries:
    """Runs the queries that are kept in Consul; a name that no query has exactly may be that of a template."""

    def __init__(self, api: ConsulAPI) -> None:
        self._api = api

    async def run(self, name: str, *, datacenter: str) -> Observed:
        """What the query says now. It is not known at which position of the data.

        Raises:
            Refused: there is no such query.
            Unsupported: this is no Consul, and has no queries.
            BackendError: there is no proper answer.
        """
        answer = await self._execute(name, datacenter)
        result = self._api.decode(_RESULT, self._api.fresh(answer))
        if not result.nodes and not await confirm_absence(self._api, result.service, answer, datacenter=datacenter):
            # It may also choose none of those that there are: that is believed when it says so again.
            answer = await self._execute(name, datacenter)
            result = self._api.decode(_RESULT, self._api.fresh(answer))
        try:
            return Observed(instances=mapping.instances(result.entries()))
        except (InvalidAnswer, msgspec.DecodeError) as error:
            raise InvalidAnswer(f"{answer.origin}: {error}", backend=self._api.settings.url) from error

    async def names(self, *, datacenter: str) -> Sequence[ServiceSummary]:
        """The queries that this token may see and that have a name."""
        params = self._api.reading(datacenter, cached=False)
        answer = await self._api.request("GET", "/v1/query", params=params, purpose="list prepared queries")
        found = self._api.decode(_DEFINITIONS, answer)
        return [ServiceSummary(name=name) for name in sorted({one.name for one in found if one.name})]

    async def _execute(self, name: str, datacenter: str) -> Answer:
        settings = self._api.settings
        chosen = {"near": settings.near, "limit": str(settings.limit or "")}
        params = {
            **self._api.reading(datacenter), **{key: value for key, value in chosen.items() if value},
        }  # fmt: skip
        answer = await self._api.send("GET", f"/v1/query/{quoted(name)}/execute", params=params)
        if answer.status == 404 and "Query not found" in answer.text:
            raise Refused(
                f'there is no prepared query "{name}" at {answer.origin}; make it, or leave via=query out of the '
                "backend URL",
                backend=settings.url,
                status=404,
            )
        if answer.status == 404 and STORE_HEADER in answer.headers:
            raise Unsupported(
                "a Homeport registry has no prepared queries",
                backend=settings.url,
                instead="leave via=query out of the backend URL",
                able=QUERIES,
            )
        if answer.status != 200:
            raise self._api.refusal(answer, f'run the prepared query "{name}"')
        return answer


def _without_nulls(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_nulls(one) for key, one in value.items() if one is not None}
    return [_without_nulls(one) for one in value] if isinstance(value, list) else value
