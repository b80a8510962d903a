"""Following the list of services by blocking queries of ``catalog/services``.

Source: https://developer.hashicorp.com/consul/api-docs/catalog#list-services. It moves with every registration; what
happened to which service it does not tell.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator

import msgspec

from .api import ConsulAPI
from .blocking_query import answers
from .permissions import confirm_no_services

_NAMES = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Listed(msgspec.Struct, frozen=True):
    """The names of all services, and the index at which they were read."""

    names: frozenset[str]
    position: int


async def follow_list(api: ConsulAPI, *, datacenter: str) -> AsyncGenerator[Listed, None]:
    """The list now and after every registration; the names are the same object as long as they did not change.

    Raises:
        BackendError: the agent cannot be asked.
    """
    body, names = b"", frozenset[str]()
    asking = answers(api, "/v1/catalog/services", datacenter=datacenter, purpose="list services")
    async with contextlib.aclosing(asking) as lists:
        async for answer, position in lists:
            if answer.body != body:  # most registrations change nothing in the list
                services = api.decode(_NAMES, answer)
                body, names = answer.body, names if services.keys() == names else frozenset(services)
            if not names:
                await confirm_no_services(api, answer, datacenter=datacenter)
            yield Listed(names, position)
