"""Which of the models in memory a State is made of, while others are still on their way."""

from typing import Any

import pytest

from serving.decide.state import Champion, LoadedRanker, State
from serving.following import lineup as lineup_module
from serving.following.lineup import Lineup, Loaded
from serving.following.plans import Key, Plan, Trialled, Wanted
from tests.serving.decide.fake import state

ONE, TWO, THREE = (Key("als", number) for number in "123")
OTHER = Key("trending", "1")


def loaded(key: Key, size: int = 1) -> Loaded:
    known = state({"a": 1.0}).champion
    assert known is not None
    return Loaded(Champion(key.name, key.version, known.model, known.columns), size)


def having(*keys: Key, plan: Plan) -> Lineup:
    return Lineup(plan, {key: loaded(key) for key in keys})


def names(champions: tuple[Any, ...]) -> list[Key]:
    return [Key(each.name, each.version) for each in champions]


def test_models_that_are_there_are_served_in_the_order_of_the_plan() -> None:
    made = having(OTHER, ONE, plan=Plan((Wanted(ONE), Wanted(OTHER)))).into(State())
    assert made.champion is not None
    assert names((made.champion, *made.sources)) == [ONE, OTHER]
    assert made.spare == ()


def test_until_a_new_champion_is_loaded_the_old_one_serves() -> None:
    lineup = having(ONE, plan=Plan((Wanted(ONE),)))
    before = lineup.into(State())
    lineup.plan = Plan((Wanted(TWO, (ONE,)),))
    assert lineup.missing() == [TWO]
    assert names((lineup.into(before).champion,)) == [ONE]
    lineup.models[TWO] = loaded(TWO)
    after = lineup.into(before)
    assert names((after.champion,)) == [TWO]
    assert names(after.spare) == [ONE]


def test_a_refused_champion_is_replaced_by_the_one_before_in_a_worker_that_served_nothing_yet() -> None:
    lineup = having(ONE, plan=Plan((Wanted(TWO, (ONE,)),)))
    assert lineup.into(State()).champion is None  # it may still come
    lineup.refused[TWO] = "broken"
    assert names((lineup.into(State()).champion,)) == [ONE]
    assert lineup.missing() == []


def test_a_model_whose_alias_was_taken_away_serves_no_more_and_stays_warm() -> None:
    lineup = having(ONE, OTHER, plan=Plan((Wanted(ONE), Wanted(OTHER))))
    before = lineup.into(State())
    lineup.plan = Plan((Wanted(OTHER),))
    after = lineup.into(before)
    assert names((after.champion,)) == [OTHER]
    assert names(after.spare) == [ONE]


def test_it_is_pending_only_while_a_champion_can_still_come() -> None:
    lineup = Lineup(Plan((Wanted(TWO, (ONE,)),)))
    assert lineup.pending
    lineup.refused |= {TWO: "broken", ONE: "broken"}
    assert not lineup.pending
    assert not Lineup().pending
    assert not having(ONE, plan=Plan((Wanted(TWO, (ONE,)),))).pending


def test_a_canary_stands_beside_its_champion_once_both_are_there() -> None:
    trial = Trialled(TWO, 0.1, 9)
    lineup = having(ONE, plan=Plan((Wanted(ONE),), canary=trial))
    assert lineup.into(State()).canary is None
    lineup.models[TWO] = loaded(TWO)
    canary = lineup.into(State()).canary
    assert canary is not None
    assert (canary.challenger.version, canary.share, canary.seed) == ("2", 0.1, "als:2:9")


def test_no_canary_stands_beside_itself() -> None:
    lineup = having(TWO, plan=Plan((Wanted(ONE, (TWO,)),), canary=Trialled(TWO, 0.1, 9, ungated=True)))
    lineup.refused[ONE] = "deleted"
    made = lineup.into(State())
    assert names((made.champion,)) == [TWO]
    assert made.canary is None


def test_the_ranker_goes_on_until_the_next_is_there() -> None:
    first, second = Key("ranker", "1"), Key("ranker", "2")
    model: Any = object()
    lineup = Lineup(Plan(ranker=Wanted(first)), {first: Loaded(LoadedRanker("1", model), 1)})
    before = lineup.into(State())
    assert before.ranker is not None
    lineup.plan = Plan(ranker=Wanted(second, (first,)))
    kept = lineup.into(before).ranker
    assert kept is not None
    assert kept.version == "1"
    lineup.models[second] = Loaded(LoadedRanker("2", model), 1)
    after = lineup.into(before).ranker
    assert after is not None
    assert after.version == "2"
    lineup.plan = Plan()
    assert lineup.into(before).ranker is None


def test_spare_models_are_let_go_for_want_of_room_and_the_way_back_never_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lineup_module, "SPARE_BYTES", 10)
    old, challenger = Key("als", "0"), Key("als", "9")
    lineup = Lineup(Plan((Wanted(TWO, (ONE,)),), warm=(ONE, challenger)))
    lineup.models = {key: loaded(key, 8) for key in (old, ONE, TWO, challenger)}
    lineup.into(State())
    assert lineup.let_go() == [old]  # nobody wants it
    assert lineup.let_go() == []
    monkeypatch.setattr(lineup_module, "SPARE_BYTES", 0)
    assert lineup.let_go() == [challenger]
    assert set(lineup.models) == {ONE, TWO}
    assert lineup.missing() == []  # it isn't fetched again and again
    lineup.plan = Plan((Wanted(challenger, (TWO,)),))
    assert lineup.missing() == [challenger]
