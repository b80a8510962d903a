"""Calls of Consul's HTTP API by which a test arranges things, apart from the client that it tests."""

import json
import urllib.request
from typing import Any

REQUEST_TIMEOUT = 60.0


def call(url: str, method: str, path: str, body: object = None, *, token: str = "") -> Any:
    """One call; `body` is sent as it is if it is bytes, else as JSON. None for an empty answer.

    Blocks. `urllib.error.HTTPError` for an answer that is no success.
    """
    data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(f"{url}{path}", data=data, method=method)
    if token:
        request.add_header("X-Consul-Token", token)
    # Never through a proxy that the environment names.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=REQUEST_TIMEOUT) as response:
        text = response.read()
    return json.loads(text) if text.strip() else None
