"""etcd's keys and values, as they are; services are among them, below their prefix."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Mapping, Sequence

import msgspec

from homeport.errors import Conflict, InvalidAnswer, InvalidValue
from homeport.spi import Cursor, KeyEntry, KeysObserved

from . import shapes
from .api import EtcdAPI, encoded, keys_below

_RANGE = msgspec.json.Decoder(shapes.RangeAnswer, strict=False)
_DONE = msgspec.json.Decoder(shapes.Answered, strict=False)
_TXN = msgspec.json.Decoder(shapes.TxnAnswer, strict=False)


class EtcdKeys:
    """A `KeyValue` without what every backend has. Keys that are no UTF-8 are text with surrogate escapes (PEP 383)."""

    def __init__(self, api: EtcdAPI, *, confirm_interval: float) -> None:
        self._api = api
        self._confirm_interval = confirm_interval

    async def read(self, key: str) -> KeyEntry | None:
        """See `KeyValue.read_key`."""
        found = await self._range(_one(key), f'read the key "{key}"')
        return _entry(found.kvs[0]) if found.kvs else None

    async def list(self, prefix: str) -> Sequence[KeyEntry]:
        """See `KeyValue.list_keys`."""
        found = await self._range(_below(prefix), f'read the keys that begin with "{prefix}"')
        return [_entry(one) for one in found.kvs]

    async def write(self, key: str, value: bytes, *, revision: int | None) -> None:
        """See `KeyValue.write_key`."""
        purpose, request = f'write the key "{key}"', {**_one(key), "value": encoded(value)}
        if revision is None:
            await self._api.call("/v3/kv/put", request, _DONE, purpose=purpose)
        elif not await self._if_at(key, revision, {"request_put": request}, purpose):
            raise self._conflict(key)

    async def delete(self, key: str, *, revision: int | None) -> None:
        """See `KeyValue.delete_key`."""
        purpose = f'remove the key "{key}"'
        if revision is None:
            await self._api.call("/v3/kv/deleterange", _one(key), _DONE, purpose=purpose)
            return
        if revision < 1:
            raise InvalidValue(f'the key "{key}" cannot be removed at the revision {revision}; it must be above 0')
        removed = await self._if_at(key, revision, {"request_delete_range": _one(key)}, purpose)
        if not removed and await self.read(key) is not None:
            raise self._conflict(key)

    async def watch(self, key: str, *, prefix: bool, after: Cursor | None) -> AsyncGenerator[KeysObserved, None]:
        """See `KeyValue.watch_keys`.

        Where etcd has compacted away what the watch would go on with, and after a silence, everything is read anew.
        """
        keys = _below(key) if prefix else _one(key)
        purpose, known = f'follow the keys at "{key}"', after
        while True:
            found = await self._range(keys, purpose)
            entries = {one.key: _entry(one) for one in found.kvs}
            yield (observed := _observed(entries, found.header.revision, found.header.cluster_id, known))
            known = observed.cursor
            watching = await self._api.watch(keys, start_revision=found.header.revision + 1, purpose=purpose)
            with contextlib.closing(watching):
                while True:
                    changes = await watching.next(timeout=self._confirm_interval)
                    if changes is None or changes.compact_revision or changes.header.cluster_id != known.store:
                        break
                    position = known.position
                    for event in changes.events:
                        position = max(position, event.kv.mod_revision)
                        if event.type == "DELETE":
                            entries.pop(event.kv.key, None)
                        else:
                            entries[event.kv.key] = _entry(event.kv)
                    yield (observed := _observed(entries, position, known.store, known))
                    known = observed.cursor

    async def _range(self, keys: Mapping[str, str], purpose: str) -> shapes.RangeAnswer:
        found = await self._api.call("/v3/kv/range", keys, _RANGE, purpose=purpose)
        if found.header.revision < 1:
            raise InvalidAnswer(
                f"etcd did not say at which revision it answers, so it cannot {purpose}",
                backend=self._api.settings.url,
            )
        return found

    async def _if_at(self, key: str, revision: int, change: Mapping[str, object], purpose: str) -> bool:
        """Do one change if the key is at a revision, which is 0 where there is none."""
        at = {**_one(key), "target": "MOD", "mod_revision": str(revision)}
        answer = await self._api.call("/v3/kv/txn", {"compare": [at], "success": [change]}, _TXN, purpose=purpose)
        return answer.succeeded

    def _conflict(self, key: str) -> Conflict:
        return Conflict(
            f'the key "{key}" is at another revision; read it again and decide anew', backend=self._api.settings.url
        )


def _one(key: str) -> dict[str, str]:
    if not key:
        raise InvalidValue("a key in etcd cannot be empty; give a name")
    return {"key": encoded(_bytes(key))}


def _below(prefix: str) -> dict[str, str]:
    """The range of a prefix; from the first key there can be on for none."""
    return keys_below(_bytes(prefix)) if prefix else {"key": encoded(b"\0"), "range_end": encoded(b"\0")}


def _bytes(key: str) -> bytes:
    return key.encode("utf-8", "surrogateescape")


def _entry(found: shapes.KeyValue) -> KeyEntry:
    return KeyEntry(key=found.key.decode("utf-8", "surrogateescape"), value=found.value, revision=found.mod_revision)


def _observed(entries: Mapping[bytes, KeyEntry], position: int, store: str, known: Cursor | None) -> KeysObserved:
    now = Cursor(position=position, store=store)
    replaced = known is not None and (position < known.position or known.store not in ("", store))
    return KeysObserved(entries=tuple(entries[key] for key in sorted(entries)), cursor=now, reset=replaced)
