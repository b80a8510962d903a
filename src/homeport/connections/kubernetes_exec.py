"""Credentials that a program gives out: the ``exec`` of a kubeconfig, as cloud providers and single sign-on use it.

The protocol is client.authentication.k8s.io (https://kubernetes.io/docs/reference/config-api/client-authentication.v1/).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Mapping
from datetime import datetime

import msgspec

from homeport.errors import SettingsError

VERSIONS = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")
_PATIENCE = 60.0
_RENEW_BEFORE = 60.0


class ExecCommand(msgspec.Struct, frozen=True, kw_only=True):
    """What to run. ``cluster`` is told to it, as a program that wants to know its cluster asks for."""

    api_version: str
    command: tuple[str, ...]
    env: dict[str, str] = msgspec.field(default_factory=dict)
    install_hint: str = ""
    cluster: dict[str, object] | None = None

    def __repr__(self) -> str:
        return f"ExecCommand({self.command[0]!r})"  # arguments and variables may be secrets


class _Given(msgspec.Struct, frozen=True, rename="camel"):
    token: str = ""
    expiration_timestamp: datetime | None = None
    client_certificate_data: str = ""


class _Credential(msgspec.Struct, frozen=True):
    status: _Given


class ExecToken:
    """The token that a command prints, asked for again shortly before it runs out."""

    def __init__(self, command: ExecCommand, *, clock: Callable[[], float] = time.time) -> None:
        self._command = command
        self._clock = clock
        self._lock = asyncio.Lock()
        self._value = ""
        self._until = float("-inf")

    async def current(self) -> str:
        """The token.

        Raises:
            SettingsError: the command cannot be run, fails, or prints no token.
        """
        async with self._lock:
            if self._clock() >= self._until:
                given = await self._ask()
                self._value = given.token
                expires = given.expiration_timestamp
                # One that lives for less than that is asked for at each request.
                self._until = expires.timestamp() - _RENEW_BEFORE if expires else float("inf")
        return self._value

    async def reread(self) -> str:
        """See `current`: the command itself says how long its tokens hold."""
        return await self.current()

    async def _ask(self) -> _Given:
        program = self._command.command[0]
        try:
            given = msgspec.json.decode(await self._printed(), type=_Credential).status
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise SettingsError(f"the command {program} of the kubeconfig did not print an ExecCredential") from None
        if given.client_certificate_data:
            raise SettingsError(
                f"the command {program} of the kubeconfig gives a client certificate, which is not supported; "
                "use one that gives a token, or client-certificate and client-key"
            )
        if not given.token:
            raise SettingsError(f"the command {program} of the kubeconfig printed no token")
        return given

    async def _printed(self) -> bytes:
        program = self._command.command[0]
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command.command,
                env={**os.environ, **self._command.env, "KUBERNETES_EXEC_INFO": _told(self._command)},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,  # it may hold secrets
            )
        except OSError as error:
            hint = f" {self._command.install_hint.strip()}" if self._command.install_hint else ""
            reason = (error.strerror or "it cannot be run").lower()
            raise SettingsError(f"the command {program} of the kubeconfig cannot be run: {reason}.{hint}") from error
        try:
            async with asyncio.timeout(_PATIENCE):
                printed, _ = await process.communicate()
        except TimeoutError:
            raise SettingsError(
                f"the command {program} of the kubeconfig gave no answer within {_PATIENCE:g} s"
            ) from None
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        if process.returncode:
            raise SettingsError(
                f"the command {program} of the kubeconfig failed with exit status {process.returncode}; "
                "run it by hand, or log in again"
            )
        return printed


def _told(command: ExecCommand) -> str:
    spec: Mapping[str, object] = {"interactive": False, **({"cluster": command.cluster} if command.cluster else {})}
    info = {"apiVersion": command.api_version, "kind": "ExecCredential", "spec": spec}
    return msgspec.json.encode(info).decode()
