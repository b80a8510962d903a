"""The examples in the docstrings of the entry points, run against real registries."""

import doctest
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

import homeport
from homeport import Discovery, Watch
from tests.contract.client.conftest import Registry

DEFAULT_BACKEND = "homeport://127.0.0.1:8500"


def example(documented: object, registry: Registry, service: str) -> Callable[..., Awaitable[None]]:
    """The `main` of the example of an entry point, against this registry and for this service."""
    parts = doctest.DocTestParser().get_examples(documented.__doc__ or "")
    assert parts, f"{documented} has no example"
    source = "".join(part.source for part in parts)
    source = source.replace(DEFAULT_BACKEND, registry.backend_url).replace("billing", service)
    names: dict[str, Any] = dict(vars(homeport)) | {"Discovery": Discovery, "Watch": Watch}
    exec(source, names)
    main: Callable[..., Awaitable[None]] = names["main"]
    return main


@pytest.mark.parametrize("documented", [homeport, Discovery])
async def test_an_entry_point_s_example_runs(registry: Registry, name: str, documented: object) -> None:
    async with Discovery(registry.backend_url, environ={}) as discovery, discovery.register(name, port=1):
        await example(documented, registry, name)()


async def test_the_example_of_a_call_runs(registry: Registry, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    discovery = Discovery(registry.backend_url, environ={})
    async with discovery, discovery.register(name, port=7), discovery.watch(name) as watch:
        watch_of_the_example = example(Watch.call, registry, "billing")
        await watch_of_the_example(watch)
    assert capsys.readouterr().out == "http://127.0.0.1:7/v1/invoices\n"
