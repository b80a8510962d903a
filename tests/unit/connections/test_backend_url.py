"""The grammar of backend URLs."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.connections.backend_url import HostPort, parse_backend_url, parse_host_port
from homeport.errors import SettingsError


@pytest.mark.parametrize(
    ("text", "addresses", "path", "parameters"),
    [
        ("consul://host:1234", [("host", 1234)], "", {}),
        ("consul://host", [("host", 8500)], "", {}),
        ("consul://", [("127.0.0.1", 8500)], "", {}),
        ("consul:///", [("127.0.0.1", 8500)], "", {}),
        ("CONSUL://host", [("host", 8500)], "", {}),
        ("etcd://h1:2379,h2:2380/services/", [("h1", 2379), ("h2", 2380)], "/services/", {}),
        ("consul://[::1]:8501", [("::1", 8501)], "", {}),
        ("consul://[fe80::1%eth0]", [("fe80::1%eth0", 8500)], "", {}),
        ("consul://a,[::1]:2,b:3", [("a", 8500), ("::1", 2), ("b", 3)], "", {}),
        ("consul://h?dc=dc1&token=a%26b", [("h", 8500)], "", {"dc": "dc1", "token": "a&b"}),
        ("consul://h?dc=", [("h", 8500)], "", {"dc": ""}),
        ("static:///path/with%20space.yaml", [("127.0.0.1", 8500)], "/path/with space.yaml", {}),
    ],
)
def test_it_is_taken_apart(text: str, addresses: list[tuple[str, int]], path: str, parameters: dict[str, str]) -> None:
    url = parse_backend_url(text, default_port=8500)
    assert [(address.host, address.port) for address in url.addresses] == addresses
    assert (url.path, url.parameters) == (path, parameters)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("host:8500", '"host:8500" is not a backend URL; write for example homeport://127.0.0.1:8500'),
        ("://host", '"" is not a backend URL'),
        ("consul://user:geheim@host", "has credentials before an @; give them as parameters"),
        ("consul://host:0", 'names the port "0"; it must lie between 1 and 65535'),
        ("consul://host:99999", 'names the port "99999"'),
        ("consul://host:abc", 'names the port "abc"'),
        ("consul://ho st", 'names "ho st", which is no host and port'),
        ("consul://[::1", "cannot be read"),
        ("consul://host?dc", "cannot be read"),
        ("consul://host?dc=a&dc=b", "gives dc twice"),
        ("consul://host#x", 'has a part after "#"'),
        ("consul://::1", 'names "::1"'),
    ],
)
def test_what_cannot_be_read_is_refused_in_a_sentence_without_secrets(text: str, complaint: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_backend_url(text, default_port=8500)
    assert complaint in str(caught.value)
    assert "geheim" not in str(caught.value)


def test_it_shows_no_parameter() -> None:
    url = parse_backend_url("consul://[::1]:1,b?token=geheim", default_port=8500)
    assert str(url) == "consul://[::1]:1,b:8500"
    assert "geheim" not in repr(url)


def test_an_unknown_parameter_is_named_with_the_one_that_was_meant() -> None:
    url = parse_backend_url("consul://h?tokn=x", default_port=8500)
    with pytest.raises(SettingsError) as caught:
        url.only(("dc", "token", "token_file"))
    assert str(caught.value) == ("consul://h:8500: tokn is not a parameter of a consul backend; did you mean token?")


@pytest.mark.parametrize(("text", "value"), [("5", 5.0), ("2.5", 2.5), ("10s", 10.0)])
def test_seconds(text: str, value: float) -> None:
    assert parse_backend_url(f"consul://h?wait={text}", default_port=1).seconds("wait") == value


@pytest.mark.parametrize("text", ["0", "-1", "abc", "inf", "nan", "", "1m"])
def test_seconds_that_cannot_be_right(text: str) -> None:
    with pytest.raises(SettingsError, match=r"wait is .* give a number of seconds above 0"):
        parse_backend_url(f"consul://h?wait={text}", default_port=1).seconds("wait")


@pytest.mark.parametrize(
    ("text", "value"), [("true", True), ("1", True), ("YES", True), ("false", False), ("0", False)]
)
def test_flags(text: str, value: bool) -> None:
    assert parse_backend_url(f"consul://h?verify={text}", default_port=1).flag("verify") is value


def test_a_flag_that_is_neither() -> None:
    with pytest.raises(SettingsError, match='verify is "maybe"; give true or false'):
        parse_backend_url("consul://h?verify=maybe", default_port=1).flag("verify")


hosts = st.from_regex(r"[a-z][a-z0-9-]{0,20}(\.[a-z0-9-]{1,10}){0,3}", fullmatch=True) | st.ip_addresses().map(str)


@given(st.lists(st.builds(HostPort, hosts, st.integers(1, 65535)), min_size=1, max_size=4))
def test_addresses_that_are_written_are_read_again(addresses: list[HostPort]) -> None:
    text = ",".join(map(str, addresses))
    assert list(parse_backend_url(f"x://{text}", default_port=1).addresses) == addresses
    assert parse_host_port(str(addresses[0]), default_port=1) == addresses[0]


@given(st.text(max_size=60))
def test_no_text_is_more_than_refused(text: str) -> None:
    for url in (text, f"consul://{text}"):
        with contextlib.suppress(SettingsError):
            parse_backend_url(url, default_port=1)
