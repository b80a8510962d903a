"""Why there is nothing to call, in a sentence."""

from __future__ import annotations

from homeport.errors import NoInstances
from homeport.model import Query


def no_instances(query: Query, *, backend: str, known: int, matching: int, passing: int = 0) -> NoInstances:
    """The error for a query without an answer.

    ``known`` counts the instances of the service, ``matching`` those of them that are as asked, whatever their health,
    ``passing`` those that could be called if the balancer wanted to.
    """
    name = query.service
    if passing:
        text = f'"{name}" has {_count(passing)} on {backend}, but the balancer would call none of them.'
    elif known == 0:
        text = f'"{name}" has no instances on {backend}.'
    elif matching == 0:
        text = f'"{name}" has {_count(known)} on {backend}, none with {_wishes(query)}.'
    elif matching == 1:
        text = f'"{name}" has 1 instance, which is not passing; "homeport describe {name}" says why.'
    else:
        text = f'"{name}" has {matching} instances, none passing; "homeport describe {name}" says why.'
    return NoInstances(text, service=name, registered=matching, backend=backend)


def _count(number: int) -> str:
    return "1 instance" if number == 1 else f"{number} instances"


def _wishes(query: Query) -> str:
    wishes = [f'the tag "{tag}"' for tag in query.tags]
    if query.version:
        wishes.append(f"a version {query.version}")
    if query.environment:
        wishes.append(f'the environment "{query.environment}"')
    wishes += [f'the metadata {key}="{value}"' for key, value in query.meta.items()]
    return " and ".join(wishes) or "that"
