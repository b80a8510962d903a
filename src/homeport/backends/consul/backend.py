"""Consul and Homeport's registry over HTTP.

Source of the rules: https://developer.hashicorp.com/consul/api-docs. What only Homeport's registry offers is used
when its capability request says so, which is asked once for each time that the registry is reached anew.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Mapping, Sequence

import msgspec

from homeport import abilities
from homeport.connections.access import Access
from homeport.errors import (
    Conflict,
    InvalidAnswer,
    LeaseLost,
    Refused,
    Unsupported,
)
from homeport.model import CheckState, Service, Status
from homeport.spi import CheckTransition, Cursor, KeyEntry, KeysObserved, Lease, Observed, ServiceList, ServiceSummary
from homeport.wire import consul as wire

from . import mapping, native
from .api import ConsulAPI, is_unknown_check, quoted
from .changes import Changes
from .hints import Polled, follow_hints
from .keys import ConsulKeys
from .permissions import confirm_absence, confirm_no_services
from .queries import PreparedQueries
from .settings import ConsulSettings

_ENTRIES = msgspec.json.Decoder(list[wire.ServiceEntry])
_SERVICES = msgspec.json.Decoder(dict[str, tuple[str, ...]])
_AGENT_SERVICE = msgspec.json.Decoder(wire.AgentService)
_AGENT_CHECKS = msgspec.json.Decoder(dict[str, wire.HealthCheck])
_CHECKS = msgspec.json.Decoder(list[wire.HealthCheck])
_SELF = msgspec.json.Decoder(wire.Self)
_SERVICE_ROWS = msgspec.json.Decoder(list[native.ServiceRow])
_CHECK_ROWS = msgspec.json.Decoder(list[native.CheckRow])
_CHECK_ROW = msgspec.json.Decoder(native.CheckRow)
_TRANSITION_ROWS = msgspec.json.Decoder(list[native.TransitionRow])
_SOURCE_ROWS = msgspec.json.Decoder(list[native.SourceRow])
_TRUTH = msgspec.json.Decoder(bool)
_USUAL_CONNECTIONS = 200
"""So many an agent allows a client, unless its ``limits`` say otherwise."""
_MOST_WATCHES = 1000
"""So many services are watched at most, however many connections there may be: each is a file descriptor here."""


class ConsulBackend:
    """A `Discoverer`, `Registrar`, `HealthReporter` and `KeyValue` over Consul's HTTP API."""

    def __init__(self, settings: ConsulSettings) -> None:
        self._settings = settings
        self._api = ConsulAPI(settings)
        self._changes = Changes(self._api, wait=settings.wait, timeout=settings.timeout)
        self._keys = ConsulKeys(self._api)
        self._queries = PreparedQueries(self._api) if settings.via == "query" else None
        self._polled = Polled()
        self._follows_many = False
        self._connections = _USUAL_CONNECTIONS

    def __repr__(self) -> str:
        return f"ConsulBackend({self.url!r})"

    @property
    def url(self) -> str:
        """The URL without credentials."""
        return self._settings.url

    @property
    def access(self) -> Access:
        """How the agent is reached, for diagnosis."""
        return self._settings.access

    @property
    def watch_limit(self) -> int | None:
        """None where one request follows all services, as on Homeport's registry once it was reached.

        Of the connections that Consul allows a client, half are left for other requests. It says how many those are
        when it is asked who it is (`ping`).
        """
        return None if self._follows_many else min(self._connections // 2, _MOST_WATCHES)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._changes.aclose()
        await self._api.aclose()

    async def ping(self) -> Mapping[str, str]:
        """Product, version, node and datacenter of the agent or registry that answers, and where it answers DNS."""
        about = await self._api.about()
        if about.product != "consul":
            self._follows_many = not self._api.scope() and "service-changes" in about.features
            return {
                "product": about.product,
                "version": about.version,
                "node": about.node,
                "datacenter": about.datacenter,
                "store": about.store,
            }
        if "ns" in (scope := self._api.scope()):  # the question below does not look at it
            await self._api.request("GET", "/v1/health/service/consul", params=scope, purpose="read the namespace")
        answer = await self._api.request("GET", "/v1/agent/self", purpose="ask the agent who it is")
        said = self._api.decode(_SELF, answer)
        config = said.debug_config or {}
        dns = mapping.dns_server(config, agent=answer.origin)
        self._connections = mapping.connections_of_a_client(config) or _USUAL_CONNECTIONS
        return {
            "product": "consul",
            "version": said.config.version,
            "node": said.config.node_name,
            "datacenter": said.config.datacenter,
            **({"dns": dns} if dns else {}),
        }

    # Discoverer

    async def fetch(self, service: str, *, datacenter: str = "") -> Observed:
        """The instances of ``service`` now, healthy or not; or what the prepared query of that name says."""
        if self._queries is not None:
            return await self._queries.run(service, datacenter=datacenter)
        self._polled.note(service, datacenter)
        return await self._observe(service, datacenter, known=None, block=False)

    async def watch(
        self, service: str, *, datacenter: str = "", after: Cursor | None = None
    ) -> AsyncGenerator[Observed, None]:
        """Observe ``service`` by blocking queries, or by one request for all services where the registry offers that.

        The first query never blocks, also not with ``after``: against a server that was wiped, a query with an index
        that it has not reached yet would wait its whole time. Nor is it answered from the agent's cache, which goes on
        answering when the agent hears nothing from its servers any more.

        Raises:
            Unsupported: services are prepared queries, which do not block.
        """
        if self._queries is not None:
            raise Unsupported(
                "Consul's prepared queries cannot be watched",
                backend=self.url,
                instead="ask again and again, or leave via=query out",
            )
        observed = await self._observe(service, datacenter, known=after, block=False, identify=True, cached=False)
        yield observed
        while True:
            self._follows_many = not self._api.scope(datacenter) and await self._api.offers("service-changes")
            if not self._follows_many:
                observed = await self._observe(service, datacenter, known=observed.cursor, block=True, identify=True)
                yield observed
                continue
            store = observed.cursor.store
            follower = self._changes.follow(service, observed.cursor.position, store)
            try:
                while observed.cursor.store == store:
                    if await follower.next(observed.cursor.position):
                        observed = await self._observe(service, datacenter, known=observed.cursor, block=False)
                    else:
                        observed = msgspec.structs.replace(observed, reset=False)
                    yield observed
            finally:
                await self._changes.leave(follower)

    async def services(self, *, datacenter: str = "") -> Sequence[ServiceSummary]:
        """All services, by name, with counts from Homeport's registry; or all prepared queries that have a name."""
        if self._queries is not None:
            return await self._queries.names(datacenter=datacenter)
        params = self._api.reading(datacenter)
        if await self._api.offers("summary") and not params:
            answer = await self._api.request("GET", "/v1/homeport/services", purpose="list services")
            return [row.summary() for row in self._api.decode(_SERVICE_ROWS, answer)]
        answer = await self._api.request("GET", "/v1/catalog/services", params=params, purpose="list services")
        names_and_tags = self._api.decode(_SERVICES, self._api.fresh(answer))
        if not names_and_tags:
            await confirm_no_services(self._api, answer, datacenter=datacenter)
        return mapping.summaries(names_and_tags)

    async def watch_services(self, *, datacenter: str = "") -> AsyncGenerator[ServiceList, None]:
        """Follow the list of services by blocking queries; of those that are asked for by `fetch`, tell which changed.

        Raises:
            Unsupported: services are prepared queries, whose list cannot be followed.
        """
        if self._queries is not None:
            raise Unsupported("the list of prepared queries cannot be followed", backend=self.url)
        async with contextlib.aclosing(follow_hints(self._api, self._polled, datacenter=datacenter)) as lists:
            async for one in lists:
                yield one

    async def sources(self) -> Sequence[native.SourceRow]:
        """What Homeport's registry mirrors from elsewhere.

        Raises:
            Unsupported: this is plain Consul.
        """
        if not await self._api.offers("sources"):
            raise Unsupported("Consul mirrors nothing", backend=self.url, able=abilities.SOURCES)
        answer = await self._api.request("GET", "/v1/homeport/sources", purpose="list sources")
        return self._api.decode(_SOURCE_ROWS, answer)

    # Registrar

    async def register(self, service: Service, *, ttl: float | None, incarnation: str) -> Lease:
        """Register with the agent, with a TTL check as the lease if ``ttl`` is given; checks of before are replaced."""
        for text in (service.name, service.id):
            quoted(text)  # what cannot be asked for, nor renewed, is not registered
        wants_more = any(
            getattr(check, "expected_status", None) or getattr(check, "expected_body", None) for check in service.checks
        )
        body = mapping.registration(
            service,
            ttl=ttl,
            incarnation=incarnation,
            expectations=wants_more and await self._api.offers("check-expectations"),
        )
        answer = await self._api.request(
            "PUT",
            "/v1/agent/service/register",
            params={**self._api.scope(), "replace-existing-checks": "true"},
            body=msgspec.json.encode(body),
            purpose=f'register "{service.name}"',
        )
        if answer.body.strip():  # a registry answers this with nothing
            raise self._api.stranger(answer)
        lease = Lease(service=service.name, id=service.id, incarnation=incarnation, ttl=ttl)
        if ttl is None:
            return lease
        # A check that exists already keeps its status, whatever the registration says: an expired lease would
        # stay expired.
        # Whoever replaced or removed the registration since is the next renewal's business.
        with contextlib.suppress(Conflict, LeaseLost):
            await self.renew(lease)
        return lease

    async def renew(self, lease: Lease) -> None:
        """Pass the lease's TTL check.

        Raises:
            LeaseLost: the check is gone, and the registration too, or it is without its lease.
            Conflict: the id belongs to another incarnation now.
        """
        check_id = mapping.lease_check_id(lease.id, lease.incarnation)
        answer = await self._api.send("PUT", f"/v1/agent/check/pass/{quoted(check_id)}", params=self._api.scope())
        if answer.status == 200:
            return
        if not is_unknown_check(answer):
            raise self._api.refusal(answer, f'renew the lease of "{lease.id}"')
        found = await self._agent_service(lease.id)
        if found is not None and found.meta.get(mapping.INCARNATION_KEY, lease.incarnation) != lease.incarnation:
            raise Conflict(
                f'"{lease.id}" was registered anew by another program; this registration is over', backend=self.url
            )
        raise LeaseLost(f'the registration "{lease.id}" is not at {self._api.origin} any more', backend=self.url)

    async def deregister(self, service_id: str, *, incarnation: str | None = None) -> bool:
        """Deregister from the agent; with Homeport's registry the condition on the incarnation is atomic."""
        purpose = f'deregister "{service_id}"'
        if incarnation is not None and await self._api.offers("incarnation"):
            path = f"/v1/homeport/service/deregister/{quoted(service_id)}"
            answer = await self._api.request(
                "PUT", path, params={**self._api.scope(), "incarnation": incarnation}, purpose=purpose
            )
            return self._api.decode(_TRUTH, answer)
        found = await self._agent_service(service_id)
        if found is None or (incarnation is not None and found.meta.get(mapping.INCARNATION_KEY) != incarnation):
            return False
        answer = await self._api.send(
            "PUT", f"/v1/agent/service/deregister/{quoted(service_id)}", params=self._api.scope()
        )
        if answer.status == 404:
            return False
        if answer.status != 200:
            raise self._api.refusal(answer, purpose)
        return True

    async def advertised_address(self) -> str:
        """The source address of this host towards the agent."""
        return await self._api.local_address()

    # HealthReporter

    async def report(self, instance_id: str, check: str, status: Status, *, output: str = "") -> None:
        """Set the status of a TTL check that was registered with the agent; "" is the only one of the instance.

        Raises:
            Refused: there is no such check, or it is one that the agent runs itself.
            Unsupported: the status is ``maintenance``, which is no result of a check.
        """
        if status == "maintenance":
            raise Unsupported(
                "a check cannot report maintenance", backend=self.url, instead="report passing, warning or critical"
            )
        found = await self._find_check(instance_id, check)
        answer = await self._api.send(
            "PUT",
            f"/v1/agent/check/update/{quoted(found.check_id)}",
            params=self._api.scope(),
            body=msgspec.json.encode(wire.CheckUpdate(status=status, output=output)),
        )
        if answer.status == 500 and "TTL" in answer.text:
            raise Refused(
                f'the check "{found.name}" of "{instance_id}" is run by the registry; only a TTL check can be set',
                backend=self.url,
                status=answer.status,
            )
        if answer.status != 200:
            raise self._api.refusal(answer, f'set the check "{found.name}" of "{instance_id}"')

    async def run_check(self, instance_id: str, check: str) -> CheckState:
        """Run a check now.

        Raises:
            Unsupported: this is plain Consul, which runs checks by its own clock only.
            Refused: there is no such check, or it cannot be run.
        """
        if not await self._api.offers("check-run"):
            raise Unsupported(
                "Consul cannot be asked to run a check, and runs each at its interval",
                backend=self.url,
                able=abilities.RUNNING_CHECKS,
            )
        found = await self._find_check(instance_id, check)
        purpose = f'run the check "{found.name}" of "{instance_id}"'
        answer = await self._api.request(
            "PUT", f"/v1/homeport/check/run/{quoted(found.check_id)}", timeout=65.0, purpose=purpose
        )
        return self._api.decode(_CHECK_ROW, answer).state()

    async def history(self, service: str, *, since: float) -> Sequence[CheckTransition]:
        """The changes of status of all checks of a service.

        Raises:
            Unsupported: this is plain Consul, which keeps no history.
        """
        if not await self._api.offers("check-history"):
            raise Unsupported("Consul keeps no history of checks", backend=self.url, able=abilities.HISTORY)
        params = {"service": service, "since": f"{since:.6f}"}
        answer = await self._api.request(
            "GET", "/v1/homeport/check/history", params=params, purpose="read the history of checks"
        )
        return [row.transition() for row in self._api.decode(_TRANSITION_ROWS, answer)]

    async def checks(self, *, status: Status | None = None) -> Sequence[tuple[str, str, CheckState]]:
        """Every check of a service as (service, instance id, state), or only those of one status."""
        asked = "critical" if status == "maintenance" else status
        if await self._api.offers("summary"):
            wanted = {"status": asked} if asked else {}
            answer = await self._api.request("GET", "/v1/homeport/checks", params=wanted, purpose="list checks")
            rows = [(row.service, row.service_id, row.state()) for row in self._api.decode(_CHECK_ROWS, answer)]
        else:
            path = f"/v1/health/state/{asked or 'any'}"
            params = self._api.reading(cached=False)
            answer = await self._api.request("GET", path, params=params, purpose="list checks")
            found = self._api.decode(_CHECKS, answer)
            rows = [(row.service_name, row.service_id, mapping.check_state(row)) for row in found]
        return [row for row in rows if row[1] and (status is None or row[2].status == status)]

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

    async def _observe(
        self,
        service: str,
        datacenter: str,
        *,
        known: Cursor | None,
        block: bool,
        identify: bool = False,
        cached: bool = True,
    ) -> Observed:
        """One query of ``health/service``; a blocking one waits for something newer than ``known``."""
        params = self._api.reading(datacenter, cached=cached)
        timeout = None
        if block and known is not None:
            wait = self._settings.wait
            params |= {"index": str(known.position), "wait": f"{round(wait * 1000)}ms"}
            # The server adds up to a sixteenth to the wait; what is silent for longer than that is dead.
            timeout = wait + wait / 16 + self._settings.timeout
        if identify:
            await self._api.identify()
        path = f"/v1/health/service/{quoted(service)}"
        purpose = f'read "{service}"'
        answer = await self._api.request("GET", path, params=params, timeout=timeout, purpose=purpose)
        entries = self._api.decode(_ENTRIES, self._api.fresh(answer))
        if not entries and not await confirm_absence(self._api, service, answer, datacenter=datacenter):
            params = self._api.reading(datacenter, cached=False)
            answer = await self._api.request("GET", path, params=params, purpose=purpose)
            entries = self._api.decode(_ENTRIES, self._api.fresh(answer))
        try:
            cursor = mapping.cursor(answer.headers.get("x-consul-index"), self._api.store_of(answer))
            reset = mapping.is_reset(known, cursor, may_lag=self._settings.may_lag)
            return Observed(instances=mapping.instances(entries), cursor=cursor, reset=reset)
        except InvalidAnswer as error:
            raise InvalidAnswer(f"{answer.origin}: {error}", backend=self.url) from error

    async def _agent_service(self, service_id: str) -> wire.AgentService | None:
        """A service as its agent has it, None when it has none of that id."""
        answer = await self._api.send("GET", f"/v1/agent/service/{quoted(service_id)}", params=self._api.scope())
        if answer.status == 404 and "service" in answer.text.lower():
            return None
        if answer.status != 200:
            raise self._api.refusal(answer, f'read the registration "{service_id}"')
        return self._api.decode(_AGENT_SERVICE, answer)

    async def _find_check(self, instance_id: str, check: str) -> wire.HealthCheck:
        answer = await self._api.request("GET", "/v1/agent/checks", params=self._api.scope(), purpose="list checks")
        checks = list(self._api.decode(_AGENT_CHECKS, answer).values())
        found = mapping.find_check(checks, instance_id, check)
        if found is None:
            own = ", ".join(f'"{one.name}"' for one in checks if one.service_id == instance_id)
            asked = f'check "{check}"' if check else "single TTL check"
            there = f"it has {own}" if own else "the registry's agent knows no check of it"
            raise Refused(f'"{instance_id}" has no {asked}; {there}', backend=self.url, status=404)
        return found
