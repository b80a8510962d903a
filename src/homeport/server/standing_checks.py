"""The checks that an operator gives to services in the settings file, read again while the server runs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from types import TracebackType
from typing import Self

from homeport.errors import SettingsError
from homeport.registry.health import Health
from homeport.registry.health.file_checks.parsing import FileChecks
from homeport.registry.store.contract import StoreError

ReadFileChecks = Callable[[], FileChecks]
"""Reads the checks that the operator gives to services by name. May block; raises `SettingsError`."""

_log = logging.getLogger(__name__)


class StandingChecks:
    """Hands the checks of the file to ``health`` again, whenever it is asked to, one time after the other."""

    def __init__(self, health: Health, read: ReadFileChecks) -> None:
        self._health = health
        self._read = read
        self._asked = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run(), name="homeport checks of the file")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))

    def read_again(self) -> None:
        """Read the file again, soon. What cannot be used is logged, and the checks before stay in force."""
        self._asked.set()

    async def _run(self) -> None:
        while True:
            await self._asked.wait()
            self._asked.clear()
            try:
                await self._health.configure(await asyncio.to_thread(self._read))
            except (SettingsError, StoreError) as error:
                _log.error("the checks of the file were not read again", extra={"reason": str(error)})
            except Exception:  # noqa: BLE001  # a defect in one reading must not end the next ones
                _log.exception("the checks of the file were not read again")
            else:
                _log.info("the checks of the file were read again")
