"""What the contract suite needs of a real DNS server."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping

import msgspec

from homeport.backends import open_backend
from homeport.model import Instance, Service
from homeport.spi import Backend
from homeport.testing import FaultProxy
from homeport.testing.contract import (
    COMPACT,
    FOLLOW_LIST,
    LIST,
    METADATA,
    REGISTER,
    ROTATE,
    WIPE,
    ProxiedHarness,
)
from tests.servers.bind import BindServer

ZONE = "services.test"

_NO_LIST = "DNS tells the records of a name, and not which names there are."


def _over_tcp(message: bytes) -> bytes:
    return len(message).to_bytes(2, "big") + message


class DNSHarness(ProxiedHarness):
    """A BIND behind a proxy, asked by TCP. An instance is an SRV record; what differs in its content is the weight."""

    garbage: Mapping[str, bytes] = {
        "not DNS": b"HTTP/1.1 400 Bad Request\r\n\r\n",
        "a short message": _over_tcp(b"\0\0\x84\0"),
        "half a message": b"\x10\0" + b"\0" * 8,
        "nothing": b"",
    }
    restarts = True
    cannot: Mapping[str, str] = {
        REGISTER: "DNS takes no registrations.",
        LIST: _NO_LIST,
        FOLLOW_LIST: _NO_LIST,
        METADATA: "A record has an address, a port, a priority and a weight, and no word for more.",
        WIPE: "A name that is not there is a statement; nothing tells it from lost data.",
        COMPACT: "It keeps no history to go on from: each answer is the whole set.",
        ROTATE: "Questions carry no credentials.",
    }

    def __init__(self, bind: BindServer, proxy: FaultProxy, *, system: str) -> None:
        super().__init__(bind.address, proxy)
        self.bind = bind
        self.system = system
        self._written: defaultdict[str, dict[str, str]] = defaultdict(dict)

    def connect(self, address: str) -> Backend:
        return open_backend(f"dns://{address}/{ZONE}?tcp=true&timeout=10s&floor=0.05&negative_floor=0.05", {})

    def id_of(self, service: Service) -> str:
        return f"{service.address}:{service.port}"

    def marked(self, service: Service, mark: int) -> Service:
        return msgspec.structs.replace(service, weight=mark + 1)

    def mark_of(self, instance: Instance) -> int:
        return instance.weight - 1

    async def write(self, service: Service) -> None:
        host = f"a-{service.address.replace('.', '-')}"
        self._written[host]["A"] = service.address
        self._written[service.name][service.id] = f"0 {service.weight} {service.port} {host}.{ZONE}."
        await asyncio.to_thread(self._tell, host, "A")
        await asyncio.to_thread(self._tell, service.name, "SRV")

    async def remove(self, service: Service) -> None:
        self._written[service.name].pop(service.id, None)
        await asyncio.to_thread(self._tell, service.name, "SRV")

    async def restart(self) -> None:
        """Nobody gets through before the zone is as it was: this server forgets what was written while it ran."""
        await asyncio.to_thread(self._restart)

    def _tell(self, name: str, kind: str) -> None:
        self.bind.replace(ZONE, name, kind, *self._written[name].values(), ttl=0)

    def _restart(self) -> None:
        self.proxy.stop()
        self.bind.stop()
        self.bind.start()
        for name, records in self._written.items():
            self._tell(name, "A" if "A" in records else "SRV")
        self.proxy.start()
