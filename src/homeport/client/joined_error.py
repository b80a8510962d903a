"""What is said when every backend of a chain failed."""

from __future__ import annotations

from collections.abc import Sequence

from homeport.errors import BackendError, BackendUnavailable, HomeportError


def joined(errors: Sequence[HomeportError]) -> HomeportError:
    """One error for what every backend of a chain failed with; of their kind, where they agree on it."""
    first = errors[0]
    if len(errors) == 1:
        return first
    kinds = {type(error) for error in errors}
    kind = type(first) if len(kinds) == 1 and isinstance(first, BackendError) else BackendUnavailable
    reasons = "; ".join(str(error).rstrip(".") for error in errors)
    error = kind(f"no backend answers: {reasons}.", backend=getattr(first, "backend", ""))
    error.__cause__ = first
    return error
