"""One query asked again and again, each time waiting until its index moves.

Source: https://developer.hashicorp.com/consul/api-docs/features/blocking.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator

from homeport.connections.http import Answer
from homeport.errors import InvalidAnswer

from .api import ConsulAPI
from .mapping import cursor


async def answers(
    api: ConsulAPI, path: str, *, datacenter: str, purpose: str
) -> AsyncGenerator[tuple[Answer, int], None]:
    """What is answered now, after every change and after every waiting time, each with its index.

    The first query never blocks, nor does one after an index that went back.

    Raises:
        BackendError: the agent cannot be asked.
    """
    wait, seen = api.settings.wait, 0
    while True:
        params, timeout = api.reading(datacenter), None
        if seen:
            params |= {"index": str(seen), "wait": f"{round(wait * 1000)}ms"}
            # The server adds up to a sixteenth to the wait.
            timeout = wait + wait / 16 + api.settings.timeout
        answer = api.fresh(await api.request("GET", path, params=params, timeout=timeout, purpose=purpose))
        position = position_of(api, answer)
        seen = position if position >= seen else 0
        yield answer, position


def position_of(api: ConsulAPI, answer: Answer) -> int:
    """The index of an answer.

    Raises:
        InvalidAnswer: it has none.
    """
    try:
        return cursor(answer.headers.get("x-consul-index"), "").position
    except InvalidAnswer as error:
        raise InvalidAnswer(f"{answer.origin}: {error}", backend=api.settings.url) from error
