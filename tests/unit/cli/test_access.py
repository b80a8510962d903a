"""How a backend is reached, as a diagnosis is told; never with a secret."""

from collections.abc import Mapping

import pytest

from homeport.backends.opening import open_backend
from homeport.cli.network import access_of
from homeport.connections.access import Access
from homeport.connections.backend_url import HostPort
from homeport.spi import Backend

SECRET = "s3cret-value"


class Bare:
    """A backend of somebody else, which tells nothing but its URL."""

    def __init__(self, url: str) -> None:
        self.url = url

    async def ping(self) -> Mapping[str, str]:
        return {}

    async def aclose(self) -> None:
        pass


def access(url: str, **environ: str) -> Access:
    backend: Backend = open_backend(url, environ)
    return access_of(backend)


@pytest.mark.parametrize(
    ("url", "environ", "credentials"),
    [
        ("consul://h", {}, ""),
        (f"consul://h?token={SECRET}", {}, "the token in the URL"),
        ("consul://h", {"CONSUL_HTTP_TOKEN": SECRET}, "the token in CONSUL_HTTP_TOKEN"),
        ("homeport://h", {"HOMEPORT_TOKEN": SECRET}, "the token in HOMEPORT_TOKEN"),
        ("consul://h?token_env=MINE", {"MINE": SECRET}, "the token in the variable MINE"),
        ("consul://h?token_file=/run/token", {}, "the token in the file /run/token"),
        ("etcd://h", {}, ""),
        (f"etcd://h?user=app&password={SECRET}", {}, 'the user "app" with the password in the URL'),
        ("etcd://h?user=app", {"ETCD_PASSWORD": SECRET}, 'the user "app" with the password in ETCD_PASSWORD'),
        ("etcd://h?user=app&password_file=/run/p", {}, 'the user "app" with the password in the file /run/p'),
    ],
)
def test_the_credentials_are_named_and_not_shown(url: str, environ: dict[str, str], credentials: str) -> None:
    found = access(url, **environ)
    assert found.credentials == credentials
    assert SECRET not in repr(found)


def test_where_and_how() -> None:
    found = access("etcd://a,b:1?ca_file=/ca.pem")
    assert found.addresses == (HostPort("a", 2379), HostPort("b", 1))
    assert found.tls is not None
    assert found.tls.ca_file == "/ca.pem"
    assert access("consul://h").tls is None
    assert access("dns://h/x").transport == "dns"


@pytest.mark.parametrize(
    ("url", "addresses"),
    [
        ("nacos://h:8848/public", (HostPort("h", 8848),)),
        ("nacos://a:1,b:2", (HostPort("a", 1), HostPort("b", 2))),
        ("eureka://h/eureka", (HostPort("h", 8761),)),
        ("kubernetes://context/namespace", ()),
        ("static:///etc/services.yaml", ()),
        ("embedded://", ()),
        ("odd://a b:1", ()),
    ],
)
def test_a_backend_that_tells_nothing_is_reached_by_its_url(url: str, addresses: tuple[HostPort, ...]) -> None:
    assert access_of(Bare(url)) == Access(addresses=addresses)
