"""Churn from the event log: labels by horizon, features of the moment, nothing of what came after."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from features.errors import BadInput
from features.events import decode
from features.offline import EventLog, LoggedEvent, append_events, training_frame
from training import churn
from training.churn import DAY_MS, Examples, Task, examples, moments, split, train
from training.classification import telltales

START = 1_700_000_000_000 // DAY_MS * DAY_MS
TASK = Task(horizon=10 * DAY_MS, every=5 * DAY_MS, observed=5 * DAY_MS, measured=2)
Order = tuple[str, float]  # customer, day


def log_of(folder: Path, orders: list[Order], identities: list[tuple[str, str, float]] = ()) -> EventLog:  # type: ignore[assignment]
    """A log of orders (a customer that starts with ? is anonymous) and of logins (user, anonymous, day)."""
    messages: list[tuple[float, dict[str, Any]]] = []
    for number, (customer, day) in enumerate(orders):
        who = {"anonymousId": customer} if customer.startswith("?") else {"userId": customer}
        product = {"product_id": "p", "price": 10, "quantity": 1, "category": "c"}
        properties = {"order_id": f"o{number}", "currency": "EUR", "products": [product]}
        messages.append((day, {"type": "track", "event": "Order Completed", "properties": properties, **who}))
    messages += [(day, {"type": "identify", "userId": user, "anonymousId": other}) for user, other, day in identities]
    rows = []
    for number, (day, message) in enumerate(sorted(messages, key=lambda each: each[0])):
        at = START + int(day * DAY_MS)
        stamp = datetime.fromtimestamp(at / 1000, UTC).isoformat()
        raw = json.dumps({**message, "messageId": f"m{number}-{day}", "timestamp": stamp}).encode()
        rows.append(LoggedEvent(0, number, at, decode(raw, at), False, raw))
    log = EventLog(folder)
    append_events(log.source("test"), 0, 0, len(rows), rows)
    return log


def shop(customers: int = 40, days: int = 80, seed: int = 0) -> list[Order]:
    """Half of the customers buy every four days, half stop after a while."""
    rng = np.random.default_rng(seed)
    found: list[Order] = []
    for number in range(customers):
        day, end = rng.random() * 5, days if number % 2 else rng.uniform(10, days)
        while day < end:
            found.append((f"c{number}", day))
            day += 2 + rng.random() * 4
    return [*found, ("c1", days - 0.5)]


def at(rows: Examples, user: str) -> dict[int, int]:
    """Whether that customer churned, by day of the moment."""
    mine = [row for row, each in enumerate(rows.user_ids) if each == user]
    return {round((int(rows.as_of[row]) - START) / DAY_MS): int(rows.churned[row]) for row in mine}


def test_a_label_is_no_order_after_the_moment_up_to_the_horizon(tmp_path: Path) -> None:
    # moments: 40 - 10 = 30 and every 5 days before; a's orders on days 0, 20 and 40, b's on 0, 1 and 31
    orders = [("a", 0.0), ("a", 20.0), ("a", 40.0), ("b", 0.0), ("b", 1.0), ("b", 31.0)]
    rows = examples(log_of(tmp_path, orders), TASK)
    # a: (10, 20] holds the order of day 20, (20, 30] none, (30, 40] that of day 40
    assert at(rows, "u:a") == {5: 1, 10: 0, 15: 0, 20: 1, 25: 1, 30: 0}
    assert at(rows, "u:b") == {5: 1, 10: 1, 15: 1, 20: 1, 25: 0, 30: 0}


def test_a_purchase_after_as_of_never_reaches_training(tmp_path: Path) -> None:
    orders = [order for order in shop() if order[1] <= 40]
    later = [("c0", 40.5), ("c0", 41.0), ("c3", 49.0), ("new", 42.0)]
    end = ("c1", 60.0)
    plain = examples(log_of(tmp_path / "plain", [*orders, end]), TASK)
    more = examples(log_of(tmp_path / "more", [*orders, *later, end]), TASK)
    for rows in (plain, more):
        assert (rows.as_of <= START + 50 * DAY_MS).all()
    first, second = (rows.take(rows.as_of <= START + 40 * DAY_MS) for rows in (plain, more))
    assert first.user_ids == second.user_ids
    assert len(first) > 100
    for name, column in first.inputs.items():
        assert np.array_equal(column, second.inputs[name], equal_nan=column.dtype != object), name
    assert (first.churned != second.churned).any()  # what came later is in the labels, and only there


def test_the_horizon_of_everything_learned_from_ends_before_the_first_measured_moment(tmp_path: Path) -> None:
    before, after = split(examples(log_of(tmp_path, shop()), TASK), TASK)
    assert before.as_of.max() + TASK.horizon <= after.as_of.min()
    assert len(np.unique(after.as_of)) == TASK.measured


def test_a_planted_leak_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = log_of(tmp_path, shop(120))

    def read_too_late(log: EventLog, labels: pd.DataFrame, *rest: Any, **more: Any) -> pd.DataFrame:
        frame = training_frame(log, labels, *rest, **more)
        if "views_1h" in frame.columns:
            late = labels[["user_id", "as_of"]].assign(as_of=labels["as_of"] + TASK.horizon)
            frame["views_1h"] = training_frame(log, late, ["since_order"], knowledge="final")["since_order"].fillna(
                1e15
            )
        return frame

    monkeypatch.setattr(churn, "training_frame", read_too_late)
    with pytest.raises(BadInput, match="views_1h alone tells"):
        train(log, TASK)


def test_a_hint_is_no_leak_and_the_answer_is() -> None:
    rng = np.random.default_rng(0)
    labels = (np.arange(1_000) % 3 == 0).astype(float)
    inputs = {
        "hint": labels + rng.normal(size=1_000),
        "answer": np.where(labels > 0, np.nan, rng.random(1_000)),
        "why": np.where(labels > 0, "moved", "").astype(object),
        "id": np.array([f"c{number}" for number in range(1_000)], dtype=object),
    }
    assert telltales(inputs, labels) == ["answer", "why"]


def test_a_customer_who_was_seen_for_too_short_a_time_is_not_asked_about(tmp_path: Path) -> None:
    rows = examples(log_of(tmp_path, [("a", 0.0), ("late", 27.0), ("a", 40.0)]), TASK)
    assert set(rows.user_ids) == {"u:a"}
    rows = examples(log_of(tmp_path / "b", [("a", 0.0), ("late", 24.0), ("a", 40.0)]), TASK)
    assert at(rows, "u:late") == {30: 1}


def test_an_order_under_another_id_of_the_same_customer_is_one_of_theirs(tmp_path: Path) -> None:
    orders = [("a", 0.0), ("?x", 27.0), ("a", 40.0)]
    alone = at(examples(log_of(tmp_path / "1", orders), TASK), "u:a")
    joined = at(examples(log_of(tmp_path / "2", orders, [("a", "?x", 26.0)]), TASK), "u:a")
    assert (alone[20], joined[20]) == (1, 0)


def test_train_returns_what_is_registered(tmp_path: Path) -> None:
    fitted = train(log_of(tmp_path, shop()), TASK)
    assert fitted.metrics["auc"] > 0.8
    assert {"pr_auc", "log_loss", "brier", "ece", "churned", "users", "trees"} <= fitted.metrics.keys()
    assert fitted.window[1] == fitted.measured[1] > fitted.measured[0] > fitted.window[0]
    assert len(fitted.fingerprints["since_order"]) == 8
    example = {name: np.array([value], dtype=object) for name, value in fitted.example.items()}
    assert 0 < fitted.model.predict(example)[0] < 1
    assert set(fitted.model.features) <= fitted.example.keys()


def test_too_many_rows_are_thinned_by_whole_customers(tmp_path: Path) -> None:
    log = log_of(tmp_path, shop())
    every, some = examples(log, TASK), examples(log, replace(TASK, rows=200))
    assert 50 < len(some) < 400 < len(every)
    kept = set(some.user_ids)
    assert len(some) == sum(user in kept for user in every.user_ids)


def test_a_log_without_orders_or_too_short_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no orders"):
        examples(EventLog(tmp_path / "none"), TASK)
    with pytest.raises(BadInput, match="days of orders are too few"):
        moments(START, START + 20 * DAY_MS, TASK)


def test_customers_who_all_stay_teach_nothing(tmp_path: Path) -> None:
    orders = [(f"c{number}", float(day)) for number in range(4) for day in range(60)]
    with pytest.raises(BadInput, match="stayed: choose another horizon"):
        train(log_of(tmp_path, orders), TASK)
