"""What is said when every backend of a chain failed."""

import pytest

from homeport.client.joined_error import joined
from homeport.errors import BackendUnavailable, HomeportError, PermissionDenied, Unsupported


def test_of_one_it_is_that_itself() -> None:
    error = Unsupported("a file takes no registrations", able=("consul",))
    assert joined([error]) is error


def test_who_can_is_kept_and_said_of_each() -> None:
    one = Unsupported("a file keeps no keys", backend="static:///one.yaml", able=("consul", "etcd"))
    error = joined([one, Unsupported("DNS keeps no keys", able=("etcd", "homeport"))])
    assert isinstance(error, Unsupported)
    assert error.able == ("consul", "etcd", "homeport")
    assert error.backend == "static:///one.yaml"
    assert str(error) == f"no backend answers: {one}; {Unsupported('DNS keeps no keys', able=('etcd', 'homeport'))}."


@pytest.mark.parametrize("second", [True, False])
def test_nobody_accepts_who_asks_only_if_all_say_so(second: bool) -> None:
    errors = [PermissionDenied("no", unauthenticated=True), PermissionDenied("never", unauthenticated=second)]
    error = joined(errors)
    assert isinstance(error, PermissionDenied)
    assert error.unauthenticated is second


def test_of_different_kinds_it_is_an_outage() -> None:
    errors: list[HomeportError] = [PermissionDenied("no"), Unsupported("cannot")]
    assert type(joined(errors)) is BackendUnavailable
