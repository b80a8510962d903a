"""How patient, how eager and how big the client is."""

from __future__ import annotations

import msgspec

from homeport.errors import SettingsError


class ClientSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of a `Discovery`; all durations are seconds.

    ``first_retry_interval`` and ``longest_retry_interval`` bound the pause after a failure, which is random below a
    limit that doubles with each failure. A watch that hears nothing for ``silence_timeout``, not even that nothing
    changed, is begun anew. ``reset_grace`` is how long instances are kept that vanished because the registry lost its
    data. The watch behind ``discover``, ``resolve`` and ``pick`` ends when nobody used it for ``idle_timeout``; there
    are ``implicit_watches`` of them at most. ``turn_time`` is how long a watch is followed at a time when there are
    more than the backend bears. ``deregister_timeout`` bounds the leaving of a program, ``settle_timeout`` the wait
    for one's own write to be seen.
    """

    first_retry_interval: float = 0.2
    longest_retry_interval: float = 2.0
    silence_timeout: float = 90.0
    reset_grace: float = 60.0
    idle_timeout: float = 300.0
    implicit_watches: int = 1000
    turn_time: float = 2.0
    deregister_timeout: float = 3.0
    settle_timeout: float = 2.0

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if not value > 0:
                raise SettingsError(f"client.{name} is {value}; it must be above 0")
