"""What statuses mean, which methods are idempotent, and the state of many connections."""

import subprocess
import sys

import grpc
import pytest
from grpc import ChannelConnectivity, StatusCode

from homeport import InvalidValue
from homeport.integrations.grpc.call_key import key_in
from homeport.integrations.grpc.connectivity import combined
from homeport.integrations.grpc.idempotence import idempotence
from homeport.integrations.grpc.outcome import succeeded, was_never_sent

READY, CONNECTING, IDLE, FAILED = (
    ChannelConnectivity.READY,
    ChannelConnectivity.CONNECTING,
    ChannelConnectivity.IDLE,
    ChannelConnectivity.TRANSIENT_FAILURE,
)


def test_every_status_has_a_meaning() -> None:
    failures = {"UNAVAILABLE", "INTERNAL", "UNKNOWN", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "DATA_LOSS"}
    for code in StatusCode:
        expected = None if code is StatusCode.CANCELLED else code.name not in failures
        assert succeeded(code) is expected


@pytest.mark.parametrize(
    ("code", "details", "expected"),
    [
        (StatusCode.UNAVAILABLE, "failed to connect to all addresses; last error: …", True),
        (StatusCode.UNAVAILABLE, "errors resolving billing:80: …", True),
        (StatusCode.UNAVAILABLE, "Socket closed", False),
        (StatusCode.UNAVAILABLE, None, False),
        (StatusCode.INTERNAL, "failed to connect to all addresses", False),
    ],
)
def test_never_sent(code: StatusCode, details: str | None, expected: bool) -> None:
    assert was_never_sent(code, details) is expected


def test_idempotence() -> None:
    assert not idempotence(())("/a.B/C")
    assert idempotence({"a.B/C"})("/a.B/C")
    assert idempotence(["/a.B/C"])("/a.B/C")
    assert not idempotence({"a.B/C"})("/a.B/D")
    assert idempotence(lambda name: name.endswith("/Get"))("/a.B/Get")


@pytest.mark.parametrize("idempotent", ["a.B/C", {"C"}, {"a.B/"}, {"a.B/C/D"}])
def test_names_that_could_not_match_are_refused(idempotent: str | set[str]) -> None:
    with pytest.raises(InvalidValue):
        idempotence(idempotent)


@pytest.mark.parametrize(
    ("states", "state"),
    [
        ((), IDLE),
        ((FAILED, IDLE, CONNECTING, READY), READY),
        ((FAILED, IDLE, CONNECTING), CONNECTING),
        ((FAILED, IDLE), IDLE),
        ((FAILED, FAILED), FAILED),
    ],
)
def test_the_best_state_counts(states: tuple[ChannelConnectivity, ...], state: ChannelConnectivity) -> None:
    assert combined(states) is state


def test_the_key_of_a_call() -> None:
    metadata = (("user", "a"), ("user", "b"), ("raw-bin", b"\xff"))
    assert key_in(metadata, "user") == "a"
    assert key_in(metadata, "raw-bin") == "\udcff"
    assert key_in(metadata, "absent") is None
    assert key_in(metadata, None) is None
    assert key_in(None, "user") is None
    assert key_in(grpc.aio.Metadata(("user", "c")), "user") == "c"


def test_without_grpcio_it_says_what_to_install() -> None:
    program = (
        "import sys; sys.modules['grpc'] = None\n"
        "from homeport import MissingExtra\n"
        "try:\n    import homeport.integrations.grpc\n"
        "except MissingExtra as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "homeport.integrations.grpc needs an optional dependency: pip install 'homeport[grpc]'\n"
