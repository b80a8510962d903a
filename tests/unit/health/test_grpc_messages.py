"""The two messages of the gRPC health protocol, against their real implementation."""

from __future__ import annotations

import pytest
from grpc_health.v1 import health_pb2
from hypothesis import given
from hypothesis import strategies as st

from homeport.registry.health.kinds.grpc import health_request, serving_status


@given(st.text(max_size=400))
def test_requests_are_what_protobuf_would_write(service: str) -> None:
    try:
        service.encode()
    except UnicodeEncodeError:
        return
    assert health_request(service) == health_pb2.HealthCheckRequest(service=service).SerializeToString()


@pytest.mark.parametrize("status", [0, 1, 2, 3])
def test_answers_are_read_as_protobuf_would(status: int) -> None:
    message = health_pb2.HealthCheckResponse(status=status).SerializeToString()
    assert serving_status(message) == status


def test_fields_of_later_versions_are_passed_over() -> None:
    later = b"\x12\x03abc" + b"\x19" + bytes(8) + b"\x25" + bytes(4) + b"\x28\x96\x01"
    assert serving_status(later + b"\x08\x01") == 1
    assert serving_status(b"\x08\x01" + later) == 1


@pytest.mark.parametrize("message", [b"\x08", b"\x12\x05ab", b"\xff" * 12, b"\x0b", b"\x19\x00"])
def test_what_is_no_message_is_refused(message: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        serving_status(message)


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(message: bytes) -> None:
    try:
        assert serving_status(message) >= 0
    except ValueError:
        return
