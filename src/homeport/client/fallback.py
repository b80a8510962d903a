"""Which of several backends answers for a service: pure, given the times.

The rules in one place. Backends stand in order of preference, and each is *sound* while it confirms what it said. A
backend out of reach is still used for ``stale_grace``; then the first sound one after it answers. Whoever answers goes
on answering until one before it has been sound for ``handback_after``, or until it is in trouble itself. That a service
has no instances is an answer like any other. When nobody is sound, what is known is kept, stale.

A fallback is followed from the moment it may soon be needed: when the backend before it has been in trouble, or has
said nothing at all, for ``takeover_after``; at once when that one failed and nothing is known from it. It is left when
the one before it has been sound for ``handback_after``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from .settings import FallbackSettings


class Reach(msgspec.Struct, frozen=True, kw_only=True):
    """How one backend of a chain stands. Times are those of any one steady clock, None where it is not so.

    ``known`` says that it answered at least once since it is followed, ``trouble_since`` since when it does not confirm
    what it said, ``sound_since`` since when it does.
    """

    followed_since: float | None = None
    known: bool = False
    trouble_since: float | None = None
    sound_since: float | None = None

    @property
    def sound(self) -> bool:
        """Whether it confirms what it said."""
        return self.sound_since is not None


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """Who is to do what.

    ``answering`` is the place of the backend that answers, None while nobody can. The first ``followed`` backends are
    to be followed. ``look_again_at`` is when time alone may change that, None when it cannot.
    """

    answering: int | None
    followed: int
    look_again_at: float | None


def decide(chain: Sequence[Reach], *, answering: int | None, now: float, settings: FallbackSettings) -> Decision:
    """Who answers and who is followed, given who answered until now."""
    return Decision(
        answering=_answering(chain, answering, now, settings),
        followed=_followed(chain, now, settings),
        look_again_at=min((at for at in _turning_points(chain, settings) if at > now), default=None),
    )


def _answering(chain: Sequence[Reach], answering: int | None, now: float, settings: FallbackSettings) -> int | None:
    current = None if answering is None else chain[answering]
    if current is not None:
        for place, former in enumerate(chain[:answering]):
            if former.sound and (not current.sound or _handed_back(former, now, settings)):
                return place
        if current.sound or (current.trouble_since is not None and now < current.trouble_since + _patience(settings)):
            return answering
    for place, reach in enumerate(chain):
        if reach.sound:
            return place
    if current is not None:
        return answering
    known = [place for place, reach in enumerate(chain) if reach.known]
    return max(known, key=lambda place: chain[place].trouble_since or now, default=None)


def _followed(chain: Sequence[Reach], now: float, settings: FallbackSettings) -> int:
    """How many, from the first on."""
    for place in range(1, len(chain)):
        before = chain[place - 1]
        if chain[place].followed_since is not None:
            wanted = not _handed_back(before, now, settings)
        else:
            due = _needs_help_at(before, settings)
            wanted = due is not None and due <= now
        if not wanted:
            return place
    return len(chain)


def _needs_help_at(reach: Reach, settings: FallbackSettings) -> float | None:
    """When the backend after this one is to be followed; None while nothing speaks for it."""
    if reach.sound or reach.followed_since is None:
        return None
    if reach.trouble_since is None:
        return reach.followed_since + settings.takeover_after
    return reach.trouble_since + settings.takeover_after if reach.known else reach.trouble_since


def _handed_back(former: Reach, now: float, settings: FallbackSettings) -> bool:
    return former.sound_since is not None and now >= former.sound_since + settings.handback_after


def _patience(settings: FallbackSettings) -> float:
    """How long what is known of a backend in trouble is preferred to the answer of another."""
    return max(settings.stale_grace, settings.takeover_after)


def _turning_points(chain: Sequence[Reach], settings: FallbackSettings) -> Iterator[float]:
    for reach in chain:
        due = _needs_help_at(reach, settings)
        if due is not None:
            yield due
        if reach.trouble_since is not None:
            yield reach.trouble_since + _patience(settings)
        if reach.sound_since is not None:
            yield reach.sound_since + settings.handback_after
