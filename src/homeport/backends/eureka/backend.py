"""Eureka over its REST API: what is what, is in `mapping`; how the registry is followed, in `changes`.

An instance is under a lease of its own. The incarnation in its metadata tells one registration of an id from another
one; Eureka itself knows no conditions, so between looking and writing another program may come first.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Literal, TypeAlias

from homeport.connections.access import Access
from homeport.errors import Conflict, LeaseLost, Refused
from homeport.model import Instance, Service
from homeport.spi import Cursor, Lease, Observed, ServiceList, ServiceSummary
from homeport.wire import eureka as wire

from . import mapping
from .api import EurekaAPI, instance_path
from .changes import Changes, State
from .contents import Contents, Member
from .settings import EurekaSettings

_log = logging.getLogger(__name__)

EurekaStatus: TypeAlias = Literal["UP", "DOWN", "STARTING", "OUT_OF_SERVICE"]
"""What an operator may set over the status of an instance."""

_MOST_REPORTED = 1000


class EurekaBackend:
    """A `Discoverer`, `ServiceLister` and `Registrar` over Eureka. Of health it knows a status, and a lease."""

    def __init__(self, settings: EurekaSettings) -> None:
        self._settings = settings
        self._api = EurekaAPI(settings)
        self._changes = Changes(self._api, self._read, interval=settings.poll_interval, identity=secrets.token_hex(4))
        self._own: dict[str, tuple[str, str]] = {}  # id -> incarnation and application of what was registered here
        self._dirty_at = 0
        self._reported: set[tuple[str, str, str]] = set()

    def __repr__(self) -> str:
        return f"EurekaBackend({self.url!r})"

    @property
    def url(self) -> str:
        """The URL without credentials."""
        return self._settings.url

    @property
    def access(self) -> Access:
        """How Eureka is reached, for diagnosis."""
        return self._settings.access

    @property
    def watch_limit(self) -> int | None:
        """One request reads for all watches."""
        return None

    async def aclose(self) -> None:
        """Close all connections."""
        await self._changes.aclose()
        await self._api.aclose()

    async def ping(self) -> Mapping[str, str]:
        """How many instances of each status the server that answers has, as its hash code says."""
        purpose = "tell how it stands"
        reading = await self._api.delta(purpose=purpose) or await self._api.applications(purpose=purpose)
        return {"product": "eureka", "server": reading.origin, "hashcode": reading.applications.hashcode or "none"}

    # Discoverer

    async def fetch(self, service: str, *, datacenter: str = "") -> Observed:
        """The instances of ``service`` now; with a datacenter those whose metadata name it.

        While anything is watched this reads what changed in the whole registry, otherwise the one application.
        """
        if self._settings.by == "app" and not self._changes.followed:
            cursor = self._changes.next_cursor()
            found = await self._api.application(mapping.app_of(service), purpose=f'tell of "{service}"')
            if found is not None:  # an application that is not there looks like a path that is not there
                contents = Contents(found, self._read)
                return self._observed(State(contents, cursor), service, datacenter, known=None)
        return self._observed(await self._changes.refresh(), service, datacenter, known=None)

    async def watch(
        self, service: str, *, datacenter: str = "", after: Cursor | None = None
    ) -> AsyncGenerator[Observed, None]:
        """Observe ``service`` by asking every ``poll_interval`` what changed, once for all that are watched."""
        known = after
        async with aclosing(self._followed()) as states:
            async for state in states:
                observed = self._observed(state, service, datacenter, known)
                yield observed
                known = observed.cursor

    async def services(self, *, datacenter: str = "") -> Sequence[ServiceSummary]:
        """All services, by name, with their counts; this reads every instance."""
        contents = (await self._changes.refresh()).contents
        found = ((name, mapping.within(contents.instances(name), datacenter)) for name in sorted(contents.services))
        return [mapping.summary(name, instances) for name, instances in found if instances]

    async def watch_services(self, *, datacenter: str = "") -> AsyncGenerator[ServiceList, None]:
        """Follow the list of services, whatever their datacenter, by the same readings; it says which changed."""
        del datacenter  # it stands in the metadata, and a service without instances there is harmless
        before: dict[str, tuple[Instance, ...]] = {}
        async with aclosing(self._followed()) as states:
            async for state in states:
                now = {name: state.contents.instances(name) for name in state.contents.services}
                # What did not change is the very same object.
                changed = frozenset(
                    name for name in now.keys() | before.keys() if now.get(name) is not before.get(name)
                )
                yield ServiceList(names=frozenset(now), changed=changed)
                before = now

    # Registrar

    async def register(self, service: Service, *, ttl: float | None, incarnation: str) -> Lease:
        """Register under a lease, with the status UP unless an operator set another one over it.

        Raises:
            Unsupported: without a ttl, since Eureka forgets what nobody renews; with health checks, since it has none.
        """
        purpose = f'register "{service.name}"'
        # Checked, and written if it can be, before anybody is asked.
        info = mapping.registration(service, ttl=ttl, incarnation=incarnation, dirty_at=0)
        app = mapping.app_of(service.name)
        before = await self._api.instance(app, service.id, purpose=purpose)
        dirty_at = self._next_dirty_at(before)
        await self._api.register(
            mapping.registration(service, ttl=ttl, incarnation=incarnation, dirty_at=dirty_at), purpose=purpose
        )
        self._own[service.id] = incarnation, app
        lease = Lease(service=service.name, id=service.id, incarnation=incarnation, ttl=ttl, token=str(dirty_at))
        # Only a lease that was renewed runs for twice its duration.
        await self._heartbeat(lease, app, info.status or wire.UP, purpose)
        return lease

    async def renew(self, lease: Lease) -> None:
        """Keep the lease alive, if the instance is still of its incarnation.

        Raises:
            LeaseLost: the instance is gone, or an operator took the status away from it.
            Conflict: it was registered by somebody else.
        """
        purpose = f'renew the lease of "{lease.id}"'
        app = mapping.app_of(lease.service)
        found = await self._api.instance(app, lease.id, purpose=purpose)
        if found is not None and mapping.incarnation_of(found) != lease.incarnation:
            raise Conflict(
                f'"{lease.id}" was registered anew by another program; this registration is over', backend=self.url
            )
        if found is None or not await self._heartbeat(lease, app, found.status or wire.UP, purpose):
            raise LeaseLost(f'the registration "{lease.id}" is not in Eureka any more', backend=self.url)

    async def deregister(self, service_id: str, *, incarnation: str | None = None) -> bool:
        """Remove the instance, if it is of that incarnation when it is looked at.

        Raises:
            Refused: no incarnation is given, and several applications have an instance of that id.
        """
        purpose = f'deregister "{service_id}"'
        mapping.in_path(service_id, "an instance")
        own = self._own.get(service_id)
        if own is not None and incarnation == own[0]:
            removed = await self._remove(own[1], service_id, incarnation, purpose)
            self._own.pop(service_id, None)
            return removed
        apps = await self._apps_with(service_id, purpose)
        if incarnation is not None:
            return any([await self._remove(app, service_id, incarnation, purpose) for app in apps])
        if len(apps) > 1:
            raise Refused(
                f'"{service_id}" is an instance of several applications in Eureka ({", ".join(apps)}); give each '
                "instance an id of its own",
                backend=self.url,
            )
        return bool(apps) and await self._remove(apps[0], service_id, None, purpose)

    async def advertised_address(self) -> str:
        """The source address of this host towards Eureka."""
        return await self._api.local_address()

    # What only Eureka has

    async def override_status(self, service: str, instance_id: str, status: EurekaStatus) -> bool:
        """Set a status over the one that an instance has, until `remove_override`; False when there is none.

        This is how an instance is taken out of service and brought back: ``OUT_OF_SERVICE`` is ``maintenance`` for who
        finds it. Its program goes on renewing, and a registration that it makes anew keeps the override.
        """
        path = f"{self._path(service, instance_id)}/status"
        return await self._change("PUT", path, {"value": status}, f'set the status of "{instance_id}"')

    async def remove_override(self, service: str, instance_id: str) -> bool:
        """Take an override away, so that the instance is UP again; False when there is no such instance."""
        path = f"{self._path(service, instance_id)}/status"
        return await self._change("DELETE", path, {"value": wire.UP}, f'remove the override of "{instance_id}"')

    # what the above is made of

    def _path(self, service: str, instance_id: str) -> str:
        return instance_path(mapping.app_of(service), mapping.in_path(instance_id, "an instance"))

    async def _change(self, method: str, path: str, params: Mapping[str, str], purpose: str) -> bool:
        if await self._api.change(method, path, params, purpose=purpose):
            return True
        await self.ping()  # a path that leads to no Eureka server looks like an instance that is not there
        return False

    async def _followed(self) -> AsyncGenerator[State, None]:
        """The registry now, and after each reading."""
        state = await self._changes.refresh()
        follower = self._changes.follow()
        try:
            while True:
                yield state
                await follower.next()
                state = self._changes.state
        finally:
            await self._changes.leave(follower)

    def _observed(self, state: State, service: str, datacenter: str, known: Cursor | None) -> Observed:
        return Observed(
            instances=mapping.within(state.contents.instances(service.lower()), datacenter),
            cursor=state.cursor,
            reset=self._changes.lost_since(known),
        )

    def _read(self, one: Member) -> dict[str, Instance]:
        if isinstance(one, wire.Unreadable):
            self._report(one.app, one.id, one.reason)
            return {}
        try:
            return {
                service: mapping.instance(one, service, prefer_ip=self._settings.prefer_ip)
                for service in mapping.services_of(one, self._settings.by)
            }
        except mapping.Nowhere as error:
            self._report(one.app or "", one.id, str(error))
            return {}

    def _report(self, app: str, instance_id: str, reason: str) -> None:
        found = app, instance_id, reason
        if found in self._reported:
            return
        if len(self._reported) >= _MOST_REPORTED:
            self._reported.clear()
        self._reported.add(found)
        _log.warning(
            "the instance %s of %s cannot be read; it is left out (%s)",
            instance_id,
            app,
            reason,
            extra={"instance": instance_id, "app": app, "backend": self.url},
        )

    def _next_dirty_at(self, before: wire.InstanceInfo | None) -> int:
        """A time of change that is later than any before, also when a clock was set back: the later one is kept."""
        known = before.last_dirty_timestamp or 0 if before is not None else 0
        self._dirty_at = max(int(time.time() * 1000), self._dirty_at + 1, known + 1)
        return self._dirty_at

    async def _heartbeat(self, lease: Lease, app: str, status: str, purpose: str) -> bool:
        params = {"status": status, "lastDirtyTimestamp": lease.token}
        return await self._api.change("PUT", instance_path(app, lease.id), params, purpose=purpose)

    async def _apps_with(self, service_id: str, purpose: str) -> list[str]:
        """The applications that have an instance of that id, where the server knows of one at all."""
        found = await self._api.instance(None, service_id, purpose=purpose)
        if found is None:
            await self.ping()
            return []
        whole = (await self._api.applications(purpose=purpose)).applications
        apps = {(info.app or "").upper() for info in (found, *whole.instances) if info.id == service_id}
        return sorted(app for app in apps if app)

    async def _remove(self, app: str, service_id: str, incarnation: str | None, purpose: str) -> bool:
        if incarnation is not None:
            found = await self._api.instance(app, service_id, purpose=purpose)
            if found is None or mapping.incarnation_of(found) != incarnation:
                return False
        return await self._api.change("DELETE", instance_path(app, service_id), purpose=purpose)
