"""Why a check is as it is, in a sentence, after its kind and what it printed; pure.

The texts that are recognised are those of Consul's agent and of Homeport's registry.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from homeport.model import CheckState

_TARGETS = (
    re.compile(r"HTTP [A-Z]+ (?P<target>https?://\S+?):? "),
    re.compile(r"(?P<verb>[A-Z][a-z]+) \"(?P<target>https?://[^\"]+)\""),  # Go's words for a request that failed
    re.compile(r"(?P<verb>Get|Head|Post|Put) (?P<target>https?://\S+): "),
    re.compile(r"TCP connect (?P<target>\S+?): "),
    re.compile(r"gRPC check (?P<target>\S+?): "),
    re.compile(r"dial tcp (?P<target>\S+?): "),
)
_STATUS_CODE = re.compile(r"\A(?:HTTP [A-Z]+ \S+: )(?P<code>\d{3})\b")
_EXPIRED = "TTL expired"
_NO_OUTPUT = "no output is known: it was not run yet, or its agent tells outputs only now and then, as Consul's does"

_Words = tuple[str, ...]
_Rule = tuple[_Words, Callable[[str], str]]

_TROUBLES: tuple[_Rule, ...] = (
    (("connection refused",), lambda it: f"nothing listens at {it}: the program is not running, or at another port"),
    (
        ("no such host", "cannot be looked up", "server misbehaving"),
        lambda it: f"the registry cannot resolve the name in {it}",
    ),
    (
        ("no route to host", "network is unreachable", "host is unreachable"),
        lambda it: f"the registry has no route to {it}",
    ),
    (("may not connect to",), lambda _it: "the settings of the registry do not let it connect there"),
    (
        ("x509", "certificate"),
        lambda it: (
            f"the registry does not accept the certificate of {it}: it trusts another authority, or expects "
            "another name"
        ),
    ),
    (("tls:", "tls failed"), lambda it: f"the TLS handshake with {it} fails: does it speak TLS?"),
    (
        ("timed out", "deadline exceeded", "i/o timeout", "client.timeout"),
        lambda it: f"{it} does not answer in time: it is overloaded or stuck, or a firewall drops what is sent",
    ),
    (("connection reset", "eof", "broken pipe"), lambda it: f"{it} closes the connection without an answer"),
    (("does not contain",), lambda it: f"what {it} answers does not contain the text that the check expects"),
    (("not_serving",), lambda it: f"{it} says of itself that it does not serve"),
    (
        ("service_unknown", "not_found", "unimplemented"),
        lambda it: f"the gRPC server at {it} knows no health of that service",
    ),
    (("malformed http", "not http"), lambda it: f"what answers at {it} does not speak HTTP"),
)
_CODES: dict[int, str] = {
    401: "{it} wants credentials: let the path of the check be asked without, or give it a header",
    403: "{it} does not let the registry ask: allow the path of the check",
    404: "{it} answers, but has no such path: correct the URL of the check",
    405: "{it} does not take that method: correct the method of the check",
    429: "{it} is asked too often, and says so",
    503: "{it} says of itself that it cannot work now",
}


def target_of(check: CheckState) -> str:
    """What a check asks, a URL or HOST:PORT, as its output tells it; "" where it does not."""
    for pattern in _TARGETS:
        found = pattern.search(check.output)
        if found is not None:
            return found["target"]
    return ""


def reason_of(check: CheckState) -> str:
    """Why the check has its status."""
    if check.status == "maintenance":
        return f"it was put into maintenance{f': {check.notes}' if check.notes else ''}"
    if check.status == "passing":
        return "it passes"
    if check.kind == "ttl" or check.output.startswith(_EXPIRED):
        return _of_ttl(check)
    if not check.output:
        return _NO_OUTPUT
    target, output = target_of(check), check.output.lower()
    code = _STATUS_CODE.match(check.output)
    trouble = next((say for words, say in _TROUBLES if any(word in output for word in words)), None)
    if code is not None and (trouble is None or "does not contain" not in output):
        return _of_code(int(code["code"]), target)
    if trouble is not None:
        return trouble(target or "its target")
    if check.kind == "script":
        return "the script ended with a code other than 0; its output says why"
    return "its output says why"


def _of_ttl(check: CheckState) -> str:
    if check.output.startswith(_EXPIRED):
        return "nobody reported within its TTL: the program that should is gone or stuck"
    if not check.output:
        return f"nobody has reported yet; or {_NO_OUTPUT}"
    return f"the program reported {check.status} itself"


def _of_code(code: int, target: str) -> str:
    it = target or "its target"
    if code in _CODES:
        return _CODES[code].format(it=it)
    if 300 <= code < 400:
        return f"{it} sends elsewhere ({code}), and the check does not follow: correct its URL"
    if code >= 500:
        return f"{it} fails ({code}): its log says why"
    return f"{it} answers {code}, which the check does not take for healthy"
