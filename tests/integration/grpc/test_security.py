"""TLS and credentials: a certificate is the service's, whatever address the instance has."""

from collections.abc import Callable

import grpc
import grpc.aio
import pytest
from grpc import StatusCode

from homeport import Discovery
from homeport.blocking import Discovery as BlockingDiscovery
from homeport.integrations.grpc import discovery_channel
from homeport.testing.memory import Memory
from tests.integration.client.certificates import Authority
from tests.integration.grpc.conftest import Serve
from tests.integration.grpc.echo_server import EchoServer
from tests.integration.grpc.stubs import AsyncEcho, Echo

TARGET = "discovery:///echo"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def trusting(authority: Authority) -> grpc.ChannelCredentials:
    return grpc.ssl_channel_credentials(authority.certificate.read_bytes())


@pytest.fixture
def serve_as(authority: Authority, serve: Serve) -> Callable[[str], EchoServer]:
    """Starts a server with a certificate of that name (and of the address, which must not be enough)."""

    def start(name: str) -> EchoServer:
        certificate, key = authority.issue(name)
        pair = (key.read_bytes(), certificate.read_bytes())
        return serve(name, credentials=grpc.ssl_server_credentials([pair]))

    return start


async def test_the_certificate_is_the_services(
    serve_as: Callable[[str], EchoServer], trusting: grpc.ChannelCredentials
) -> None:
    async with (
        Discovery(Memory(echo=[serve_as("echo").instance()])) as discovery,
        discovery_channel(discovery, TARGET, credentials=trusting) as channel,
    ):
        echo = AsyncEcho(channel)
        assert await echo.who(b"") == b"echo"
        assert b":authority=echo" in await echo.headers(b"")
        assert [message async for message in echo.count(b"1")] == [b"echo"]


async def test_another_certificate_is_refused_and_the_error_says_why(
    serve_as: Callable[[str], EchoServer], trusting: grpc.ChannelCredentials
) -> None:
    server = serve_as("stranger.example")
    async with (
        Discovery(Memory(echo=[server.instance()])) as discovery,
        discovery_channel(discovery, TARGET, credentials=trusting) as channel,
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await AsyncEcho(channel).who(b"")
        assert caught.value.code() is StatusCode.UNAVAILABLE
        assert "verif" in (caught.value.details() or "")
        assert server.calls == 0


async def test_metadata_may_name_the_certificate(
    serve_as: Callable[[str], EchoServer], trusting: grpc.ChannelCredentials
) -> None:
    server = serve_as("node-1.example")
    memory = Memory(echo=[server.instance(meta={"tls_server_name": "node-1.example"})])
    async with (
        Discovery(memory) as discovery,
        discovery_channel(discovery, TARGET, credentials=trusting) as channel,
    ):
        assert b":authority=echo" in await AsyncEcho(channel).headers(b"")
    with (
        BlockingDiscovery(memory) as blocking,
        discovery_channel(blocking, TARGET, credentials=trusting) as sync_channel,
    ):
        assert b":authority=echo" in Echo(sync_channel).headers(b"")


async def test_credentials_of_a_call(serve_as: Callable[[str], EchoServer], trusting: grpc.ChannelCredentials) -> None:
    memory = Memory(echo=[serve_as("echo").instance()])
    token = grpc.access_token_call_credentials("secret")
    async with (
        Discovery(memory) as discovery,
        discovery_channel(discovery, TARGET, credentials=trusting) as channel,
    ):
        echo = AsyncEcho(channel)
        assert b"authorization=Bearer secret" in await echo.headers(b"", credentials=token)
        assert b"authorization" not in await echo.headers(b"")
    with (
        BlockingDiscovery(memory) as blocking,
        discovery_channel(blocking, TARGET, credentials=trusting) as sync_channel,
    ):
        assert b"authorization=Bearer secret" in Echo(sync_channel).headers(b"", credentials=token)
