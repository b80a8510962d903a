"""A Eureka server that asks for a user, over TLS, and for the certificate of its client."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import aclosing
from pathlib import Path

import pytest

from homeport import BackendUnavailable, ClientSettings, Discovery, PermissionDenied
from homeport.backends.eureka import open_eureka
from tests.integration.client.certificates import Authority, CertificateFiles
from tests.plugins.following import Until
from tests.servers.etcd import Certificates
from tests.servers.eureka import EurekaServer

PASSWORD = "p@ss:w/ord"
QUOTED = "p%40ss%3Aw%2Ford"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def guarded(
    eureka_binary: Path, tmp_path_factory: pytest.TempPathFactory, authority: Authority
) -> Iterator[EurekaServer]:
    """A server with a user, TLS and certificates of clients."""
    certificate, key = authority.issue("eureka.test")
    server = EurekaServer(
        eureka_binary,
        tmp_path_factory.mktemp("guarded"),
        user="app",
        password=PASSWORD,
        certificates=Certificates(certificate=certificate, key=key, authority=authority.certificate),
        client_certificates=True,
    )
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture
def tls(authority: Authority) -> str:
    """The parameters for its TLS."""
    own, own_key = authority.issue("client")
    return f"ca_file={authority.certificate}&cert_file={own}&key_file={own_key}"


async def test_everything_works_with_a_user_and_a_certificate(
    guarded: EurekaServer, tls: str, name: str, until: Until
) -> None:
    url = f"eureka://app:{QUOTED}@{guarded.address}/eureka?{tls}&poll_interval=0.1"
    async with Discovery(url, environ={}, handle_signals=False) as discovery, discovery.watch(name) as watch:
        async with discovery.register(name, id="one", port=1):
            await until(watch, lambda snapshot: len(snapshot) == 1)
        await until(watch, lambda snapshot: not snapshot.instances)
        assert "p@ss" not in discovery.backend.url


async def test_a_password_that_is_wrong_or_missing_is_told(guarded: EurekaServer, tls: str, name: str) -> None:
    for who, words in (
        ("app:wrong@", 'does not accept the user "app" with its password'),
        ("", "does not accept anybody without a user"),
    ):
        async with aclosing(open_eureka(f"eureka://{who}{guarded.address}/eureka?{tls}", {})) as backend:
            for asked in (backend.fetch(name), backend.services(), backend.ping(), backend.deregister("x")):
                with pytest.raises(PermissionDenied, match=words) as caught:
                    await asked
                assert "wrong" not in str(caught.value)


async def test_a_password_in_a_file_may_change(guarded: EurekaServer, tls: str, name: str, tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text("outdated\n")
    url = f"eureka://{guarded.address}/eureka?{tls}&user=app&password_file={path}"
    async with aclosing(open_eureka(url, {})) as backend:
        with pytest.raises(PermissionDenied):
            await backend.fetch(name)
        path.write_text(f"{PASSWORD}\n")
        assert not (await backend.fetch(name)).instances
    environ = {"PASSWORD": PASSWORD}
    url = f"eureka://{guarded.address}/eureka?{tls}&user=app&password_env=PASSWORD"
    async with aclosing(open_eureka(url, environ)) as backend:
        assert (await backend.ping())["product"] == "eureka"


async def test_tls(guarded: EurekaServer, authority: Authority, tls: str, name: str) -> None:
    place = f"eureka://app:{QUOTED}@{guarded.address}/eureka"
    trusting = f"{place}?ca_file={authority.certificate}"
    own = tls.partition("&")[2]
    for without, words in (
        (trusting, "certificate"),
        (f"{place}?scheme=https&{own}", "its certificate is not accepted"),
        (f"{place}?{tls}&server_name=other.test", "its certificate is not accepted"),
    ):
        async with aclosing(open_eureka(without, {})) as backend:
            with pytest.raises(BackendUnavailable, match=words):
                await backend.fetch(name)
    variable = {"EUREKA_CLIENT_SERVICEURL_DEFAULTZONE": f"https://app:{QUOTED}@{guarded.address}/eureka/"}
    for enough, environ in (
        (f"{place}?{tls}&server_name=eureka.test", {}),
        (f"{place}?scheme=https&{own}&verify=false", {}),
        (f"eureka://?{tls}", variable),
    ):
        async with aclosing(open_eureka(enough, environ)) as backend:
            assert not (await backend.fetch(name)).instances


async def test_certificates_that_are_rotated_on_disk_are_followed(
    eureka_factory: Callable[..., EurekaServer],
    authority: Authority,
    name: str,
    settings: ClientSettings,
    until: Until,
    tmp_path: Path,
) -> None:
    server, own = CertificateFiles(tmp_path / "server"), CertificateFiles(tmp_path / "own")
    server.hold(authority, authority.issue("eureka.test"))
    own.hold(authority, authority.issue("client"))
    eureka = await asyncio.to_thread(
        eureka_factory,
        certificates=Certificates(certificate=server.certificate, key=server.key, authority=server.authority),
        client_certificates=True,
    )
    url = f"eureka://{eureka.address}/eureka?{own.parameters}&poll_interval=0.1"
    async with (
        Discovery(url, settings=settings, environ={}, handle_signals=False) as discovery,
        discovery.register(name, id="one", port=1, ttl=3.0),
        discovery.watch(name) as watch,
    ):
        await until(watch, lambda snapshot: len(snapshot) == 1)
        await asyncio.to_thread(eureka.stop)
        following = await asyncio.to_thread(Authority, tmp_path / "following")
        server.hold(following, following.issue("eureka.test"))
        await asyncio.to_thread(eureka.start)
        with pytest.raises(BackendUnavailable, match="its certificate is not accepted"):
            await discovery.discover(name, use_cache=False)
        own.hold(following, following.issue("client"))
        await discovery.discover(name, use_cache=False)
        # The server that came back knew nothing; the registration is made again.
        await until(watch, lambda snapshot: not snapshot.stale and len(snapshot) == 1)
