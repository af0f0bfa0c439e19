"""Every item has a reason."""

import pytest

from serving.decide.asked import Touch
from serving.decide.pool import Candidate
from serving.decide.question import question
from serving.decide.reasons import Because, reasons
from tests.serving.decide.fake import asks, shop, state

MADE = state({"a": 2.0, "b": 1.0}, shop("a", "b", "c"))


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        ("Product Viewed", "because_you_viewed"),
        ("Product Added", "because_you_added"),
        ("Product Added to Wishlist", "because_you_added"),
        ("Order Completed", "because_you_bought"),
    ],
)
def test_an_item_of_a_model_is_there_because_of_what_the_customer_did(event: str, kind: str) -> None:
    asked = question(MADE, asks(touches=(Touch("c", 1.0, "Product Viewed"), Touch("a", 1.0, event))))
    assert reasons(asked, [Candidate("b", 1.0, "known")]) == [(Because(kind, "a"),)]


@pytest.mark.parametrize(
    ("candidate", "expected"),
    [
        (Candidate("b", 1.0, "known", "a"), Because("similar_to", "a")),
        (Candidate("b", 1.0, "known"), Because("popular")),
        (Candidate("b", 1.0, "trending"), Because("trending")),
        (Candidate("b", 1.0, "new"), Because("new")),
        (Candidate("b", 1.0, "catalogue"), Because("popular")),
    ],
)
def test_without_a_history_the_source_is_the_reason(candidate: Candidate, expected: Because) -> None:
    assert reasons(question(MADE, asks()), [candidate]) == [(expected,)]


def test_rules_that_moved_an_item_are_named_and_are_the_only_reason_of_what_they_brought() -> None:
    asked = question(MADE, asks("a"))
    slate = [Candidate("c", 1.0, "rules", rules=("hero",), pinned=1), Candidate("b", 1.0, "known", rules=("sale",))]
    assert reasons(asked, slate) == [
        (Because("rule", rule="hero"),),
        (Because("because_you_viewed", "a"), Because("rule", rule="sale")),
    ]
