"""httpx and httpx2 differ in name alone, and so do the integrations."""

import inspect

from homeport.integrations import httpx, httpx2


def test_the_two_integrations_are_the_same_but_for_the_name() -> None:
    one, other = inspect.getsource(httpx), inspect.getsource(httpx2)
    assert other == one.replace("httpx", "httpx2")
