"""HTTP checks against real servers."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

import pytest

from homeport.connections.tls import TLS
from homeport.registry.health import HealthSettings
from tests.integration.client.certificates import Authority
from tests.integration.health.answering import Served, plain, server_context, serving
from tests.integration.health.engine import FAST, Engine, real
from tests.servers.listening import listening


async def ask(
    answers: dict[str, bytes] | bytes, path: str = "/", *, settings: HealthSettings = FAST, **definition: Any
) -> tuple[str, str, Served]:
    """Status, output (without its subject) and server of one check."""
    async with serving(answers) as served, real(settings) as engine:
        status, output = await engine.result(http(engine, served.url(path), **definition))
        method = definition.get("method", "GET")
        return status, output.removeprefix(f"HTTP {method} {served.url(path)}: "), served


def http(engine: Engine, url: str, **definition: Any) -> Any:
    return engine.check("h", kind="http", http=url, interval=3600.0, **definition)


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("200 OK", "passing"),
        ("204 No Content", "passing"),
        ("299 Odd", "passing"),
        ("301 Moved Permanently", "critical"),
        ("304 Not Modified", "critical"),
        ("404 Not Found", "critical"),
        ("429 Too Many Requests", "warning"),
        ("500 Internal Server Error", "critical"),
        ("503 Service Unavailable", "critical"),
    ],
)
async def test_the_status_code_decides(line: str, status: str) -> None:
    body = "" if line[:3] in ("204", "304") else "body"
    assert (await ask(plain(body, line)))[:2] == (status, f"{line} Output: {body}")


async def test_the_output_is_consuls() -> None:
    async with serving(plain("fine")) as served, real() as engine:
        _, output = await engine.result(http(engine, served.url("/health")))
        assert output == f"HTTP GET {served.url('/health')}: 200 OK Output: fine"


async def test_a_long_output_keeps_its_end() -> None:
    body = "".join(f"{number:06}\n" for number in range(2000))
    _, output, _ = await ask(plain(body))
    assert output == "200 OK Output: " + body[-4096:]
    _, output, _ = await ask(plain(body), output_max_bytes=14)
    assert output == "200 OK Output: 001998\n001999\n"
    _, output, _ = await ask(plain(body), settings=HealthSettings(output_max_bytes=7))
    assert output == "200 OK Output: 001999\n"


async def test_method_headers_and_body_are_sent() -> None:
    _, _, served = await ask(
        plain(), "/x?y=1", method="PUT", header={"X-A": ("1", "2"), "Host": ("other",)}, body='{"deep": true}'
    )
    (request,) = served.requests
    head, body = request.split("\r\n\r\n")
    lines = head.split("\r\n")
    assert lines[0] == "PUT /x?y=1 HTTP/1.1"
    assert {"X-A: 1", "X-A: 2", "Host: other", "User-Agent: Homeport Health Check", "Connection: close"} <= set(lines)
    assert f"Content-Length: {len(body)}" in lines
    assert body == '{"deep": true}'


async def test_a_status_may_be_expected() -> None:
    assert (await ask(plain("", "503 Down"), expected_status=503))[0] == "passing"
    assert (await ask(plain("ok"), expected_status=204))[:2] == ("critical", "200 OK (expected 204) Output: ok")
    assert (await ask(plain("", "429 Slow"), expected_status=200))[0] == "critical"


async def test_a_text_in_the_body_may_be_expected() -> None:
    assert (await ask(plain("all is healthy here"), expected_body="healthy"))[0] == "passing"
    assert (await ask(plain("sick"), expected_body="healthy"))[:2] == (
        "critical", "200 OK (the body does not contain 'healthy') Output: sick",
    )  # fmt: skip
    assert (await ask(plain("sick", "429 Slow"), expected_body="healthy"))[0] == "critical"
    assert (await ask(plain("healthy", "500 Down"), expected_body="healthy"))[0] == "critical"


async def test_an_expected_text_is_found_where_parts_meet_and_outside_of_the_output() -> None:
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (b"x" * 9000, b"hea", b"l", b"thy", b"y" * 9000))
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
    assert (await ask(answer, expected_body="healthy"))[0] == "passing"
    assert (await ask(answer, expected_body="xhealthyy"))[0] == "passing"
    assert (await ask(answer, expected_body="xhealthy!"))[0] == "critical"


async def test_redirects_are_followed_unless_that_is_disabled() -> None:
    answers = {"/a": plain("", "302 Found", "Location: /b?c"), "/b?c": plain("there")}
    status, output, served = await ask(answers, "/a")
    assert (status, output) == ("passing", "200 OK Output: there")
    assert [request.split(" ")[1] for request in served.requests] == ["/a", "/b?c"]
    status, output, _ = await ask(answers, "/a", disable_redirects=True)
    assert (status, output) == ("critical", "302 Found Output: ")


async def test_redirects_in_circles_end() -> None:
    status, output, served = await ask({"/a": plain("", "302 Found", "Location: /a")}, "/a")
    assert (status, output) == ("critical", "stopped after 10 redirects")
    assert len(served.requests) == 11


CUT_OFF = "the connection was closed before the end of the answer"
TOO_LONG = "the head of the answer is longer than 65536 bytes"


@pytest.mark.parametrize(
    ("answer", "status", "output"),
    [
        (b"HTTP/1.0 200 Fine\r\n\r\nuntil the end", "passing", "200 Fine Output: until the end"),
        (b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", "passing", "200 Output: "),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nX: y\r\n\r\n" + plain(), "passing", "200 OK Output: ok"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", "passing", "200 Output: "),
        (b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", "critical", "101 Switching Output: "),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", "critical", CUT_OFF),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", "critical", CUT_OFF),
        (b"HTTP/1.1 200 OK\r\nX: ", "critical", CUT_OFF),
        (b"", "critical", "the connection was closed without an answer"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "critical", "the answer is not HTTP/1.1"),
        (b"\x00\x00\x12\x04\x00\x00\x00\x00\x00", "critical", "the answer is not HTTP/1.1"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 700_000 + b"\r\n\r\n", "critical", TOO_LONG),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na\xff", "passing", "200 OK Output: a\ufffd"),
    ],
)
async def test_answers_of_every_shape_are_understood(answer: bytes, status: str, output: str) -> None:
    assert (await ask(answer))[:2] == (status, output)


async def test_an_answer_to_head_has_no_body() -> None:
    status, output, _ = await ask(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n", method="HEAD")
    assert (status, output) == ("passing", "200 OK Output: ")


async def test_an_answer_that_does_not_end_is_read_only_so_far() -> None:
    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()

    async with listening(endless) as port, real() as engine:
        status, output = await engine.result(http(engine, f"http://127.0.0.1:{port}/"))
        assert status == "passing"
        assert output.endswith("200 OK Output: " + "x" * 4096)


async def test_a_server_that_does_not_answer_in_time_is_critical() -> None:
    async with (
        serving(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart", stays_open=True) as served,
        real() as engine,
    ):
        status, output = await engine.result(http(engine, served.url("/x"), timeout=0.2))
        assert (status, output) == ("critical", f"HTTP GET {served.url('/x')}: timed out after 200ms")


async def test_without_a_timeout_of_its_own_the_settings_decide() -> None:
    settings = HealthSettings(timeout=0.1)
    async with serving(b"", stays_open=True) as served, real(settings) as engine:
        _, output = await engine.result(http(engine, served.url()))
        assert output.endswith("timed out after 100ms")


async def test_a_port_where_nobody_listens_is_critical(unused_tcp_port: int) -> None:
    async with real() as engine:
        status, output = await engine.result(http(engine, f"http://127.0.0.1:{unused_tcp_port}/"))
        assert (status, output) == ("critical", f"HTTP GET http://127.0.0.1:{unused_tcp_port}/: connection refused")


async def test_a_name_that_is_not_known_is_critical() -> None:
    def lookup(host: str) -> list[str]:
        raise OSError(f"nobody knows {host}")

    async with real(lookup=lookup) as engine:
        status, output = await engine.result(http(engine, "http://no.such.name/"))
        assert (status, output) == ("critical", "HTTP GET http://no.such.name/: nobody knows no.such.name")


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/", "127.0.0.1:80", "http://127.0.0.1:99999/"])
async def test_what_is_no_url_is_critical_and_says_so(url: str) -> None:
    async with real() as engine:
        status, output = await engine.result(http(engine, url))
        assert status == "critical"
        assert "URL" in output or "Port" in output


async def test_names_and_several_addresses_are_tried_until_one_answers() -> None:
    async with serving(plain("found")) as served, real(lookup=lambda _: ["127.0.0.9", "127.0.0.1"]) as engine:
        status, _ = await engine.result(http(engine, f"http://service.example:{served.port}/"))
        assert status == "passing"
        assert len(served.requests) == 1
        assert f"Host: service.example:{served.port}" in served.requests[0]


async def test_a_password_in_a_url_is_not_shown() -> None:
    async with serving(plain()) as served, real() as engine:
        _, output = await engine.result(http(engine, f"http://ann:secret@127.0.0.1:{served.port}/"))
        assert "secret" not in output
        assert "Authorization: Basic" in served.requests[0]


async def tls_result(context: ssl.SSLContext, tls: TLS, **definition: Any) -> tuple[str, str]:
    async with serving(plain(), tls=context) as served, real(HealthSettings(tls=tls)) as engine:
        return await engine.result(http(engine, f"https://127.0.0.1:{served.port}/", **definition))


async def test_a_certificate_must_be_trusted_unless_that_is_skipped(authority: Authority) -> None:
    context = server_context(authority, "api.local")
    trusting = TLS(ca_file=str(authority.certificate))
    assert (await tls_result(context, trusting))[0] == "passing"
    status, output = await tls_result(context, TLS())
    assert status == "critical"
    assert "the certificate is not accepted: " in output
    assert (await tls_result(context, TLS(), tls_skip_verify=True))[0] == "passing"
    assert (await tls_result(context, TLS(verify=False)))[0] == "passing"


async def test_an_answer_over_tls_may_end_with_the_connection(authority: Authority) -> None:
    context = server_context(authority, "api.local")
    answer = b"HTTP/1.0 200 OK\r\n\r\nuntil the end"
    async with serving(answer, tls=context) as served, real() as engine:
        url = f"https://127.0.0.1:{served.port}/"
        status, output = await engine.result(http(engine, url, tls_skip_verify=True))
        assert (status, output) == ("passing", f"HTTP GET {url}: 200 OK Output: until the end")


async def test_the_name_in_the_certificate_may_be_another(authority: Authority) -> None:
    context = server_context(authority, "api.local")
    trusting = TLS(ca_file=str(authority.certificate))
    assert (await tls_result(context, trusting, tls_server_name="api.local"))[0] == "passing"
    status, output = await tls_result(context, trusting, tls_server_name="other.local")
    assert status == "critical"
    assert "other.local" in output
    named = TLS(ca_file=str(authority.certificate), server_name="other.local")
    assert (await tls_result(context, named))[0] == "critical"
    assert (await tls_result(context, named, tls_server_name="api.local"))[0] == "passing"


async def test_a_client_certificate_is_shown(authority: Authority) -> None:
    context = server_context(authority, "api.local", asks_for_client=True)
    certificate, key = authority.issue("homeport")
    ours = TLS(ca_file=str(authority.certificate), cert_file=str(certificate), key_file=str(key))
    assert (await tls_result(context, ours))[0] == "passing"
    assert (await tls_result(context, TLS(ca_file=str(authority.certificate))))[0] == "critical"


async def test_speaking_tls_to_a_plain_server_is_critical() -> None:
    async def answer_at_once(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(plain("I speak plainly"))
        await writer.drain()

    async with listening(answer_at_once) as port, real() as engine:
        status, output = await engine.result(http(engine, f"https://127.0.0.1:{port}/"))
        assert status == "critical"
        assert ": TLS failed: " in output


async def test_every_probe_is_a_connection_of_its_own_and_none_stays_open() -> None:
    async with serving(plain(), stays_open=True) as served, real() as engine:
        await engine.register(engine.check("h", kind="http", http=served.url(), interval=0.01))
        await engine.until(lambda: len(engine.probed) >= 5)
        assert served.open <= 1
        assert len(served.requests) >= 5
