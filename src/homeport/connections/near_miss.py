"""What somebody probably meant by a word that does not exist."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def near_miss(word: str, known: Iterable[str]) -> str:
    """The known word that is closest to ``word``, or "" when none is close."""
    return next(iter(get_close_matches(word, sorted(known), n=1, cutoff=0.6)), "")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """``"; did you mean X?"`` to end a sentence with, or "." when nothing is close."""
    close = near_miss(word, known)
    return f"; did you mean {close}?" if close else "."
