"""Makes servers for one test and ends them with it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.servers.consul import ConsulServer
from tests.servers.etcd import Certificates, EtcdServer, form_cluster
from tests.servers.eureka import EurekaServer, form_peers
from tests.servers.homeport import HomeportServer


class ServerFactory:
    """What both factories share: a folder for each server, and their common end."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: list[ConsulServer | HomeportServer | EtcdServer | EurekaServer] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._made:
            self._made.pop().close()

    def _next_folder(self) -> Path:
        return self._folder / str(len(self._made))


class ConsulFactory(ServerFactory):
    """`consul_factory(...)`: a Consul agent of the test's own, started unless `start=False`."""

    def __init__(self, binary: Path, folder: Path) -> None:
        super().__init__(folder)
        self._binary = binary

    def __call__(
        self,
        *,
        start: bool = True,
        dev: bool = True,
        datacenter: str = "dc1",
        node: str = "consul-test",
        config: Mapping[str, Any] | None = None,
        arguments: Sequence[str] = (),
    ) -> ConsulServer:
        """Make an agent; the parameters are those of `ConsulServer`."""
        server = ConsulServer(
            self._binary,
            self._next_folder(),
            dev=dev,
            datacenter=datacenter,
            node=node,
            config=config,
            arguments=arguments,
        )
        self._made.append(server)
        if start:
            server.start()
        return server


class EtcdFactory(ServerFactory):
    """`etcd_factory(...)`: an etcd of the test's own, started unless `start=False`; `cluster(3)`: several as one."""

    def __init__(self, binary: Path, folder: Path) -> None:
        super().__init__(folder)
        self._binary = binary

    def __call__(
        self, *, start: bool = True, certificates: Certificates | None = None, arguments: Sequence[str] = ()
    ) -> EtcdServer:
        """Make one; the parameters are those of `EtcdServer`."""
        server = EtcdServer(self._binary, self._next_folder(), certificates=certificates, arguments=arguments)
        self._made.append(server)
        if start:
            server.start()
        return server

    def cluster(self, size: int) -> list[EtcdServer]:
        """Make so many members of one cluster, and start them."""
        members = [self(start=False) for _ in range(size)]
        form_cluster(members)
        return members


class EurekaFactory(ServerFactory):
    """`eureka_factory(...)`: a Eureka of the test's own, started unless `start=False`; `peers(2)`: replicating ones."""

    def __init__(self, binary: Path, folder: Path) -> None:
        super().__init__(folder)
        self._binary = binary

    def __call__(
        self,
        *,
        start: bool = True,
        self_preservation: bool = False,
        delta: bool = True,
        user: str = "",
        password: str = "",
        certificates: Certificates | None = None,
        client_certificates: bool = False,
        settings: Mapping[str, str] | None = None,
    ) -> EurekaServer:
        """Make one; the parameters are those of `EurekaServer`."""
        server = EurekaServer(
            self._binary,
            self._next_folder(),
            self_preservation=self_preservation,
            delta=delta,
            user=user,
            password=password,
            certificates=certificates,
            client_certificates=client_certificates,
            settings=settings,
        )
        self._made.append(server)
        if start:
            server.start()
        return server

    def peers(self, count: int) -> list[EurekaServer]:
        """Make so many servers that replicate to each other, and start them."""
        servers = [self(start=False) for _ in range(count)]
        form_peers(servers)
        return servers


class HomeportFactory(ServerFactory):
    """`homeport_factory(...)`: a Homeport registry of the test's own, started unless `start=False`."""

    def __call__(
        self,
        *,
        start: bool = True,
        http: str | None = None,
        dns: bool = False,
        dev: bool = False,
        config: str | None = None,
        arguments: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> HomeportServer:
        """Make a registry; the parameters are those of `HomeportServer`."""
        server = HomeportServer(
            self._next_folder(),
            http=http,
            dns=dns,
            dev=dev,
            config=config,
            arguments=arguments,
            environment=environment,
        )
        self._made.append(server)
        if start:
            server.start()
        return server
