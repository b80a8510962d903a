"""What a URL, a variable and the file say about sources."""

from pathlib import Path

import pytest

from homeport.backends import open_backend
from homeport.connections.backend_url import UnknownParameter
from homeport.errors import SettingsError
from homeport.server.sources.settings import (
    SourceSettings,
    chosen_sources,
    node_name,
    source_of_url,
    unknown_setting,
)
from homeport.settings import SettingsFile, read_file
from homeport.settings.shapes import Place

ARGUMENT = Place("", "--source")


def test_our_parameters_are_taken_out_and_the_others_stay_as_they_are() -> None:
    given = source_of_url(
        "consul://h:8500?dc=dc2&services=api,web-*&tags=eu,b&token_file=%2Fa%20b&passing=true&prefix=far-&merge=yes"
        "&removal_hold=90s&poll_interval=2&datacenter=dc3&name=other",
        place=ARGUMENT,
    )
    assert given == SourceSettings(
        url="consul://h:8500?dc=dc2&token_file=%2Fa%20b", name="other", services=("api", "web-*"), tags=("eu", "b"),
        datacenter="dc3", passing=True, prefix="far-", merge=True, removal_hold=90.0, poll_interval=2.0,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("url", "parameter"), [("eureka://h/eureka", "poll_interval"), ("kubernetes://c/n", "datacenter")]
)
def test_what_a_backend_has_too_is_for_both(url: str, parameter: str, tmp_path: Path) -> None:
    given = source_of_url(f"{url}?{parameter}=7&merge=true", place=ARGUMENT)
    assert given.url == f"{url}?{parameter}=7"
    assert str(getattr(given, parameter)).removesuffix(".0") == "7"
    (other,) = chosen_sources(
        None, environ={}, file=written(tmp_path, f"sources: [{{url: '{url}', {parameter}: '7', merge: true}}]")
    )
    assert other == given


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("consul", 'the source "consul" is no URL; write for example consul://HOST:8500'),
        ("consul://h?merge=maybe", '--source.merge is "maybe"; give true or false'),
        ("consul://h?merge=1&merge=0", "--source gives merge twice"),
        ("consul://h?removal_hold=-1", '--source.removal_hold is "-1"; give a duration such as "10s", or seconds'),
        ("consul://h?poll_interval=0", "poll_interval of a source is 0.0; it must be above 0"),
        ("consul://h?name=a/b", "name of a source is 'a/b'; give one without a slash that can be printed"),
    ],
)
def test_what_cannot_be_right(url: str, message: str) -> None:
    with pytest.raises(SettingsError) as error:
        source_of_url(url, place=ARGUMENT)
    assert str(error.value) == message


def written(folder: Path, text: str) -> SettingsFile:
    path = folder / "homeport.yaml"
    path.write_text(text, encoding="utf-8")
    return read_file(path)


def test_the_file_has_urls_and_mappings(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        """
sources:
  - homeport://h?services=api
  - url: etcd://h1,h2/services/
    name: other
    user: app
    services: [web, "b*"]
    merge: true
    removal_hold: 5s
""",
    )
    first, second = chosen_sources(None, environ={}, file=file)
    assert first == SourceSettings(url="homeport://h", services=("api",))
    assert second == SourceSettings(
        url="etcd://h1,h2/services/?user=app", name="other", services=("web", "b*"), merge=True, removal_hold=5.0
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sources: x", 'sources is "x"; give a list of sources'),
        ("sources: [{name: x}]", "sources[0] must be a URL such as consul://HOST:8500, or url: with its settings"),
        ("sources: [{url: 'consul://h', merge: perhaps}]", 'sources[0].merge is "perhaps"; give true or false'),
        ("sources: [{url: 'consul://h', dc: [1]}]", "sources[0].dc must be text, a number, or true or false."),
        (
            "sources: [{url: 'consul://h', servces: [a]}]",
            "sources[0].servces must be text, a number, or true or false; did you mean services?",
        ),
    ],
)
def test_a_file_that_cannot_be_right(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SettingsError) as error:
        chosen_sources(None, environ={}, file=written(tmp_path, text))
    assert str(error.value).endswith(f"homeport.yaml: {message}")


def test_the_argument_goes_before_the_variable_and_that_before_the_file(tmp_path: Path) -> None:
    file, environ = written(tmp_path, "sources: ['consul://file']"), {"HOMEPORT_SOURCES": "consul://a  etcd://b,c"}
    assert [one.url for one in chosen_sources(["consul://arg"], environ=environ, file=file)] == ["consul://arg"]
    assert [one.url for one in chosen_sources(None, environ=environ, file=file)] == ["consul://a", "etcd://b,c"]
    assert [one.url for one in chosen_sources(None, environ={}, file=file)] == ["consul://file"]
    assert chosen_sources(None, environ={}, file=None) == ()


def test_patterns_names_and_consuls_own_service() -> None:
    some = SourceSettings(url="consul://h", services=("api", "web-*"))
    assert [some.wants(name) for name in ("api", "web-1", "web", "consul")] == [True, True, False, False]
    assert some.needs_list
    assert some.named_services == {"api"}
    assert not SourceSettings(url="dns://h", services=("api",)).needs_list
    every = SourceSettings(url="consul://h")
    assert (every.wants("api"), every.wants("consul"), every.needs_list) == (True, False, True)
    assert SourceSettings(url="consul://h", services=("consul",)).wants("consul")
    assert SourceSettings(url="etcd://h").wants("consul")


def test_no_secret_in_words_and_in_the_name_of_the_node() -> None:
    settings = SourceSettings(url="consul://h:8500?token=secret")
    assert repr(settings) == "<SourceSettings of consul://h:8500>"
    assert node_name(settings, "consul://h:8500?dc=dc1") == "consul-h-8500-dc-dc1"
    assert node_name(SourceSettings(url="consul://h", name="east"), "consul://h") == "east"


@pytest.mark.parametrize(
    ("url", "meant"),
    [("consul://h?servces=api", "did you mean services?"), ("consul://h?token_fle=x", "did you mean token_file?")],
)
def test_the_setting_that_was_probably_meant(url: str, meant: str) -> None:
    settings = source_of_url(url, place=ARGUMENT)
    with pytest.raises(UnknownParameter) as error:
        open_backend(settings.url, {})
    assert str(unknown_setting(error.value)).endswith(f"is not a parameter of a consul backend; {meant}")
