"""Which `Accept-Encoding` allows gzip (RFC 9110, 12.5.3)."""

import pytest

from homeport.server.compression import accepts_gzip


@pytest.mark.parametrize(
    "value",
    [
        "gzip", "GZIP", "x-gzip", "deflate, gzip", "gzip;q=1", "gzip; q=0.5", "gzip ;q=0.001", "br;q=1.0, gzip;q=0.8",
        "*", "*;q=0.1", "identity, *", "*;q=0, gzip", "gzip, *;q=0", "gzip;foo=bar",
    ],
)  # fmt: skip
def test_allowed(value: str) -> None:
    assert accepts_gzip(value)


@pytest.mark.parametrize(
    "value",
    [
        "", "identity", "deflate, br", "gzip;q=0", "gzip;q=0.0", "gzip; q=0.000", "gzip;Q=0", "*;q=0", "gzip;q=0, *",
        "*, gzip;q=0", "gzipped", "xgzip", "gzip;q=none", "gzip;q=",
    ],
)  # fmt: skip
def test_not_allowed(value: str) -> None:
    assert not accepts_gzip(value)
