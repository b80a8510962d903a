"""Whether an empty answer means that there is nothing, or that the token may not see it.

Consul takes out of every list what the token may not read, and answers 200. From 1.11 on a header says so, but only to
who gave a token; before, nothing does. What a token may do can be asked, though, as Consul's own web page does.
"""

from __future__ import annotations

import msgspec

from homeport.connections.http import Answer
from homeport.errors import PermissionDenied
from homeport.wire import consul as wire

from .api import STORE_HEADER, UNKNOWN_TOKEN, ConsulAPI, quoted

_FILTERED_HEADER = "x-consul-results-filtered-by-acls"


class Permission(msgspec.Struct, frozen=True, rename="pascal"):
    """One answer of ``internal/acl/authorize``."""

    allow: bool


_PERMISSIONS = msgspec.json.Decoder(list[Permission])
_SERVICES = msgspec.json.Decoder(dict[str, object])
_INSTANCES = msgspec.json.Decoder(list[wire.CatalogService])


async def confirm_absence(api: ConsulAPI, service: str, answer: Answer, *, datacenter: str = "") -> bool:
    """Whether ``answer``, which names no instance of ``service``, can be believed, or nobody can tell.

    False when the token may read instances by now: they are new, or the token could not a moment ago. Nothing wakes
    who waits for more than that answer said, so it is to be asked for again at once.

    Raises:
        PermissionDenied: the token may not read the service, or not the nodes that its instances are on.
        BackendError: Consul cannot be asked.
    """
    if answer.headers.get(_FILTERED_HEADER) == "true":
        raise _denial(api, answer, f'read "{service}"')
    allowed = await _may_read(api, service, answer, datacenter=datacenter)
    if allowed is None:
        return True
    if not allowed:
        raise _denial(api, answer, f'read "{service}"')
    params = api.scope(datacenter)
    listed = await api.request("GET", "/v1/catalog/services", params=params, purpose="list services")
    if service not in api.decode(_SERVICES, listed):
        return True
    # The list of names takes no permission for nodes. Once more, since the service may be new.
    again = await api.request(
        "GET", f"/v1/catalog/service/{quoted(service)}", params=params, purpose=f'read "{service}"'
    )
    if not api.decode(_INSTANCES, again):
        raise _denial(api, answer, f'read the nodes of "{service}" (node:read)')
    return False


async def confirm_no_services(api: ConsulAPI, answer: Answer, *, datacenter: str = "") -> None:
    """Return if an empty list of services can be believed, or nobody can tell.

    Consul itself is always a service.

    Raises:
        PermissionDenied: ACLs are on, no token is given, and without one not even Consul itself is listed.
        BackendError: Consul cannot be asked.
    """
    if answer.headers.get(_FILTERED_HEADER) == "true":
        raise _shows_nothing(api, answer, "its token may see none")
    if (
        not await api.settings.token.current()
        and await _may_read(api, "consul", answer, datacenter=datacenter) is False
    ):
        raise _shows_nothing(api, answer, "it asks for a token, and none is given")


async def confirm_no_keys(api: ConsulAPI, prefix: str, answer: Answer) -> None:
    """Return if it can be believed that no key begins with ``prefix``, or nobody can tell.

    Raises:
        PermissionDenied: the token may not read all keys that do.
        BackendError: Consul cannot be asked.
    """
    if await _may_read(api, prefix, answer, resource="key") is False:
        raise _denial(api, answer, f'read all keys that begin with "{prefix}"')


async def _may_read(
    api: ConsulAPI, name: str, answer: Answer, *, datacenter: str = "", resource: str = "service"
) -> bool | None:
    """Whether the token may read something of that name; None where there are no ACLs, or this Consul does not tell."""
    if STORE_HEADER in answer.headers or api.without_acls:
        return None
    told = await api.send(
        "POST",
        "/v1/internal/acl/authorize",
        params=api.scope(datacenter),
        body=msgspec.json.encode([{"Resource": resource, "Access": "read", "Segment": name}]),
    )
    if told.status == 401 and "ACL support disabled" in told.text:
        api.without_acls = True
    if told.status == 403 and UNKNOWN_TOKEN in told.text:
        raise api.refusal(told, f'read "{name}"')
    if told.status != 200:  # perhaps a proxy that lets nobody ask
        return None
    permissions = api.decode(_PERMISSIONS, told)
    return permissions[0].allow if permissions else None


def _denial(api: ConsulAPI, answer: Answer, what: str) -> PermissionDenied:
    return PermissionDenied(
        f"{answer.origin} does not let this program {what}, and says that there is nothing. "
        "Give a token that may, for example by token_file= in the backend URL.",
        backend=api.settings.url,
    )


def _shows_nothing(api: ConsulAPI, answer: Answer, reason: str) -> PermissionDenied:
    return PermissionDenied(
        f"{answer.origin} shows this program no services: {reason}. "
        "Give a token that may, for example by token_file= in the backend URL.",
        backend=api.settings.url,
    )
