"""What a scrape of Prometheus would get."""

import asyncio
from collections.abc import Callable

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]

PATIENCE = 60.0
INTERVAL = 0.02


def samples(registry: CollectorRegistry) -> Samples:
    """Every sample, by its name and labels."""
    text = generate_latest(registry).decode()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def sample(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    """The value of one sample, None if there is none."""
    return samples(registry).get((name, frozenset(labels.items())))


async def scraped(registry: CollectorRegistry, condition: Callable[[float], bool], name: str, **labels: str) -> float:
    """Scrape until a sample is as wanted; its value. `TimeoutError` if it never is."""
    async with asyncio.timeout(PATIENCE):
        while True:
            value = sample(registry, name, **labels)
            if value is not None and condition(value):
                return value
            await asyncio.sleep(INTERVAL)
