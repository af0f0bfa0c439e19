"""Whatever an answer may have had to do without is told: on the page, and to whoever operates it."""

import re
from pathlib import Path

import pytest

from serving.decide.decision import STAGES

ROOT = Path(__file__).parent.parent.parent
# Of the engine, of the decision without a model, of the loops that follow, and of the stages.
VALUES = {"profile", "after", "model", "catalogue", "trending", "registry", *(name for name, _ in STAGES)}


def test_every_loop_that_may_lose_its_source_is_among_them() -> None:
    follower = (ROOT / "serving/following/follower.py").read_text()
    assert set(re.findall(r'\("(\w+)", \w+_S, self\.', follower)) <= VALUES
    engine = (ROOT / "serving/engine.py").read_text()
    assert set(re.findall(r'degraded\.add\("(\w+)"\)', engine)) <= VALUES


@pytest.mark.parametrize("value", sorted(VALUES))
def test_the_page_has_words_for_it(value: str) -> None:
    assert re.search(rf'^  {value}: "[A-Z][^"]{{20,}}\.",$', (ROOT / "serving/web/shop.js").read_text(), re.MULTILINE)


@pytest.mark.parametrize("value", sorted(VALUES))
def test_operators_are_told_of_it(value: str) -> None:
    told = (ROOT / "docs/operating.md").read_text()
    table = told[told.index("## While something is away") : told.index("## Overload")]
    assert f"`{value}`" in table
