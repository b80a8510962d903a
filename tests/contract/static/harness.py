"""What the contract suite needs of a file of services."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from homeport.backends import open_backend
from homeport.model import Service
from homeport.spi import Backend
from homeport.testing.contract import (
    COMPACT,
    CUT,
    FOLLOW_LIST,
    GARBAGE,
    HALF_OPEN,
    OUTAGE,
    REGISTER,
    RESTART,
    ROTATE,
    SLOW,
    WIPE,
    Harness,
)

_NO_CONNECTION = "A file is read from a disk, and no connection lies in between."
_GARBAGE = {
    "not YAML": "services: [",
    "another document": "hello: 1",
    "an unknown key": "services: {api: [{address: 10.0.0.1, prot: 80}]}",
    "half a document": 'services: {api: [{address: "10.0.',
    "nothing": "",
}


class StaticHarness(Harness):
    """A file that is replaced as a whole, as by a tool that writes another one and renames it."""

    system = "a file"
    troubles: tuple[str, ...] = (OUTAGE, *(f"{GARBAGE}: {kind}" for kind in _GARBAGE))
    cannot: Mapping[str, str] = {
        REGISTER: "What a file says, its author decides.",
        FOLLOW_LIST: "It tells the list to who asks.",
        CUT: _NO_CONNECTION,
        HALF_OPEN: _NO_CONNECTION,
        SLOW: _NO_CONNECTION,
        RESTART: "A file is no program that could be started anew.",
        WIPE: "A file that lists nothing is a statement, and an empty one garbage.",
        COMPACT: "It keeps no history to go on from: each reading is the whole set.",
        ROTATE: "A file asks for no credentials; who may read it, the operating system decides.",
    }

    def __init__(self, path: Path) -> None:
        self._path = path
        self._services: dict[str, dict[str, dict[str, object]]] = {}
        self._save()

    def backend(self) -> Backend:
        return open_backend(f"static://{self._path}?reload_interval=0.02", {})

    async def write(self, service: Service) -> None:
        self._services.setdefault(service.name, {})[service.id] = {
            "id": service.id,
            "address": service.address,
            "port": service.port,
            "tags": list(service.tags),
            "meta": dict(service.meta),
            "version": service.version,
            "environment": service.environment,
        }
        self._save()

    async def remove(self, service: Service) -> None:
        listed = self._services[service.name]
        listed.pop(service.id, None)
        if not listed:
            del self._services[service.name]
        self._save()

    @asynccontextmanager
    async def trouble(self, kind: str) -> AsyncIterator[None]:
        if kind == OUTAGE:
            self._path.unlink()
        else:
            self._replace(_GARBAGE[kind.removeprefix(f"{GARBAGE}: ")])
        yield
        self._save()

    def _save(self) -> None:
        services = {name: list(listed.values()) for name, listed in self._services.items()}
        self._replace(json.dumps({"services": services}))  # JSON is YAML

    def _replace(self, text: str) -> None:
        following = self._path.with_suffix(".next")
        following.write_text(text, encoding="utf-8")
        following.replace(self._path)
