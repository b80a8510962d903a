"""The blocking API against the asynchronous one: whatever is added to one and not to the other fails here."""

import inspect
import re
from collections.abc import Callable, Iterator

import pytest

import homeport
import homeport.blocking
import homeport.client.discovery
import homeport.client.registration
import homeport.client.watch

PAIRS = [
    (homeport.Discovery, homeport.blocking.Discovery),
    (homeport.Watch, homeport.blocking.Watch),
    (homeport.Registration, homeport.blocking.Registration),
    (homeport.ConfiguredDiscovery, homeport.blocking.ConfiguredDiscovery),
]

RENAMED = {"aclose": "close", "__aenter__": "__enter__", "__aexit__": "__exit__", "__aiter__": "__iter__"}

# What the parts of the asynchronous API need of each other, and nobody else does.
OF_REGISTRATIONS = {name for name in vars(homeport.client.registration.Owner) if not name.startswith("_")}
INNER = {
    "Discovery": OF_REGISTRATIONS | {"reports"},
    "Watch": {
        "begin",  # a blocking watch has begun
        "believe",  # of its upstream
        "used",  # of the implicit watches
    },
    "Registration": {
        "begin",  # a blocking registration has begun
    },
    "ConfiguredDiscovery": {"completed", "host_ip", "services_of"},  # of registrations and of the agent
}
# What a blocking object has beside that: of its process and of its other parts.
EXTRA = {
    "Discovery": {"forked", "forget_closed"},
    "Watch": {"keep_in_use", "left_behind"},
    "Registration": {"begin", "aclose", "stood", "left_behind"},
    "ConfiguredDiscovery": set(),
}
# What the constructor of the asynchronous one sets is public too.
ATTRIBUTES = {"Watch": {"query"}}
CONSTRUCTORS = {
    "Discovery.__init__": (homeport.Discovery.__init__, homeport.blocking.Discovery.__init__),
    "ConfiguredDiscovery.__init__": (
        homeport.ConfiguredDiscovery.__init__,
        homeport.blocking.ConfiguredDiscovery.__init__,
    ),
    "configured": (homeport.configured, homeport.blocking.configured),
}
DUNDERS = {"__aenter__", "__aexit__", "__aiter__", "__enter__", "__exit__", "__iter__"}


def public(owner: type) -> set[str]:
    return {name for name in vars(owner) if not name.startswith("_") or name in DUNDERS} - INNER[owner.__name__]


def members() -> Iterator[tuple[str, object, object]]:
    for ours, twin in PAIRS:
        for name in sorted(public(ours)):
            yield f"{ours.__name__}.{name}", vars(ours)[name], vars(twin).get(RENAMED.get(name, name))
        yield f"{ours.__name__}.__doc__", ours, twin


MEMBERS = {name: (ours, twin) for name, ours, twin in members()}
FUNCTIONS = {name: pair for name, pair in MEMBERS.items() if inspect.isfunction(pair[0])}


def function(member: object) -> Callable[..., object]:
    found = member.fget if isinstance(member, property) else member
    assert callable(found)
    return found


def raised(member: object) -> set[str]:
    """The exceptions of the Raises section of a docstring."""
    _, _, section = (inspect.getdoc(member) or "").partition("Raises:\n")
    return set(re.findall(r"^ {4}(\w+):", section, re.MULTILINE))


def blocking_form(annotation: object) -> str:
    """An annotation of the asynchronous API as it is to be in the blocking one."""
    text = str(annotation)
    text = re.sub(r"Awaitable\[(\w+)\]", r"\1", text)
    return text.replace("AsyncIterator", "Iterator")


def test_both_packages_have_the_same_names() -> None:
    assert homeport.blocking.__all__ == homeport.__all__


@pytest.mark.parametrize("name", homeport.__all__)
def test_a_name_means_the_same_in_both_packages_unless_it_waits(name: str) -> None:
    ours, twin = getattr(homeport, name), getattr(homeport.blocking, name)
    own = {pair[0].__name__ for pair in PAIRS} | {"configured"}
    assert (twin is ours) == (name not in own)


@pytest.mark.parametrize(("ours", "twin"), PAIRS)
def test_the_twin_has_every_public_name_and_no_other(ours: type, twin: type) -> None:
    wanted = {RENAMED.get(name, name) for name in public(ours)} | ATTRIBUTES.get(ours.__name__, set())
    has = {name for name in vars(twin) if not name.startswith("_") or name in DUNDERS}
    assert has >= wanted
    assert has - wanted <= EXTRA[twin.__name__]


def test_a_new_name_of_the_asynchronous_api_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(homeport.Discovery, "catalogue", lambda _self: None, raising=False)
    with pytest.raises(AssertionError):
        test_the_twin_has_every_public_name_and_no_other(homeport.Discovery, homeport.blocking.Discovery)


@pytest.mark.parametrize("name", [*FUNCTIONS, *CONSTRUCTORS])
def test_parameters_are_the_same(name: str) -> None:
    ours, twin = FUNCTIONS.get(name) or CONSTRUCTORS[name]
    expected = inspect.signature(function(ours))
    found = inspect.signature(function(twin))
    assert list(found.parameters) == list(expected.parameters)
    for parameter, wanted in expected.parameters.items():
        has = found.parameters[parameter]
        assert (has.kind, has.default) == (wanted.kind, wanted.default), parameter
        assert str(has.annotation) == blocking_form(wanted.annotation), parameter
    assert str(found.return_annotation) == blocking_form(expected.return_annotation)


@pytest.mark.parametrize("name", [name for name, pair in MEMBERS.items() if isinstance(pair[0], property)])
def test_properties_are_the_same(name: str) -> None:
    ours, twin = MEMBERS[name]
    assert isinstance(twin, property)
    assert inspect.signature(function(twin)).return_annotation == inspect.signature(function(ours)).return_annotation


@pytest.mark.parametrize("name", list(MEMBERS))
def test_the_same_exceptions_are_documented(name: str) -> None:
    ours, twin = MEMBERS[name]
    # What an awaitable raises when it is awaited, the twin raises at once; and what is not begun does not exist.
    at_once = {"Discovery.watch", "Discovery.register"}
    wanted = raised(ours) | ({"HomeportError"} if name in at_once else set())
    not_begun = set() if name.startswith("Discovery.") else {"NotReady"}
    assert raised(twin) == wanted - not_begun


@pytest.mark.parametrize("name", list(MEMBERS))
def test_what_is_documented_in_one_is_documented_in_the_other(name: str) -> None:
    ours, twin = MEMBERS[name]
    assert bool(inspect.getdoc(ours)) == bool(inspect.getdoc(twin))


def test_nothing_of_the_blocking_api_is_to_be_awaited() -> None:
    inner = {"Registration.aclose", "Registration.stood"}
    for _, twin in PAIRS:
        for name, member in vars(twin).items():
            if not name.startswith("_") and f"{twin.__name__}.{name}" not in inner:
                assert not inspect.iscoroutinefunction(member), name
                assert not inspect.isasyncgenfunction(member), name
