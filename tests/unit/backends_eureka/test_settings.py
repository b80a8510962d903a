"""Eureka URLs and variables."""

from pathlib import Path

import pytest

from homeport.backends import open_backend
from homeport.backends.eureka import EurekaBackend, EurekaSettings
from homeport.connections.backend_url import HostPort
from homeport.connections.tls import TLS
from homeport.errors import SettingsError

VARIABLE = "EUREKA_CLIENT_SERVICEURL_DEFAULTZONE"


def settings(url: str, **environ: str) -> EurekaSettings:
    return EurekaSettings.from_url(url, environ)


@pytest.mark.parametrize(
    ("url", "environ", "shown"),
    [
        ("eureka://", {}, "eureka://127.0.0.1:8761/eureka"),
        ("eureka://h1,h2:1/", {}, "eureka://h1:8761,h2:1/eureka"),
        ("eureka://h/eureka/v2/", {}, "eureka://h:8761/eureka/v2"),
        ("eureka://h/api", {VARIABLE: "http://a:1/eureka/"}, "eureka://h:8761/api"),
        ("eureka://", {VARIABLE: "http://a:1/eureka/, http://b:2/eureka"}, "eureka://a:1,b:2/eureka"),
        ("eureka://", {VARIABLE: "http://a/own,http://[::1]/own/"}, "eureka://a:80,[::1]:80/own"),
        ("eureka:///api", {VARIABLE: "http://a:1/eureka/"}, "eureka://a:1/api"),
        ("eureka://u:p@h1,h2/x", {}, "eureka://h1:8761,h2:8761/x"),
    ],
)
def test_where(url: str, environ: dict[str, str], shown: str) -> None:
    assert settings(url, **environ).url == shown


def test_a_bare_name_takes_the_variable() -> None:
    backend = open_backend(None, {"DISCOVERY_PROVIDER": "eureka", VARIABLE: "https://u:p@a/eureka/"})
    assert isinstance(backend, EurekaBackend)
    assert backend.url == "eureka://a:443/eureka"
    assert backend.access.tls == TLS()
    assert backend.access.addresses == (HostPort("a", 443),)
    assert backend.access.credentials == f'the user "u" with the password in the variable {VARIABLE}'


def test_numbers_and_choices() -> None:
    default = settings("eureka://")
    given = settings("eureka://?timeout=3&connect_timeout=2s&poll_interval=0.5&by=vip&prefer_ip=yes")
    assert (default.timeout, default.connect_timeout, default.poll_interval) == (10.0, 5.0, 10.0)
    assert (default.by, default.prefer_ip) == ("app", False)
    assert (given.timeout, given.connect_timeout, given.poll_interval) == (3.0, 2.0, 0.5)
    assert (given.by, given.prefer_ip) == ("vip", True)


async def test_users_and_passwords(tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text("from-file\n")
    variable = {VARIABLE: "http://v:from-variable@h:1/eureka"}
    for url, environ, user, password in (
        ("eureka://", {}, "", ""),
        ("eureka://", variable, "v", "from-variable"),
        ("eureka://h", variable, "", ""),
        ("eureka://?user=me&password=mine", variable, "me", "mine"),
        ("eureka://me:a%40b%2Fc%3Ad@h1,h2", {}, "me", "a@b/c:d"),
        ("eureka://me:mine@h1,me:mine@h2", {}, "me", "mine"),
        ("eureka://me:mine@h?user=other", {}, "other", "mine"),
        ("eureka://me:mine@h?password=newer", {}, "me", "newer"),
        (f"eureka://h?user=me&password_file={path}", {}, "me", "from-file"),
        ("eureka://h?user=me&password_env=OTHER", {"OTHER": "from-other"}, "me", "from-other"),
    ):
        found = EurekaSettings.from_url(url, environ)
        assert (found.user, await found.password.current()) == (user, password)


def test_tls() -> None:
    assert settings("eureka://h").tls is None
    assert settings("eureka://h?scheme=http&verify=false").tls is None
    assert settings("eureka://h?scheme=https").tls == TLS()
    assert settings("eureka://h?scheme=https&verify=no").tls == TLS(verify=False)
    assert settings("eureka://h?ca_file=/ca&cert_file=/c&key_file=/k&ca_path=/p&server_name=n").tls == TLS(
        ca_file="/ca", ca_path="/p", cert_file="/c", key_file="/k", server_name="n"
    )
    assert settings("eureka://", **{VARIABLE: "https://a/e,https://b/e"}).tls == TLS()
    assert settings("eureka://", **{VARIABLE: "http://a/e"}).tls is None
    assert settings("eureka://h", **{VARIABLE: "https://a/e"}).tls is None


@pytest.mark.parametrize(
    ("url", "environ", "text"),
    [
        ("eureka://h?usr=x", {}, "usr is not a parameter of an eureka backend; did you mean user?"),
        ("eureka://h?password=secret", {}, "password is given without a user; give user= too"),
        ("eureka://h?user=x", {}, "a user is given without a password; give password_file= or password_env= too"),
        ("eureka://h?user=x&password=secret&password_env=Y", {}, "password and password_env are both given"),
        ("eureka://secret@h", {}, "something before an @ that is not USER:PASSWORD"),
        ("eureka://u:hid/den@h", {}, "something before an @ that is not USER:PASSWORD"),
        ("eureka://u:hid,x:den@h", {}, "something before an @ that is not USER:PASSWORD"),
        ("eureka://u:secret@h1,v:secret@h2", {}, "has several users; all servers are asked by one"),
        ("eureka://h?scheme=grpc", {}, 'scheme is "grpc"; give http or https'),
        ("eureka://h?scheme=http&ca_file=/x", {}, "ca_file is given, but scheme=http speaks no TLS"),
        ("eureka://h?poll_interval=61", {}, "poll_interval is 61 s; it must not be above 60"),
        ("eureka://h?by=host", {}, 'by is "host"; give app or vip'),
        ("eureka://h?prefer_ip=perhaps", {}, 'prefer_ip is "perhaps"; give true or false'),
        ("eureka://h?scheme=https&verify=perhaps", {}, 'verify is "perhaps"; give true or false'),
        ("eureka://", {VARIABLE: "h:8761/eureka"}, f"{VARIABLE} must have URLs such as http://host:8761/eureka/"),
        ("eureka://", {VARIABLE: "http://a/e,https://b/e"}, f"{VARIABLE} mixes http:// and https://"),
        ("eureka://", {VARIABLE: "http://a/e,http://b/f"}, f"{VARIABLE} mixes several paths"),
        ("eureka://", {VARIABLE: "http://u:secret@a/e,http://b/e"}, f"{VARIABLE} mixes several users or passwords"),
        ("eureka://", {VARIABLE: "http://a:b/e"}, f"{VARIABLE}: the http backend URL names the port"),
    ],
)
def test_what_cannot_be_right_is_refused(url: str, environ: dict[str, str], text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        EurekaSettings.from_url(url, environ)
    assert text in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "hid" not in str(caught.value)


def test_a_representation_shows_no_secret() -> None:
    for url in ("eureka://h?user=u&password=hidden", "eureka://u:hidden@h"):
        found = settings(url)
        assert (
            "hidden" not in f"{found!r} {found} {found.url} {found.password!r} {EurekaBackend(found)!r} {found.access}"
        )
