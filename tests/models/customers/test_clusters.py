"""Clusters: found where they are, kept under their ids, named by what differs, placed one by one as together."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from features.errors import BadInput, BrokenArtifact, NotFitted
from models import artifacts
from models.customers import cluster_fit
from models.customers.cluster_columns import COLUMNS, DAY_MS, Column, number, rates_of, table
from models.customers.clusters import IDLE, Clusters, ClustersConfig

THREE = tuple(column for column in COLUMNS if column.name in {"since_order", "orders_30d", "spend_30d"})
CENTRES = np.array([[1.0, 12.0, 90_000.0], [25.0, 1.0, 900.0], [12.0, 3.0, 9_000.0]])
FAST = ClustersConfig(rounds=3, most=5)


def shoppers(each: int = 60, seed: int = 0, groups: int = 3) -> NDArray[np.float64]:
    """Customers around so many centres, those of one centre after those of another."""
    noise = np.random.default_rng(seed).normal(1.0, 0.05, (groups * each, 3))
    return np.repeat(CENTRES[:groups], each, axis=0) * noise


MODEL = Clusters(FAST).fit(shoppers(), THREE, {"GBP": 1.0})


def row_of(values: NDArray[np.float64]) -> dict[str, object]:
    days, orders, spend = values.tolist()
    return {"since_event": 0, "since_order": days * DAY_MS, "orders_30d": orders, "spend_30d": {"GBP": spend}}


def test_the_number_of_clusters_is_the_largest_that_another_half_predicts() -> None:
    assert MODEL.facts["k"] == 3
    assert cluster_fit.choose({2: 0.99, 3: 0.95, 4: 0.85, 5: 0.5}, 0.8, None, 0.6) == 4
    assert cluster_fit.choose({2: 0.6, 3: 0.7, 4: 0.7}, 0.8, None, 0.6) == 3


def test_last_nights_number_of_clusters_stays_while_it_is_strong_enough() -> None:
    assert cluster_fit.choose({2: 0.99, 3: 0.61, 4: 0.9}, 0.8, 3, 0.6) == 3
    assert cluster_fit.choose({2: 0.99, 3: 0.59, 4: 0.9}, 0.8, 3, 0.6) == 4


def test_customers_of_one_kind_share_a_cluster_and_those_of_two_kinds_dont() -> None:
    found = MODEL.assign_all(shoppers()).clusters.reshape(3, 60)
    assert (found == found[:, :1]).all()
    assert sorted(found[:, 0].tolist()) == [1, 2, 3]
    assert sum(MODEL.sizes.values()) == 180


def test_one_customer_is_placed_as_among_many() -> None:
    values = shoppers(seed=4)[::20]
    many = MODEL.assign_all(values)
    for at, each in enumerate(values):
        alone = MODEL.assign(row_of(each))
        assert alone.cluster == many.clusters[at]
        assert alone.name == MODEL.names[alone.cluster]
        assert alone.distance == pytest.approx(many.distances[at], rel=1e-4)
        assert alone.confidence == pytest.approx(many.confidences[at], rel=1e-4)
        assert 0 < alone.confidence <= 1


def test_halfway_between_two_clusters_there_is_no_confidence_and_the_lower_id_wins() -> None:
    values = np.array([[0.0], [0.0], [np.expm1(2.0)], [np.expm1(2.0)]])
    model = Clusters(ClustersConfig(k=2)).fit(values, (Column("orders_30d", "frequency", "count", "many", "few"),))
    between = model.assign_all(np.array([[np.expm1(1.0)]]))
    assert between.clusters.tolist() == [1]
    assert between.confidences[0] == pytest.approx(0, abs=1e-6)


def test_who_was_not_seen_in_the_window_is_in_no_cluster() -> None:
    for row in ({}, {"since_event": None}, {"since_event": float("nan")}, {"since_event": 30 * DAY_MS}):
        assert MODEL.assign(row).cluster == IDLE


def test_a_cluster_is_named_by_what_distinguishes_it() -> None:
    best = MODEL.assign(row_of(CENTRES[0]))
    assert set(best.name.split(", ")) == {"recent order", "frequent orders", "high spend"}
    assert set(MODEL.assign(row_of(CENTRES[1])).name.split(", ")) == {"no recent order", "few orders", "low spend"}
    assert len(set(MODEL.names.values())) == 3


def test_ids_last_from_night_to_night_whatever_the_order_and_the_seed() -> None:
    tonight = shoppers(seed=7)[::-1]
    labels = MODEL.assign_all(tonight).clusters
    model = Clusters(FAST, seed=5).fit(tonight, THREE, {"GBP": 1.0}, MODEL, labels)
    assert model.assign_all(tonight).clusters.tolist() == labels.tolist()
    assert model.names == MODEL.names


def test_an_id_that_went_is_never_given_again() -> None:
    two = shoppers(groups=2)
    gone = Clusters(replace(FAST, k=2)).fit(two, THREE, {}, MODEL, MODEL.assign_all(two).clusters)
    assert len(gone.names) == 2
    assert set(gone.names) < set(MODEL.names)
    back = Clusters(replace(FAST, k=3)).fit(shoppers(), THREE, {}, gone, gone.assign_all(shoppers()).clusters)
    assert max(back.names) == 4
    assert len(set(back.names) & set(gone.names)) == 2


def test_the_larger_part_of_a_split_cluster_keeps_its_id() -> None:
    old = np.array([1] * 10 + [2] * 4)
    new = np.array([0] * 7 + [1] * 3 + [2] * 4)
    ids, free = cluster_fit.matched(old, new, 3, 3, 0.3)
    assert (ids.tolist(), free) == ([1, 3, 2], 4)


def test_members_in_common_below_the_overlap_are_another_cluster() -> None:
    ids, free = cluster_fit.matched(np.array([1, 1, 1, 1]), np.array([0, 1, 2, 3]), 4, 2, 0.3)
    assert (ids.tolist(), free) == ([2, 3, 4, 5], 6)


def test_last_nights_centroids_stay_unless_others_are_clearly_better() -> None:
    points = np.random.default_rng(0).random((200, 2))
    start = cluster_fit.centroids_of(points, 4, 1)
    np.testing.assert_allclose(cluster_fit.centroids_of(points, 4, 2, start), start, atol=1e-2)
    far = np.array([[0.0, 0.0], [50.0, 50.0], [51.0, 50.0], [50.0, 51.0]])
    assert cluster_fit.centroids_of(points, 4, 2, far).max() < 1


def test_equal_seeds_give_equal_clusters() -> None:
    one, two = (Clusters(FAST, seed=3).fit(shoppers(), THREE) for _ in range(2))
    np.testing.assert_array_equal(one.assign_all(shoppers()).distances, two.assign_all(shoppers()).distances)


@pytest.mark.parametrize(
    ("values", "config", "message"),
    [
        (shoppers(each=1, groups=2), ClustersConfig(k=3), "2 different customers can't make 3 clusters"),
        (np.ones((9, 3)), ClustersConfig(), "1 different customers can't make 3"),
        (np.where([0, 1, 0], 7.0, shoppers()), ClustersConfig(), "orders_30d is the same for every customer"),
        (np.where([0, 0, 1], np.nan, shoppers()), ClustersConfig(), "spend_30d holds a NaN"),
        (-shoppers(), ClustersConfig(), "below 0"),
        (shoppers()[:, :2], ClustersConfig(), r"must be \(n, 3\)"),
    ],
)
def test_what_cannot_be_clustered_is_refused(values: NDArray[np.float64], config: ClustersConfig, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        Clusters(config).fit(values, THREE)


def test_a_feature_that_is_missing_or_no_number_is_refused() -> None:
    with pytest.raises(BadInput, match="no feature 'orders_30d'"):
        MODEL.assign({"since_event": 0, "spend_30d": {}})
    with pytest.raises(BadInput, match="orders_30d is nan"):
        MODEL.assign({"since_event": 0, "spend_30d": {}, "orders_30d": float("nan")})
    with pytest.raises(BadInput, match="no feature 'since_order'"):
        table(THREE, {}, {})


def test_never_counts_as_long_ago() -> None:
    assert [number(THREE[0], value, {}) for value in (None, float("nan"), 90 * DAY_MS, 3 * DAY_MS)] == [30, 30, 30, 3]


def test_money_of_another_currency_counts_by_what_its_typical_customer_spends() -> None:
    rates = rates_of([{"GBP": 1_000}, {"GBP": 3_000}, {"GBP": 2_000}, {"JPY": 400_000}, {}])
    assert rates == {"GBP": 1.0, "JPY": 0.005}
    money = next(column for column in COLUMNS if column.kind == "money")
    assert number(money, {"JPY": 400_000, "GBP": 5, "XXX": 9}, rates) == 2_005


def test_clusters_come_back_from_their_files_and_a_damaged_one_is_refused(tmp_path: Path) -> None:
    MODEL.save(tmp_path)
    artifacts.seal(tmp_path)
    artifacts.verify(tmp_path)
    back = Clusters.load(tmp_path)
    np.testing.assert_array_equal(back.assign_all(shoppers()).distances, MODEL.assign_all(shoppers()).distances)
    assert back.assign(row_of(CENTRES[0])) == MODEL.assign(row_of(CENTRES[0]))
    assert (back.names, back.sizes, back.facts, back.params) == (MODEL.names, MODEL.sizes, MODEL.facts, MODEL.params)
    head = json.loads((tmp_path / "model.json").read_text())
    damages: tuple[dict[str, object], ...] = ({"ids": [1]}, {"columns": [{}]}, {"config": {"no": 1}})
    for damage in damages:
        (tmp_path / "model.json").write_text(json.dumps({**head, "params": {**head["params"], **damage}}))
        with pytest.raises(BrokenArtifact):
            Clusters.load(tmp_path)
    (tmp_path / "model.npz").write_bytes(b"PK")
    with pytest.raises(BrokenArtifact):
        Clusters.load(tmp_path)


def test_nothing_is_answered_or_saved_before_fit(tmp_path: Path) -> None:
    for ask in (lambda: Clusters().assign({}), lambda: Clusters().save(tmp_path), lambda: Clusters().names):
        with pytest.raises(NotFitted):
            ask()
    assert not any(tmp_path.iterdir())
