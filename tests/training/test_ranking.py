"""How a ranker earns its place, on a shop whose log is at hand."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.errors import BadInput
from features.events import decode, iso
from features.offline import EventLog, LoggedEvent, append_events, interactions
from models import artifacts, facts_of
from models.ranker import Ranker
from models.ranker_rows import NAMES
from training import notebook_ranker, ranking
from training.ranking import Given, ndcg
from training.ranking_frame import RankingFrame
from training.trainer import Recipe

DAY_MS = 86_400_000
T0 = 1_760_000_000_000


def test_ndcg_counts_what_was_wanted_and_never_offered() -> None:
    gains = [np.array([False, True]), np.array([True, True])]
    # one of one at 2; two of three at 1 and 2: what could be had is 1 + 1/log2(3) + 1/2
    second = 1 / np.log2(3)
    assert ndcg(gains, np.array([1, 3])) == pytest.approx([second, (1 + second) / (1 + second + 0.5)])


def frame_of(best: int, requests: int = 60) -> RankingFrame:
    """Three candidates each; the one at `best` is chosen, and `price` says so."""
    table = np.full((requests * 3, len(NAMES)), np.nan, dtype=np.float32)
    table[:, NAMES.index("base_rank")] = np.tile([1, 2, 3], requests)
    relevance = np.tile(np.arange(3) == best, requests).astype(np.int32)
    table[:, NAMES.index("price")] = relevance
    groups, ones = np.full(requests, 3), np.ones(requests, dtype=np.int64)
    return RankingFrame(table, groups, relevance, np.zeros(requests * 3, dtype=np.int32), ones, pd.DataFrame())


def test_a_ranker_is_measured_against_the_order_it_was_given() -> None:
    ranker = Ranker().fit(frame_of(2).table, NAMES, frame_of(2).groups, frame_of(2).relevance)
    metrics = ranking.compared(ranker, frame_of(2), seed=0)
    assert metrics["unranked_ndcg@10"] == pytest.approx(0.5)
    assert metrics["ndcg@10"] == 1
    assert metrics["gain_ndcg@10_low"] == pytest.approx(0.5)
    assert metrics["found"] == 1


def shop(people: int = 40, days: int = 40) -> pd.DataFrame:
    """Everybody views something new every other day, of their own half of the items."""
    rng = np.random.default_rng(0)
    rows = [
        (f"u{who}", f"i{2 * int(rng.integers(20)) + who % 2:02d}", T0 + day * DAY_MS + who)
        for day in range(0, days, 2)
        for who in range(people)
    ]
    return pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"])


def viewed(offset: int, user: str, item: str, at: int) -> LoggedEvent:
    message = {
        "type": "track",
        "userId": user,
        "event": "Product Viewed",
        "timestamp": iso(at),
        "messageId": f"m{offset}",
    }
    raw = json.dumps(message | {"properties": {"product_id": item}}).encode()
    return LoggedEvent(0, offset, at, decode(raw, at), False, raw)


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Given:
    log = EventLog(tmp_path_factory.mktemp("log"))
    logged = [viewed(at, *row) for at, row in enumerate(shop().itertuples(index=False))]
    append_events(log.source("shop"), 0, 0, len(logged), logged)
    rows = interactions(log)
    return Given(log, rows, int(rows["timestamp"].max()) + 1, 10 * DAY_MS, Recipe("item_knn"))


def test_what_is_registered_answers_as_it_did_and_names_its_base(given: Given, tmp_path: Path) -> None:
    made = ranking.train(given)
    made.save(tmp_path)
    artifacts.seal(tmp_path)
    again = notebook_ranker._load_pyfunc(str(tmp_path)).predict(made.example)
    assert again.to_dict("records") == made.answer.to_dict("records")
    assert (made.name, made.tags["kindred.base"]) == ("ranker", "item_knn")
    assert facts_of(tmp_path)["trees"] >= 1
    assert all(np.isfinite(value) for value in made.metrics.values())
    assert made.metrics["ndcg@10_low"] <= made.metrics["ndcg@10"] <= made.metrics["ndcg@10_high"]


def test_what_happened_in_the_last_window_never_reaches_the_ranker_that_is_measured(
    given: Given, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    original = ranking.ranking_frame
    monkeypatch.setattr(
        ranking,
        "ranking_frame",
        lambda base, rows, *more: seen.append(int(rows["timestamp"].max())) or original(base, rows, *more),
    )
    ranking.train(given)
    assert seen[0] < given.until - given.holdout_ms <= seen[1]


def test_too_little_time_for_two_windows_is_said(given: Given) -> None:
    with pytest.raises(BadInput, match="two windows"):
        ranking.train(replace(given, holdout_ms=30 * DAY_MS))
