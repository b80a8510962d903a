"""What the health engine can be told."""

from __future__ import annotations

import msgspec

from homeport.connections.tls import TLS
from homeport.errors import SettingsError

_POSITIVE = (
    "minimum_interval", "timeout", "script_timeout", "alias_refresh_interval", "reap_interval", "history_retention",
    "running_checks", "running_scripts", "output_max_bytes", "history_per_check", "history_max_bytes",
)  # fmt: skip
_NOT_NEGATIVE = ("check_update_interval", "deregister_minimum", "flap_changes", "flap_intervals")


class FileDefaults(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a check of the file of checks takes when it does not say; seconds.

    The interval goes by the class of the service (``class: critical`` or ``class: standard`` in the file), the timeout
    by the kind of the check.
    """

    critical_interval: float = 10.0
    standard_interval: float = 30.0
    http_timeout: float = 5.0
    tcp_timeout: float = 3.0
    grpc_timeout: float = 5.0
    script_timeout: float = 10.0

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            if not getattr(self, name) > 0:
                raise SettingsError(f"health.file.{name} is {getattr(self, name)}; it must be more than 0")


class HealthSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How checks are executed. Durations are seconds.

    Results: ``check_update_interval`` is how long a new output without a new status may wait before it is written to
    the store (0: at once); each wait is drawn between half and one and a half of it. ``output_max_bytes`` bounds the
    output of every check; a check's own limit can only be lower. ``flap_changes`` changes of a status within
    ``flap_intervals`` intervals of the check are flapping; 0 changes switches that off.

    Running: ``minimum_interval`` is the shortest interval there is, shorter ones are raised to it. ``timeout`` and
    ``script_timeout`` are for checks that were registered without one, ``file`` for those of the file of checks.
    ``running_checks`` and ``running_scripts`` bound how many run at a time. ``alias_refresh_interval`` is how often an
    alias looks at its target without being told of a change.

    Removal: a service that asks to be removed when critical for too long is removed after that time, or after
    ``deregister_minimum`` if that is longer; looked for every ``reap_interval``.

    What checks may do: scripts are run only with ``enable_script_checks`` (whoever may register a check may then run
    programs here), or, with ``enable_local_script_checks``, those of the file of checks. A script sees a few variables
    of the environment (PATH, HOME, …) and those named in ``script_environment``. ``allow_targets`` and ``deny_targets``
    are networks ("10.0.0.0/8", "::1"): a check connects to an address only if no denied network holds it and, when
    any is allowed, an allowed one does. ``tls`` is what TLS checks trust and who they say they are.

    History: transitions are kept ``history_retention`` seconds, at most ``history_per_check`` of a check, in a file of
    at most ``history_max_bytes``.
    """

    check_update_interval: float = 300.0
    output_max_bytes: int = 4096
    flap_changes: int = 6
    flap_intervals: int = 10
    minimum_interval: float = 1.0
    timeout: float = 10.0
    script_timeout: float = 30.0
    file: FileDefaults = FileDefaults()
    running_checks: int = 1024
    running_scripts: int = 16
    alias_refresh_interval: float = 60.0
    deregister_minimum: float = 60.0
    reap_interval: float = 30.0
    enable_script_checks: bool = False
    enable_local_script_checks: bool = False
    script_environment: tuple[str, ...] = ()
    allow_targets: tuple[str, ...] = ()
    deny_targets: tuple[str, ...] = ()
    tls: TLS = TLS()
    history_retention: float = 7 * 86400.0
    history_per_check: int = 200
    history_max_bytes: int = 256 << 20

    def __post_init__(self) -> None:
        for name in _POSITIVE:
            if not getattr(self, name) > 0:
                raise SettingsError(f"health.{name} is {getattr(self, name)}; it must be more than 0")
        for name in _NOT_NEGATIVE:
            if getattr(self, name) < 0:
                raise SettingsError(f"health.{name} is {getattr(self, name)}; it must not be negative")

    def runs_scripts(self, *, from_file: bool) -> bool:
        """Whether a script check may run: one of the file of checks, or one that somebody registered."""
        return self.enable_script_checks or (from_file and self.enable_local_script_checks)
