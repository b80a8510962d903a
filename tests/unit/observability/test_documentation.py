"""The table of the documentation is the catalogue."""

import re
from pathlib import Path

from homeport.client.measures import MEASURES

METRICS = Path(__file__).parents[3] / "docs" / "metrics.md"
ROW = re.compile(r"^\| `(?P<name>\w+)` \| (?P<kind>\w+) \| (?P<labels>[^|]*) \|", re.MULTILINE)


def test_every_measure_is_documented_with_its_kind_and_labels() -> None:
    documented = {
        row["name"]: (row["kind"], tuple(re.findall(r"`(\w+)`", row["labels"])))
        for row in ROW.finditer(METRICS.read_text(encoding="utf-8"))
    }
    shown = {"age": "gauge"}
    assert documented == {measure.name: (shown.get(measure.kind, measure.kind), measure.labels) for measure in MEASURES}
