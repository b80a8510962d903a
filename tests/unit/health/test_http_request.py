"""The bytes of requests, and where redirects lead."""

from __future__ import annotations

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.registry.health.kinds.http_request import Headers, Hop, is_redirect, request_bytes, shown, target_of


def lines(url: str, *, method: str = "GET", headers: Headers | None = None, body: bytes = b"") -> list[str]:
    return request_bytes(target_of(url), method=method, headers=headers or {}, body=body).decode().split("\r\n")


def test_a_plain_request_says_who_asks_and_that_the_connection_ends() -> None:
    assert lines("http://127.0.0.1:8080/health?deep=1") == [
        "GET /health?deep=1 HTTP/1.1", "Host: 127.0.0.1:8080", "User-Agent: Homeport Health Check",
        "Accept: text/plain, text/*, */*", "Connection: close", "", "",
    ]  # fmt: skip


def test_headers_are_sent_with_all_their_values_and_take_the_place_of_ours() -> None:
    sent = lines("http://h/", headers={"X-A": ("1", "2"), "user-agent": ("mine",), "Host": ("other",)})
    assert sent[1:-3] == ["Accept: text/plain, text/*, */*", "X-A: 1", "X-A: 2", "user-agent: mine", "Host: other"]


def test_a_body_has_its_length_whatever_the_headers_say() -> None:
    sent = lines("http://h/", method="POST", headers={"Content-Length": ("7",)}, body=b"abc")
    assert "Content-Length: 3" in sent
    assert "Content-Length: 7" not in sent
    assert sent[-1] == "abc"
    assert "Content-Length: 0" in lines("http://h/", method="PUT")


def test_what_would_end_a_header_is_not_sent() -> None:
    with pytest.raises(ValueError, match="X-A"):
        lines("http://h/", headers={"X-A": ("1\r\nX-B: 2",)})
    with pytest.raises(ValueError, match="X A"):
        lines("http://h/", headers={"X A": ("1",)})
    with pytest.raises(ValueError, match="not a method"):
        lines("http://h/", method="GET / HTTP/1.1\r\n")


def test_credentials_of_a_url_are_sent_as_a_header_and_never_shown() -> None:
    url = "https://ann:s%40crt@h:8443/x"
    assert f"Authorization: Basic {b64encode(b'ann:s@crt').decode()}" in lines(url)
    assert "Host: h:8443" in lines(url)
    assert shown(url) == "https://ann:xxxxx@h:8443/x"
    own = lines(url, headers={"Authorization": ("Bearer t",)})
    assert [line for line in own if line.startswith("Authorization")] == ["Authorization: Bearer t"]


@pytest.mark.parametrize(
    ("url", "host", "port", "path"),
    [
        ("http://[::1]:80/a", "::1", 80, "/a"),
        ("https://example.org", "example.org", 443, "/"),
        ("http://h/a b?c d", "h", 80, "/a%20b?c%20d"),
        ("http://h/a%20b#fragment", "h", 80, "/a%20b"),
        ("http://bücher.example/ü", "xn--bcher-kva.example", 80, "/%C3%BC"),
    ],
)
def test_urls_are_taken_apart(url: str, host: str, port: int, path: str) -> None:
    target = target_of(url)
    assert (target.host, target.port, target.path) == (host, port, path)


@pytest.mark.parametrize("url", ["ftp://h/", "h:80", "", "http://", "http://h:99999/", "http:///x"])
def test_what_is_no_http_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        target_of(url)


HOP = Hop("http://a:80/x/y", "POST", {"Authorization": ("t",), "X-A": ("1",), "Host": ("v",)}, b"body")


def test_a_redirect_to_the_same_server_keeps_the_headers() -> None:
    hop = HOP.redirected(302, "../z")
    assert (hop.url, hop.method, hop.body) == ("http://a:80/z", "GET", b"")
    assert hop.headers == HOP.headers


def test_a_redirect_to_another_server_leaves_credentials_behind() -> None:
    assert HOP.redirected(302, "http://b/").headers == {"X-A": ("1",)}
    assert HOP.redirected(302, "https://a/").headers == {"X-A": ("1",)}
    assert HOP.redirected(302, "http://a:81/").headers == {"X-A": ("1",)}


def test_a_redirect_that_keeps_the_method_keeps_the_body() -> None:
    for status in (307, 308):
        hop = HOP.redirected(status, "/z")
        assert (hop.method, hop.body) == ("POST", b"body")


def test_a_redirect_elsewhere_than_http_is_refused() -> None:
    with pytest.raises(ValueError, match="not an http or https URL"):
        HOP.redirected(302, "file:///etc/passwd")


def test_other_statuses_are_no_redirects() -> None:
    assert [status for status in range(100, 600) if is_redirect(status)] == [301, 302, 303, 307, 308]


@given(st.dictionaries(st.text(min_size=1), st.tuples(st.text()), max_size=4), st.text())
def test_no_header_or_path_can_add_a_line(headers: dict[str, tuple[str]], path: str) -> None:
    try:
        sent = request_bytes(target_of(f"http://h/{path}"), method="GET", headers=headers, body=b"")
    except ValueError:
        return
    head, _, body = sent.partition(b"\r\n\r\n")
    assert body == b""
    assert len(head.split(b"\r\n")) <= 6 + len(headers)
    assert b"\n" not in head.replace(b"\r\n", b"")
