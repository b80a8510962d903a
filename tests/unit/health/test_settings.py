"""What the settings refuse, and who may run scripts."""

from __future__ import annotations

from typing import Any

import pytest

from homeport.errors import SettingsError
from homeport.registry.health.settings import FileDefaults, HealthSettings


@pytest.mark.parametrize(
    "setting",
    [
        {"minimum_interval": 0.0}, {"timeout": 0.0}, {"script_timeout": -1.0}, {"alias_refresh_interval": 0.0},
        {"reap_interval": 0.0}, {"running_checks": 0}, {"running_scripts": 0}, {"output_max_bytes": 0},
        {"history_per_check": 0}, {"check_update_interval": -1.0}, {"deregister_minimum": -1.0}, {"flap_changes": -1},
        {"flap_intervals": -1}, {"history_retention": 0.0}, {"history_max_bytes": 0},
    ],
)  # fmt: skip
def test_numbers_that_make_no_sense_are_refused_by_name(setting: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match=rf"^health\.{next(iter(setting))} is "):
        HealthSettings(**setting)


@pytest.mark.parametrize(
    "name",
    ["critical_interval", "standard_interval", "http_timeout", "tcp_timeout", "grpc_timeout", "script_timeout"],
)
def test_so_are_defaults_of_the_file(name: str) -> None:
    with pytest.raises(SettingsError, match=rf"^health\.file\.{name} is 0\.0"):
        FileDefaults(**{name: 0.0})


@pytest.mark.parametrize(
    ("anyone", "local", "registered", "from_file"),
    [(False, False, False, False), (False, True, False, True), (True, False, True, True), (True, True, True, True)],
)
def test_scripts_run_only_from_where_they_may(anyone: bool, local: bool, registered: bool, from_file: bool) -> None:
    settings = HealthSettings(enable_script_checks=anyone, enable_local_script_checks=local)
    assert settings.runs_scripts(from_file=False) == registered
    assert settings.runs_scripts(from_file=True) == from_file
