"""Several requests at once, all of which have to succeed."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def together(*requests: Coroutine[Any, Any, T]) -> list[T]:
    """The results of all, in order; when one fails the others are cancelled, and its error is raised as it is."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(request) for request in requests]
    except BaseExceptionGroup as errors:
        first = first_of(errors)
    else:
        return [task.result() for task in tasks]
    raise first  # out here, so that it keeps its own cause


def first_of(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first error of a group that is no group itself, with its own cause."""
    first = errors.exceptions[0]
    return first_of(first) if isinstance(first, BaseExceptionGroup) else first
