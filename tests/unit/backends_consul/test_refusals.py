"""What a refusal says of the token."""

import pytest

from homeport.backends.consul import ConsulSettings
from homeport.backends.consul.api import ConsulAPI
from homeport.connections.http import Answer
from homeport.errors import PermissionDenied


@pytest.mark.parametrize(
    ("status", "body", "unauthenticated"),
    [
        (403, b"ACL not found", True),
        (403, b"rpc error making call: ACL not found", True),
        (401, b"", True),
        (403, b"Permission denied", False),
        (403, b"", False),
    ],
)
def test_whether_the_token_is_known_at_all(status: int, body: bytes, unauthenticated: bool) -> None:
    api = ConsulAPI(ConsulSettings.from_url("consul://h", {}))
    error = api.refusal(Answer(status, {}, body, "http://h:8500"), "read it")
    assert isinstance(error, PermissionDenied)
    assert error.unauthenticated is unauthenticated
