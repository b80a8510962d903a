"""How one kind of objects is followed: ends, gaps, and versions that go back."""

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import pytest

from homeport.backends.kubernetes import KubernetesSettings, facts
from homeport.backends.kubernetes.api import Gone, KubernetesAPI, Listed
from homeport.backends.kubernetes.kinds import PODS
from homeport.backends.kubernetes.lease_clock import LeaseClock
from homeport.backends.kubernetes.mirror import Mirror
from homeport.backends.kubernetes.reflector import Reflector
from homeport.backends.kubernetes.settings import AnnotationKeys
from homeport.backends.kubernetes.shapes import EventOf, Pod, PodMetadata, PodStatus
from homeport.errors import BackendUnavailable, InvalidAnswer, PermissionDenied

LABEL = "app.kubernetes.io/name"


def pod(name: str, version: int, *, service: str = "api") -> Pod:
    metadata = PodMetadata(name=name, namespace="default", resource_version=str(version), labels={LABEL: service})
    return Pod(metadata=metadata, kind="Pod", status=PodStatus(pod_ip="10.1.0.1"))


def event(kind: str, name: str, version: int) -> EventOf[Pod]:
    return EventOf(kind, pod(name, version))


Step = Exception | Sequence[EventOf[Pod]] | None


class ScriptedAPI:
    """Lists and watches as told: each watch is a list of what it says; an exception in the place of one refuses it."""

    def __init__(self, lists: Sequence[Listed], watches: Sequence[Exception | Sequence[Step]]) -> None:
        self.settings = KubernetesSettings()
        self.url = "kubernetes://test"
        self.after: list[int] = []
        self.open = 0
        self._lists = list(lists)
        self._watches = list(watches)
        self.resource_version = KubernetesAPI.resource_version.__get__(self)

    def garbled(self, origin: str, error: Exception) -> InvalidAnswer:
        return InvalidAnswer(f"{origin}: {error}")

    async def list(self, *_: Any, **__: Any) -> Listed:
        return self._lists.pop(0)

    async def watch(self, *_: Any, after: int, **__: Any) -> Any:
        self.after.append(after)
        if not self._watches:
            raise PermissionDenied("the script is over")
        watch = self._watches.pop(0)
        if isinstance(watch, Exception):
            raise watch
        self.open += 1
        return ScriptedWatching(self, list(watch))


class ScriptedWatching:
    origin = "https://test"

    def __init__(self, api: ScriptedAPI, steps: list[Step]) -> None:
        self._api = api
        self._steps = steps

    async def next(self) -> Sequence[EventOf[Pod]] | None:
        await asyncio.sleep(0)
        step = self._steps.pop(0) if self._steps else None
        if isinstance(step, Exception):
            raise step
        return step

    def close(self) -> None:
        self._api.open -= 1


class Case:
    """A reflector of pods over a script."""

    def __init__(self, lists: Sequence[Listed], watches: Sequence[Exception | Sequence[Step]]) -> None:
        self.api = ScriptedAPI(lists, watches)
        self.mirror = Mirror(KubernetesSettings(), LeaseClock(), home="default")
        self.told: list[set[str]] = []
        self.confirmed = 0
        self.reflector = Reflector(
            cast(KubernetesAPI, self.api),
            self.mirror,
            PODS,
            "default",
            facts=facts.PodFacts,
            facts_of=lambda found: facts.pod_facts(found, AnnotationKeys()),
            told=self.told.append,
            confirmed=self._confirm,
        )

    def _confirm(self) -> None:
        self.confirmed += 1

    async def run(self, error: type[Exception] = PermissionDenied) -> str:
        """Follow to the end of the script; the text of the error."""
        await self.reflector.list()
        with pytest.raises(error) as caught:
            await self.reflector.follow()
        assert self.api.open == 0
        return str(caught.value)

    def ids(self) -> list[str]:
        return [one.id for one in self.mirror.instances("api")]


async def test_events_are_taken_over_and_watches_go_on_from_the_last_version() -> None:
    case = Case(
        [Listed((pod("a", 3),), 5)],
        [
            [[event("ADDED", "b", 7), event("MODIFIED", "a", 8)], [event("DELETED", "a", 9)]],
            [[event("BOOKMARK", "", 20)]],
            [],
        ],
    )
    await case.run()
    assert case.ids() == ["b"]
    assert case.api.after == [5, 9, 20, 20]
    assert case.told == [{"api"}, {"api"}, {"api"}]
    assert case.confirmed == case.reflector.rounds == 3


@pytest.mark.parametrize("watch", [Gone("too old"), [Gone("too old")], [[event("ADDED", "c", 6)], Gone("too old")]])
async def test_what_is_forgotten_is_listed_anew_and_only_differences_are_told(watch: Any) -> None:
    """As a refusal of the watch, and as an event of it."""
    case = Case([Listed((pod("a", 3), pod("b", 3)), 5), Listed((pod("b", 3), pod("c", 6)), 30)], [watch, []])
    await case.run()
    assert case.ids() == ["b", "c"]
    assert case.api.after == [5, 30, 30]
    assert case.told[-1] == {"api"}


async def test_an_equal_list_tells_nobody() -> None:
    case = Case([Listed((pod("a", 3),), 5), Listed((pod("a", 9),), 30)], [Gone("too old")])
    await case.run()
    assert case.told == [{"api"}]


async def test_versions_that_went_back_are_other_data() -> None:
    case = Case([Listed((pod("a", 3),), 5), Listed((), 4)], [Gone("too old")])
    assert "went back: the cluster lost its data" in await case.run(BackendUnavailable)
    assert case.ids() == ["a"]


async def test_a_server_that_ends_each_watch_at_once_is_not_asked_for_ever() -> None:
    case = Case([Listed((), 5)], [[]] * 100)
    assert "ends each watch of pods at once; try again." in await case.run(BackendUnavailable)
    assert len(case.api.after) == 4


async def test_an_event_without_a_version_is_no_event() -> None:
    broken = EventOf("ADDED", Pod(metadata=PodMetadata(name="a", resource_version="x"), kind="Pod"))
    case = Case([Listed((), 5)], [[[broken]]])
    assert '"x" is no resource version' in await case.run(InvalidAnswer)
