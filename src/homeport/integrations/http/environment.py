"""The proxies that the environment names."""

from __future__ import annotations

from urllib.request import getproxies_environment


def proxy_in_environment(scheme: str) -> str | None:
    """The proxy for URLs of that scheme, from ``http_proxy``, ``https_proxy`` or ``all_proxy``.

    An instance is called directly, whatever stands there: these variables are about the way out of the network.
    """
    proxies = getproxies_environment()
    return proxies.get(scheme) or proxies.get("all")
