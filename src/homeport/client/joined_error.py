"""What is said when every backend of a chain failed."""

from __future__ import annotations

from collections.abc import Sequence

from homeport.errors import BackendError, BackendUnavailable, HomeportError, PermissionDenied, Unsupported


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
    if isinstance(error, Unsupported):
        error.able = tuple(dict.fromkeys(one for each in errors if isinstance(each, Unsupported) for one in each.able))
    if isinstance(error, PermissionDenied):
        error.unauthenticated = all(isinstance(each, PermissionDenied) and each.unauthenticated for each in errors)
    return error
