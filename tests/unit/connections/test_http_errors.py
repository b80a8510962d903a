"""Every exception of the HTTP client library has a meaning here."""

import errno
import os
import socket
import ssl
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from aiohttp import client_exceptions

from homeport.connections.http_errors import NATIVE_ERRORS, Cause, Failure, failure

KEY: Any = SimpleNamespace(host="h", port=1, is_ssl=True, ssl=True, proxy=None)
REFUSED = ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
INFO: Any = SimpleNamespace(real_url="http://h:1/")

EXAMPLES: dict[type[BaseException], tuple[BaseException, Cause, str]] = {
    aiohttp.ClientError: (aiohttp.ClientError(), Cause.BROKEN, "connection broken"),
    aiohttp.ClientConnectionError: (aiohttp.ClientConnectionError("closed"), Cause.BROKEN, "connection broken"),
    aiohttp.ClientConnectionResetError: (
        aiohttp.ClientConnectionResetError("Cannot write"),
        Cause.BROKEN,
        "connection failed",
    ),
    aiohttp.ClientOSError: (
        aiohttp.ClientOSError(errno.ECONNRESET, os.strerror(errno.ECONNRESET)),
        Cause.BROKEN,
        "connection reset",
    ),
    aiohttp.ClientConnectorError: (aiohttp.ClientConnectorError(KEY, REFUSED), Cause.NOT_REACHED, "connection refused"),
    aiohttp.ClientConnectorDNSError: (
        aiohttp.ClientConnectorDNSError(KEY, socket.gaierror(-2, "Name or service not known")),
        Cause.NOT_REACHED,
        "its name cannot be resolved",
    ),
    aiohttp.ClientProxyConnectionError: (
        aiohttp.ClientProxyConnectionError(KEY, REFUSED),
        Cause.NOT_REACHED,
        "connection refused",
    ),
    client_exceptions.UnixClientConnectorError: (
        client_exceptions.UnixClientConnectorError(
            "/s", KEY, FileNotFoundError(errno.ENOENT, "No such file or directory")
        ),
        Cause.NOT_REACHED,
        "no such file or directory",
    ),
    aiohttp.ClientSSLError: (
        aiohttp.ClientSSLError(KEY, OSError("handshake")),
        Cause.NOT_TRUSTED,
        "TLS failed: the handshake did not succeed",
    ),
    aiohttp.ClientConnectorSSLError: (
        aiohttp.ClientConnectorSSLError(KEY, ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number")),
        Cause.NOT_TRUSTED,
        "TLS failed",
    ),
    aiohttp.ClientConnectorCertificateError: (
        aiohttp.ClientConnectorCertificateError(KEY, ssl.SSLCertVerificationError(1, "no")),
        Cause.NOT_TRUSTED,
        "its certificate is not accepted",
    ),
    aiohttp.ServerConnectionError: (aiohttp.ServerConnectionError(), Cause.BROKEN, "connection broken"),
    aiohttp.ServerDisconnectedError: (aiohttp.ServerDisconnectedError(), Cause.BROKEN, "connection closed"),
    aiohttp.ServerTimeoutError: (aiohttp.ServerTimeoutError(), Cause.BROKEN, "no answer within 7 s"),
    aiohttp.ConnectionTimeoutError: (aiohttp.ConnectionTimeoutError(), Cause.NOT_REACHED, "connecting took too long"),
    aiohttp.SocketTimeoutError: (aiohttp.SocketTimeoutError(), Cause.BROKEN, "no answer within 7 s"),
    aiohttp.ServerFingerprintMismatch: (
        aiohttp.ServerFingerprintMismatch(b"a", b"b", "h", 1),
        Cause.NOT_TRUSTED,
        "its certificate is not the expected one",
    ),
    aiohttp.ClientPayloadError: (
        aiohttp.ClientPayloadError(),
        Cause.BROKEN,
        "its answer ended too early or cannot be decoded",
    ),
    aiohttp.ClientResponseError: (aiohttp.ClientResponseError(INFO, ()), Cause.NOT_HTTP, "what it sent is not HTTP"),
    aiohttp.ContentTypeError: (aiohttp.ContentTypeError(INFO, ()), Cause.NOT_HTTP, "what it sent is not HTTP"),
    aiohttp.WSServerHandshakeError: (
        aiohttp.WSServerHandshakeError(INFO, ()),
        Cause.NOT_HTTP,
        "what it sent is not HTTP",
    ),
    aiohttp.ClientHttpProxyError: (aiohttp.ClientHttpProxyError(INFO, ()), Cause.NOT_HTTP, "what it sent is not HTTP"),
    aiohttp.TooManyRedirects: (aiohttp.TooManyRedirects(INFO, ()), Cause.NOT_HTTP, "what it sent is not HTTP"),
    aiohttp.InvalidURL: (aiohttp.InvalidURL("x"), Cause.NOT_HTTP, "it refers to an address that cannot be used"),
    aiohttp.InvalidUrlClientError: (aiohttp.InvalidUrlClientError("x"), Cause.NOT_HTTP, "it refers to an address"),
    aiohttp.InvalidUrlRedirectClientError: (
        aiohttp.InvalidUrlRedirectClientError("x"),
        Cause.NOT_HTTP,
        "it refers to an address",
    ),
    aiohttp.RedirectClientError: (aiohttp.RedirectClientError(), Cause.NOT_HTTP, "it refers to an address"),
    aiohttp.NonHttpUrlClientError: (aiohttp.NonHttpUrlClientError("x"), Cause.NOT_HTTP, "it refers to an address"),
    aiohttp.NonHttpUrlRedirectClientError: (
        aiohttp.NonHttpUrlRedirectClientError("x"),
        Cause.NOT_HTTP,
        "it refers to an address",
    ),
    aiohttp.UploadAbortedError: (aiohttp.UploadAbortedError(), Cause.BROKEN, "connection closed"),
    TimeoutError: (TimeoutError(), Cause.BROKEN, "no answer within 7 s"),
    ConnectionResetError: (
        ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET)),
        Cause.BROKEN,
        "connection reset",
    ),
    OSError: (OSError(errno.EMFILE, os.strerror(errno.EMFILE)), Cause.BROKEN, "this process has too many open files"),
}


def every_class(root: type[BaseException]) -> Iterator[type[BaseException]]:
    yield root
    for child in root.__subclasses__():
        yield from every_class(child)


def test_the_library_has_no_exception_that_is_not_in_this_test() -> None:
    own = {kind for kind in every_class(aiohttp.ClientError) if kind.__module__.partition(".")[0] == "aiohttp"}
    assert own - EXAMPLES.keys() == set()


@pytest.mark.parametrize("kind", EXAMPLES, ids=lambda kind: kind.__name__)
def test_each_has_a_meaning(kind: type[BaseException]) -> None:
    error, cause, words = EXAMPLES[kind]
    assert type(error) is kind
    assert isinstance(error, NATIVE_ERRORS)
    found = failure(error, timeout=7.0)
    assert isinstance(found, Failure)
    assert found.cause is cause
    assert found.reason.startswith(words)
    assert "[" not in found.reason


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ECONNREFUSED, "connection refused"),
        (errno.EHOSTUNREACH, "host unreachable"),
        (errno.ENETUNREACH, "network unreachable"),
        (errno.ETIMEDOUT, "connection timed out"),
        (errno.EPIPE, "connection closed"),
    ],
)
def test_the_system_s_words_are_plain(number: int, words: str) -> None:
    error = aiohttp.ClientConnectorError(KEY, OSError(number, os.strerror(number)))
    assert failure(error, timeout=1.0).reason == words


def test_several_addresses_of_a_name_that_all_fail_are_one_reason() -> None:
    error = OSError("Multiple exceptions: [Errno 111] Connect call failed ('::1', 1), [Errno 111] Connect call failed")
    assert failure(aiohttp.ClientConnectorError(KEY, error), timeout=1.0).reason == "connection refused"


def test_an_alert_of_tls_is_not_taken_for_an_error_of_the_system() -> None:
    error = aiohttp.ClientOSError(1, "[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED] tlsv13 alert certificate required")
    assert failure(error, timeout=1.0) == Failure(Cause.NOT_TRUSTED, "TLS failed: tlsv13 alert certificate required")


def test_plain_http_on_a_tls_port_is_suspected() -> None:
    inner = ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1000)")
    inner.reason = "WRONG_VERSION_NUMBER"
    error = aiohttp.ClientConnectorSSLError(KEY, inner)
    assert failure(error, timeout=1.0).reason == "TLS failed: wrong version number (is it an http address?)"
