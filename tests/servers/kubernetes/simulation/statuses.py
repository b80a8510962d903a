"""Failures as the API tells them: Status objects (API conventions, "Response Status Kind")."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

TOO_OLD_TO_CONTINUE = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without "
    "the continue parameter, or use the continue token in this response to retrieve the remainder of the results. "
    "Continuing with the provided token results in an inconsistent list - objects that were created, modified, or "
    "deleted between the time the first chunk was returned and now may show up in the list."
)


class Refusal(Exception):
    """A request that is answered with a Status."""

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        *,
        details: Mapping[str, Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.status: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": dict(metadata or {}),
            "status": "Failure",
            "message": message,
        }
        if reason:
            self.status["reason"] = reason
        if details is not None:
            self.status["details"] = dict(details)
        self.status["code"] = code


@dataclass(frozen=True)
class Cause:
    """One defect of an object: where, of which kind, and what is wrong."""

    field: str
    reason: str
    message: str

    def told(self) -> dict[str, str]:
        """As a Status lists it."""
        return {"reason": self.reason, "message": self.message, "field": self.field}


def required(field: str, why: str = "") -> Cause:
    """Something is missing."""
    return Cause(field, "FieldValueRequired", f"Required value{': ' if why else ''}{why}")


def invalid_value(field: str, value: object, why: str) -> Cause:
    """Something has a value that is not allowed."""
    shown = f'"{value}"' if isinstance(value, str) else value
    return Cause(field, "FieldValueInvalid", f"Invalid value: {shown}: {why}")


def unsupported_value(field: str, value: str, supported: Sequence[str]) -> Cause:
    """Something is not one of its possible values."""
    names = ", ".join(f'"{name}"' for name in sorted(supported))
    return Cause(field, "FieldValueNotSupported", f'Unsupported value: "{value}": supported values: {names}')


def details_of(kind: str, group: str, name: str = "") -> dict[str, Any]:
    """What a Status says about the object it is about."""
    return {key: value for key, value in {"name": name, "group": group, "kind": kind}.items() if value}


def qualified(kind: str, group: str) -> str:
    """`endpointslices.discovery.k8s.io`, or `services` for the core group."""
    return f"{kind}.{group}" if group else kind


def bad_request(message: str) -> Refusal:
    """400."""
    return Refusal(400, "BadRequest", message)


def not_found(plural: str, group: str, name: str) -> Refusal:
    """404 for an object."""
    message = f'{qualified(plural, group)} "{name}" not found'
    return Refusal(404, "NotFound", message, details=details_of(plural, group, name))


def conflict(plural: str, group: str, name: str, why: str) -> Refusal:
    """409 for a change that meets another state than it expects."""
    message = f'Operation cannot be fulfilled on {qualified(plural, group)} "{name}": {why}'
    return Refusal(409, "Conflict", message, details=details_of(plural, group, name))


def invalid(kind: str, group: str, name: str, causes: Sequence[Cause]) -> Refusal:
    """422."""
    told = [f"{cause.field}: {cause.message}" for cause in causes]
    listed = told[0] if len(told) == 1 else f"[{', '.join(told)}]"
    return Refusal(
        422,
        "Invalid",
        f'{qualified(kind, group)} "{name}" is invalid: {listed}',
        details={**details_of(kind, group, name), "causes": [cause.told() for cause in causes]},
    )


def too_large(revision: int, current: int) -> Refusal:
    """504 for a resourceVersion that does not exist yet."""
    return Refusal(
        504,
        "Timeout",
        f"Timeout: Too large resource version: {revision}, current: {current}",
        details={
            "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
            "retryAfterSeconds": 1,
        },
    )


def expired(message: str, **metadata: object) -> Refusal:
    """410."""
    return Refusal(410, "Expired", message, metadata=metadata)
