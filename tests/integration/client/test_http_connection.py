"""The HTTP connection against small real servers: failover, TLS, limits, and what it leaves behind."""

import asyncio
import socket
import ssl
import threading
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
from aiohttp import web

from homeport.connections.backend_url import HostPort
from homeport.connections.http import HTTPConnection
from homeport.connections.http_stream import Stream
from homeport.connections.tls import TLS
from homeport.connections.token import FileToken, FixedToken, VariableToken
from homeport.errors import BackendUnavailable, InvalidAnswer, SettingsError
from tests.integration.client.certificates import Authority, CertificateFiles
from tests.servers.ports import LOOPBACK, PortLease

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(handler: Handler, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[HostPort]:
    """A server whose every request goes to ``handler``."""
    application = web.Application(client_max_size=16 * 1024 * 1024)
    application.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, LOOPBACK, 0, ssl_context=tls)
    await site.start()
    try:
        yield HostPort(LOOPBACK, runner.addresses[0][1])
    finally:
        await runner.cleanup()


def connection(*addresses: HostPort, **options: object) -> HTTPConnection:
    patient: dict[str, object] = {"timeout": 60.0, "connect_timeout": 60.0}
    return HTTPConnection(addresses, system="registry", advice="Start one.", backend="x://", **(patient | options))  # type: ignore[arg-type]


async def hello(request: web.Request) -> web.Response:
    return web.Response(text=f"hello {request.method} {request.raw_path}")


async def silent(request: web.Request) -> web.Response:
    """Says nothing to who asks for ``/silent``."""
    if request.path == "/silent":
        await asyncio.Event().wait()
    return web.Response()


async def test_a_request_is_answered_whatever_the_status() -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(status=404, text=await request.text(), headers={"X-Some-Thing": "7"})

    async with serving(handler) as address, connection(address) as http:
        answer = await http.request("PUT", "/a%2Fb", params={"x": "1 2"}, body=b"body")
        assert (answer.status, answer.body, answer.text) == (404, b"body", "body")
        assert answer.headers["x-some-thing"] == "7"
        assert answer.origin == f"http://{address}"


async def test_paths_arrive_as_they_are_given() -> None:
    async with serving(hello) as address, connection(address) as http:
        answer = await http.request("GET", "/v1/x/a%2Fb%20c", params={"p": "1&2"})
        assert answer.text == "hello GET /v1/x/a%2Fb%20c?p=1%262"


async def test_the_token_is_sent_and_follows_its_file(tmp_path: Path) -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(text=request.headers.get("X-Token", "none"))

    path = tmp_path / "token"
    path.write_text("one")
    async with serving(handler) as address:
        token = FileToken(path, look_interval=0.0)
        async with connection(address, token=token, token_header="X-Token") as http:
            assert (await http.request("GET", "/")).text == "one"
            path.write_text("second")
            assert (await http.request("GET", "/")).text == "second"
        async with connection(address, token=FixedToken(), token_header="X-Token") as http:
            assert (await http.request("GET", "/")).text == "none"


@pytest.mark.parametrize("refusal", [401, 403])
async def test_a_token_that_is_refused_is_looked_up_at_once_and_once(tmp_path: Path, refusal: int) -> None:
    path = tmp_path / "token"
    path.write_text("old")
    seen: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        seen.append(f"{request.headers['X-Token']} {await request.text()}")
        return web.Response(status=200 if request.headers["X-Token"] == "new" else refusal)

    token = FileToken(path, look_interval=3600.0)
    async with serving(handler) as address, connection(address, token=token, token_header="X-Token") as http:
        assert (await http.request("PUT", "/", body=b"body")).status == refusal
        assert seen == ["old body"]  # the same would not help
        path.write_text("other")
        assert (await http.request("PUT", "/", body=b"body")).status == refusal
        assert seen == ["old body"] * 2 + ["other body"]
        path.write_text("new")
        assert (await http.request("PUT", "/", body=b"body", repeatable=False)).status == 200
        assert seen[3:] == ["other body", "new body"]


async def test_a_stream_that_is_refused_is_asked_for_with_the_token_of_now() -> None:
    environ = {"TOKEN": "old"}

    async def handler(request: web.Request) -> web.Response:
        if request.headers["Authorization"] == "old":
            environ["TOKEN"] = "new"
            return web.Response(status=403)
        return web.Response(text="in")

    async with serving(handler) as address, connection(address, token=VariableToken("TOKEN", environ)) as http:
        stream = await http.stream("GET", "/")
        assert isinstance(stream, Stream)
        with closing(stream):
            assert await stream.read(timeout=60.0) == b"in"


async def test_a_large_body_arrives_without_a_warning() -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(body=await request.read(), headers={"X-Length": request.headers["Content-Length"]})

    body = bytes(range(256)) * 10_000
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        async with serving(handler) as address, connection(address) as http:
            for sent in (body, b""):
                answer = await http.request("PUT", "/", body=sent)
                assert (answer.body, answer.headers["x-length"]) == (sent, str(len(sent)))


async def test_the_next_address_is_asked_when_nobody_accepts() -> None:
    with PortLease() as lease:
        nobody = HostPort(LOOPBACK, lease.ports[0])
        async with serving(hello) as address, connection(nobody, address) as http:
            for _ in range(3):
                assert (await http.request("PUT", "/", repeatable=False)).origin == f"http://{address}"
            assert http.origin == f"http://{address}"  # and it is asked first from now on


async def test_a_request_that_may_have_arrived_is_repeated_only_if_it_may_be() -> None:
    asked: list[str] = []

    async def breaking(request: web.Request) -> web.Response:
        asked.append("breaking")
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async with serving(breaking) as one, serving(hello) as other:
        async with connection(one, other) as http:
            assert (await http.request("POST", "/", repeatable=True)).origin == f"http://{other}"
        async with connection(one, other) as http:
            with pytest.raises(BackendUnavailable, match=r"the registry at http://127.* failed \(connection"):
                await http.request("POST", "/", repeatable=False)
    assert len(asked) == 2


async def test_each_address_is_asked_once_whatever_other_requests_find_meanwhile() -> None:
    arrived, go_on = asyncio.Event(), asyncio.Event()

    async def breaking(request: web.Request) -> web.Response:
        if request.path == "/slow":
            arrived.set()
            await go_on.wait()
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async with serving(breaking) as one, serving(hello) as other, connection(one, other) as http:
        slow = asyncio.create_task(http.request("GET", "/slow"))
        await arrived.wait()
        assert (await http.request("GET", "/quick")).origin == http.origin == f"http://{other}"
        go_on.set()
        assert (await slow).origin == f"http://{other}"


async def test_a_gateway_that_reaches_nobody_is_passed_over_if_there_is_another_address() -> None:
    async def gateway(_request: web.Request) -> web.Response:
        return web.Response(status=503)

    async with serving(gateway) as one, serving(hello) as other:
        async with connection(one, other) as http:
            assert (await http.request("GET", "/")).status == 200
        async with connection(one) as http:
            assert (await http.request("GET", "/")).status == 503
        async with connection(one, one) as http:
            with pytest.raises(BackendUnavailable, match="HTTP 503"):
                await http.request("GET", "/")


async def test_silence_ends_in_time() -> None:
    async with serving(silent) as address, connection(address, timeout=0.2) as http:
        for timeout, shown in ((None, "0.2 s"), (0.1, "0.1 s")):
            await http.request("GET", "/", timeout=60.0)  # connects, which is no part of the silence
            with pytest.raises(BackendUnavailable, match=rf"failed \(no answer within {shown}\); try again"):
                await http.request("GET", "/silent", timeout=timeout)


async def test_an_answer_that_trickles_ends_in_time_too() -> None:
    async def trickling(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while request.path == "/trickling":
            await response.write(b" ")
            await asyncio.sleep(0.02)
        return response

    async with serving(trickling) as address, connection(address, timeout=0.3) as http:
        await http.request("GET", "/", timeout=60.0)  # connects, which is no part of it
        with pytest.raises(BackendUnavailable, match=r"no answer within 0.3 s"):
            await http.request("GET", "/trickling")


@pytest.mark.parametrize("compressed", [False, True])
async def test_an_answer_is_bounded(compressed: bool) -> None:
    async def large(_request: web.Request) -> web.Response:
        response = web.Response(body=b"x" * 2_000_000)
        if compressed:
            response.enable_compression(web.ContentCoding.gzip)
        return response

    async with serving(large) as address:
        async with connection(address, answer_limit_bytes=1_000_000) as http:
            with pytest.raises(InvalidAnswer, match="answers with more than 1000000 bytes; the answer was not read"):
                await http.request("GET", "/")
        async with connection(address) as http:
            assert len((await http.request("GET", "/")).body) == 2_000_000


async def test_redirects_are_not_followed_and_cookies_not_kept() -> None:
    seen: list[str | None] = []

    async def handler(request: web.Request) -> web.Response:
        seen.append(request.headers.get("Cookie"))
        response = web.Response(status=302, headers={"Location": "/elsewhere"})
        response.set_cookie("a", "b")
        return response

    async with serving(handler) as address, connection(address) as http:
        assert (await http.request("GET", "/")).status == 302
        assert (await http.request("GET", "/")).status == 302
    assert seen == [None, None]


async def test_a_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    async with serving(hello) as address, connection(address) as http:
        assert (await http.request("GET", "/")).status == 200


async def test_many_long_polls_do_not_starve_a_write() -> None:
    release = asyncio.Event()
    waiting: list[web.Request] = []

    async def handler(request: web.Request) -> web.Response:
        if request.path == "/poll":
            waiting.append(request)
            await release.wait()
        return web.Response()

    async with serving(handler) as address, connection(address) as http:
        polls = [asyncio.create_task(http.request("GET", "/poll")) for _ in range(150)]
        async with asyncio.timeout(60):
            while len(waiting) < 100:  # noqa: ASYNC110 - nobody announces it
                await asyncio.sleep(0.01)
        assert (await http.request("PUT", "/", timeout=60.0)).status == 200
        release.set()
        await asyncio.gather(*polls)


def open_sockets() -> set[str]:
    """The sockets of this process, by their inode."""
    found = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            target = str(descriptor.readlink())
        except FileNotFoundError:
            continue
        if target.startswith("socket:"):
            found.add(target)
    return found


async def test_closing_leaves_no_socket_and_no_task() -> None:
    async with serving(hello) as address:
        before_tasks = asyncio.all_tasks()
        http = connection(address)
        before = open_sockets()
        await asyncio.gather(*(http.request("GET", "/") for _ in range(5)))
        assert open_sockets() - before
        await http.aclose()
        await http.aclose()
        async with asyncio.timeout(60):
            # The server's sides end too; nobody announces it.
            while open_sockets() - before or asyncio.all_tasks() - before_tasks:  # noqa: ASYNC110 - see above
                await asyncio.sleep(0.01)
        with pytest.raises(BackendUnavailable, match="was closed"):
            await http.request("GET", "/")


async def test_closing_leaves_no_socket_when_the_other_side_of_tls_does_not_read(authority: Authority) -> None:
    context = server_side(authority)
    with socket.create_server((LOOPBACK, 0)) as listener:
        accepted: list[ssl.SSLSocket] = []

        def accept() -> None:
            plain, _ = listener.accept()
            accepted.append(context.wrap_socket(plain, server_side=True))

        accepting = threading.Thread(target=accept)
        accepting.start()
        before = open_sockets()
        address = HostPort(LOOPBACK, listener.getsockname()[1])
        http = connection(address, tls=TLS(ca_file=str(authority.certificate)))
        poll = asyncio.create_task(http.request("GET", "/"))
        await asyncio.to_thread(accepting.join)
        await asyncio.sleep(0.1)
        poll.cancel()
        await asyncio.wait([poll])
        await http.aclose()
        assert len(open_sockets() - before) == 1  # the other side's own
        accepted[0].close()


async def test_the_local_address_is_that_towards_the_system() -> None:
    assert await connection(HostPort("127.0.0.1", 1)).local_address() == "127.0.0.1"
    assert await connection(HostPort("localhost", 1)).local_address() in ("127.0.0.1", "::1")
    with pytest.raises(BackendUnavailable, match="its name cannot be resolved"):
        await connection(HostPort("does-not-exist.invalid", 1)).local_address()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def server_side(authority: Authority, *, client_certificates: bool = False) -> ssl.SSLContext:
    certificate, key = authority.issue("server.test")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(authority.certificate))
    context.load_cert_chain(certificate, key)
    if client_certificates:
        context.verify_mode = ssl.CERT_REQUIRED
    return context


async def test_tls_with_an_authority_of_one_s_own(authority: Authority) -> None:
    ca_file = str(authority.certificate)
    async with serving(hello, tls=server_side(authority)) as address:
        async with connection(address, tls=TLS(ca_file=ca_file)) as http:
            assert (await http.request("GET", "/")).origin == f"https://{address}"
        async with connection(address, tls=TLS(ca_file=ca_file, server_name="server.test")) as http:
            assert (await http.request("GET", "/")).status == 200
        async with connection(address, tls=TLS(verify=False)) as http:
            assert (await http.request("GET", "/")).status == 200


async def test_a_certificate_that_is_not_trusted_is_explained(authority: Authority) -> None:
    async with serving(hello, tls=server_side(authority)) as address:
        async with connection(address, tls=TLS()) as http:
            with pytest.raises(BackendUnavailable) as caught:
                await http.request("GET", "/")
            assert "its certificate is not accepted: " in str(caught.value)
            assert isinstance(caught.value.__cause__, ssl.SSLError)
        other = TLS(ca_file=str(authority.certificate), server_name="other.test")
        async with connection(address, tls=other) as http:
            with pytest.raises(BackendUnavailable, match=r"certificate is not accepted: .*other\.test"):
                await http.request("GET", "/")


async def test_a_client_certificate_is_shown(authority: Authority) -> None:
    certificate, key = authority.issue("client")
    ca_file = str(authority.certificate)
    async with serving(hello, tls=server_side(authority, client_certificates=True)) as address:
        shown = TLS(ca_file=ca_file, cert_file=str(certificate), key_file=str(key))
        async with connection(address, tls=shown) as http:
            assert (await http.request("GET", "/")).status == 200
        async with connection(address, tls=TLS(ca_file=ca_file)) as http:
            with pytest.raises(BackendUnavailable):
                await http.request("GET", "/")


async def test_certificates_that_are_refused_are_looked_at_at_once(authority: Authority, tmp_path: Path) -> None:
    """A stream that was begun with the old ones goes on."""
    go_on = asyncio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Connection": "close"})
        await response.prepare(request)
        await response.write(b"begun")
        if request.path == "/stream":
            await go_on.wait()
            await response.write(b"over")
        return response

    files = CertificateFiles(tmp_path / "own")
    files.hold(authority, authority.issue("client"))
    ca_file, cert_file, key_file = map(str, files.paths)
    server = server_side(authority, client_certificates=True)
    async with (
        serving(handler, tls=server) as address,
        connection(address, tls=TLS(ca_file=ca_file, cert_file=cert_file, key_file=key_file)) as http,
    ):
        stream = await http.stream("GET", "/stream")
        assert isinstance(stream, Stream)
        with closing(stream):
            assert await stream.read(timeout=60.0) == b"begun"
            following = Authority(tmp_path / "following")
            server.load_cert_chain(*following.issue("server.test"))
            with pytest.raises(BackendUnavailable, match="its certificate is not accepted"):
                await http.request("GET", "/")
            files.hold(following, authority.issue("client"))
            assert (await http.request("PUT", "/", repeatable=False)).body == b"begun"
            go_on.set()
            assert await stream.read(timeout=60.0) == b"over"


async def test_http_and_https_mixed_up_are_explained(authority: Authority) -> None:
    async with serving(hello) as address, connection(address, tls=TLS(verify=False)) as http:
        with pytest.raises(BackendUnavailable, match=r"TLS failed: .*\(is it an http address\?\)"):
            await http.request("GET", "/")
    async with serving(hello, tls=server_side(authority)) as address, connection(address) as http:
        with pytest.raises((BackendUnavailable, InvalidAnswer)):
            await http.request("GET", "/")


async def test_files_that_cannot_be_used_are_named(authority: Authority, tmp_path: Path) -> None:
    certificate, key = authority.issue("mixed-up")
    encrypted = tmp_path / "encrypted.pem"
    encrypted.write_text("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n")
    wrong = {
        "the CA certificates in /does/not/exist cannot be used": TLS(ca_file="/does/not/exist"),
        f"the CA certificates in {key} cannot be used": TLS(ca_file=str(key)),
        f"the client certificate in {key} cannot be used": TLS(cert_file=str(key)),
        f"the client certificate in {certificate} and {encrypted} cannot be used": TLS(
            cert_file=str(certificate), key_file=str(encrypted)
        ),
        f"the client key {key} is given without a certificate; give cert_file too": TLS(key_file=str(key)),
    }
    for text, tls in wrong.items():
        async with connection(HostPort(LOOPBACK, 1), tls=tls) as http:
            with pytest.raises(SettingsError) as caught:
                await http.request("GET", "/")
            assert text in str(caught.value)
