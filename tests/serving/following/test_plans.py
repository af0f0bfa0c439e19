"""What aliases and tags mean: a pure function, so each case is a line."""

import msgspec
import pytest

from models.registry import CANARY, CHALLENGER, CHAMPION, SHADOW, Record, Standing, Trial
from serving.following.plans import PROBATION, Key, Plan, Shadowed, Trialled, Wanted, Watched, plan


def standing(name: str = "als", record: Record | None = None, trial: Trial | None = None, **aliases: str) -> Standing:
    tags = {} if record is None else {"kindred.champion": msgspec.json.encode(record).decode()}
    tags |= {} if trial is None else {"kindred.canary": msgspec.json.encode(trial).decode()}
    return Standing(name, aliases, tags)


def planned(*standings: Standing, require_gates: bool = False) -> Plan:
    return plan({each.name: each for each in standings}, ("blend", "als", "trending"), require_gates)


SECOND = Record(version="2", previous="1")


def test_without_models_or_champions_nothing_is_wanted() -> None:
    assert planned() == Plan()
    assert planned(standing(challenger="3")) == Plan()


def test_models_serve_in_the_order_of_the_settings() -> None:
    one = Record(version="1")
    found = planned(standing("trending", one, champion="1"), standing("als", one, champion="1"))
    assert [wanted.champion.name for wanted in found.champions] == ["als", "trending"]


def test_a_champion_comes_with_the_one_before_it_kept_warm_and_its_challenger() -> None:
    found = planned(standing(record=SECOND, champion="2", challenger="3"))
    assert found.champions == (Wanted(Key("als", "2"), (Key("als", "1"),)),)
    assert found.warm == (Key("als", "1"), Key("als", "3"))
    assert found.urgent == (Key("als", "2"),)
    assert found.ungated == ()


@pytest.mark.parametrize("champion", ["1", "2"])
def test_a_move_that_is_half_done_is_none_by_hand(champion: str) -> None:
    found = planned(standing(record=SECOND, champion=champion))
    assert found.champions[0].champion == Key("als", champion)
    assert found.canary is None
    assert found.ungated == ()


def test_a_champion_set_by_hand_stands_beside_the_last_one_as_a_canary() -> None:
    found = planned(standing(record=SECOND, champion="7"))
    assert found.champions == (Wanted(Key("als", "2"), (Key("als", "7"),)),)
    assert found.canary == Trialled(Key("als", "7"), PROBATION, 0, ungated=True)
    assert found.ungated == (Key("als", "7"),)
    assert found.held == ()


def test_a_champion_set_by_hand_is_held_back_where_gates_are_required() -> None:
    found = planned(standing(record=SECOND, champion="7"), require_gates=True)
    assert found.champions == (Wanted(Key("als", "2"), (Key("als", "1"),)),)
    assert found.canary is None
    assert found.held == (Key("als", "7"),)


def test_the_first_champion_ever_set_by_hand_serves_at_once_unless_gates_are_required() -> None:
    found = planned(standing(champion="1"))
    assert (found.champions, found.canary, found.ungated) == ((Wanted(Key("als", "1")),), None, (Key("als", "1"),))
    assert planned(standing(champion="1"), require_gates=True).champions == ()


def test_a_champion_that_was_accepted_without_gates_stays_marked() -> None:
    found = planned(standing(record=Record(version="7", previous="2", gated=False), champion="7"))
    assert found.champions[0].champion == Key("als", "7")
    assert found.canary is None
    assert found.ungated == (Key("als", "7"),)


def test_a_record_that_somebody_edited_counts_as_none() -> None:
    odd = Standing("als", {CHAMPION: "1"}, {"kindred.champion": "not json"})
    assert planned(odd).ungated == (Key("als", "1"),)


def test_a_canary_and_a_shadow_are_those_of_the_first_model_that_has_one() -> None:
    trial = Trial(version="5", share=0.2, at=9)
    als = standing(record=SECOND, trial=trial, champion="2", canary="5", shadow="6")
    blend = standing("blend", Record(version="1"), champion="1")
    other = standing("trending", Record(version="1"), champion="1", canary="2", shadow="3")
    found = planned(blend, als, other)
    assert found.canary == Trialled(Key("als", "5"), 0.2, 9)
    assert found.shadow == Shadowed(Key("als", "6"), 0)  # by hand, so nothing says since when
    assert found.urgent[-2:] == (Key("als", "5"), Key("als", "6"))


def test_a_canary_that_is_champion_by_now_is_none() -> None:
    assert planned(standing(record=SECOND, champion="2", canary="2")).canary is None


def test_the_ranker_is_wanted_beside_the_models_of_slates() -> None:
    found = planned(standing("ranker", Record(version="4", previous="3"), champion="4"))
    assert found.ranker == Wanted(Key("ranker", "4"), (Key("ranker", "3"),))
    assert found.champions == ()


def test_the_aliases_are_spelled_as_the_contract_has_them() -> None:
    assert (CHAMPION, CHALLENGER, CANARY, SHADOW) == ("champion", "challenger", "canary", "shadow")


def test_a_shadow_that_kindred_began_says_since_when() -> None:
    tags = {"kindred.shadow": '{"version": "6", "share": 0, "at": 7}'}
    for version, since in (("6", 7), ("5", 0)):
        found = planned(Standing("als", {"champion": "2", "shadow": version}, tags))
        assert found.shadow == Shadowed(Key("als", version), since)


def test_a_promotion_is_watched_against_the_champion_before_it() -> None:
    record = Record(version="2", previous="1", at=5, until=50)
    assert planned(standing(record=record, champion="2")).watched == (Watched(Key("als", "2"), "1", 5, 50),)
    ranker = standing("ranker", record=record, champion="2")
    assert planned(ranker).watched == (Watched(Key("ranker", "2"), "1", 5, 50),)


@pytest.mark.parametrize("record", [
    None,
    Record(version="2", previous="1", at=5),  # nobody asked for it, or it was a rollback
    Record(version="2", at=5, until=50),  # nobody was before it
    Record(version="3", previous="1", at=5, until=50),  # somebody set another by hand since
])  # fmt: skip
def test_other_champions_are_not_watched(record: Record | None) -> None:
    assert planned(standing(record=record, champion="2")).watched == ()
