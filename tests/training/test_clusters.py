"""Clusters from the event log: who is clustered, as of when, and what stays from night to night."""

import json
from pathlib import Path

import numpy as np
import pytest

from features.errors import BadInput
from features.events import decode, iso
from features.offline import EventLog, LoggedEvent, append_events
from models.customers.cluster_columns import COLUMNS, DAY_MS
from models.customers.clusters import Clusters, ClustersConfig
from training import clusters

NOW = 1_700_000_000_000
CONFIG = ClustersConfig(k=2)


def log_of(folder: Path, *happened: tuple[str, str, int, int]) -> EventLog:
    """An event log of (user, event, ms UTC, pounds); an anonymous user's id begins with a:."""
    rows = []
    for offset, (user, event, at, pounds) in enumerate(happened):
        who = {"anonymousId": user[2:]} if user.startswith("a:") else {"userId": user}
        product = {"product_id": f"i{pounds}", "price": pounds, "quantity": 1}
        order = {"order_id": f"o{offset}", "currency": "GBP", "products": [product]}
        track = {"type": "track", "event": event, "properties": order if "Order" in event else product}
        raw = track if event != "page" else {"type": "page"}
        if event == "identify":
            raw = {"type": "identify", "anonymousId": f"b-{user}"}
        raw = {"messageId": f"m{offset}", "timestamp": iso(at), **who, **raw}
        value = json.dumps(raw).encode()
        rows.append(LoggedEvent(0, offset, at, decode(value, at), False, value))
    log = EventLog(folder)
    append_events(log.source("events.a.p1"), 0, 0, len(rows), rows)
    return log


def shop(folder: Path) -> EventLog:
    """Ten who order much and often, ten who only look; one long gone, one who comes tomorrow."""
    happened = [("gone", "Order Completed", NOW - 31 * DAY_MS, 9), ("tomorrow", "Product Viewed", NOW + 1, 9)]
    for each in range(10):
        orders = [(f"buyer{each}", "Order Completed", NOW - (each % 3 + n) * DAY_MS, 200 + each) for n in range(5)]
        views = [
            (f"looker{each}", "Product Viewed", NOW - (12 + each % 5 + n) * DAY_MS, n) for n in range(each % 2 + 2)
        ]
        happened += [*orders, *views]
    return log_of(folder, *happened)


def test_customers_who_shop_alike_share_a_cluster_and_the_idle_are_in_none(tmp_path: Path) -> None:
    fitted = clusters.train(shop(tmp_path), NOW, config=CONFIG)
    found = dict(zip(fitted.assigned["user_id"], fitted.assigned["cluster"], strict=True))
    buyers, lookers = ({found[f"u:{kind}{each}"] for each in range(10)} for kind in ("buyer", "looker"))
    assert len(buyers) == len(lookers) == 1
    assert buyers != lookers
    assert fitted.customers == len(found) == 20
    assert fitted.metrics["silhouette"] > 0.5
    assert fitted.metrics["bootstrap_ari"] == 1
    assert fitted.metrics["share_1"] == 0.5


def test_features_that_are_the_same_for_everybody_are_left_out(tmp_path: Path) -> None:
    names = {column.name for column in clusters.train(shop(tmp_path), NOW, config=CONFIG).model.columns}
    assert "orders_30d" in names
    assert "searches_30d" not in names
    with pytest.raises(BadInput, match="the same in every feature"):
        clusters.varying(np.ones((5, len(COLUMNS))))


def test_a_second_night_keeps_the_ids(tmp_path: Path) -> None:
    log = shop(tmp_path)
    first = clusters.train(log, NOW, config=CONFIG)
    first.save(tmp_path)
    again = clusters.train(log, NOW + DAY_MS // 2, Clusters.load(tmp_path), seed=3, config=CONFIG)
    ids = [dict(zip(each.assigned["user_id"], each.assigned["cluster"], strict=True)) for each in (first, again)]
    assert all(ids[1][user] == cluster for user, cluster in ids[0].items())
    assert (again.metrics["kept"], again.metrics["night_ari"]) == (1, 1)
    assert again.model.names == first.model.names


def test_what_serving_would_say_of_one_customer_is_what_the_night_said(tmp_path: Path) -> None:
    log = shop(tmp_path)
    fitted = clusters.train(log, NOW, config=CONFIG)
    rows = clusters.customer_features(log, clusters.active(log, NOW), NOW)
    alone = [fitted.model.assign({str(k): v for k, v in row.items()}).cluster for row in rows.to_dict("records")]
    assert alone == fitted.assigned["cluster"].tolist()


def test_a_person_with_two_ids_is_clustered_once_and_a_page_is_activity(tmp_path: Path) -> None:
    log = log_of(
        tmp_path,
        ("a:b-kim", "page", NOW - 3, 0),
        ("kim", "identify", NOW - 2, 0),
        ("a:eve", "page", NOW - 1, 0),
        ("kim", "Product Viewed", NOW, 1),
    )
    assert clusters.active(log, NOW) == ["a:eve", "u:kim"]
    assert clusters.active(log, NOW - 3) == ["a:b-kim"]


def test_nobody_active_is_refused(tmp_path: Path) -> None:
    for log in (EventLog(tmp_path / "none"), log_of(tmp_path, ("kim", "Product Viewed", NOW - 31 * DAY_MS, 1))):
        with pytest.raises(BadInput, match="no customer was active"):
            clusters.train(log, NOW)


def test_more_clusters_than_customers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="can't make 50 clusters"):
        clusters.train(shop(tmp_path), NOW, config=ClustersConfig(k=50))
