"""Instances that speak TLS, and what names they are asked for."""

import ssl
from pathlib import Path

from tests.integration.client.certificates import Authority

from .instance_server import InstanceServer


class Certificates:
    """One certificate for each name, made when it is first asked for."""

    def __init__(self, folder: Path) -> None:
        self.authority = Authority(folder)
        self._issued: dict[str, tuple[Path, Path]] = {}

    def of(self, name: str) -> tuple[Path, Path]:
        """The certificate and its key."""
        if name not in self._issued:
            self._issued[name] = self.authority.issue(name)
        return self._issued[name]


class TLSServers:
    """The instances of one test; ``server_names`` are those that clients asked for, in order."""

    def __init__(self, certificates: Certificates) -> None:
        self.authority = certificates.authority.certificate
        self.server_names: list[str | None] = []
        self._certificates = certificates
        self._servers: list[InstanceServer] = []

    def serve(self, name: str) -> InstanceServer:
        """An instance with a certificate of that name."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self._certificates.of(name))
        context.sni_callback = lambda _connection, asked, _context: self.server_names.append(asked)
        server = InstanceServer(name, tls=context)
        self._servers.append(server)
        return server

    def stop(self) -> None:
        """End them."""
        for server in self._servers:
            server.stop()
