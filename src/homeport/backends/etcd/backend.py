"""etcd over its JSON gateway: what is where, is in `mapping`.

An instance is one key under a lease of its own. The lease's id tells one registration of a key from another one, and
so does the incarnation in the value, which also outlives the process.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections.abc import AsyncGenerator, Mapping, Sequence

import msgspec

from homeport.connections.access import Access
from homeport.errors import BackendError, Conflict, InvalidAnswer, LeaseLost, PermissionDenied, Refused
from homeport.model import Service
from homeport.spi import Cursor, KeyEntry, KeysObserved, Lease, Observed, ServiceList, ServiceSummary

from . import mapping, shapes
from .api import EtcdAPI, encoded, keys_below
from .contents import Contents
from .following import HANDFUL, Following
from .keys import EtcdKeys
from .listing import follow_list
from .settings import EtcdSettings

_log = logging.getLogger(__name__)

_RANGE = msgspec.json.Decoder(shapes.RangeAnswer, strict=False)
_DONE = msgspec.json.Decoder(shapes.Answered, strict=False)
_GRANT = msgspec.json.Decoder(shapes.GrantAnswer, strict=False)
_ALIVE = msgspec.json.Decoder(shapes.AliveAnswer, strict=False)
_TXN = msgspec.json.Decoder(shapes.TxnAnswer, strict=False)
_DELETED = msgspec.json.Decoder(shapes.DeleteAnswer, strict=False)

_WATCHES = 100
_READINGS = 4
"""So many services that share a watch are read at once; each takes a connection for a moment."""
_MOST_REPORTED = 1000


class EtcdBackend:
    """A `Discoverer`, `Registrar` and `KeyValue` over etcd. Of health it knows the lease and what a value says."""

    def __init__(self, settings: EtcdSettings) -> None:
        self._settings = settings
        self._api = EtcdAPI(settings)
        self._keys = EtcdKeys(self._api, confirm_interval=settings.confirm_interval)
        self._following = Following(
            self._api, settings.prefix, confirm_interval=settings.confirm_interval, timeout=settings.timeout
        )
        self._readings = asyncio.Semaphore(_READINGS)
        self._watched = 0
        self._may_share = True
        self._own: dict[str, tuple[str, str]] = {}  # id -> incarnation and key of what was registered here
        self._reported: set[tuple[bytes, int]] = set()

    def __repr__(self) -> str:
        return f"EtcdBackend({self.url!r})"

    @property
    def url(self) -> str:
        """The URL without credentials."""
        return self._settings.url

    @property
    def access(self) -> Access:
        """How etcd is reached, for diagnosis."""
        return self._settings.access

    @property
    def watch_limit(self) -> int | None:
        """Any number share one watch, as soon as etcd has shown that it allows that; else each holds a connection."""
        return None if self._may_share and self._following.proven else _WATCHES

    async def aclose(self) -> None:
        """Close all connections."""
        await self._following.aclose()
        await self._api.aclose()

    async def ping(self) -> Mapping[str, str]:
        """Version and cluster of the member that answers."""
        status = await self._api.status()
        return {"product": "etcd", "version": status.version, "cluster": status.header.cluster_id}

    # Discoverer

    async def fetch(self, service: str, *, datacenter: str = "") -> Observed:
        """The instances of ``service`` now; with a datacenter those whose metadata name it."""
        return _observed(await self._contents(service), datacenter, known=None)

    async def watch(
        self, service: str, *, datacenter: str = "", after: Cursor | None = None
    ) -> AsyncGenerator[Observed, None]:
        """Observe ``service`` by a range and the events from its revision on.

        They come from a watch of its own, or from one that is shared when many services are watched (`following`).
        """
        known = after
        self._watched += 1
        try:
            while True:
                async with contextlib.aclosing(
                    self._shared(service) if self._shares else self._alone(service)
                ) as found:
                    async for contents in found:
                        yield (observed := _observed(contents, datacenter, known))
                        known = observed.cursor
        finally:
            self._watched -= 1

    async def services(self, *, datacenter: str = "") -> Sequence[ServiceSummary]:
        """All services, by name, with their counts; this reads every instance."""
        prefix = self._settings.prefix
        contents = Contents(await self._range(keys_below(prefix.encode()), "list services"), prefix, self._report)
        return mapping.summaries(mapping.within(contents, datacenter))

    async def watch_services(self, *, datacenter: str = "") -> AsyncGenerator[ServiceList, None]:
        """Follow the list of services, whatever their datacenter, by one watch of all keys; it says which changed."""
        del datacenter  # it stands in the values, and a service without instances there is harmless
        lists = follow_list(self._api, self._settings.prefix, confirm_interval=self._settings.confirm_interval)
        async with contextlib.aclosing(lists):
            async for one in lists:
                yield one

    # Registrar

    async def register(self, service: Service, *, ttl: float | None, incarnation: str) -> Lease:
        """Put the key under a new lease. etcd's leases are of whole seconds, and of two at least as it is set up."""
        key = mapping.instance_key(self._settings.prefix, service.name, service.id)
        value = mapping.value_of(service, incarnation=incarnation)
        purpose = f'register "{service.name}"'
        lease_id = 0
        if ttl is not None:
            grant = await self._api.call("/v3/lease/grant", {"TTL": str(math.ceil(ttl))}, _GRANT, purpose=purpose)
            lease_id = grant.id
        request = {"key": encoded(key.encode()), "value": encoded(value), "lease": str(lease_id)}
        await self._api.call("/v3/kv/put", request, _DONE, purpose=purpose)
        self._own[service.id] = incarnation, key
        return Lease(service=service.name, id=service.id, incarnation=incarnation, ttl=ttl, token=str(lease_id))

    async def renew(self, lease: Lease) -> None:
        """Keep the lease alive, if the key is still under it.

        Raises:
            LeaseLost: the key or its lease is gone.
            Conflict: the key was written by somebody else.
        """
        purpose = f'renew the lease of "{lease.id}"'
        key = mapping.instance_key(self._settings.prefix, lease.service, lease.id)
        found = await self._find(key, purpose)
        if found is not None and mapping.incarnation_of(found.value) != lease.incarnation:
            raise Conflict(
                f'"{lease.id}" was registered anew by another program; this registration is over', backend=self.url
            )
        if found is not None and str(found.lease) == lease.token:
            alive = await self._api.call("/v3/lease/keepalive", {"ID": lease.token}, _ALIVE, purpose=purpose)
            if alive.result.ttl > 0:
                return
        raise LeaseLost(f'the registration "{lease.id}" is not in etcd any more ({key})', backend=self.url)

    async def deregister(self, service_id: str, *, incarnation: str | None = None) -> bool:
        """Remove the key, on the condition that it is still of that incarnation.

        Raises:
            Refused: no incarnation is given, and several services have an instance of that id.
        """
        purpose = f'deregister "{service_id}"'
        own = self._own.get(service_id)
        if own is not None and incarnation == own[0]:
            removed = await self._remove(own[1], incarnation, purpose)
            self._own.pop(service_id, None)
            return removed
        keys = await self._keys_of(service_id, purpose)
        if incarnation is not None:
            return any([await self._remove(key, incarnation, purpose) for key in keys])
        if len(keys) > 1:
            raise Refused(
                f'"{service_id}" is an instance of several services in etcd ({", ".join(keys)}); '
                "remove the right key with etcdctl del, and give each instance an id of its own",
                backend=self.url,
            )
        if not keys:
            return False
        request = {"key": encoded(keys[0].encode())}
        return (await self._api.call("/v3/kv/deleterange", request, _DELETED, purpose=purpose)).deleted > 0

    async def advertised_address(self) -> str:
        """The source address of this host towards etcd."""
        return await self._api.local_address()

    # KeyValue

    async def read_key(self, key: str) -> KeyEntry | None:
        """A key with its value, None when there is none."""
        return await self._keys.read(key)

    async def list_keys(self, prefix: str) -> Sequence[KeyEntry]:
        """All keys that begin with ``prefix``, by key."""
        return await self._keys.list(prefix)

    async def write_key(self, key: str, value: bytes, *, revision: int | None = None) -> None:
        """Write a value, with a ``revision`` only if the key is at it (0: not there)."""
        await self._keys.write(key, value, revision=revision)

    async def delete_key(self, key: str, *, revision: int | None = None) -> None:
        """Remove a key, with a ``revision`` only if it is at it."""
        await self._keys.delete(key, revision=revision)

    def watch_keys(
        self, key: str, *, prefix: bool = False, after: Cursor | None = None
    ) -> AsyncGenerator[KeysObserved, None]:
        """Observe one key, or all that begin with ``key``, until it fails or is closed."""
        return self._keys.watch(key, prefix=prefix, after=after)

    # what the above is made of

    def _prefix(self, service: str) -> bytes:
        return mapping.service_prefix(self._settings.prefix, service).encode()

    @property
    def _shares(self) -> bool:
        """Whether who begins to watch now shares a watch."""
        return self._may_share and (self._watched > HANDFUL or self._following.followed)

    async def _alone(self, service: str) -> AsyncGenerator[Contents, None]:
        """The keys of a service, after each message of a watch of its own, until they have to be read anew.

        That is where etcd has compacted away what the watch would begin with, where a confirmation finds what the watch
        did not tell, and when it is to be shared instead.
        """
        prefix, purpose = self._prefix(service), f'follow "{service}"'
        contents = await self._contents(service)
        yield contents
        watching = await self._api.watch(keys_below(prefix), start_revision=contents.revision + 1, purpose=purpose)
        with contextlib.closing(watching):
            while not self._shares:
                changes = await watching.next(timeout=self._settings.confirm_interval)
                if changes is None:
                    if not await self._confirmed(contents, prefix, purpose):
                        return
                elif changes.compact_revision or changes.header.cluster_id != contents.store:
                    return
                else:
                    contents.apply(changes.events)
                yield contents

    async def _shared(self, service: str) -> AsyncGenerator[Contents, None]:
        """The keys of a service, after each news of the shared watch, until they have to be read anew."""
        try:
            follower = await self._following.join(service)
        except PermissionDenied:
            await self._contents(service)  # it is not the password, then
            self._may_share = False
            return
        try:
            while True:
                async with self._readings:
                    contents = await self._contents(service)
                yield contents
                while (news := await follower.next()) is not None and follower.store == contents.store:
                    contents.apply(news.events)
                    contents.confirmed_until(news.revision)
                    yield contents
        finally:
            await self._following.leave(follower)

    async def _contents(self, service: str) -> Contents:
        answer = await self._range(keys_below(self._prefix(service)), f'read "{service}"')
        return Contents(answer, self._settings.prefix, self._report)

    async def _confirmed(self, contents: Contents, prefix: bytes, purpose: str) -> bool:
        newest = {"keys_only": True, "limit": "1", "sort_target": "MOD", "sort_order": "DESCEND"}
        answer = await self._range({**keys_below(prefix), **newest}, purpose)
        if not contents.confirmed_by(answer):
            return False
        contents.confirmed_until(answer.header.revision)
        return True

    async def _range(self, request: Mapping[str, object], purpose: str) -> shapes.RangeAnswer:
        answer = await self._api.call("/v3/kv/range", request, _RANGE, purpose=purpose)
        if answer.header.revision < 1:
            raise InvalidAnswer(
                f"etcd did not say at which revision it answers, so it cannot {purpose} and follow the changes",
                backend=self.url,
            )
        return answer

    async def _find(self, key: str, purpose: str) -> shapes.KeyValue | None:
        answer = await self._range({"key": encoded(key.encode())}, purpose)
        return answer.kvs[0] if answer.kvs else None

    async def _keys_of(self, service_id: str, purpose: str) -> list[str]:
        """The keys of all instances with that id; this reads every key, but no value."""
        prefix = self._settings.prefix
        answer = await self._range({**keys_below(prefix.encode()), "keys_only": True}, purpose)
        keys = []
        for found in answer.kvs:
            with contextlib.suppress(mapping.Unreadable):
                if mapping.place_of(found.key, prefix)[1] == service_id:
                    keys.append(found.key.decode())
        return keys

    async def _remove(self, key: str, incarnation: str, purpose: str) -> bool:
        """Delete a key while its value is of that incarnation, with its lease."""
        name = encoded(key.encode())
        while True:
            found = await self._find(key, purpose)
            if found is None or mapping.incarnation_of(found.value) != incarnation:
                return False
            unchanged = {"key": name, "target": "MOD", "mod_revision": str(found.mod_revision)}
            request = {"compare": [unchanged], "success": [{"request_delete_range": {"key": name}}]}
            answer = await self._api.call("/v3/kv/txn", request, _TXN, purpose=purpose)
            if answer.succeeded:
                break
        if found.lease:
            with contextlib.suppress(BackendError):  # it holds nothing any more, and runs out
                await self._api.call("/v3/lease/revoke", {"ID": str(found.lease)}, _DONE, purpose=purpose)
        return True

    def _report(self, found: shapes.KeyValue, reason: str) -> None:
        written = found.key, found.mod_revision
        if written in self._reported:
            return
        if len(self._reported) >= _MOST_REPORTED:
            self._reported.clear()
        self._reported.add(written)
        key = found.key.decode(errors="backslashreplace")
        _log.warning(
            "the key %s holds no service that can be read; it is left out (%s)",
            key,
            reason,
            extra={"key": key, "backend": self.url},
        )


def _observed(contents: Contents, datacenter: str, known: Cursor | None) -> Observed:
    cursor = Cursor(position=contents.revision, store=contents.store)
    replaced = known is not None and (cursor.position < known.position or (known.store not in ("", cursor.store)))
    return Observed(instances=mapping.within(contents, datacenter), cursor=cursor, reset=replaced)
