"""A real Consul that speaks TLS and asks for certificates."""

import asyncio
import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import aclosing
from pathlib import Path

import pytest

from homeport import BackendUnavailable, ClientSettings, Discovery
from homeport.backends.consul import open_consul
from tests.integration.client.certificates import Authority, CertificateFiles
from tests.plugins.following import Until
from tests.servers.consul import ConsulServer
from tests.servers.ports import LOOPBACK, PortLease


class Secured:
    """A Consul with HTTPS, whose certificates can be changed while it is stopped."""

    def __init__(self, make: Callable[..., ConsulServer], port: int, folder: Path) -> None:
        self.files = CertificateFiles(folder / "server")
        self._make = make
        self.port = port

    def made(self) -> ConsulServer:
        authority, certificate, key = map(str, self.files.paths)
        config = {"verify_incoming_https": True, "ca_file": authority, "cert_file": certificate, "key_file": key}
        return self._make(start=False, dev=False, config=config, arguments=("-hcl", f"ports {{ https = {self.port} }}"))

    @property
    def url(self) -> str:
        return f"consul://{LOOPBACK}:{self.port}"


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("first"))


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("second"))


@pytest.fixture
def secured(consul_factory: Callable[..., ConsulServer], tmp_path: Path, first: Authority) -> Iterator[Secured]:
    with PortLease() as lease:
        made = Secured(consul_factory, lease.ports[0], tmp_path)
        made.files.hold(first, first.issue("server.dc1.consul"))
        yield made


@pytest.fixture
def own(tmp_path: Path, first: Authority) -> CertificateFiles:
    """The client's files."""
    made = CertificateFiles(tmp_path / "own")
    made.hold(first, first.issue("client"))
    return made


async def test_every_part_of_tls_counts(secured: Secured, own: CertificateFiles, second: Authority, name: str) -> None:
    await asyncio.to_thread(secured.made().start)
    certificate = f"cert_file={own.certificate}&key_file={own.key}"
    for enough in (
        own.parameters,
        f"{own.parameters}&server_name=server.dc1.consul",
        f"scheme=https&{certificate}&verify=false",
    ):
        async with aclosing(open_consul(f"{secured.url}?{enough}", {})) as backend:
            assert (await backend.fetch(name)).instances == ()
    for lacking, words in (
        (f"ca_file={own.authority}", "certificate"),
        (f"scheme=https&{certificate}", "its certificate is not accepted"),
        (f"ca_file={second.certificate}&{certificate}", "its certificate is not accepted"),
        (f"{own.parameters}&server_name=other.test", "its certificate is not accepted"),
    ):
        async with aclosing(open_consul(f"{secured.url}?{lacking}", {})) as backend:
            with pytest.raises(BackendUnavailable, match=words):
                await backend.fetch(name)


async def test_a_folder_of_authorities_is_as_good_as_a_file(
    secured: Secured, own: CertificateFiles, tmp_path: Path, name: str
) -> None:
    await asyncio.to_thread(secured.made().start)
    folder = tmp_path / "authorities"
    folder.mkdir()
    shutil.copyfile(own.authority, folder / "ca.pem")
    program = await asyncio.create_subprocess_exec("openssl", "rehash", str(folder))
    assert await program.wait() == 0
    url = f"{secured.url}?ca_path={folder}&cert_file={own.certificate}&key_file={own.key}"
    async with aclosing(open_consul(url, {})) as backend:
        assert (await backend.fetch(name)).instances == ()


async def test_certificates_that_are_rotated_on_disk_are_followed(
    secured: Secured,
    own: CertificateFiles,
    second: Authority,
    name: str,
    settings: ClientSettings,
    until: Until,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "homeport")
    consul = secured.made()
    await asyncio.to_thread(consul.start)
    url = f"{secured.url}?{own.parameters}&wait=1s"
    async with (
        Discovery(url, settings=settings, environ={}, handle_signals=False) as discovery,
        discovery.register(name, port=1, ttl=60.0) as registration,
        discovery.watch(name) as watch,
    ):
        await asyncio.to_thread(consul.stop)
        secured.files.hold(second, second.issue("server.dc1.consul"))
        own.hold(second, second.issue("client"))
        await asyncio.to_thread(consul.start)
        await until(watch, lambda snapshot: snapshot.stale or "certificate files changed" in caplog.text)
        await until(watch, lambda snapshot: not snapshot.stale and len(snapshot) == 1)
        assert len(await discovery.discover(name, use_cache=False)) == 1
        assert not registration.lost
    assert "the certificate files changed" in caplog.text
