"""What cannot be right is refused where it is given, in a sentence, and not by what it breaks later."""

import asyncio
import ipaddress
from collections.abc import Callable
from typing import Any

import pytest

from homeport import Discovery, InvalidValue, SettingsError, blocking
from homeport.testing import Memory

REGISTERING: list[tuple[dict[str, Any], str]] = [
    ({"weight": "5"}, "the weight of \"a\" is '5'; give a whole number"),
    ({"weight": True}, 'the weight of "a" is True; give a whole number'),
    ({"port": 80.0}, 'the port of "a" is 80.0; give a whole number'),
    ({"port": True}, 'the port of "a" is True; give a whole number'),
    ({"ttl": "15s"}, "the ttl of \"a\" is '15s'; give a number of seconds"),
    ({"ttl": None}, 'the ttl of "a" is None; give a number of seconds'),
    ({"id": 5}, 'the id of "a" is 5; give a text: "5"'),
    ({"version": 2.1}, 'the version of "a" is 2.1; give a text: "2.1"'),
    ({"environment": b"x"}, "the environment of \"a\" is b'x'; give a text"),
    (
        {"address": ipaddress.ip_address("10.0.0.1")},
        "the address of \"a\" is IPv4Address('10.0.0.1'); give a text",
    ),
    ({"meta": ["x"]}, "metadata is a list; give a dictionary"),
    ({"tags": None}, "tags is None; give a list of texts"),
    ({"tags": "eu"}, 'tags is the text "eu"; give a list of texts'),
    ({"checks": None}, "checks is None; give a list of checks"),
    ({"on_change": "x"}, "on_change is 'x'; give a function"),
]
FINDING: list[tuple[Any, dict[str, Any], str]] = [
    (b"api", {}, "the name of a service is b'api'; give a text"),
    (7, {}, 'the name of a service is 7; give a text: "7"'),
    ("api", {"version": 2.1}, 'a version is 2.1; give a text: "2.1"'),
    ("api", {"meta": ["a"]}, "metadata is a list; give a dictionary"),
    ("api", {"tags": 5}, "tags is 5; give a list of texts"),
]


def refused(do: Callable[[], object], message: str, *, kind: type[Exception] = InvalidValue) -> None:
    with pytest.raises(kind) as caught:
        do()
    assert str(caught.value) == message


@pytest.mark.parametrize(("given", "message"), REGISTERING)
def test_registering(given: dict[str, Any], message: str) -> None:
    async def scenario() -> None:
        async with Discovery(Memory()) as discovery:
            refused(lambda: discovery.register("a", **given), message)

    asyncio.run(scenario())
    with blocking.Discovery(Memory()) as discovery:
        refused(lambda: discovery.register("a", **given), message)


@pytest.mark.parametrize(("service", "given", "message"), FINDING)
async def test_finding(service: Any, given: dict[str, Any], message: str) -> None:
    async with Discovery(Memory()) as discovery:
        for ask in (discovery.discover, discovery.resolve):
            with pytest.raises(InvalidValue) as caught:
                await ask(service, **given)
            assert str(caught.value) == message
        refused(lambda: discovery.watch(service, **given), message)


async def test_following() -> None:
    async with Discovery(Memory()) as discovery:
        refused(lambda: discovery.watch("a", on_change=5), "on_change is 5; give a function")  # type: ignore[arg-type]
    with blocking.Discovery(Memory()) as blocked:
        refused(lambda: blocked.watch("a", on_change=5), "on_change is 5; give a function")  # type: ignore[arg-type]


async def test_calling() -> None:
    work, late = (
        "the work of a call is 5; give a function that takes the call",
        "the deadline of a call is '3'; give a ",
    )
    async with Discovery(Memory(api=["10.0.0.1:80"])) as discovery:
        with pytest.raises(InvalidValue) as caught:
            await discovery.perform("api", 5)  # type: ignore[arg-type]
        assert str(caught.value) == work
        with pytest.raises(InvalidValue, match=f"^{late}number of seconds$"):
            await discovery.perform("api", lambda _: asyncio.sleep(0), deadline="3")  # type: ignore[arg-type]


def test_calling_without_a_loop() -> None:
    with blocking.Discovery(Memory(api=["10.0.0.1:80"])) as discovery:
        refused(lambda: discovery.perform("api", 5), "the work of a call is 5; give a function that takes the call")  # type: ignore[arg-type]


@pytest.mark.parametrize("backend", [5, b"consul://user:secret@host", {}, ["consul", 5]])
@pytest.mark.parametrize("kind", [Discovery, blocking.Discovery])
def test_what_is_no_backend(kind: Callable[..., object], backend: object) -> None:
    with pytest.raises(SettingsError) as caught:
        kind(backend)
    assert str(caught.value).startswith("a backend cannot be of the type ")
    assert str(caught.value).endswith(
        "; give a URL such as homeport://127.0.0.1:8500, a name, or an object that is a Backend"
    )
    assert "secret" not in str(caught.value)


def test_what_is_no_observer() -> None:
    refused(
        lambda: Discovery(Memory(), observer=5),  # type: ignore[arg-type]
        "an observer cannot be of the type int; give an Observer",
    )
