"""Plain questions, read without a parser: what makes two of them alike, and one's answer out of another's.

Alike are questions for one name (whatever the case of its letters) and type that leave the same room for an answer.
Everything that is not just as most clients ask is left to the parser.
"""

from __future__ import annotations

from typing import NamedTuple

import dns.name

from .question import TCP_BYTES, Question, room

_HEADER = 12
_LONGEST_LABEL = 63
_LONGEST_NAME = 255
_RD = 0x01  # in the third byte: recursion desired
_CD = 0x10  # in the fourth: checking disabled (RFC 4035, 3.2.2), to be copied
_AD = 0x20  # nothing to an answer that is not signed
_DO = 0x8000
_ONE_QUESTION = b"\0\1\0\0\0\0"
_OPT = b"\0\0\x29"  # the root, type 41 (RFC 6891, 6.1.2)
_OF_OPT = 11


class Plain(NamedTuple):
    """A plain question: what it has in common with those alike, and where it ends; with EDNS, its payload and flags."""

    key: bytes
    end: int
    payload: int
    edns: int | None


def plain(wire: bytes, *, tcp: bool) -> Plain | None:
    """The question of a message, None if it is not plain."""
    size = len(wire)
    if size < _HEADER or wire[2] & ~_RD or wire[3] & ~(_CD | _AD) or wire[4:10] != _ONE_QUESTION:
        return None
    end = _HEADER
    while end < size and wire[end]:
        if wire[end] > _LONGEST_LABEL:
            return None
        end += wire[end] + 1
    end += 5
    if end > size or end - _HEADER > _LONGEST_NAME + 4:
        return None
    payload, edns = 0, None
    if wire[10:12] == b"\0\1" and size >= end + _OF_OPT and wire[end : end + 3] == _OPT:
        if wire[end + 5 : end + 7] != b"\0\0" or size != end + _OF_OPT + int.from_bytes(
            wire[end + 9 : end + 11], "big"
        ):
            return None  # another version, or not whole
        payload = int.from_bytes(wire[end + 3 : end + 5], "big")
        edns = int.from_bytes(wire[end + 7 : end + 9], "big") & _DO
    elif wire[10:12] != b"\0\0" or end != size:
        return None
    form = b"T" if tcp else room(payload).to_bytes(2, "big")
    # Lengths of labels are no letters, so that this changes letters alone.
    key = b"".join((wire[_HEADER:end].lower(), form, b"" if edns is None else edns.to_bytes(2, "big")))
    return Plain(key, end, payload, edns)


def question_of(wire: bytes, read: Plain, *, tcp: bool) -> Question:
    """The question of a message that was read as a plain one."""
    labels = []
    at = _HEADER
    while wire[at]:
        labels.append(wire[at + 1 : at + 1 + wire[at]])
        at += wire[at] + 1
    return Question(
        number=int.from_bytes(wire[:2], "big"),
        flags=(wire[2] & _RD) << 8 | wire[3] & _CD,
        name=dns.name.Name((*labels, b"")),
        kind=int.from_bytes(wire[at + 1 : at + 3], "big"),
        of_class=int.from_bytes(wire[at + 3 : at + 5], "big"),
        asked=wire[_HEADER : read.end],
        edns=read.edns,
        room=TCP_BYTES if tcp else room(read.payload),
        tcp=tcp,
    )


def readdressed(kept: bytes, wire: bytes, end: int) -> bytes:
    """The answer to one question made of the answer to one like it: number, flags and letters are the asker's."""
    return b"".join((
        wire[:2],
        bytes((kept[2] & ~_RD | wire[2] & _RD, kept[3] & ~_CD | wire[3] & _CD)),
        kept[4:_HEADER],
        wire[_HEADER:end],
        kept[end:],
    ))  # fmt: skip
