"""``?filter=`` on the agent's own lists."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import msgspec

from homeport.wire.http import HTTPError, Request

from .filter_syntax import FilterError
from .filters import compile_filter

R = TypeVar("R", bound=msgspec.Struct)


def row_filter(request: Request, row_type: type[R]) -> Callable[[R], bool] | None:
    """What the request's filter says about a row; None when it has no filter.

    Raises `HTTPError` with 500, as Consul does, for a filter that is none; so does the function for one that costs too
    much.
    """
    expression = request.first("filter")
    if not expression:
        return None
    try:
        wants = compile_filter(expression, row_type)
    except FilterError as error:
        raise HTTPError(500, str(error)) from None

    def keep(row: R) -> bool:
        try:
            return wants(row)
        except FilterError as error:
            raise HTTPError(500, str(error)) from None

    return keep
