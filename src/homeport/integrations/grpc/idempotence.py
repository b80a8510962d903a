"""Which methods may be called twice without harm."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TypeAlias

from homeport.errors import InvalidValue

Idempotent: TypeAlias = Collection[str] | Callable[[str], bool]
"""Full names of methods (``/package.Service/Method``), or a function that says it of one."""


def idempotence(idempotent: Idempotent) -> Callable[[str], bool]:
    """Whether a method is idempotent, as a function of its full name; the slash in front may be left out.

    Raises:
        InvalidValue: a single text was given, or a name without its service.
    """
    if callable(idempotent):
        return idempotent
    if isinstance(idempotent, str):
        raise InvalidValue(f'idempotent is "{idempotent}"; give a collection of names, such as {{"{idempotent}"}}')
    names = frozenset("/" + name.removeprefix("/") for name in idempotent)
    for name in names:
        service, _, method = name[1:].partition("/")
        if not service or not method or "/" in method:
            raise InvalidValue(f'"{name[1:]}" is not the full name of a method; write "package.Service/Method"')
    return names.__contains__
