"""What the exceptions of the HTTP client library mean, in this project's words.

Every exception class of aiohttp is mapped (a test walks through all of them), so none leaves a backend.
"""

from __future__ import annotations

import enum
import errno
import re
import socket
import ssl

import aiohttp
import msgspec

from homeport.errors import BackendUnavailable


class Cause(enum.Enum):
    """What kind of failure it was, as far as the caller has to tell them apart."""

    NOT_REACHED = "nobody accepted the connection; nothing was sent"
    BROKEN = "somebody accepted the connection, but it broke or no answer came in time; the request may have been done"
    NOT_HTTP = "somebody answered something that is not a proper HTTP answer"
    NOT_TRUSTED = "TLS could not be agreed on; nothing was sent"


class NotTrusted(BackendUnavailable):
    """TLS could not be agreed on, and nothing was done: one side does not accept the other's certificate."""


class Failure(msgspec.Struct, frozen=True):
    """A failed request: the kind, and the reason as a few words without a full stop."""

    cause: Cause
    reason: str


NATIVE_ERRORS = (aiohttp.ClientError, OSError, TimeoutError)
"""What a request may raise; catching these catches everything but defects and cancellation."""

_OPENSSL_REASON = re.compile(r"\[SSL: ([A-Z0-9_]+)\]")
_WORDS = {
    errno.ECONNREFUSED: "connection refused",
    errno.ECONNRESET: "connection reset",
    errno.EPIPE: "connection closed",
    errno.ETIMEDOUT: "connection timed out",
    errno.EHOSTUNREACH: "host unreachable",
    errno.ENETUNREACH: "network unreachable",
    errno.EADDRNOTAVAIL: "address not available",
    errno.EMFILE: "this process has too many open files",
    errno.ENFILE: "this host has too many open files",
    errno.EACCES: "permission denied by the operating system",
    errno.EPERM: "forbidden by the operating system",
}


def failure(error: BaseException, *, timeout: float) -> Failure:
    """What ``error``, raised by a request with that ``timeout``, means."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return Failure(Cause.NOT_TRUSTED, f"its certificate is not accepted: {_certificate_words(error)}")
    if isinstance(error, aiohttp.ServerFingerprintMismatch):
        return Failure(Cause.NOT_TRUSTED, "its certificate is not the expected one")
    if isinstance(error, ssl.SSLError | aiohttp.ClientSSLError):
        return Failure(Cause.NOT_TRUSTED, f"TLS failed: {_tls_words(error)}")
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return Failure(Cause.NOT_REACHED, "its name cannot be resolved")
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return Failure(Cause.NOT_REACHED, "connecting took too long")
    if isinstance(error, aiohttp.ClientConnectorError):
        return Failure(Cause.NOT_REACHED, system_words(error.os_error))
    if isinstance(error, TimeoutError):
        return Failure(Cause.BROKEN, f"no answer within {round(timeout, 1 if timeout > 1 else 3):g} s")
    if isinstance(error, aiohttp.ClientResponseError):
        return Failure(Cause.NOT_HTTP, "what it sent is not HTTP")
    if isinstance(error, aiohttp.InvalidURL | aiohttp.NonHttpUrlClientError | aiohttp.RedirectClientError):
        return Failure(Cause.NOT_HTTP, "it refers to an address that cannot be used")
    if isinstance(error, aiohttp.ClientPayloadError):
        return Failure(Cause.BROKEN, "its answer ended too early or cannot be decoded")
    if isinstance(error, aiohttp.ServerDisconnectedError | aiohttp.UploadAbortedError):
        return Failure(Cause.BROKEN, "connection closed")
    if isinstance(error, OSError):
        # An alert that arrives after the handshake is an OSError whose number is OpenSSL's, not the system's.
        alert = _OPENSSL_REASON.search(str(error))
        if alert is not None:
            return Failure(Cause.NOT_TRUSTED, f"TLS failed: {alert[1].replace('_', ' ').lower()}")
        return Failure(Cause.BROKEN, system_words(error))
    return Failure(Cause.BROKEN, "connection broken")


def system_words(error: OSError) -> str:
    """An operating system's error in a few words."""
    if isinstance(error, socket.gaierror):
        return "its name cannot be resolved"
    known = _WORDS.get(error.errno or 0)
    if known:
        return known
    # Several addresses of one name that all fail are one error whose text lists them.
    for number, words in _WORDS.items():
        if f"[Errno {number}]" in str(error):
            return words
    return (error.strerror or "connection failed").split(" [")[0].lower()


def _certificate_words(error: ssl.SSLCertVerificationError) -> str:
    native = error.certificate_error if isinstance(error, aiohttp.ClientConnectorCertificateError) else error
    return getattr(native, "verify_message", "") or "it is not valid for this address"


def _tls_words(error: BaseException) -> str:
    native = error.os_error if isinstance(error, aiohttp.ClientSSLError) else error
    reason = getattr(native, "reason", None)  # OpenSSL's own; an error made elsewhere has none
    if not reason:
        return "the handshake did not succeed"
    words = str(reason).replace("_", " ").lower()
    return f"{words} (is it an http address?)" if "wrong version" in words or "record layer" in words else words
