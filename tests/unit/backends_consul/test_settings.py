"""Where and how: from the URL, the environment, or the defaults, in this order."""

from pathlib import Path
from typing import Any

import pytest

from homeport.backends import backend_names, default_backend, open_backend
from homeport.backends.consul.backend import ConsulBackend
from homeport.backends.consul.settings import ConsulSettings
from homeport.connections.tls import TLS
from homeport.errors import SettingsError


def settings(url: str, **environ: str) -> ConsulSettings:
    return ConsulSettings.from_url(url, environ)


@pytest.mark.parametrize(
    ("url", "environ", "origin"),
    [
        ("consul://", {}, "consul://127.0.0.1:8500"),
        ("consul://h:1", {}, "consul://h:1"),
        ("consul://h:1,i:2", {}, "consul://h:1,i:2"),
        ("consul://", {"CONSUL_HTTP_ADDR": "h:1"}, "consul://h:1"),
        ("consul://", {"CONSUL_HTTP_ADDR": "http://h:1/"}, "consul://h:1"),
        ("consul://", {"CONSUL_HTTP_ADDR": "https://h"}, "consul://h:8500"),
        ("consul://i", {"CONSUL_HTTP_ADDR": "h:1"}, "consul://i:8500"),
        ("consul://h?dc=dc2", {}, "consul://h:8500?dc=dc2"),
        ("consul://h", {"CONSUL_DATACENTER": "dc3"}, "consul://h:8500?dc=dc3"),
        ("consul://h?dc=dc2", {"CONSUL_DATACENTER": "dc3"}, "consul://h:8500?dc=dc2"),
        ("homeport://", {"CONSUL_HTTP_ADDR": "h:1", "CONSUL_DATACENTER": "x"}, "homeport://127.0.0.1:8500"),
        ("homeport://h", {"HOMEPORT_DATACENTER": "dc3"}, "homeport://h:8500?dc=dc3"),
    ],
)
def test_the_url_for_people(url: str, environ: dict[str, str], origin: str) -> None:
    assert settings(url, **environ).url == origin


@pytest.mark.parametrize(
    ("url", "environ", "token"),
    [
        ("consul://h", {}, ""),
        ("consul://h?token=u", {}, "u"),
        ("consul://h", {"CONSUL_HTTP_TOKEN": "e"}, "e"),
        ("consul://h?token=u", {"CONSUL_HTTP_TOKEN": "e"}, "u"),
        ("consul://h?token_env=MINE", {"CONSUL_HTTP_TOKEN": "e", "MINE": "m"}, "m"),
        ("consul://h", {"CONSUL_HTTP_TOKEN": "e", "CONSUL_HTTP_TOKEN_FILE": "FILE"}, "f"),
        ("consul://h?token=u", {"CONSUL_HTTP_TOKEN_FILE": "FILE"}, "u"),
        ("consul://h?token_file=FILE", {"CONSUL_HTTP_TOKEN": "e"}, "f"),
        ("homeport://h", {"CONSUL_HTTP_TOKEN": "e"}, ""),
        ("homeport://h", {"HOMEPORT_TOKEN": "h"}, "h"),
        ("homeport://h", {"HOMEPORT_TOKEN_FILE": "FILE"}, "f"),
    ],
)
async def test_the_token(url: str, environ: dict[str, str], token: str, tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("f\n")
    environ = {name: value.replace("FILE", str(path)) for name, value in environ.items()}
    found = settings(url.replace("FILE", str(path)), **environ)
    assert await found.token.current() == token


@pytest.mark.parametrize(
    ("url", "environ", "tls"),
    [
        ("consul://h", {}, None),
        ("consul://h?scheme=http", {"CONSUL_HTTP_SSL": "true"}, None),
        ("consul://h?scheme=https", {}, TLS()),
        ("consul://h", {"CONSUL_HTTP_SSL": "true"}, TLS()),
        ("consul://h", {"CONSUL_HTTP_SSL": "false", "CONSUL_CACERT": "c"}, None),
        ("consul://", {"CONSUL_HTTP_ADDR": "https://h"}, TLS()),
        ("consul://", {"CONSUL_HTTP_ADDR": "http://h", "CONSUL_HTTP_SSL": "1"}, None),
        ("consul://h?ca_file=c", {}, TLS(ca_file="c")),
        ("consul://h?scheme=https", {"CONSUL_CACERT": "c", "CONSUL_CAPATH": "p"}, TLS(ca_file="c", ca_path="p")),
        ("consul://h?cert_file=c&key_file=k", {}, TLS(cert_file="c", key_file="k")),
        (
            "consul://h",
            {"CONSUL_HTTP_SSL": "1", "CONSUL_CLIENT_CERT": "c", "CONSUL_CLIENT_KEY": "k"},
            TLS(cert_file="c", key_file="k"),
        ),
        ("consul://h?server_name=n", {}, TLS(server_name="n")),
        ("consul://h?scheme=https&verify=false", {}, TLS(verify=False)),
        ("consul://h?scheme=https", {"CONSUL_HTTP_SSL_VERIFY": "false"}, TLS(verify=False)),
        ("consul://h?scheme=https&verify=true", {"CONSUL_HTTP_SSL_VERIFY": "false"}, TLS()),
        ("homeport://h", {"HOMEPORT_TLS": "true", "HOMEPORT_CACERT": "c"}, TLS(ca_file="c")),
        ("homeport://h", {"CONSUL_HTTP_SSL": "true"}, None),
    ],
)
def test_tls(url: str, environ: dict[str, str], tls: TLS | None) -> None:
    assert settings(url, **environ).tls == tls


def test_the_other_options() -> None:
    found = settings("consul://h?namespace=n&partition=p&timeout=3&connect_timeout=2s&wait=30")
    assert (found.namespace, found.partition, found.timeout, found.connect_timeout, found.wait) == ("n", "p", 3, 2, 30)
    found = settings("consul://h", CONSUL_NAMESPACE="n", CONSUL_PARTITION="p")
    assert (found.namespace, found.partition, found.timeout, found.wait) == ("n", "p", 10.0, 55.0)
    assert settings("consul://h").headers == {}
    assert settings("consul://h", CONSUL_HTTP_AUTH="user:pass").headers == {"Authorization": "Basic dXNlcjpwYXNz"}
    assert settings("homeport://h", CONSUL_HTTP_AUTH="user:pass").headers == {}
    found = settings("consul://h?consistency=stale&max_age=2.5")
    assert (found.consistency, found.max_age, found.cached, found.headers) == ("stale", 2.5, False, {})
    found = settings("consul://h?cached=true&max_age=2.5")
    assert (found.consistency, found.cached, found.headers) == ("default", True, {"Cache-Control": "max-age=3"})
    assert [settings(f"consul://h?{one}").may_lag for one in ("consistency=stale", "cached=true", "wait=9")] == [
        True, True, False,
    ]  # fmt: skip
    found = settings("consul://h?via=query&near=_agent&limit=3")
    assert (found.via, found.near, found.limit, found.max_age) == ("query", "_agent", 3, 10.0)


@pytest.mark.parametrize(
    ("url", "environ", "text"),
    [
        ("consul://h?tokn=x", {}, "tokn is not a parameter of a consul backend; did you mean token?"),
        ("consul://h/path", {}, "a consul backend has no path; leave /path out"),
        ("consul://h?token=geheim&token_file=f", {}, "token and token_file are both given; one of them is enough"),
        ("consul://h?scheme=ftp", {}, 'scheme is "ftp"; give http or https'),
        ("consul://h?scheme=http&ca_file=c", {}, "ca_file is given, but scheme=http speaks no TLS"),
        ("consul://h?scheme=https&verify=maybe", {}, 'verify is "maybe"; give true or false'),
        ("consul://h?wait=0.5", {}, "wait is 0.5 s; it must lie between 1 and 600"),
        ("consul://h?wait=601", {}, "it must lie between 1 and 600"),
        ("consul://", {"CONSUL_HTTP_ADDR": "unix:///run/consul.sock"}, "names a unix socket, which is not supported"),
        ("consul://", {"CONSUL_HTTP_ADDR": "ftp://h"}, "CONSUL_HTTP_ADDR begins with ftp://"),
        ("consul://", {"CONSUL_HTTP_ADDR": "h:x"}, 'CONSUL_HTTP_ADDR: the address names the port "x"'),
        ("consul://h", {"CONSUL_HTTP_SSL": "maybe"}, 'CONSUL_HTTP_SSL is "maybe"; give true or false'),
        ("consul://h?consistency=strong", {}, 'consistency is "strong"; give default or stale or consistent'),
        ("consul://h?cached=maybe", {}, 'cached is "maybe"; give true or false'),
        ("consul://h?cached=true&consistency=consistent", {}, "contradict each other; keep one"),
        ("consul://h?max_age=3", {}, "max_age is given, but answers are never old without cached=true or"),
        ("consul://h?cached=true&max_age=0", {}, 'max_age is "0"; give a number of seconds above 0'),
        ("consul://h?via=dns", {}, 'via is "dns"; give service or query'),
        ("consul://h?near=_agent", {}, "near chooses among the instances of a prepared query; add via=query too"),
        ("consul://h?limit=2", {}, "limit chooses among the instances of a prepared query; add via=query too"),
        ("consul://h?via=query&limit=0", {}, 'limit is "0"; give a whole number above 0'),
        ("homeport://h?namespace=n", {}, "namespace is not a parameter of a homeport backend"),
        ("homeport://h?cached=true", {}, "cached is not a parameter of a homeport backend"),
    ],
)
def test_what_cannot_be_right_is_refused(url: str, environ: dict[str, str], text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        settings(url, **environ)
    assert text in str(caught.value)
    assert "geheim" not in str(caught.value)


def test_no_secret_is_shown() -> None:
    found = settings("consul://h?token=geheim", CONSUL_HTTP_AUTH="user:geheim")
    assert "geheim" not in f"{found!r} {found.url} {ConsulBackend(found)!r}"


@pytest.mark.parametrize(
    ("environ", "meant"),
    [
        ({}, "homeport://127.0.0.1:8500"),
        ({"CONSUL_HTTP_ADDR": "h:1"}, "consul"),
        ({"CONSUL_HTTP_ADDR": "h:1", "DISCOVERY_PROVIDER": "dns"}, "dns"),
        ({"CONSUL_HTTP_ADDR": "h:1", "DISCOVERY_PROVIDER": "dns", "HOMEPORT_BACKEND": "homeport://x"}, "homeport://x"),
        ({"HOMEPORT_BACKEND": " ", "DISCOVERY_PROVIDER": ""}, "homeport://127.0.0.1:8500"),
    ],
)
def test_the_backend_that_is_meant_when_none_is_named(environ: dict[str, str], meant: str) -> None:
    assert default_backend(environ) == meant


@pytest.mark.parametrize(
    ("backend", "environ", "url"),
    [
        (None, {}, "homeport://127.0.0.1:8500"),
        ("", {"CONSUL_HTTP_ADDR": "h:1"}, "consul://h:1"),
        ("consul", {}, "consul://127.0.0.1:8500"),
        ("Consul", {"CONSUL_HTTP_ADDR": "h:1"}, "consul://h:1"),
        ("homeport", {"CONSUL_HTTP_ADDR": "h:1"}, "homeport://127.0.0.1:8500"),
        ("consul://i:2", {"HOMEPORT_BACKEND": "homeport://x"}, "consul://i:2"),
    ],
)
def test_opening(backend: str | None, environ: dict[str, str], url: str) -> None:
    assert open_backend(backend, environ).url == url


def test_an_object_is_itself() -> None:
    own = open_backend("consul://h", {})
    assert open_backend(own, {"HOMEPORT_BACKEND": "homeport://x"}) is own


@pytest.mark.parametrize(
    ("backend", "text"),
    [
        (
            "consl://h",
            "did you mean consul?",
        ),
        ("zookeeper", '"zookeeper" is not a backend; there are consul, dns, embedded, etcd, eureka, homeport'),
        ("http://h:8500", '"http" does not say what kind of backend it is; write for example homeport://HOST:PORT or'),
        ("https://h:8500", "consul://HOST:PORT?scheme=https"),
        ("10.0.0.1:8500", '"10.0.0.1:8500" does not say what kind of backend it is'),
    ],
)
def test_schemes_that_are_not_there(backend: str, text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        open_backend(backend, {})
    assert text in str(caught.value)


class MadeByAPackage:
    def __init__(self, url: str, environ: Any) -> None:
        self.url = url
        self.environ = environ

    async def ping(self) -> dict[str, str]:
        return {}

    async def aclose(self) -> None:
        pass


def test_a_package_may_add_a_backend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed distribution, as the interpreter finds it: a folder with its metadata on the path."""
    (tmp_path / "other_backend.py").write_text(f"from {__name__} import MadeByAPackage as open_other\n")
    metadata = tmp_path / "other_backend-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: other-backend\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        "[homeport.backends]\nother = other_backend:open_other\nconsul = other_backend:open_other\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    opened = open_backend("other://somewhere", {"A": "b"})
    assert (opened.url, type(opened).__name__) == ("other://somewhere", "MadeByAPackage")
    assert "other" in backend_names()
    # One of our own names is not taken over by a package.
    assert type(open_backend("consul://h", {})) is ConsulBackend
