"""A shadow decides a sample again once the answer is out, and is compared; nobody sees it."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from serving import shadow as shadow_module
from serving.decide.asked import Asked
from serving.decide.decision import decide
from serving.decide.state import State
from serving.engine import Served
from serving.shadow import EVERY, Shadow
from tests.serving.decide.fake import shop, state

ITEMS = shop("a", "b", "c", "d")


def shadowed() -> State:
    """A champion that shows a and b, and a shadow that shows b and c."""
    made = state({"a": 4.0, "b": 3.0, "c": 2.0, "d": 1.0}, ITEMS)
    other = state({"a": 1.0, "b": 4.0, "c": 3.0, "d": 2.0}, ITEMS).champion
    assert other is not None
    return replace(made, shadow=replace(other, version="9"), shadow_trial="shadow:known:9:5")


def served(made: State) -> Served:
    asked = Asked(now=0, n=2, customer="u:1")
    return Served("r", "1", None, made, asked, decide(made, asked), ())


def counted(made: State, answers: int, wait: Callable[[], float] = lambda: 0.05) -> dict[str, Counter[str]]:
    """What is counted of so many answers, one after the other."""
    counts: dict[str, Counter[str]] = {}

    async def take() -> None:
        shadow = Shadow(lambda trial: counts.setdefault(trial, Counter()))
        for _ in range(answers):
            shadow.take(served(made))
            await asyncio.sleep(0)
        await asyncio.sleep(wait())

    asyncio.run(take())
    return counts


def test_one_of_ten_answers_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shadow_module, "DELAY_S", 0)
    found = counted(shadowed(), 3 * EVERY)
    ((trial, counts),) = found.items()
    assert trial == "shadow:known:9:5"
    assert counts["shadow:answers"] == 3
    assert (counts["shadow:items"], counts["shadow:shared"]) == (6, 3)  # b of a and b
    assert sum(count for field, count in counts.items() if field.startswith("shadow:ms")) == 3


def test_without_a_shadow_nothing_is_decided_again() -> None:
    assert counted(state({"a": 1.0}, ITEMS), EVERY) == {}


def test_only_one_comparison_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shadow_module, "DELAY_S", 0.5)
    assert counted(shadowed(), 3 * EVERY, lambda: 1.0)["shadow:known:9:5"]["shadow:answers"] == 1


def test_a_shadow_that_fails_is_counted_and_costs_nobody_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    made = shadowed()
    answer = served(made)

    def fails(*_: Any) -> None:
        raise IndexError("no such row")

    monkeypatch.setattr(shadow_module, "decide", fails)
    counts: dict[str, Counter[str]] = {}

    async def take() -> None:
        shadow = Shadow(lambda trial: counts.setdefault(trial, Counter()))
        for _ in range(EVERY):
            shadow.take(answer)
        await asyncio.sleep(0.05)

    asyncio.run(take())
    assert counts["shadow:known:9:5"]["shadow:errors"] == 1
