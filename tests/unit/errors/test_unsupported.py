"""What is said where a backend cannot, and who can."""

import pickle
from collections.abc import Sequence

import pytest

from homeport import abilities
from homeport.backends.opening import backend_names, open_backend
from homeport.errors import PermissionDenied, Unsupported
from homeport.spi import Backend, Discoverer, HealthReporter, KeyValue, Registrar


@pytest.mark.parametrize(
    ("instead", "able", "text"),
    [
        ("", (), "it cannot"),
        ("wait", (), "it cannot; wait"),
        ("", ("homeport",), "it cannot; use a Homeport registry (homeport://)"),
        ("", ("consul", "etcd"), "it cannot; use Consul (consul://) or etcd (etcd://)"),
        (
            "wait", ("dns", "static", "eureka"),
            "it cannot; wait, or use DNS (dns://), a file (static://) or Eureka (eureka://)",
        ),
        ("", ("yours",), "it cannot; use yours://"),
    ],
)  # fmt: skip
def test_the_sentence_is_made_of_who_can(instead: str, able: Sequence[str], text: str) -> None:
    error = Unsupported("it cannot", backend="x://", instead=instead, able=able)
    assert (str(error), error.able, error.backend) == (text, tuple(able), "x://")
    for same in (error.copied(), pickle.loads(pickle.dumps(error))):
        assert (str(same), same.able, same.backend) == (text, tuple(able), "x://")


def test_a_denial_keeps_what_it_says_of_the_credentials() -> None:
    assert PermissionDenied("no", unauthenticated=True).copied().unauthenticated
    assert not PermissionDenied("no").unauthenticated


@pytest.fixture(scope="module")
def backends() -> dict[str, Backend]:
    """One of each kind; nothing is connected."""
    urls = {"kubernetes": "kubernetes://x/y", "static": "static:///x.yaml"}
    return {one: open_backend(urls.get(one, f"{one}://"), {}) for one in abilities.FINDING}


@pytest.mark.parametrize(
    ("kind", "able"),
    [
        (Discoverer, abilities.FINDING),
        (Registrar, abilities.REGISTERING),
        (HealthReporter, abilities.CHECKS),
        (KeyValue, ("homeport", *abilities.KEYS)),  # it is Consul's class, and refuses when it is asked
    ],
)
def test_those_that_are_named_are_those_that_can(
    kind: type[Backend], able: Sequence[str], backends: dict[str, Backend]
) -> None:
    assert sorted(able) == sorted(name for name, backend in backends.items() if isinstance(backend, kind))


def test_every_backend_that_comes_along_is_told_of() -> None:
    assert set(backend_names()) == {*abilities.FINDING, "embedded"}
