"""The shop by id and as columns, as it changes."""

from serving.decide.catalogue import Catalogue
from serving.decide.limits import NONE, Limits, Where
from serving.decide.state import Canary, State, take
from tests.serving.decide.fake import shop, state


def test_it_is_a_mapping_of_what_is_there_now() -> None:
    catalogue = Catalogue(shop("b", "a"))
    catalogue.update({**shop("c"), "a": None, "unknown": None})
    assert set(catalogue) == {"b", "c"}
    assert (len(catalogue), catalogue["c"].item_id, catalogue.get("a")) == (2, "c", None)


def test_the_first_items_are_those_by_id_whenever_they_came() -> None:
    catalogue = Catalogue(shop("d", "b") | shop("a", in_stock=False))
    catalogue.update(shop("c", "e", category="x"))
    assert catalogue.first(NONE, frozenset(), 9) == ["b", "c", "d", "e"]
    assert catalogue.first(NONE, frozenset("bd"), 1) == ["c"]
    assert catalogue.first(Limits(Where(categories=frozenset({"x"}))), frozenset("c"), 9) == ["e"]
    assert Catalogue({}).first(NONE, frozenset(), 3) == []


def test_changes_reach_the_catalogue_and_the_columns_of_every_model() -> None:
    made = state({"a": 2.0, "b": 1.0}, shop("a", "b"))
    other = state({"b": 2.0, "c": 1.0}, shop("a", "b")).champion
    third = state({"b": 2.0}, shop("a", "b")).champion
    assert made.champion is not None
    assert other is not None
    assert third is not None
    whole = State(made.champion, (other,), Canary(third, 0.1), catalogue=made.catalogue)
    take(whole, {"b": None, **shop("c")})
    open_items = [champion.columns.within(NONE).tolist() for champion in whole.loaded]
    assert open_items == [[True, False], [False, True], [False]]
    assert set(whole.catalogue or ()) == {"a", "c"}
