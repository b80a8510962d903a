"""Consul's keys and values (https://developer.hashicorp.com/consul/api-docs/kv)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence

import msgspec

from homeport.abilities import KEYS
from homeport.connections.http import Answer
from homeport.errors import BackendError, Conflict, InvalidAnswer, InvalidValue, Refused, Unsupported
from homeport.spi import Cursor, KeyEntry, KeysObserved

from .api import STORE_HEADER, ConsulAPI, quoted
from .mapping import cursor
from .permissions import confirm_no_keys

_INDEX_HEADER = "x-consul-index"


class KeyRow(msgspec.Struct, frozen=True, rename="pascal"):
    """A row of ``kv``; the value is base64 there, and null when it is empty."""

    key: str
    modify_index: int
    value: bytes | None = None

    def entry(self) -> KeyEntry:
        """The row in the words of the contract."""
        return KeyEntry(key=self.key, value=self.value or b"", revision=self.modify_index)


_ROWS = msgspec.json.Decoder(list[KeyRow])
_DONE = msgspec.json.Decoder(bool)


class ConsulKeys:
    """A `KeyValue` without what every backend has."""

    def __init__(self, api: ConsulAPI) -> None:
        self._api = api

    async def read(self, key: str) -> KeyEntry | None:
        """See `KeyValue.read_key`."""
        _, entries = await self._get(key, prefix=False, params=self._api.scope())
        return entries[0] if entries else None

    async def list(self, prefix: str) -> Sequence[KeyEntry]:
        """See `KeyValue.list_keys`."""
        _, entries = await self._get(prefix, prefix=True, params=self._api.scope())
        return entries

    async def write(self, key: str, value: bytes, *, revision: int | None) -> None:
        """See `KeyValue.write_key`."""
        purpose = f'write the key "{key}"'
        if not await self._done("PUT", key, revision, purpose=purpose, body=value):
            raise self._conflict(key)

    async def delete(self, key: str, *, revision: int | None) -> None:
        """See `KeyValue.delete_key`."""
        if revision is not None and revision < 1:
            raise InvalidValue(f'the key "{key}" cannot be removed at the revision {revision}; it must be above 0')
        gone = await self._done("DELETE", key, revision, purpose=f'remove the key "{key}"')
        if not gone and await self.read(key) is not None:
            raise self._conflict(key)

    async def watch(self, key: str, *, prefix: bool, after: Cursor | None) -> AsyncGenerator[KeysObserved, None]:
        """See `KeyValue.watch_keys`.

        The index of keys may go back where nothing was lost, when Consul forgets what it knew of removed ones. So only
        other data are a reset, not an index that went back.
        """
        wait, known, seen = self._api.settings.wait, after, 0
        while True:
            params, timeout = self._api.scope(), None
            if seen:
                params |= {"index": str(seen), "wait": f"{round(wait * 1000)}ms"}
                # The server adds up to a sixteenth to the wait.
                timeout = wait + wait / 16 + self._api.settings.timeout
            await self._api.identify()
            answer, entries = await self._get(key, prefix=prefix, params=params, timeout=timeout)
            try:
                now = cursor(answer.headers.get(_INDEX_HEADER), self._api.store_of(answer))
            except InvalidAnswer as error:
                raise InvalidAnswer(f"{answer.origin}: {error}", backend=self._api.settings.url) from error
            reset = known is not None and bool(known.store and now.store) and known.store != now.store
            yield KeysObserved(entries=tuple(entries), cursor=now, reset=reset)
            known, seen = now, now.position if now.position >= seen else 0

    async def _get(
        self, key: str, *, prefix: bool, params: Mapping[str, str], timeout: float | None = None
    ) -> tuple[Answer, Sequence[KeyEntry]]:
        purpose = f'read the keys that begin with "{key}"' if prefix else f'read the key "{key}"'
        path = f"/v1/kv/{_path(key, prefix=prefix)}"
        wanted = {**params, "recurse": ""} if prefix else params
        answer = await self._api.send("GET", path, params=wanted, timeout=timeout)
        if answer.status == 404 and _INDEX_HEADER in answer.headers:
            if prefix:
                await confirm_no_keys(self._api, key, answer)
            return answer, ()
        if answer.status != 200:
            raise self._refusal(answer, purpose)
        rows = self._api.decode(_ROWS, answer)
        return answer, sorted((row.entry() for row in rows), key=lambda entry: entry.key)

    async def _done(
        self, method: str, key: str, revision: int | None, *, purpose: str, body: bytes | None = None
    ) -> bool:
        params = self._api.scope() | ({} if revision is None else {"cas": str(revision)})
        answer = await self._api.send(method, f"/v1/kv/{_path(key)}", params=params, body=body)
        if answer.status != 200:
            raise self._refusal(answer, purpose)
        return self._api.decode(_DONE, answer)

    def _refusal(self, answer: Answer, purpose: str) -> BackendError:
        if answer.status == 404 and STORE_HEADER in answer.headers:
            return Unsupported(
                f"a Homeport registry keeps no keys and values, so it cannot {purpose}",
                backend=self._api.settings.url,
                able=KEYS,
            )
        if answer.status == 413:
            return Refused(
                f"the registry at {answer.origin} refuses to {purpose}: {answer.text}; Consul takes 512 KiB a value",
                backend=self._api.settings.url,
                status=413,
            )
        return self._api.refusal(answer, purpose)

    def _conflict(self, key: str) -> Conflict:
        return Conflict(
            f'the key "{key}" is at another revision; read it again and decide anew', backend=self._api.settings.url
        )


def _path(key: str, *, prefix: bool = False) -> str:
    """A key as a path; a slash at its end stays one.

    Raises:
        InvalidValue: Consul would never see it as it is.
    """
    if prefix and not key:
        return ""
    stem = key.removesuffix("/")
    return quoted(stem) + key[len(stem) :]
