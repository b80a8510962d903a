"""Requests to a Kubernetes API server, with credentials that may change at any time.

The transport is `HTTPConnection`, as for every other system. The Python clients of Kubernetes are not used: the watches
of lightkube 1.0 have no read time-out, so that one over a half-open connection stays silent for ever, and it knows
neither the current version of credentials by command nor that such credentials expire, nor ``tls-server-name``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar
from urllib.parse import urlencode

from homeport.errors import BackendUnavailable, SettingsError

from .http import Answer, HTTPConnection
from .http_errors import NotTrusted
from .http_stream import Stream
from .kubernetes_access import KubernetesAccess
from .kubernetes_config import ClusterConfig, read_cluster_config

_UNAUTHORIZED = 401
_HEADERS = {"Accept": "application/json", "Content-Type": "application/json"}

A = TypeVar("A", bound=Answer | Stream)


class KubernetesConnection:
    """One API server, and who asks it.

    Nothing is read before the first request. A token in a file or from a command is the current one at each request.
    When the API server no longer accepts who asks, or is no longer trusted, the whole configuration is read anew, with
    the certificates that it names, since a new login or a new CA changes it, and the request is repeated once.
    """

    def __init__(self, access: KubernetesAccess, *, backend: str, timeout: float, connect_timeout: float) -> None:
        self._access = access
        self._backend = backend
        self._timeout = timeout
        self._connect_timeout = connect_timeout
        self._lock = asyncio.Lock()
        self._config: ClusterConfig | None = None
        self._authorization: _Authorization | None = None
        self._connection: HTTPConnection | None = None
        self._former: HTTPConnection | None = None
        self._closed = False

    async def config(self) -> ClusterConfig:
        """What is known of the cluster without asking it.

        Raises:
            SettingsError: it cannot be read.
        """
        return (await self._opened())[0]

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
        repeatable: bool = True,
    ) -> Answer:
        """Send a request and read the whole answer, whatever its status; ``path`` is percent-encoded already.

        Raises:
            BackendError: see `HTTPConnection.request`.
            SettingsError: the configuration or the credentials cannot be read.
        """

        async def ask(config: ClusterConfig, connection: HTTPConnection) -> Answer:
            target = _target(config, path, params)
            return await connection.request(method, target, body=body, repeatable=repeatable)

        return await self._as_configured(ask)

    async def stream(self, path: str, *, params: Mapping[str, str]) -> Stream | Answer:
        """Send a request whose answer goes on; one that is refused is an `Answer`. The caller closes the `Stream`.

        Raises:
            BackendError: see `HTTPConnection.stream`.
            SettingsError: see `request`.
        """

        async def ask(config: ClusterConfig, connection: HTTPConnection) -> Stream | Answer:
            return await connection.stream("GET", _target(config, path, params))

        return await self._as_configured(ask)

    async def local_address(self) -> str:
        """The source address of this host towards the API server; in a pod, that of the pod."""
        return await (await self._opened())[1].local_address()

    async def aclose(self) -> None:
        """Close all connections; calling it twice is harmless."""
        self._closed = True
        for connection in (self._connection, self._former):
            if connection is not None:
                await connection.aclose()
        self._authorization = self._connection = self._former = None

    async def _as_configured(self, ask: Callable[[ClusterConfig, HTTPConnection], Awaitable[A]]) -> A:
        """What is answered with the configuration that was read last, or with the one that has taken its place."""
        config, connection = await self._opened()
        try:
            answer = await ask(config, connection)
            if answer.status != _UNAUTHORIZED:
                return answer
            config, connection = await self._reopened(config)
        except NotTrusted as error:
            try:
                config, renewed = await self._reopened(config)
            except SettingsError:  # half of a rotation
                raise error from error.__cause__
            if renewed is connection:
                raise
            connection = renewed
        return await ask(config, connection)

    async def _opened(self) -> tuple[ClusterConfig, HTTPConnection]:
        if self._config is None or self._connection is None:
            async with self._lock:
                if self._closed:
                    raise BackendUnavailable(f"the connection to {self._backend} was closed", backend=self._backend)
                if self._config is None or self._connection is None:
                    self._config = await asyncio.to_thread(read_cluster_config, self._access)
                    self._authorization, self._connection = self._connect(self._config)
        return self._config, self._connection

    async def _reopened(self, refused: ClusterConfig) -> tuple[ClusterConfig, HTTPConnection]:
        async with self._lock:
            if self._config is refused:
                config = await asyncio.to_thread(read_cluster_config, self._access)
                # A new connection is only for other certificates or another server. What is under way on the one
                # before goes on there; when the next one comes it is long over.
                another = (config.address, config.tls) != (refused.address, refused.tls)
                if another and config.tls is not None:
                    await asyncio.to_thread(config.tls.context)  # one that cannot be used must not be kept
                if another and self._former is not None:
                    await self._former.aclose()
                if self._authorization is not None:  # nobody closed this meanwhile
                    if another:
                        self._former = self._connection
                        self._authorization, self._connection = self._connect(config)
                    else:
                        self._authorization.config = config
                    self._config = config
        return await self._opened()

    def _connect(self, config: ClusterConfig) -> tuple[_Authorization, HTTPConnection]:
        authorization = _Authorization(config)
        connection = HTTPConnection(
            (config.address,),
            system="Kubernetes API server",
            advice=f'Start the cluster of "{config.name}", or name the context of another one in the backend URL.',
            backend=self._backend,
            tls=config.tls,
            token=authorization,
            headers=_HEADERS,
            connect_timeout=self._connect_timeout,
            timeout=self._timeout,
        )
        return authorization, connection


class _Authorization:
    """The `Token` of one connection: the header that says who asks, "" for none.

    It is never that of a connection with other certificates, over which its program would be somebody else.
    """

    def __init__(self, config: ClusterConfig) -> None:
        self.config = config

    async def current(self) -> str:
        """The header.

        Raises:
            SettingsError: the token cannot be read.
        """
        return self._header(await self.config.token.current())

    async def reread(self) -> str:
        """The header, with the token looked up anew.

        Raises:
            SettingsError: see `current`.
        """
        return self._header(await self.config.token.reread())

    def _header(self, token: str) -> str:
        return f"{self.config.scheme} {token}" if self.config.scheme else ""


def _target(config: ClusterConfig, path: str, params: Mapping[str, str] | None) -> str:
    query = f"?{urlencode(params)}" if params else ""
    return f"{config.path}{path}{query}"
