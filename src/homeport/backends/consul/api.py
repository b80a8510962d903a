"""Requests to a Consul agent or a Homeport registry, and what their answers mean when they are no success."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec

from homeport.connections.http import Answer, HTTPConnection
from homeport.errors import (
    BackendError,
    BackendUnavailable,
    InvalidAnswer,
    InvalidValue,
    PermissionDenied,
    Refused,
    Unsupported,
)

from . import native
from .settings import ConsulSettings

T = TypeVar("T")

_ADVICE = {
    "homeport": 'Start one with "homeport serve", or name another with --backend or HOMEPORT_BACKEND.',
    "consul": "Start Consul's agent, or name another one in the backend URL or by CONSUL_HTTP_ADDR.",
}
STORE_HEADER = "x-homeport-store"

# Consul answers 500 both for what it refuses and for what it cannot do right now; these are the latter.
_PASSING_TROUBLES = (
    "No cluster leader",
    "leadership lost",
    "rpc error",
    "i/o timeout",
    "connection refused",
    "raft is ",
    "No known Consul servers",
)
_ENTERPRISE = "Consul Enterprise feature"
_WITHOUT_NAMESPACES = "leave out namespace= and partition= in the backend URL, or CONSUL_NAMESPACE and CONSUL_PARTITION"
UNKNOWN_TOKEN = "ACL not found"  # noqa: S105 - what Consul says of a token that it does not know

_CAPABILITIES = msgspec.json.Decoder(native.Capabilities)
_ROOTS = msgspec.json.Decoder(dict[str, Any])
_SERVERS = msgspec.json.Decoder(list[dict[str, Any]])


class ConsulAPI:
    """The HTTP API below the backend: one connection, its parameters, and who answers there.

    Who answers is asked once, and again after it was out of reach, since another one may answer then.
    """

    def __init__(self, settings: ConsulSettings) -> None:
        self.settings = settings
        self._connection = HTTPConnection(
            settings.addresses,
            system="registry",
            advice=_ADVICE[settings.scheme],
            backend=settings.url,
            tls=settings.tls,
            token=settings.token,
            token_header="X-Consul-Token",  # noqa: S106 - the name of a header
            headers=settings.headers,
            connect_timeout=settings.connect_timeout,
            timeout=settings.timeout,
        )
        self._asking = asyncio.Lock()
        self._capabilities: native.Capabilities | None = None
        self._identity: str | None = None
        self._outages = 0
        self.without_acls = False
        """Whether who answers is known to let everybody read everything."""

    @property
    def origin(self) -> str:
        """The URL of the address that is asked first."""
        return self._connection.origin

    async def aclose(self) -> None:
        """Close all connections."""
        await self._connection.aclose()

    async def local_address(self) -> str:
        """The source address of this host towards the agent."""
        return await self._connection.local_address()

    def scope(self, datacenter: str = "") -> dict[str, str]:
        """The parameters that say whose data are meant; a datacenter only where one is asked for or configured.

        A partition never goes without a namespace: the free edition ignored the former before 1.11, but refuses the
        latter always.
        """
        named = {
            "dc": datacenter or self.settings.datacenter,
            "ns": self.settings.namespace or ("default" if self.settings.partition else ""),
            "partition": self.settings.partition,
        }
        return {name: value for name, value in named.items() if value}

    def reading(self, datacenter: str = "", *, cached: bool = True) -> dict[str, str]:
        """The parameters of a read: `scope`, who may answer, and unless ``cached`` is false, whether from a cache."""
        params = self.scope(datacenter)
        if self.settings.consistency == "stale":
            params |= {"stale": "", "max_stale": f"{max(1, round(self.settings.max_age * 1000))}ms"}
        elif self.settings.consistency == "consistent":
            params["consistent"] = ""
        if cached and self.settings.cached:
            params["cached"] = ""
        return params

    def fresh(self, answer: Answer) -> Answer:
        """The answer, unless it comes from a cache that has not heard from the servers for longer than allowed.

        Raises:
            BackendUnavailable: it does.
        """
        age = answer.headers.get("age", "")
        if self.settings.cached and age.isdigit() and int(age) > self.settings.max_age:
            raise BackendUnavailable(
                f"the agent at {answer.origin} answers from its cache, and has not heard from its servers for {age} s; "
                "see to its servers, or allow more by max_age= in the backend URL.",
                backend=self.settings.url,
            )
        return answer

    async def request(
        self,
        method: str,
        path: str,
        *,
        purpose: str,
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeout: float | None = None,
    ) -> Answer:
        """Send a request that is done only when it is answered by 200. ``purpose`` completes "cannot …" in errors.

        Raises:
            BackendError: it is not; see `refusal`.
        """
        answer = await self.send(method, path, params=params, body=body, timeout=timeout)
        if answer.status != 200:
            raise self.refusal(answer, purpose, datacenter=(params or {}).get("dc", ""))
        return answer

    async def send(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeout: float | None = None,
    ) -> Answer:
        """Send a request; the caller looks at the status.

        Raises:
            BackendError: no answer came; see `HTTPConnection.request`.
        """
        try:
            return await self._connection.request(method, path, params=params, body=body, timeout=timeout)
        except BackendUnavailable:
            self._outages += 1
            self._capabilities = None
            self._identity = None
            self.without_acls = False
            raise

    def refusal(self, answer: Answer, purpose: str, *, datacenter: str = "") -> BackendError:
        """The error for an answer that is not 200; ``datacenter`` is the one that was asked for."""
        where, said, backend = answer.origin, answer.text or f"HTTP {answer.status}", self.settings.url
        if answer.status in (401, 403):
            return PermissionDenied(
                f"{where} does not let this program {purpose}: {said}. "
                "Give a token that may, for example by token_file= in the backend URL.",
                backend=backend,
                unauthenticated=answer.status == 401 or UNKNOWN_TOKEN in answer.text,
            )
        if answer.status == 400 and _ENTERPRISE in said:
            if STORE_HEADER in answer.headers:
                return self._no_namespaces()
            return Unsupported(
                f"the Consul at {where} is the free edition, and namespaces and partitions are of Consul Enterprise",
                backend=backend,
                instead=_WITHOUT_NAMESPACES,
            )
        if answer.status in (429, 502, 503, 504) or _is_passing_trouble(answer):
            return BackendUnavailable(f"the registry at {where} cannot {purpose} now: {said}", backend=backend)
        if answer.status == 500 and "No path to datacenter" in said:
            name = datacenter or self.settings.datacenter
            return Refused(
                f'the registry at {where} knows no such datacenter as "{name}"; it cannot {purpose}',
                backend=backend,
                status=500,
            )
        if 300 <= answer.status < 400 or (answer.status == 404 and STORE_HEADER not in answer.headers):
            return self.stranger(answer)
        return Refused(f"the registry at {where} refuses to {purpose}: {said}", backend=backend, status=answer.status)

    def _no_namespaces(self) -> Unsupported:
        return Unsupported(
            "a Homeport registry has no namespaces and no partitions, as Consul Enterprise has",
            backend=self.settings.url,
            instead=_WITHOUT_NAMESPACES,
        )

    def stranger(self, answer: Answer) -> InvalidAnswer:
        """The error for an answer that neither Consul nor Homeport would give."""
        return InvalidAnswer(
            f"what answers at {answer.origin} is neither Consul nor Homeport (HTTP {answer.status})",
            backend=self.settings.url,
        )

    def decode(self, decoder: msgspec.json.Decoder[T], answer: Answer) -> T:
        """The body in its shape.

        Raises:
            InvalidAnswer: it has another.
        """
        try:
            return decoder.decode(answer.body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InvalidAnswer(
                f"{answer.origin} sent an answer that is not what Consul's API promises: {error}",
                backend=self.settings.url,
            ) from error

    async def offers(self, feature: str) -> bool:
        """Whether a Homeport registry answers that has this feature; Consul has none of them."""
        return feature in (await self.about()).features

    async def about(self) -> native.Capabilities:
        """Who answers.

        Raises:
            Unsupported: a namespace is asked for, and who answers has none.
            BackendError: nobody answers.
        """
        async with self._asking:
            while self._capabilities is None:
                outages = self._outages
                answer = await self.send("GET", "/v1/homeport/capabilities")
                if _is_passing_trouble(answer):
                    raise self.refusal(answer, "say what it offers")
                try:
                    found = _CAPABILITIES.decode(answer.body) if answer.status == 200 else native.PLAIN_CONSUL
                except (msgspec.DecodeError, UnicodeDecodeError):
                    raise self.stranger(answer) from None
                if self._outages == outages:  # else it may be the answer of who was there before
                    self._capabilities = found
            if self._capabilities.product != native.PLAIN_CONSUL.product and "ns" in self.scope():
                raise self._no_namespaces()
            return self._capabilities

    def store_of(self, answer: Answer) -> str:
        """What tells the data of this answer from those of another registry, "" when nothing does.

        Homeport's registry says so in every answer. A Consul cluster is known by the trust domain of its certificate
        authority, or where Connect is off by the ids of its servers; it is asked *before* the answer, see `identify`.
        """
        return answer.headers.get(STORE_HEADER, self._identity or "")

    async def identify(self) -> None:
        """Find out, if it is not known, which Consul cluster answers.

        Raises:
            BackendError: nobody answers.
        """
        async with self._asking:
            while self._identity is None:
                outages = self._outages
                identity = await self._ask_identity()
                if identity is None:
                    return
                if self._outages == outages:  # else it may be the answer of who was there before
                    self._identity = identity

    async def _ask_identity(self) -> str | None:
        """Which cluster answers, "" if nothing tells; None if it cannot say so just now."""
        answer = await self.send("GET", "/v1/connect/ca/roots")
        if STORE_HEADER in answer.headers:
            return ""
        if answer.status == 200:
            return _trust_domain(answer)
        if _is_passing_trouble(answer):
            return None
        servers = await self.send("GET", "/v1/catalog/service/consul")
        return None if _is_passing_trouble(servers) else _server_ids(servers)


def quoted(text: str) -> str:
    """A name or id as one part of a path.

    Raises:
        InvalidValue: the server would never see it, since it takes away empty parts, "." and ".." from every path,
            and refuses every path with a character that cannot be printed (Consul does so since 1.0.3).
    """
    if not {"", ".", ".."}.isdisjoint(text.split("/")):
        raise InvalidValue(
            f'"{text}" cannot be asked for over HTTP, where empty parts, "." and ".." go; use another name'
        )
    if not text.isprintable():
        raise InvalidValue(
            f"{text!a} cannot be asked for over HTTP, where characters that cannot be printed are refused; "
            "use another name"
        )
    return quote(text, safe="")


def is_unknown_check(answer: Answer) -> bool:
    """Consul says 404 since 1.11; before, it said 500 and named the missing TTL or check."""
    return answer.status == 404 or (
        answer.status == 500 and ("associated TTL" in answer.text or "nknown check" in answer.text)
    )


def _is_passing_trouble(answer: Answer) -> bool:
    return answer.status >= 500 and any(words in answer.text for words in _PASSING_TROUBLES)


def _trust_domain(answer: Answer) -> str:
    try:
        return str(_ROOTS.decode(answer.body).get("TrustDomain", ""))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""


def _server_ids(answer: Answer) -> str:
    try:
        rows = _SERVERS.decode(answer.body) if answer.status == 200 else []
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
    return ",".join(sorted({str(row["ID"]) for row in rows if row.get("ID")}))
