"""The shapes of etcd's JSON gateway (https://etcd.io/docs/v3.4/dev-guide/api_reference_v3/).

Numbers of 64 bits are text there, keys and values are base64, and what is 0, false or empty is left out.
"""

from __future__ import annotations

import msgspec


class Header(msgspec.Struct, frozen=True):
    """Who answered, and at which revision (0 where the answer does not say)."""

    cluster_id: str
    revision: int = 0


class KeyValue(msgspec.Struct, frozen=True):
    """A key with its value; ``lease`` is 0 when it has none. One written first has both revisions the same."""

    key: bytes
    value: bytes = b""
    create_revision: int = 0
    mod_revision: int = 0
    lease: int = 0


class Answered(msgspec.Struct, frozen=True):
    """What every answer has."""

    header: Header


class RangeAnswer(Answered, frozen=True):
    """Keys, and how many there are beyond a limit."""

    kvs: tuple[KeyValue, ...] = ()
    count: int = 0


class GrantAnswer(Answered, frozen=True):
    """A new lease."""

    id: int = msgspec.field(name="ID")


class Alive(Answered, frozen=True):
    """What is left of a lease in seconds; 0 when there is none of that id."""

    ttl: int = msgspec.field(name="TTL", default=0)


class AliveAnswer(msgspec.Struct, frozen=True):
    """A kept lease, as the first and only message of what is a stream in gRPC."""

    result: Alive


class TxnAnswer(Answered, frozen=True):
    """Whether the condition held."""

    succeeded: bool = False


class DeleteAnswer(Answered, frozen=True):
    """How many keys there were."""

    deleted: int = 0


class StatusAnswer(Answered, frozen=True):
    """A member about itself."""

    version: str = ""
    leader: str = ""


class TokenAnswer(Answered, frozen=True):
    """The token of a user."""

    token: str


class Event(msgspec.Struct, frozen=True):
    """A key that was written (PUT) or is gone (DELETE)."""

    kv: KeyValue
    type: str = "PUT"


class Changes(Answered, frozen=True):
    """One message of a watch."""

    events: tuple[Event, ...] = ()
    canceled: bool = False
    cancel_reason: str = ""
    compact_revision: int = 0


class StreamError(msgspec.Struct, frozen=True):
    """Why a stream ended."""

    message: str
    grpc_code: int = 2


class WatchLine(msgspec.Struct, frozen=True):
    """One line of a watch."""

    result: Changes | None = None
    error: StreamError | None = None


class Problem(msgspec.Struct, frozen=True):
    """The body of an answer that is no success; ``code`` is one of gRPC's (https://grpc.io/docs/guides/status-codes/)."""

    message: str
    code: int
