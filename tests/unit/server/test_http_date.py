"""The `Date` header."""

from homeport.server.http_date import HTTPDate


def test_it_follows_the_clock_second_by_second() -> None:
    now = [784111777.0]
    date = HTTPDate(lambda: now[0])
    assert date.line() == b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"  # the example of RFC 9110, 5.6.7
    now[0] += 0.9
    assert date.value() == b"Sun, 06 Nov 1994 08:49:37 GMT"
    now[0] += 0.2
    assert date.value() == b"Sun, 06 Nov 1994 08:49:38 GMT"
