"""etcd URLs and variables."""

from pathlib import Path

import pytest

from homeport.backends import open_backend
from homeport.backends.etcd import EtcdBackend, EtcdSettings
from homeport.connections.tls import TLS
from homeport.errors import SettingsError


def settings(url: str, **environ: str) -> EtcdSettings:
    return EtcdSettings.from_url(url, environ)


@pytest.mark.parametrize(
    ("url", "environ", "shown"),
    [
        ("etcd://", {}, "etcd://127.0.0.1:2379/services/"),
        ("etcd://h1,h2:1/", {}, "etcd://h1:2379,h2:1/services/"),
        ("etcd://h/apps", {}, "etcd://h:2379/apps/"),
        ("etcd://h/a/b/", {"ETCD_DISCOVERY_PREFIX": "/x/"}, "etcd://h:2379/a/b/"),
        ("etcd://h", {"ETCD_DISCOVERY_PREFIX": "/x"}, "etcd://h:2379/x/"),
        ("etcd://", {"ETCD_ENDPOINTS": "a:1, b ,[::1]:3"}, "etcd://a:1,b:2379,[::1]:3/services/"),
        ("etcd://", {"ETCD_ENDPOINTS": "http://a:1/,http://b:2"}, "etcd://a:1,b:2/services/"),
        ("etcd:///own/", {"ETCD_ENDPOINTS": "a:1"}, "etcd://a:1/own/"),
        ("etcd://h", {"ETCD_ENDPOINTS": "a:1"}, "etcd://h:2379/services/"),
    ],
)
def test_where(url: str, environ: dict[str, str], shown: str) -> None:
    assert settings(url, **environ).url == shown


def test_a_bare_name_takes_the_variables() -> None:
    backend = open_backend(None, {"DISCOVERY_PROVIDER": "etcd", "ETCD_ENDPOINTS": "a:1"})
    assert isinstance(backend, EtcdBackend)
    assert backend.url == "etcd://a:1/services/"


def test_a_prefix_without_a_slash_before_it_is_taken_as_it_is() -> None:
    assert settings("etcd://", ETCD_DISCOVERY_PREFIX="services").prefix == "services/"


def test_numbers() -> None:
    default, given = settings("etcd://"), settings("etcd://?timeout=3&connect_timeout=2s&confirm_interval=0.5")
    assert (default.timeout, default.connect_timeout, default.confirm_interval) == (10.0, 5.0, 30.0)
    assert (given.timeout, given.connect_timeout, given.confirm_interval) == (3.0, 2.0, 0.5)


async def test_users_and_passwords(tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text("from-file\n")
    variables = {"ETCD_USERNAME": "u", "ETCD_PASSWORD": "from-variable"}
    for url, environ, user, password in (
        ("etcd://", {}, "", ""),
        ("etcd://", variables, "u", "from-variable"),
        ("etcd://?user=me", variables, "me", "from-variable"),
        ("etcd://?user=me&password=mine", variables, "me", "mine"),
        (f"etcd://?password_file={path}", variables, "u", "from-file"),
        ("etcd://?user=me&password_env=OTHER", {**variables, "OTHER": "from-other"}, "me", "from-other"),
    ):
        found = EtcdSettings.from_url(url, environ)
        assert (found.user, await found.password.current()) == (user, password)


def test_tls() -> None:
    assert settings("etcd://h").tls is None
    assert settings("etcd://h?scheme=http&verify=false").tls is None
    assert settings("etcd://h?scheme=https").tls == TLS()
    assert settings("etcd://h?scheme=https&verify=no").tls == TLS(verify=False)
    assert settings("etcd://h?ca_file=/ca&cert_file=/c&key_file=/k&ca_path=/p&server_name=n").tls == TLS(
        ca_file="/ca", ca_path="/p", cert_file="/c", key_file="/k", server_name="n"
    )
    assert settings("etcd://", ETCD_ENDPOINTS="https://a,https://b").tls == TLS()
    assert settings("etcd://", ETCD_ENDPOINTS="http://a").tls is None
    assert settings("etcd://h", ETCD_ENDPOINTS="https://a").tls is None


@pytest.mark.parametrize(
    ("url", "environ", "text"),
    [
        ("etcd://h?usr=x", {}, "usr is not a parameter of an etcd backend; did you mean user?"),
        ("etcd://h?password=x", {}, "password is given without a user; give user= too, or set ETCD_USERNAME"),
        ("etcd://h?user=x", {}, "a user is given without a password; give password_file= or password_env= too"),
        ("etcd://h", {"ETCD_USERNAME": "x"}, "a user is given without a password"),
        ("etcd://h?user=x&password=secret&password_env=Y", {}, "password and password_env are both given"),
        ("etcd://h?scheme=grpc", {}, 'scheme is "grpc"; give http or https'),
        ("etcd://h?scheme=http&ca_file=/x", {}, "ca_file is given, but scheme=http speaks no TLS"),
        ("etcd://h?confirm_interval=61", {}, "confirm_interval is 61 s; it must not be above 60"),
        ("etcd://h?scheme=https&verify=perhaps", {}, 'verify is "perhaps"; give true or false'),
        ("etcd://", {"ETCD_ENDPOINTS": "unix:///x"}, "ETCD_ENDPOINTS names unix://; give host:port"),
        ("etcd://", {"ETCD_ENDPOINTS": "http://a,https://b"}, "ETCD_ENDPOINTS mixes http:// and https://"),
        ("etcd://", {"ETCD_ENDPOINTS": "a:b"}, 'ETCD_ENDPOINTS: the address names the port "b"'),
    ],
)
def test_what_cannot_be_right_is_refused(url: str, environ: dict[str, str], text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        EtcdSettings.from_url(url, environ)
    assert text in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_representation_shows_no_secret() -> None:
    found = settings("etcd://h?user=u&password=hidden")
    assert "hidden" not in f"{found!r} {found} {found.url} {found.password!r} {EtcdBackend(found)!r}"
