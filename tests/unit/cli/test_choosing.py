"""Which backend is meant."""

import itertools
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.cli.choosing import chosen_backend, chosen_backends, reason_of_choice, variables_of
from homeport.cli.exits import Misuse
from homeport.errors import SettingsError
from homeport.settings import SettingsFile


def file(section: object) -> SettingsFile:
    return SettingsFile(content={"backend": section})


def url(named: list[str] | None = None, environ: dict[str, str] | None = None, section: object = None) -> str:
    return chosen_backend(named, environ=environ or {}, file=None if section is None else file(section)).url


class Source(NamedTuple):
    """One place that can name a backend, and the one it names."""

    expected: str
    argument: list[str] | None = None
    environ: dict[str, str] = {}  # noqa: RUF012 - read only
    section: str | None = None


SOURCES = (
    Source("homeport://argument:1", argument=["homeport://argument:1"]),
    Source("homeport://variable:1", environ={"HOMEPORT_BACKEND": "homeport://variable:1"}),
    Source("consul://bare:1", environ={"CONSUL_HTTP_ADDR": "bare:1"}),
    Source("homeport://file:1", section="homeport://file:1"),
)


@pytest.mark.parametrize(("higher", "lower"), list(itertools.combinations(SOURCES, 2)))
def test_the_higher_source_decides(higher: Source, lower: Source) -> None:
    environ = {**lower.environ, **higher.environ}
    assert url(higher.argument or lower.argument, environ, higher.section or lower.section) == higher.expected


def test_discovery_provider_stands_between_the_variables() -> None:
    environ = {"DISCOVERY_PROVIDER": "consul", "CONSUL_HTTP_ADDR": "bare:1"}
    assert url(None, environ, "homeport://file:1") == "consul://bare:1"
    assert url(None, {**environ, "HOMEPORT_BACKEND": "homeport://variable:1"}) == "homeport://variable:1"


@pytest.mark.parametrize("settings", [None, SettingsFile(), file(None)])
def test_without_any_it_is_the_registry_on_this_host(settings: SettingsFile | None) -> None:
    chosen = chosen_backend(None, environ={"HOMEPORT_BACKEND": " "}, file=settings)
    assert chosen.url == "homeport://127.0.0.1:8500"


def test_the_file_may_give_parameters_beside_the_url() -> None:
    assert url(section={"url": "consul://h:1", "dc": "east", "timeout": 3}) == "consul://h:1?dc=east"
    assert url(section={"url": "consul://h:1?dc=east", "verify": False}) == "consul://h:1?dc=east"
    assert url(section={"url": "consul", "dc": "east"}) == "consul://127.0.0.1:8500?dc=east"


@given(st.text(min_size=1, max_size=20))
def test_a_token_in_the_file_never_shows(secret: str) -> None:
    backend = chosen_backend(None, environ={}, file=file({"url": "consul://h:1", "token": secret}))
    assert backend.url == "consul://h:1"
    assert repr(backend) == "ConsulBackend('consul://h:1')"


@pytest.mark.parametrize(
    ("section", "message"),
    [
        (["consul://h", 5], "backend[1] must be a URL such as homeport://127.0.0.1:8500, or url: with its parameters"),
        (["consul://h", "dns://h?timeout=x"], 'backend: dns://h:53: timeout is "x"; give a number of seconds above 0'),
        (5, "backend must be a URL such as homeport://127.0.0.1:8500, or url: with its parameters"),
        ({"dc": "east"}, "backend.url is missing; give for example url: homeport://127.0.0.1:8500"),
        ({"url": "consul://h", "dc": ["a"]}, "backend.dc must be text, a number, or true or false"),
        ("consul://h?timeout=soon", 'backend: consul://h:8500: timeout is "soon"; give a number of seconds above 0'),
        (
            {"url": "consul://h:1", "tokn": "s"},
            "backend: consul://h:1: tokn is not a parameter of a consul backend; did you mean token?",
        ),
    ],
)  # fmt: skip
def test_a_section_that_cannot_be_right_is_told_with_the_file(section: object, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        url(section=section)
    assert str(caught.value) == f"homeport.yaml: {message}"


def test_a_wrong_argument_is_misuse() -> None:
    with pytest.raises(Misuse, match=r'^--backend: "consl" is not a backend; .* did you mean consul\?$'):
        url(["consl://h"])
    with pytest.raises(Misuse) as caught:
        url(["consul://a", "consul://b"])
    assert str(caught.value) == (
        "several backends are a fallback chain, which this command cannot use; name one --backend"
    )


CHAIN = ["consul://a:1", "homeport://b:2"]


@pytest.mark.parametrize(
    ("named", "environ", "section"),
    [
        (CHAIN, {"HOMEPORT_BACKEND": "consul"}, "consul"),
        (None, {"HOMEPORT_BACKEND": " ".join(CHAIN)}, "consul"),
        (None, {}, CHAIN),
        (None, {}, [{"url": "consul", "dc": "x"}, "homeport://b:2"]),
    ],
)
def test_several_are_a_chain_wherever_they_are_named(
    named: list[str] | None, environ: dict[str, str], section: object
) -> None:
    chain = chosen_backends(named, environ=environ, file=file(section))
    expected = ["consul://127.0.0.1:8500?dc=x", "homeport://b:2"] if isinstance(section, list) else CHAIN
    assert [one.url for one in chain] == (CHAIN if section is CHAIN else expected)
    with pytest.raises(Misuse, match="this command cannot use"):
        chosen_backend(named, environ=environ, file=file(section))


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (SOURCES[0], "--backend names it"),
        (SOURCES[1], "HOMEPORT_BACKEND names it"),
        (SOURCES[2], "CONSUL_HTTP_ADDR names it"),
        (SOURCES[3], "homeport.yaml names it"),
        (Source(""), "nothing names another, so it is the registry on this host"),
    ],
)
def test_why_it_is_this_one(source: Source, reason: str) -> None:
    section = None if source.section is None else file(source.section)
    assert reason_of_choice(source.argument, environ=source.environ, file=section) == reason


def test_the_section_of_consul_may_be_the_reason() -> None:
    settings = SettingsFile(content={"consul": {"server": {"address": "h:1"}}})
    assert reason_of_choice(None, environ={}, file=settings) == "homeport.yaml has it in its section consul"


def test_which_variables_complete_it() -> None:
    environ = {"CONSUL_HTTP_TOKEN": "t", "CONSUL_CACERT": "c", "ETCD_USERNAME": "u", "HOMEPORT_TOKEN": "t", "PATH": "/"}
    assert variables_of(chosen_backend(["consul://h"], environ={}, file=None), environ) == (
        "CONSUL_CACERT", "CONSUL_HTTP_TOKEN",
    )  # fmt: skip
    named = {**environ, "HOMEPORT_BACKEND": "homeport://h", "HOMEPORT_DEBUG": "1"}
    assert variables_of(chosen_backend(None, environ=named, file=None), named) == ("HOMEPORT_TOKEN",)
