"""Single answers instead of a cache, for who switched it off."""

from __future__ import annotations

from collections.abc import Callable

from homeport.errors import NotReady

from .ledger import Belief
from .resilience.traffic import Traffic
from .subject import Listener, Subject


class Answer:
    """The last answer about a service. It follows nothing and asks nobody; it is held for the balancer alone."""

    def __init__(self, service: str, *, traffic: Traffic, unused_for: float) -> None:
        self.service = service
        self.traffic = traffic
        self.belief: Belief | None = None
        self._unused_for = unused_for
        self._listeners: list[Listener] = []

    @property
    def up_to_date(self) -> bool:
        """Whether nothing has to be asked for: whoever wants news brings it by `take`."""
        return True

    @property
    def used(self) -> bool:
        """Whether anybody listens."""
        return bool(self._listeners)

    def listen(self, listener: Listener) -> None:
        """Tell ``listener`` about every new answer from now on."""
        self._listeners.append(listener)

    def leave(self, listener: Listener) -> None:
        """Tell ``listener`` nothing more."""
        self._listeners.remove(listener)

    def take(self, belief: Belief) -> None:
        """Take in a new answer."""
        self.belief = belief
        self.traffic.table.retain(belief.instances, unused_for=self._unused_for)
        for listener in tuple(self._listeners):
            listener.believe(belief)

    async def first(self) -> Belief:
        """The answer.

        Raises:
            NotReady: there was none yet.
        """
        if self.belief is None:
            raise NotReady(f'"{self.service}" was not asked for yet')
        return self.belief

    async def settle(self) -> None:
        """Nothing is to be waited for."""


class Answers:
    """One `Answer` for each datacenter and service whose instances a balancer chooses from."""

    def __init__(self, url: str, *, traffic: Callable[[str, str], Traffic], unused_for: float) -> None:
        self.url = url
        self._traffic = traffic
        self._unused_for = unused_for
        self._answers: dict[tuple[str, str], Answer] = {}

    def share(self, service: str, datacenter: str) -> Answer:
        """The answer of a service, made if there is none."""
        answer = self._answers.get((datacenter, service))
        if answer is None:
            answer = self._answers[datacenter, service] = Answer(
                service, traffic=self._traffic(service, datacenter), unused_for=self._unused_for
            )
        return answer

    def known(self, service: str, datacenter: str) -> Answer | None:
        """The answer of a service, if there is one."""
        return self._answers.get((datacenter, service))

    async def give_back(self, subject: Subject) -> None:
        """Forget an answer that nobody listens to any more."""
        for key, known in tuple(self._answers.items()):
            if known is subject and not known.used:
                del self._answers[key]
