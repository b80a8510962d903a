"""Which file a static backend reads."""

from pathlib import Path

import pytest

from homeport.backends import backend_names, open_backend
from homeport.backends.static import StaticFileBackend, StaticSettings
from homeport.errors import SettingsError


@pytest.mark.parametrize(
    ("url", "path", "interval"),
    [
        ("static:///etc/services.yaml", "/etc/services.yaml", 1.0),
        ("static://services.yaml", "services.yaml", 1.0),
        ("static://conf/services.json?reload_interval=5", "conf/services.json", 5.0),
        ("static:///a%20b/%3F.yaml?reload_interval=0.5s", "/a b/?.yaml", 0.5),
    ],
)
def test_a_url_names_the_file(url: str, path: str, interval: float) -> None:
    settings = StaticSettings.from_url(url, {"HOMEPORT_STATIC_FILE": "/not/this"})
    assert settings == StaticSettings(path=Path(path), reload_interval=interval)
    assert settings.url == f"static://{path}"


def test_a_file_of_the_user() -> None:
    assert StaticSettings.from_url("static://~/x.yaml", {}).path == Path.home() / "x.yaml"


@pytest.mark.parametrize("environ", [{"HOMEPORT_BACKEND": "static"}, {"DISCOVERY_PROVIDER": "static"}])
def test_a_bare_name_takes_its_variable(environ: dict[str, str]) -> None:
    backend = open_backend(None, {**environ, "HOMEPORT_STATIC_FILE": " /etc/services.yaml "})
    assert isinstance(backend, StaticFileBackend)
    assert backend.url == "static:///etc/services.yaml"
    assert repr(backend) == "StaticFileBackend('static:///etc/services.yaml')"


def test_a_bare_name_without_its_variable_says_what_to_do() -> None:
    with pytest.raises(SettingsError) as caught:
        open_backend("static", {})
    assert str(caught.value) == (
        "a static backend needs a file; write static:///path/services.yaml, or name it by HOMEPORT_STATIC_FILE"
    )


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("static:///a.yaml?reload=5", "static:///a.yaml: reload is not a parameter of a static backend"),
        (
            "static:///a.yaml?reload_interval=0",
            'static:///a.yaml: reload_interval is "0"; give a number of seconds above 0',
        ),
        ("static:///a.yaml?x", "the parameters of static:///a.yaml cannot be read"),
    ],
)
def test_parameters_that_cannot_be_right_are_refused(url: str, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        open_backend(url, {})
    assert str(caught.value).startswith(message)


def test_it_is_one_of_the_backends() -> None:
    assert "static" in backend_names()
