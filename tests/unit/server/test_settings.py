"""Settings that cannot be right are refused in a sentence."""

import pytest

from homeport.errors import SettingsError
from homeport.server.settings import ServerSettings


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"answers_bytes": -1}, "server.answers_bytes is -1; it must not be negative"),
        ({"store_max_bytes": 1000}, "server.store_max_bytes is 1000; it must be at least 65536"),
        ({"advertise": "0.0.0.0"}, 'server.advertise is "0.0.0.0"; give an IP address by which others reach this host'),
        ({"advertise": "host"}, 'server.advertise is "host"; give an IP address by which others reach this host'),
        ({"node": ""}, "server.node is empty; leave it out, or give a name"),
        ({"datacenter": ""}, "server.datacenter is empty; leave it out, or give a name"),
    ],
)
def test_refused(given: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        ServerSettings(**given)  # type: ignore[arg-type]  # what a file may say
    assert str(caught.value) == message


def test_what_may_be_left_out_may_be_left_out() -> None:
    assert ServerSettings(advertise="10.0.0.1", store_max_bytes=1 << 20, node="n", datacenter="d").dev is False
