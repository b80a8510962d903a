"""Every exception Homeport raises on purpose, named for its cause.

::

    HomeportError
    ├── BackendError            something went wrong between this program and what holds its services
    │   ├── BackendUnavailable  nobody answers, or not in time; a retry makes sense
    │   ├── InvalidAnswer       somebody answers, but not what the protocol promises
    │   ├── PermissionDenied    the credentials are missing, unknown or too weak
    │   ├── Refused             the backend understood the request and says no
    │   ├── LeaseLost           the registration is gone: it must be made again
    │   ├── Conflict            somebody else changed the same thing first
    │   └── Unsupported         this backend cannot do that
    ├── NoInstances             nothing to call: none registered, none passing, or all left out for their failures
    │   └── CircuitOpen         … and not tried, since nearly every call of the service failed
    ├── DeadlineExceeded        the time for a call was over before it succeeded
    ├── NotReady                asked from memory for something that was never fetched
    ├── InvalidValue            an argument, a file or a setting that cannot be right
    │   └── SettingsError       … in the settings, with the place where it was found
    └── MissingExtra            an optional dependency is not installed

The text of each is one plain sentence that can be shown to a person. No library's exception leaves a
backend; the original one is kept as ``__cause__``.
"""

from __future__ import annotations

from copy import copy

from .abilities import in_words

TYPE_CHECKING = False  # as in homeport/__init__.py: the errors are loaded by every program
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self


class HomeportError(Exception):
    """The root of every error that Homeport raises on purpose."""

    def copied(self) -> Self:
        """The same error for one more who waits: a traceback belongs to one raise only."""
        same = copy(self)
        same.__cause__ = self.__cause__
        return same


class BackendError(HomeportError):
    """An operation on a backend failed.

    ``backend`` is the backend's URL without credentials. ``retryable`` says whether the very same call
    may succeed later without anybody changing anything.
    """

    retryable: bool = False

    def __init__(self, message: str, *, backend: str = "") -> None:
        super().__init__(message)
        self.backend = backend


class BackendUnavailable(BackendError):
    """Nobody answered at the backend's addresses, or not in time."""

    retryable = True


class InvalidAnswer(BackendError):
    """The backend answered something that its protocol does not allow; nothing of it was used."""

    retryable = True


class PermissionDenied(BackendError):
    """The backend does not let these credentials do that.

    ``unauthenticated`` says that it does not accept who asks at all: it asks for credentials, or does not know these.
    Else they may too little, or the backend does not tell.
    """

    def __init__(self, message: str, *, backend: str = "", unauthenticated: bool = False) -> None:
        super().__init__(message, backend=backend)
        self.unauthenticated = unauthenticated


class Refused(BackendError):
    """The backend understood the request and refused it; ``status`` is its status code, if it has one."""

    def __init__(self, message: str, *, backend: str = "", status: int | None = None) -> None:
        super().__init__(message, backend=backend)
        self.status = status


class LeaseLost(BackendError):
    """The registration no longer exists at the backend: it ran out, was removed, or the backend was wiped."""

    retryable = True


class Conflict(BackendError):
    """Somebody else changed the same thing first; nothing was written."""


class Unsupported(BackendError):
    """This backend cannot do what was asked.

    ``able`` are the schemes of backends that can, where there are any (see `homeport.abilities`). The message, which
    is given without a full stop, goes on with what to do: ``instead``, an imperative, or to use one of these.
    """

    def __init__(self, message: str, *, backend: str = "", instead: str = "", able: Sequence[str] = ()) -> None:
        advice = ", or ".join(filter(None, (instead, f"use {in_words(able)}" if able else "")))
        super().__init__(f"{message}; {advice}" if advice else message, backend=backend)
        self.able = tuple(able)


class NoInstances(HomeportError):
    """There is no instance to call.

    ``registered`` counts the instances that matched the query whatever their health: 0 means that none is
    registered, more means that none of them is passing. ``backend`` is the URL of who says so.
    """

    def __init__(self, message: str, *, service: str = "", registered: int = 0, backend: str = "") -> None:
        super().__init__(message)
        self.service = service
        self.registered = registered
        self.backend = backend


class CircuitOpen(NoInstances):
    """A call was not made, since nearly all calls of the service failed lately.

    ``retry_after`` is the number of seconds after which one is let through.
    """

    def __init__(self, message: str, *, service: str = "", registered: int = 0, retry_after: float = 0.0) -> None:
        super().__init__(message, service=service, registered=registered)
        self.retry_after = retry_after


class DeadlineExceeded(HomeportError, TimeoutError):
    """The time that was given for a call and its retries is over; the last failure, if any, is its ``__cause__``."""


class NotReady(HomeportError):
    """An answer from memory was asked for before anything was fetched; the message says what to call first."""


class InvalidValue(HomeportError, ValueError):
    """A value given to Homeport cannot be right; nothing was changed."""


class SettingsError(InvalidValue):
    """A setting is unknown, malformed or contradicts another; the message names the file and the key."""


class MissingExtra(HomeportError, ImportError):
    """An optional dependency is missing; ``extra`` names the one to install."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs an optional dependency: pip install 'homeport[{extra}]'")
        self.extra = extra
