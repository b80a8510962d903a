"""The network between this host and a backend, step by step: names, connections, TLS."""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections.abc import AsyncIterator, Sequence
from functools import partial

from homeport.connections.access import Access, Accessible
from homeport.connections.backend_url import HostPort, parse_backend_url
from homeport.errors import BackendUnavailable, HomeportError, SettingsError
from homeport.spi import Backend

from .handshake import ends_soon, shake_hands
from .reach import Reached, addresses_of, reach_all
from .steps import Details, Step, Warned, failed, tried

CONNECT_TIMEOUT = 3.0
_AT_ONCE = 32
_PORTS = {"homeport": 8500, "consul": 8500, "etcd": 2379, "eureka": 8761}


def access_of(backend: Backend) -> Access:
    """How a backend is reached: as it says, else by the hosts in its URL, of which an unknown scheme names the ports.

    One that says nothing of TLS is taken to have none. May read files: call it outside the event loop.

    Raises:
        SettingsError: a file that its settings name cannot be used.
    """
    if isinstance(backend, Accessible):
        return backend.access
    scheme, _, rest = backend.url.partition("://")
    hosts = rest.partition("?")[0].partition("/")[0]
    if not hosts or (scheme not in _PORTS and not hosts.rpartition(":")[2].isdigit()):
        return Access()
    try:
        return Access(addresses=parse_backend_url(backend.url, default_port=_PORTS.get(scheme, 80)).addresses)
    except SettingsError:
        return Access()


class NetworkDiagnosis:
    """Tries the way to all addresses of an access, that of the backend with this URL.

    One that works is enough: the others are warnings then.

    ``open`` are the addresses that took a connection and agreed on TLS where that is wanted, after `steps` has ended.
    """

    def __init__(self, access: Access, *, url: str) -> None:
        self._access = access
        self._url = url
        self.open: list[HostPort] = []

    async def steps(self) -> AsyncIterator[Step]:
        """A step for each host, then for each address, then for each handshake; it ends where all of a kind failed."""
        found: dict[HostPort, str] = {}
        for step in await self._resolve(found):
            yield step
        if not found or self._access.transport == "dns":
            return
        reached = await reach_all(tuple(found), timeout=CONNECT_TIMEOUT, at_once=_AT_ONCE)
        for step in _connections(reached):
            yield step
        self.open = [one.address for one in reached if one.state == "open"]
        if self._access.tls is None or not self.open:
            return
        for step in await self._secure(found):
            yield step

    async def _resolve(self, found: dict[HostPort, str]) -> Sequence[Step]:
        """A step for each host; ``found`` gets the addresses, each with its host."""
        places: dict[str, list[HostPort]] = {}
        for place in self._access.addresses:
            places.setdefault(place.host, []).append(place)

        async def look_up(host: str) -> tuple[str, Details]:
            for place in places[host]:
                found.update(dict.fromkeys(await addresses_of(place), host))
            texts = list(dict.fromkeys(one.host for one, of in found.items() if of == host))
            if _is_address(host):
                return f"{host} is an address", {"addresses": texts}
            return f"{host} is {', '.join(texts)}", {"addresses": texts}

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(tried("resolve", partial(look_up, host))) for host in places]
        return _one_is_enough([task.result() for task in tasks])

    async def _secure(self, hosts: dict[HostPort, str]) -> Sequence[Step]:
        tls = self._access.tls
        assert tls is not None

        async def shake(address: HostPort) -> tuple[str, Details]:
            done = await shake_hands(address, hosts[address], tls, url=self._url)
            shown = done.certificate
            text = f"{address} speaks {done.version}"
            if shown is not None:
                text += f"; {shown}"
                if shown.valid_until < time.time():  # accepted all the same, by verify=false
                    raise Warned(f"{text}, which is over: renew it")
                if ends_soon(shown):
                    raise Warned(f"{text}, which is soon: renew it")
            if not done.verified:
                raise Warned(f"{text}; it is not verified, as verify=false wants it: anybody could answer there")
            details: Details = {"version": done.version, "cipher": done.cipher}
            if shown is not None:
                details |= {"subject": shown.subject, "issuer": shown.issuer, "names": list(shown.names)}
            return text, details

        async with asyncio.TaskGroup() as group:
            tasks = {address: group.create_task(tried("tls", partial(shake, address))) for address in self.open}
        self.open = [address for address, task in tasks.items() if task.result().error is None]
        return _one_is_enough([task.result() for task in tasks.values()])


def _connections(reached: Sequence[Reached]) -> Sequence[Step]:
    steps = []
    for one in reached:
        details: Details = {"address": str(one.address), "result": one.state}
        if one.state == "open":
            steps.append(Step(name="connect", text=str(one), milliseconds=one.milliseconds, details=details))
        else:
            steps.append(failed("connect", BackendUnavailable(str(one)), milliseconds=one.milliseconds))
    return _one_is_enough(steps)


def _one_is_enough(steps: Sequence[Step]) -> Sequence[Step]:
    """The steps, of which the failed ones are but warnings where another one succeeded."""
    if all(step.error is not None for step in steps):
        return steps
    return [step if step.error is None else _warning(step, step.error) for step in steps]


def _warning(step: Step, error: HomeportError) -> Step:
    return Step(name=step.name, text=str(error), state="warning", milliseconds=step.milliseconds, details=step.details)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
