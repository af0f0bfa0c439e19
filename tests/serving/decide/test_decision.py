"""Whole decisions: what must hold of every slate, whatever is asked and whatever the rules are."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.items import Item
from serving.decide.actions import Action, Boost, Bury, Filter, Pin
from serving.decide.asked import Asked, Touch
from serving.decide.decision import Decision, decide, final_scores
from serving.decide.limits import Limits, Where
from serving.decide.pool import Candidate
from serving.decide.reasons import Because
from serving.decide.state import Policy, State
from tests.serving.decide.fake import asks, champion_of, shop, state

SCORES = {"a": 4.0, "b": 3.0, "c": 2.0, "d": 1.0}
SHOP = shop("a", "b", "c", "d", "e", "f")
HERO = Pin(name="hero", item_id="e", position=2)


def order(decision: Decision) -> str:
    """Item ids as one word."""
    return "".join(placed.item_id for placed in decision.slate)


def ruled(*actions: Action, made: State | None = None) -> State:
    """A state with these rules."""
    return replace(made or state(SCORES, SHOP), actions=actions)


ID = st.sampled_from([f"i{number}" for number in range(12)])
WEIGHTS = st.dictionaries(ID, st.floats(-1e6, 1e6, width=32), max_size=12)
CATEGORY = st.sampled_from(["", "x", "y"])
WHERE = st.builds(Where, categories=st.frozensets(CATEGORY, min_size=1, max_size=2)) | st.builds(
    Where, max_price=st.sampled_from([1.0, 2.0])
)
ACTIONS = st.lists(
    st.builds(Pin, name=st.just("pin"), item_id=ID, position=st.integers(1, 8))
    | st.builds(Boost, name=st.just("boost"), where=WHERE, places=st.integers(1, 5))
    | st.builds(Bury, name=st.just("bury"), where=WHERE)
    | st.builds(Filter, name=st.just("filter"), where=WHERE, show=st.sampled_from(["only", "without"])),
    max_size=4,
).map(tuple)
ITEMS = st.dictionaries(ID, st.tuples(CATEGORY, st.sampled_from([None, 1.0, 3.0]), st.booleans()), max_size=12)


@st.composite
def states(draw: st.DrawFn) -> State:
    """States of any models, catalogue, trends, rules and policy."""
    known = draw(st.none() | ITEMS)
    items = None
    if known is not None:
        items = {
            item_id: Item(item_id=item_id, category=category, price=price, in_stock=in_stock)
            for item_id, (category, price, in_stock) in known.items()
        }
    made = state(draw(st.none() | WEIGHTS.filter(bool)), items, draw(st.dictionaries(ID, st.integers(1, 10**7))))
    second = state(draw(WEIGHTS.filter(bool)), items)
    return replace(
        made,
        sources=(champion_of(second, "session_knn"),) if made.champion is not None and draw(st.booleans()) else (),
        actions=draw(ACTIONS),
        repeatable=frozenset(draw(st.sets(CATEGORY, max_size=1))),
        policy=Policy(draw(st.sampled_from([0.0, 0.05, 1.0])), draw(st.sampled_from([1.0, 0.3]))),
    )


@st.composite
def questions(draw: st.DrawFn) -> Asked:
    """Anything that a caller may ask of a slate for a customer."""
    viewed = draw(st.lists(ID, unique=True, max_size=6))
    return Asked(
        now=draw(st.integers(1, 10**12)),
        n=draw(st.integers(1, 15)),
        customer=draw(st.sampled_from(["", "a:1", "u:1"])),
        touches=tuple(Touch(item_id, 1.0, "Product Viewed") for item_id in viewed),
        bought=frozenset(draw(st.sets(ID, max_size=4))),
        limits=Limits(draw(st.just(Where()) | WHERE)),
        exclude=tuple(draw(st.sets(ID, max_size=4))),
        item_id=draw(st.none() | ID),
        listed=draw(st.dictionaries(ID, st.integers(1, 9), max_size=4)),
    )


def never(made: State, asked: Asked) -> set[str]:
    """What must not be shown, as the contract says it."""
    return {*asked.exclude, *(item_id for item_id in asked.bought if not made.is_repeatable(item_id))}


def permitted(made: State, asked: Asked) -> set[str]:
    """What the catalogue, the caller's filter and the rules' filters leave."""
    only = [rule.where for rule in made.actions if isinstance(rule, Filter) and rule.show == "only"]
    without = [rule.where for rule in made.actions if isinstance(rule, Filter) and rule.show == "without"]
    return {
        item_id
        for item_id, item in (made.catalogue or {}).items()
        if item.in_stock
        and asked.limits.where.holds(item)
        and all(where.holds(item) for where in only)
        and not any(where.holds(item) for where in without)
    }


@given(made=states(), asked=questions())
def test_every_slate_holds_what_the_contract_says(made: State, asked: Asked) -> None:
    decision = decide(made, asked)
    chosen = [placed.item_id for placed in decision.slate]
    assert len(chosen) == len(set(chosen)) <= asked.n
    assert [placed.rank for placed in decision.slate] == list(range(1, len(chosen) + 1))
    keys = [(-placed.score, placed.item_id) for placed in decision.slate]
    assert keys == sorted(keys)
    assert not set(chosen) & never(made, asked)
    assert all(placed.reasons for placed in decision.slate)
    if made.catalogue is not None:
        open_items = permitted(made, asked) - never(made, asked)
        assert set(chosen) <= open_items
        assert len(chosen) == min(asked.n, len(open_items))


@given(made=states(), asked=questions())
def test_the_same_question_to_the_same_state_gets_the_same_answer(made: State, asked: Asked) -> None:
    assert decide(made, asked) == decide(made, asked)


@given(made=states(), asked=questions())
def test_the_probability_of_every_place_is_that_of_the_policy_it_names(made: State, asked: Asked) -> None:
    decision, rate = decide(made, asked), made.policy.exploration
    left = list(decision.eligible)
    if rate == 0:
        assert (decision.policy, decision.seed, left) == ("greedy", 0, [])
    for placed in decision.slate:
        if placed.item_id not in left:
            assert placed.propensity == 1.0
            continue
        assert placed.propensity == pytest.approx(rate / len(left) + (1 - rate) * (placed.item_id == left[0]))
        left.remove(placed.item_id)


@given(made=states(), asked=questions(), position=st.integers(1, 15), item_id=ID)
def test_a_pinned_item_stays_pinned_and_what_must_not_be_shown_is_not_pinned_back(
    made: State, asked: Asked, position: int, item_id: str
) -> None:
    made = replace(made, actions=(*(r for r in made.actions if not isinstance(r, Pin)), Pin(
        name="hero", item_id=item_id, position=position)))  # fmt: skip
    slate = [placed.item_id for placed in decide(made, asked).slate]
    if item_id in never(made, asked) or (made.catalogue is not None and item_id not in permitted(made, asked)):
        assert item_id not in slate
    elif made.catalogue is not None and position <= asked.n:
        assert slate.index(item_id) == min(position, len(slate)) - 1


def test_a_pin_brings_an_item_in_at_its_position_with_the_rule_as_its_reason() -> None:
    decision = decide(ruled(HERO), asks("a", n=3))
    assert order(decision) == "bec"
    assert decision.slate[1].reasons == (Because("rule", rule="hero"),)
    assert decision.slate[1].source == "rules"
    assert order(decide(ruled(HERO), asks("a", n=3, exclude=("e",)))) == "bcd"


def test_a_pin_beyond_the_slate_changes_nothing() -> None:
    made = ruled(Pin(name="late", item_id="a", position=2), made=state({"a": 1.0}, shop("a")))
    decision = decide(made, asks(n=1))
    assert order(decision) == "a"
    assert [because.kind for because in decision.slate[0].reasons] == ["popular"]


def test_boosted_items_move_up_and_buried_ones_to_the_end() -> None:
    sale = Boost(name="sale", where=Where(item_ids=frozenset({"d"})), places=2)
    decision = decide(ruled(sale), asks("f", n=4))
    assert order(decision) == "adbc"
    assert decision.slate[1].reasons == (Because("popular"), Because("rule", rule="sale"))
    old = Bury(name="old", where=Where(item_ids=frozenset({"a", "b"})))
    assert order(decide(ruled(old), asks("d", n=3))) == "cab"


def test_an_action_holds_where_and_when_it_says() -> None:
    home = Pin(name="hero", item_id="e", position=1, placements=frozenset({"home"}))
    assert order(decide(ruled(home), asks(n=1, placement="home"))) == "e"
    assert order(decide(ruled(home), asks(n=1))) == "a"


def test_likeness_and_a_given_list_are_decided_without_a_draw() -> None:
    made = replace(state(SCORES, SHOP), policy=Policy(exploration=1.0))
    like = decide(made, asks(n=2, alike="a"))
    assert (order(like), like.policy, like.eligible) == ("bc", "greedy", ())
    given_items = decide(ruled(HERO, made=made), asks(n=3, item_ids=("d", "a", "zz")))
    assert [placed.item_id for placed in given_items.slate] == ["a", "d", "zz"]
    assert given_items.policy == "greedy"


def test_items_that_no_model_has_met_may_be_drawn() -> None:
    made = replace(state(dict.fromkeys("abcd", 1.0), SHOP), policy=Policy(exploration=0.5))
    decision = decide(made, asks(n=1))
    assert decision.eligible == ("a", "b", "c", "d", "f", "e")


def test_a_decision_says_which_model_was_asked_first_and_which_version_each_item_is_from() -> None:
    sessions = replace(champion_of(state({"a": 1.0, "d": 1.0}, SHOP), "session_knn"), version="3")
    decision = decide(replace(state(SCORES, SHOP), sources=(sessions,), variant="canary"), asks("d", n=3))
    assert decision.champion == ("session_knn", "3")
    assert [(placed.source, placed.version) for placed in decision.slate] == [
        ("session_knn", "3"),
        ("known", "7"),
        ("known", "7"),
    ]
    assert decision.variant == "canary"


def test_without_a_model_the_decision_says_so() -> None:
    decision = decide(state(catalogue=SHOP), asks(n=2))
    assert (order(decision), decision.champion, decision.degraded) == ("ab", None, ("model",))
    assert decide(State(), asks()).slate == ()
    assert decide(State(), asks(alike="a")).slate == ()


def test_a_trace_is_kept_only_where_it_is_asked_for() -> None:
    made = replace(ruled(HERO), policy=Policy(exploration=0.5))
    assert decide(made, asks("a")).trace is None
    trace = decide(made, asks("a", n=2, as_of=400, explain=True)).trace
    assert trace is not None
    assert trace["models"] == [{"name": "known", "version": "7"}]
    assert (trace["rules"], trace["seen"], trace["never"]) == (["hero"], ["a"], [])
    assert trace["features_age_ms"] == 600
    assert list(trace["stages"]) == ["candidates", "ranker", "diversity", "rotation", "actions"]
    assert [each["item_id"] for each in trace["stages"]["candidates"]] == ["b", "c", "d"]
    assert trace["stages"]["candidates"][0] == {"item_id": "b", "score": 3.0, "source": "known"}
    assert len(trace["drawn"]) == 2


def scored(*pairs: tuple[str, float]) -> list[float]:
    """Final scores of candidates of these ids and scores."""
    return final_scores([Candidate(item_id, score, "known") for item_id, score in pairs])


def test_an_item_that_was_moved_has_the_score_of_its_place() -> None:
    assert scored(("a", 3.0), ("b", 2.0)) == [3.0, 2.0]
    assert scored(("z", 1.0), ("a", 3.0), ("b", 2.0)) == [3.0, 2.0, 1.0]


def test_equal_scores_in_another_order_than_by_id_differ_by_as_little_as_can_be() -> None:
    first, second, third = scored(("c", 1.0), ("b", 1.0), ("a", 1.0))
    assert first > second > third == 1.0
    assert first - third < 1e-12
    assert scored(("a", 1.0), ("b", 1.0)) == [1.0, 1.0]
