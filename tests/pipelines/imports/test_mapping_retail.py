"""Online Retail becomes events: every row accounted for, in little memory, with a category for most of its lines."""

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from pipelines.imports.cells import read_rules
from pipelines.imports.columns import PRESETS, mapping_from
from pipelines.imports.lines import Refused
from pipelines.imports.mapping import SetAside, events_from
from pipelines.imports.rows import Rows

NOW = 1_900_000_000_000
DATA = Path(__file__).parents[4] / "shared" / "data"
RETAIL = DATA / "online_retail.csv.gz"
needs_retail = pytest.mark.skipif(not RETAIL.exists(), reason="needs ../shared/data/online_retail.csv.gz")


def _memory(line: str) -> int:
    """KiB of a line of /proc/self/status."""
    found = re.search(rf"^{line}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1])


@needs_retail
@pytest.mark.slow
def test_online_retail_imports_with_every_row_accounted_for() -> None:
    counts: Counter[str] = Counter()
    ids = set()
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew: earlier tests' memory is not the import's
    before = _memory("VmHWM")
    with Rows(RETAIL) as rows:
        for made in events_from(rows, mapping_from(preset="online-retail"), NOW):
            if isinstance(made, SetAside):
                counts[made.reason] += 1
            elif isinstance(made, Refused):
                counts["refused"] += made.rows
            else:
                properties = json.loads(made.raw)["properties"]
                ids.add(made.event.message_id)
                counts[made.event.name] += 1
                counts["charges"] += len(properties.get("charges", ()))
                counts["lines"] += len(properties["products"])
                counts["other"] += sum(line.get("category", "other") == "other" for line in properties["products"])
        assert rows.position == rows.size
    assert counts["lines"] + counts["charges"] + counts["no customer"] + counts["refused"] == 541_909
    assert (counts["no customer"], counts["refused"], counts["charges"]) == (135_080, 0, 1_916)
    assert (counts["Order Completed"], counts["Order Refunded"]) == (18_536, 3_654)
    assert len(ids) == 18_536 + 3_654  # one event per invoice, though one of them isn't contiguous
    assert counts["other"] < 0.15 * counts["lines"]
    assert _memory("VmHWM") - before < 200 * 1024


def test_the_gift_shops_table_has_no_keyword_that_an_earlier_one_hides() -> None:
    rules = read_rules(PRESETS / "gift-shop-categories.csv")
    assert 12 <= len({category for _, category in rules}) <= 20
    for place, (keyword, _) in enumerate(rules):
        assert not any(earlier in keyword for earlier, _ in rules[:place]), keyword
