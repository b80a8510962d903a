"""What etcd's refusals become."""

import json

import pytest

from homeport.backends.etcd import EtcdSettings
from homeport.backends.etcd.api import EtcdAPI
from homeport.connections.http import Answer
from homeport.errors import BackendError, BackendUnavailable, InvalidAnswer, LeaseLost, PermissionDenied, Refused


def refusal(status: int, body: bytes) -> BackendError:
    api = EtcdAPI(EtcdSettings.from_url("etcd://h?user=app&password=hidden", {}))
    return api.refusal(Answer(status, {}, body, "http://h:2379"), 'read "api"')


@pytest.mark.parametrize(
    ("status", "code", "message", "kind", "text"),
    [
        (503, 14, "etcdserver: no leader", BackendUnavailable, 'cannot read "api" now: no leader'),
        (504, 4, "context deadline exceeded", BackendUnavailable, "now: context deadline exceeded"),
        (499, 1, "context canceled", BackendUnavailable, "now: context canceled"),
        (429, 8, "etcdserver: too many requests", BackendUnavailable, "now: too many requests"),
        (429, 8, "etcdserver: mvcc: database space exceeded", Refused, 'refuses to read "api": mvcc: database space'),
        (401, 16, "etcdserver: invalid auth token", PermissionDenied, 'does not let the user "app" read "api"'),
        (403, 7, "etcdserver: permission denied", PermissionDenied, "permission denied. Give a user that may"),
        (400, 3, "etcdserver: user name is empty", PermissionDenied, "user name is empty"),
        (400, 3, "etcdserver: revision of auth store is old", PermissionDenied, "revision of auth store is old"),
        (400, 3, "etcdserver: authentication failed, invalid", PermissionDenied, 'not accept the user "app"'),
        (404, 5, "etcdserver: requested lease not found", LeaseLost, "the lease ran out"),
        (400, 3, "etcdserver: key is not provided", Refused, 'refuses to read "api": key is not provided'),
    ],
)
def test_what_etcd_says(status: int, code: int, message: str, kind: type[BackendError], text: str) -> None:
    error = refusal(status, json.dumps({"error": message, "message": message, "code": code}).encode())
    assert type(error) is kind
    assert text in str(error)
    assert error.backend == "etcd://h:2379/services/"
    assert "hidden" not in str(error)


@pytest.mark.parametrize(("status", "kind"), [(404, InvalidAnswer), (301, InvalidAnswer), (503, BackendUnavailable)])
def test_what_others_say(status: int, kind: type[BackendError]) -> None:
    assert type(refusal(status, b"<html>")) is kind


@pytest.mark.parametrize(
    ("code", "message", "unauthenticated"),
    [
        (16, "etcdserver: invalid auth token", True),
        (3, "etcdserver: user name is empty", True),
        (3, "etcdserver: authentication failed, invalid user ID or password", True),
        (7, "etcdserver: permission denied", False),
    ],
)
def test_whether_the_user_is_accepted_at_all(code: int, message: str, unauthenticated: bool) -> None:
    error = refusal(400, json.dumps({"error": message, "message": message, "code": code}).encode())
    assert isinstance(error, PermissionDenied)
    assert error.unauthenticated is unauthenticated
