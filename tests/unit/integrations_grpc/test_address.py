"""How gRPC reaches an instance."""

from typing import Any

import pytest

from homeport import Instance
from homeport.integrations.grpc.address import address_of, connection_of, connection_options


def instance(address: str = "10.0.0.1", **fields: Any) -> Instance:
    return Instance(id="one", service="billing", address=address, port=80, **fields)


@pytest.mark.parametrize(
    ("address", "target"),
    [
        ("10.0.0.1", "ipv4:10.0.0.1:80"),
        ("::1", "ipv6:[::1]:80"),
        ("node-1.example", "dns:///node-1.example:80"),
    ],
)
def test_an_address_is_taken_as_it_is_and_a_name_asks_dns(address: str, target: str) -> None:
    assert address_of(instance(address)) == target


def test_the_authority_is_the_service() -> None:
    options = dict(connection_options(instance(), {}, connect_timeout=2.5, secure=True))
    assert options["grpc.default_authority"] == "billing"
    assert options["grpc.min_reconnect_backoff_ms"] == 2500
    assert "grpc.ssl_target_name_override" not in options


def test_metadata_names_the_certificate_of_a_connection_with_tls() -> None:
    named = instance(meta={"tls_server_name": "node-1.example"})
    options = dict(connection_options(named, {}, connect_timeout=5, secure=True))
    assert options["grpc.ssl_target_name_override"] == "node-1.example"
    assert options["grpc.default_authority"] == "billing"
    assert "grpc.ssl_target_name_override" not in dict(connection_options(named, {}, connect_timeout=5, secure=False))


def test_given_options_win() -> None:
    given = {"grpc.default_authority": "other", "grpc.max_reconnect_backoff_ms": 7}
    options = connection_options(instance(), given, connect_timeout=5, secure=False)
    assert len(options) == len(dict(options))
    assert dict(options).items() >= given.items()


def test_what_makes_a_connection_another() -> None:
    assert connection_of(instance(tags=("a",))) == connection_of(instance(tags=("b",), weight=3))
    assert connection_of(instance()) != connection_of(instance("10.0.0.2"))
    assert connection_of(instance()) != connection_of(instance(meta={"tls_server_name": "x"}))
