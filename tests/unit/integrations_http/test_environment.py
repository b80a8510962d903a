"""The proxies that the environment names."""

import pytest

from homeport.integrations.http.environment import proxy_in_environment


def test_a_proxy_is_named_by_scheme_or_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    assert proxy_in_environment("http") is None
    monkeypatch.setenv("all_proxy", "http://all:1")
    monkeypatch.setenv("https_proxy", "http://secure:2")
    assert proxy_in_environment("http") == "http://all:1"
    assert proxy_in_environment("https") == "http://secure:2"
