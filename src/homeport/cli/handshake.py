"""One TLS handshake with a server, and what it shows: version, certificate, and why it is not accepted."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from homeport.connections.backend_url import HostPort
from homeport.connections.http_errors import system_words
from homeport.connections.tls import TLS
from homeport.errors import BackendUnavailable, HomeportError

from .encryption import told_by

_PATIENCE = 2.0
"""How many seconds a server has for an answer of which nobody knows whether it comes."""
_HANDSHAKE_TIMEOUT = 3.0
_SOON = 14 * 86400.0
_NO_CHECK_TIME = 0x200000  # X509_V_FLAG_NO_CHECK_TIME: https://docs.openssl.org/3.0/man3/X509_VERIFY_PARAM_set_flags/
_QUESTION = b"HEAD / HTTP/1.1\r\nHost: homeport\r\nUser-Agent: homeport\r\nConnection: close\r\n\r\n"
# https://docs.openssl.org/3.0/man3/X509_STORE_CTX_get_error/
_NOT_YET_VALID, _EXPIRED, _OTHER_HOST, _OTHER_ADDRESS = 9, 10, 62, 64
_SELF_SIGNED = (18, 19)
_UNKNOWN_ISSUER = (2, 20, 21)
_WANTS_CERTIFICATE = ("certificate required", "handshake failure", "bad certificate")
_REFUSES_CERTIFICATE = ("unknown ca", "bad certificate", "certificate unknown", "certificate expired", "decrypt error")


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """What a certificate says. ``names`` are the hosts it is for; times are Unix seconds."""

    subject: str
    issuer: str
    names: tuple[str, ...]
    valid_from: float
    valid_until: float

    def __str__(self) -> str:
        names = ", ".join(self.names) or self.subject
        return f"its certificate is for {names}, issued by {self.issuer}, valid until {_day(self.valid_until)}"


class Handshake(msgspec.Struct, frozen=True, kw_only=True):
    """A handshake that was accepted by both sides."""

    version: str
    cipher: str
    certificate: Certificate | None
    verified: bool


async def shake_hands(address: HostPort, host: str, tls: TLS, *, url: str) -> Handshake:
    """A handshake with a server of the backend ``url``, as a client with these settings does it.

    ``host`` is its name in the URL.

    A server may refuse a client's certificate only after the handshake (TLS 1.3), so that a request is sent too.

    Raises:
        BackendUnavailable: it does not succeed; the message says why and what to do.
        SettingsError: a file of the settings cannot be used.
    """
    context = await asyncio.to_thread(tls.context)
    name = tls.server_name or host
    try:
        version, cipher, shown = await _shake(address, name, context)
    except ssl.SSLCertVerificationError as error:
        certificate = await seen_certificate(address, name)
        raise BackendUnavailable(f"{address}: {_distrust(error, certificate, name, tls)}") from error
    except (OSError, EOFError) as error:
        raise _failure(address, error, tls, url) from error
    certificate = _certificate(shown) if tls.verify else await seen_certificate(address, name)
    return Handshake(version=version, cipher=cipher, certificate=certificate, verified=tls.verify)


async def speaks_tls(address: HostPort) -> bool:
    """Whether a server answers a handshake, whatever its certificate is."""
    try:
        async with asyncio.timeout(_PATIENCE):
            await _shake(address, "", _trusting(), ask=False)
    except ssl.SSLError as error:
        # An alert is TLS too: it wants something that was not given.
        return "alert" in str(error).lower()
    except (OSError, EOFError):
        return False
    return True


async def seen_certificate(address: HostPort, name: str) -> Certificate | None:
    """The certificate that a server shows, whether or not anybody trusts it; None when it shows none.

    Only a trusted certificate is taken apart by Python's ssl module, so that what is shown is fetched first and then
    is all that is trusted.
    """
    with contextlib.suppress(OSError, EOFError, ValueError):
        _, writer = await asyncio.open_connection(
            address.host, address.port, ssl=_trusting(), server_hostname=name or address.host
        )
        encoded = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        await _hang_up(writer)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.load_verify_locations(cadata=encoded)
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | ssl.VerifyFlags(_NO_CHECK_TIME)
        _, _, shown = await _shake(address, name, context, ask=False)
        return _certificate(shown)
    return None


def ends_soon(certificate: Certificate) -> bool:
    """Whether a certificate should be renewed: within 14 days."""
    return certificate.valid_until - time.time() < _SOON


async def _shake(
    address: HostPort, name: str, context: ssl.SSLContext, *, ask: bool = True
) -> tuple[str, str, Mapping[str, Any]]:
    """Version, cipher and the certificate as Python shows it. Raises OSError or EOFError."""
    reader, writer = await asyncio.open_connection(
        address.host, address.port,
        ssl=context, server_hostname=name or address.host, ssl_handshake_timeout=_HANDSHAKE_TIMEOUT,
    )  # fmt: skip
    try:
        secured = writer.get_extra_info("ssl_object")
        if ask:
            writer.write(_QUESTION)
            await writer.drain()
            with contextlib.suppress(TimeoutError):  # it may speak TLS and not HTTP, which is not told here
                async with asyncio.timeout(_PATIENCE):
                    await reader.read(1)
        return str(secured.version()), str(secured.cipher()[0]), secured.getpeercert() or {}
    finally:
        await _hang_up(writer)


async def _hang_up(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


def _trusting() -> ssl.SSLContext:
    """Only to look at what a server shows; nothing is told to it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _failure(address: HostPort, error: OSError | EOFError, tls: TLS, url: str) -> HomeportError:
    words = str(getattr(error, "reason", None) or error).replace("_", " ").lower()
    shown = f" that it shows ({tls.cert_file})" if tls.cert_file else ""
    if "wrong version" in words or "record layer" in words or "http request" in words:
        return BackendUnavailable(
            f"{address} does not speak TLS: something answers there in plain text; "
            f"{told_by(url, 'http')}, or name the port that speaks TLS"
        )
    if tls.cert_file and any(one in words for one in _REFUSES_CERTIFICATE):
        return BackendUnavailable(
            f"{address} does not accept the certificate of this client{shown}: {words}; "
            "give one by cert_file= that is issued by an authority it trusts, and is still valid"
        )
    if not tls.cert_file and any(one in words for one in _WANTS_CERTIFICATE):
        return BackendUnavailable(
            f"{address} wants a certificate from its clients; "
            f"give cert_file= and key_file= {_where(tls)}, issued by an authority that it trusts"
        )
    if isinstance(error, ssl.SSLError):
        return BackendUnavailable(f"the TLS handshake with {address} failed: {words}; see the log of the server")
    plain = f"does it speak TLS? If not, {told_by(url, 'http')}"
    if isinstance(error, ConnectionAbortedError):  # by this side
        return BackendUnavailable(f"{address} said nothing for {_HANDSHAKE_TIMEOUT:g} s in the TLS handshake; {plain}")
    reason = system_words(error) if isinstance(error, OSError) else "connection closed"
    return BackendUnavailable(f"{address} broke the TLS handshake off ({reason}); {plain}")


def _distrust(error: ssl.SSLCertVerificationError, certificate: Certificate | None, name: str, tls: TLS) -> str:
    """Why a certificate is not accepted, and what to do."""
    code = error.verify_code
    if code in (_OTHER_HOST, _OTHER_ADDRESS) or "mismatch" in error.verify_message.lower():
        names = ", ".join(certificate.names) if certificate and certificate.names else "other names"
        return (
            f'its certificate is for {names}, not for "{name}"; connect by one of these names, or say by server_name= '
            "which one it must carry"
        )
    if code == _EXPIRED:
        ended = f" since {_day(certificate.valid_until)}" if certificate else ""
        return f"its certificate is over{ended}; renew it on the server, or set the clock of this host right"
    if code == _NOT_YET_VALID:
        begins = f" before {_day(certificate.valid_from)}" if certificate else ""
        return f"its certificate does not hold{begins}; set the clock of this host right"
    if code in _SELF_SIGNED or code in _UNKNOWN_ISSUER:
        by = f"{certificate.issuer}, " if certificate else "an authority "
        trusted = f"those in {tls.ca_file or tls.ca_path}" if tls.ca_file or tls.ca_path else "those of this system"
        return (
            f"its certificate is issued by {by}which is not among the authorities that are trusted ({trusted}); "
            f"name the file with its certificate by ca_file= {_where(tls)}"
        )
    return f"its certificate is not accepted: {error.verify_message}"


def _where(tls: TLS) -> str:
    """Where such settings are made; that of a Kubernetes cluster stands in its kubeconfig."""
    return "in the backend URL" if type(tls) is TLS else "or its like in the kubeconfig"


def _certificate(shown: Mapping[str, Any]) -> Certificate | None:
    if not shown:
        return None
    return Certificate(
        subject=_name(shown.get("subject", ())),
        issuer=_name(shown.get("issuer", ())),
        names=tuple(str(value) for _, value in shown.get("subjectAltName", ())),
        valid_from=float(ssl.cert_time_to_seconds(shown["notBefore"])),
        valid_until=float(ssl.cert_time_to_seconds(shown["notAfter"])),
    )


def _name(parts: Sequence[Sequence[tuple[str, str]]]) -> str:
    """The common name of a subject, else all that it says."""
    found = list(_pairs(parts))
    common = [value for key, value in found if key == "commonName"]
    return common[-1] if common else ", ".join(value for _, value in found) or "nobody"


def _pairs(parts: Sequence[Sequence[tuple[str, str]]]) -> Iterator[tuple[str, str]]:
    for part in parts:
        yield from part


def _day(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")
