"""A real etcd that asks for users and certificates."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path

import pytest

from homeport import BackendUnavailable, ClientSettings, Discovery, PermissionDenied
from homeport.backends.etcd import open_etcd
from tests.integration.client.certificates import Authority, CertificateFiles
from tests.plugins.following import PATIENCE, Until
from tests.servers.etcd import Certificates, EtcdServer
from tests.servers.etcdctl import Etcdctl

PASSWORD = "p4ss-w0rd-of-app"


class Guarded:
    """An etcd with the user ``app``, who may do everything below ``/services/`` once `guard` was called."""

    def __init__(self, etcd: EtcdServer, etcdctl_binary: Path) -> None:
        self.etcd = etcd
        self.url = etcd.backend_url
        self._binary = etcdctl_binary

    async def ask(self, *arguments: str, user: str = "root:root") -> str:
        return await asyncio.to_thread(Etcdctl(self._binary, self.etcd.address, user=user), *arguments)

    async def guard(self) -> None:
        for command in (
            "user add root:root",
            "user grant-role root root",
            f"user add app:{PASSWORD}",
            "role add services",
            "role grant-permission services --prefix=true readwrite /services/",
            "user grant-role app services",
            "auth enable",
        ):
            await self.ask(*command.split(), user="")

    async def replace_user(self, password: str = PASSWORD) -> None:
        """Delete the user and make it anew, which ends every token that it has."""
        await self.ask("user", "delete", "app")
        await self.ask("user", "add", f"app:{password}")
        await self.ask("user", "grant-role", "app", "services")


@pytest.fixture
async def open_to_all(etcd_factory: Callable[..., EtcdServer], etcdctl_binary: Path) -> Guarded:
    return Guarded(await asyncio.to_thread(etcd_factory, arguments=["--bcrypt-cost=4"]), etcdctl_binary)


@pytest.fixture
async def guarded(open_to_all: Guarded) -> Guarded:
    await open_to_all.guard()
    return open_to_all


async def test_who_has_no_user_or_a_wrong_one_is_told_what_to_give(guarded: Guarded, name: str) -> None:
    async with Discovery(guarded.url, environ={}) as discovery:
        with pytest.raises(PermissionDenied) as caught:
            await discovery.discover(name)
        assert f'does not let a program without a user read "{name}"' in str(caught.value)
        assert "Give a user that may by user= and password_file=" in str(caught.value)
        assert not caught.value.retryable
    async with Discovery(f"{guarded.url}?user=app&password=wrong-secret", environ={}) as discovery:
        with pytest.raises(PermissionDenied) as caught:
            await discovery.discover(name)
        assert 'does not accept the user "app" with its password' in str(caught.value)
        assert "wrong-secret" not in f"{caught.value!r} {discovery!r} {discovery.backend!r}"
    async with aclosing(open_etcd(f"{guarded.url}/elsewhere/?user=app&password={PASSWORD}", {})) as backend:
        with pytest.raises(PermissionDenied, match='does not let the user "app" list services: permission denied'):
            await backend.services()


@pytest.mark.parametrize("way", ["parameters", "variables", "file", "named variable"])
async def test_a_password_may_come_from_anywhere(guarded: Guarded, name: str, way: str, tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text(f"{PASSWORD}\n")
    query, environ = {
        "parameters": (f"?user=app&password={PASSWORD}", {}),
        "variables": ("", {"ETCD_USERNAME": "app", "ETCD_PASSWORD": PASSWORD}),
        "file": (f"?user=app&password_file={path}", {}),
        "named variable": ("?user=app&password_env=MY_PASSWORD", {"MY_PASSWORD": PASSWORD}),
    }[way]
    discovery = Discovery(guarded.url + query, environ=environ, handle_signals=False)
    async with discovery, discovery.register(name, port=1) as registration, discovery.watch(name):
        assert (await discovery.resolve(name)).id == registration.id
        assert PASSWORD not in f"{discovery!r} {discovery.backend!r} {discovery.backend.url}"


async def test_a_token_that_holds_no_more_is_replaced_and_so_is_the_password(
    guarded: Guarded,
    name: str,
    tmp_path: Path,
    settings: ClientSettings,
    until: Until,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "homeport")
    path = tmp_path / "password"
    path.write_text(PASSWORD)
    url = f"{guarded.url}?user=app&password_file={path}"
    discovery = Discovery(url, settings=settings, environ={}, handle_signals=False)
    async with discovery, discovery.register(name, id="one", port=1, ttl=30.0), discovery.watch(name) as watch:
        await guarded.replace_user()
        assert len(await discovery.discover(name, use_cache=False)) == 1
        await guarded.replace_user("another-password")
        path.write_text("another-password")
        assert len(await discovery.discover(name, use_cache=False)) == 1
        async with discovery.register(name, id="two", port=2):
            await until(watch, lambda snapshot: not snapshot.stale and len(snapshot) == 2)
    assert PASSWORD not in caplog.text
    assert "another-password" not in caplog.text


async def test_a_watch_whose_token_ended_before_it_began_logs_in_again(guarded: Guarded, name: str) -> None:
    async with (
        aclosing(open_etcd(f"{guarded.url}?user=app&password={PASSWORD}", {})) as backend,
        aclosing(backend.watch(name)) as stream,
    ):
        async with asyncio.timeout(PATIENCE):
            assert not (await anext(stream)).instances
            await guarded.replace_user()
            assert not (await anext(stream)).instances  # the watch stands
            await guarded.ask("put", f"/services/{name}/1", '{"address": "10.0.0.1"}')
            assert [one.id for one in (await anext(stream)).instances] == ["1"]


async def test_a_watch_that_is_not_allowed_says_so(guarded: Guarded, name: str) -> None:
    async with (
        aclosing(open_etcd(f"{guarded.url}?user=app&password={PASSWORD}", {})) as backend,
        aclosing(backend.watch(name)) as stream,
    ):
        async with asyncio.timeout(PATIENCE):
            await anext(stream)
            await guarded.ask("user", "revoke-role", "app", "services")
            with pytest.raises(PermissionDenied, match=f'does not let the user "app" follow "{name}"'):
                await anext(stream)


async def test_a_user_is_harmless_where_nobody_asks_for_one_and_needed_from_then_on(
    open_to_all: Guarded, name: str
) -> None:
    async with aclosing(open_etcd(f"{open_to_all.url}?user=app&password={PASSWORD}", {})) as backend:
        assert not (await backend.fetch(name)).instances
        await open_to_all.guard()
        assert not (await backend.fetch(name)).instances
        async with aclosing(backend.watch(name)) as stream:
            await anext(stream)
            await anext(stream)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


async def test_tls_with_a_client_certificate(
    etcd_factory: Callable[..., EtcdServer], authority: Authority, name: str, until: Until
) -> None:
    certificate, key = authority.issue("etcd.test")
    own, own_key = authority.issue("client")
    certificates = Certificates(certificate=certificate, key=key, authority=authority.certificate)
    etcd = await asyncio.to_thread(etcd_factory, certificates=certificates)
    trusting = f"{etcd.backend_url}?ca_file={authority.certificate}"
    discovery = Discovery(f"{trusting}&cert_file={own}&key_file={own_key}", environ={}, handle_signals=False)
    async with discovery, discovery.watch(name) as watch, discovery.register(name, port=1):
        await until(watch, lambda snapshot: len(snapshot) == 1)
    for without, words in (
        (trusting, "certificate"),
        (f"{etcd.backend_url}?scheme=https&cert_file={own}&key_file={own_key}", "its certificate is not accepted"),
        (etcd.backend_url, "etcd"),
        (f"{trusting}&cert_file={own}&key_file={own_key}&server_name=other.test", "its certificate is not accepted"),
    ):
        async with aclosing(open_etcd(without, {})) as backend:
            with pytest.raises(BackendUnavailable, match=words):
                await backend.fetch(name)
    named = f"{trusting}&cert_file={own}&key_file={own_key}&server_name=etcd.test"
    careless = f"{etcd.backend_url}?scheme=https&cert_file={own}&key_file={own_key}&verify=false"
    for enough in (named, careless):
        async with aclosing(open_etcd(enough, {})) as backend:
            assert not (await backend.fetch(name)).instances
    variable = {"ETCD_ENDPOINTS": etcd.url}
    async with aclosing(
        open_etcd(f"etcd://?ca_file={authority.certificate}&cert_file={own}&key_file={own_key}", variable)
    ) as backend:
        assert (await backend.ping())["product"] == "etcd"


async def test_certificates_that_are_rotated_on_disk_are_followed(
    etcd_factory: Callable[..., EtcdServer],
    authority: Authority,
    name: str,
    settings: ClientSettings,
    until: Until,
    tmp_path: Path,
) -> None:
    member, own = CertificateFiles(tmp_path / "member"), CertificateFiles(tmp_path / "own")
    member.hold(authority, authority.issue("etcd.test"))
    own.hold(authority, authority.issue("client"))
    certificates = Certificates(certificate=member.certificate, key=member.key, authority=member.authority)
    etcd = await asyncio.to_thread(etcd_factory, certificates=certificates)
    discovery = Discovery(f"{etcd.backend_url}?{own.parameters}", settings=settings, environ={}, handle_signals=False)
    async with (
        discovery,
        discovery.register(name, id="one", port=1, ttl=30.0) as registration,
        discovery.watch(name) as watch,
    ):
        await asyncio.to_thread(etcd.stop)
        following = await asyncio.to_thread(Authority, tmp_path / "following")
        member.hold(following, following.issue("etcd.test"))
        await asyncio.to_thread(etcd.start)
        with pytest.raises(BackendUnavailable, match="its certificate is not accepted"):
            await discovery.discover(name, use_cache=False)
        own.hold(following, following.issue("client"))
        assert len(await discovery.discover(name, use_cache=False)) == 1
        await until(watch, lambda snapshot: not snapshot.stale and len(snapshot) == 1)
        async with discovery.register(name, id="two", port=2):
            await until(watch, lambda snapshot: not snapshot.stale and len(snapshot) == 2)
        assert not registration.lost
