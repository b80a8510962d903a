"""Between a file and Homeport's model; pure."""

from __future__ import annotations

from urllib.parse import quote, unquote

import msgspec

from homeport.errors import InvalidAnswer
from homeport.model import Instance, Service


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a file holds: a service, and by whom it was registered for how long at a time."""

    service: Service
    incarnation: str = ""
    ttl: float | None = None

    def alive(self, age: float) -> bool:
        """Whether the lease holds, so many seconds after it was renewed."""
        return self.ttl is None or age < self.ttl


_DECODER = msgspec.json.Decoder(Record)


def encode(record: Record) -> bytes:
    """The content of a file."""
    return msgspec.json.encode(record)


def decode(content: bytes, place: str) -> Record:
    """The record in a file.

    Raises:
        InvalidAnswer: it is none; nothing of the file is used.
    """
    try:
        return _DECODER.decode(content)
    except (msgspec.DecodeError, ValueError) as error:
        raise InvalidAnswer(f"{place} is no registration: {error}") from error


def instance(record: Record) -> Instance:
    """The instance that a record stands for. What an instance lacks in the system gets its neutral value."""
    service = record.service
    return Instance(
        id=service.id,
        service=service.name,
        address=service.address,
        port=service.port,
        tags=service.tags,
        meta=service.meta,
        weight=service.weight,
        version=service.version or service.meta.get("version", ""),
        environment=service.environment or service.meta.get("environment", ""),
        region=service.meta.get("region", ""),
        zone=service.meta.get("zone", ""),
        started_at=service.meta.get("started_at", ""),
    )


def file_name(name: str) -> str:
    """A name as a part of a path that leads nowhere else."""
    return quote(name, safe="").replace(".", "%2E")


def name_of(file_name: str) -> str:
    """The name that became this part of a path."""
    return unquote(file_name)
