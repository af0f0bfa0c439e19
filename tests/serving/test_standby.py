"""A model that fails on a request costs the customer the model, never the slate."""

import logging

import pytest

from serving.decide.asked import Asked, Touch
from serving.decide.decision import decide
from serving.decide.state import State
from serving.metrics import MODELS_FAILED
from serving.standby import Standby
from tests.serving.decide.fake import shop, state

SHOP = shop("a", "b", "c", category="x", price=2.0)
ASKED = Asked(now=1_767_225_600_000, n=3, touches=(Touch("b", 1.0, "Product Viewed"),))


def broken() -> State:
    """A champion whose every answer is an error, and a list of what trends."""
    made = state({"a": 3.0}, SHOP, {"c": 7.0})
    assert made.champion is not None

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("the ranker is broken")

    made.champion.model.recommend_one = fail  # type: ignore[method-assign, assignment]
    return made


def test_a_model_that_works_is_asked_and_nothing_is_missing() -> None:
    made = state({"a": 3.0}, SHOP, {"c": 7.0})
    found, decision = Standby().decide(made, ASKED)
    assert found is made
    assert decision == decide(made, ASKED)
    assert decision.degraded == ()


def test_where_it_fails_the_slate_is_what_trends_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    before = MODELS_FAILED.labels("known")._value.get()
    standby, made = Standby(), broken()
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            found, decision = standby.decide(made, ASKED)
    assert found.champion is None
    assert decision.slate[0].item_id == "c"
    assert decision.champion is None
    assert decision.degraded == ("ranker",)
    assert MODELS_FAILED.labels("known")._value.get() == before + 3
    assert len(caplog.records) == 1


def test_without_a_model_there_is_nothing_to_fail() -> None:
    assert Standby().decide(State(), ASKED)[1].degraded == ("model",)
