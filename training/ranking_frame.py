"""What a ranker learns from: at each moment of the past the candidates it would have been given, and what was chosen.

A request is a person at the moment of an order (or of another event): the candidates come from a recommender that was
fitted before the window, asked with what the person had done until a millisecond before; what was chosen is relevant.
Every number of a row is as it could have been known at that moment (features.offline.training_frame).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from features.errors import BadInput
from features.items import Item
from models.arrays import Float32, Int32, Int64
from models.contracts import Model
from models.histories import Histories, History
from models.ranking import top

Frame = pd.DataFrame
Live = Callable[[Frame, Sequence[str]], Frame]  # (labels with as_of and an id, names) -> with a column for each name

CUSTOMER = (
    "since_event", "since_order", "orders_365d", "views_24h", "views_30d", "adds_24h", "session_events",
    "session_views", "cart_rate_30d", "median_price_viewed_90d",
)  # fmt: skip
ITEM = (
    "item_views_24h", "item_views_7d", "item_views_30d", "item_adds_30d", "item_orders_24h", "item_orders_30d",
    "item_popularity_7d", "item_popularity_90d", "item_conversion_30d", "item_trend_7d",
)  # fmt: skip
KINDS = {"viewed": ("Product Viewed", "Product Clicked"), "added": ("Product Added",), "ordered": ("Order Completed",)}
CROSS = ("price", "in_stock", "price_to_usual", "category_affinity", "category_as_last",
         *(f"{what}_{kind}" for kind in KINDS for what in ("times", "since")))  # fmt: skip
NAMES = ("base_score", "base_rank", *CUSTOMER, *ITEM, *CROSS)
AFFINITY = "category_affinity"
BLOCK = 256  # requests that the base is asked for at once


@dataclass(frozen=True)
class RankingConfig:
    """Candidates of a request: the best `candidates` of the base, and what the person met last, at most `lately` items.

    Rows are made of the newest `requests` only. With `visit_ms` above 0 a request is the moment before the visit in
    which something was chosen (events without a longer pause between them), so that the cart doesn't give the answer
    away; at 0 it is the moment before the choice. Without `again`, items met before are neither candidates nor wanted.
    """

    candidates: int = 100
    lately: int = 50
    requests: int = 20_000
    target: str = "Order Completed"
    visit_ms: int = 0
    again: bool = True


class RankingFrame(NamedTuple):
    """`table` (rows, len(NAMES)) float32 with NaN where nothing is known; `groups` (requests,) int64 rows of each
    request, oldest first; `relevance` and `items` (rows,) int32.

    What was chosen without being a candidate has no row: it would give itself away by a rank that nothing else has.
    It counts in `wanted`, (requests,) int64 items chosen. `asked` are the requests: user_id, as_of.
    """

    table: Float32
    groups: Int64
    relevance: Int32
    items: Int32
    wanted: Int64
    asked: Frame


def ranking_frame(
    base: Model,
    rows: Frame,
    window: tuple[int, int],
    live: Live,
    catalogue: Iterable[Item] = (),
    config: RankingConfig | None = None,
) -> RankingFrame:
    """Rows of every request in the window.

    Args:    base: fitted on nothing of the window; rows: as datasets.checked() gives them, with times and events, of
             the window and before; window: [since, until) in ms UTC; live: features by name at moments, for example
             `lambda labels, names: training_frame(log, labels, names)`; catalogue: what is known of the items.
    Raises:  BadInput: no times or events, or nobody chose anything in the window.
    """
    config = config or RankingConfig()
    rows = _timed(rows)
    asked, chosen = _requests(rows, base, window, config)
    past = _Past(rows, base)
    histories = [past.before(user, moment) for user, moment in asked.itertuples(index=False)]
    if not config.again:
        chosen = [np.setdiff1d(wanted, history.items) for wanted, history in zip(chosen, histories, strict=True)]
        left = [at for at, wanted in enumerate(chosen) if len(wanted)]
        if not left:
            raise BadInput(f"nobody has a {config.target!r} of something new to them in the window", "window")
        asked = asked.iloc[left].reset_index(drop=True)
        chosen, histories = [chosen[at] for at in left], [histories[at] for at in left]
    found = _candidates(base, histories, config)
    groups = np.array([len(each.items) for each in found], dtype=np.int64)
    items = np.concatenate([each.items for each in found])
    relevance = np.concatenate([np.isin(each.items, wanted) for each, wanted in zip(found, chosen, strict=True)])
    request = np.repeat(np.arange(len(asked)), groups)
    columns = {
        "base_score": np.concatenate([each.scores for each in found]),
        "base_rank": np.concatenate([each.ranks for each in found]),
    }
    columns |= _live(base, asked, items, request, live)
    columns |= _known(base, catalogue, items, request, columns, histories)
    columns |= past.met(asked, items, request)
    table = np.column_stack([columns[name] for name in NAMES]).astype(np.float32)
    return RankingFrame(
        table=table,
        groups=groups,
        relevance=relevance.astype(np.int32),
        items=items,
        wanted=np.array([len(wanted) for wanted in chosen], dtype=np.int64),
        asked=asked,
    )


class _Found(NamedTuple):
    items: Int32
    scores: Float32
    ranks: Float32


def _timed(rows: Frame) -> Frame:
    for column in ("timestamp", "event"):
        if column not in rows.columns:
            raise BadInput(f"a ranking frame needs the column {column}", column)
    return rows.sort_values("timestamp", kind="stable").reset_index(drop=True)


def _requests(rows: Frame, base: Model, window: tuple[int, int], config: RankingConfig) -> tuple[Frame, list[Int32]]:
    """Who chose what at which moment; what is chosen at the same moment is one request."""
    since, until = window
    moments = _moments(rows, config.visit_ms)
    within = (rows["timestamp"] >= since) & (rows["timestamp"] < until) & (rows["event"] == config.target)
    within &= moments >= since - 1
    taken = rows[within].assign(item=base.items.rows(rows.loc[within, "item_id"]), as_of=moments[within])
    grouped = taken[taken["item"] >= 0].groupby(["as_of", "user_id"], sort=True)["item"].unique()
    if grouped.empty:
        raise BadInput(f"nobody has a {config.target!r} of a known item in the window", "window")
    grouped = grouped.iloc[-config.requests :]
    asked = pd.DataFrame(
        {
            "user_id": grouped.index.get_level_values("user_id"),
            "as_of": grouped.index.get_level_values("as_of").to_numpy(dtype=np.int64),
        }
    )
    return asked, [np.sort(each).astype(np.int32) for each in grouped]


def _moments(rows: Frame, visit_ms: int) -> "pd.Series[int]":
    """The last millisecond before each row, or before the visit that it belongs to."""
    if visit_ms <= 0:
        return rows["timestamp"] - 1
    people = rows.groupby("user_id", sort=False)["timestamp"]
    visit = (people.diff() > visit_ms).groupby(rows["user_id"], sort=False).cumsum()
    return rows.groupby([rows["user_id"], visit], sort=False)["timestamp"].transform("min") - 1


def _candidates(base: Model, histories: Sequence[History], config: RankingConfig) -> list[_Found]:
    found = []
    for at in range(0, len(histories), BLOCK):
        block = histories[at : at + BLOCK]
        scores = base.scores(Histories.of(block, len(base.items)))
        found += [_found(row, history, config) for row, history in zip(scores, block, strict=True)]
    return found


def _found(scores: Float32, history: History, config: RankingConfig) -> _Found:
    """The best of the base and what the person met last, each at the rank that the base gives it."""
    allowed = np.ones(len(scores), dtype=np.bool_)
    allowed[history.items] = config.again
    best, _ = top(scores, min(config.candidates, int(allowed.sum())), allowed)
    if not config.again:
        return _Found(best, scores[best], np.arange(1, len(best) + 1, dtype=np.float32))
    _, newest = np.unique(history.items[::-1], return_index=True)
    lately = history.items[::-1][np.sort(newest)[: config.lately]]
    items = np.concatenate([best, np.setdiff1d(lately, best)]).astype(np.int32)
    order = np.sort(scores)
    ranks = 1 + len(order) - np.searchsorted(order, scores[items], side="right")
    ranks[: len(best)] = np.arange(1, len(best) + 1)
    return _Found(items, scores[items], ranks.astype(np.float32))


def _live(base: Model, asked: Frame, items: Int32, request: Int64, live: Live) -> "dict[str, np.ndarray[Any, Any]]":
    people = live(asked, [*CUSTOMER, AFFINITY])
    ids = np.array(base.items.ids, dtype=object)
    labels = pd.DataFrame({"item_id": ids[items], "as_of": asked["as_of"].to_numpy()[request]})
    things = live(labels, ITEM)
    found = {name: people[name].to_numpy(dtype=np.float64)[request] for name in CUSTOMER}
    found |= {name: things[name].to_numpy(dtype=np.float64) for name in ITEM}
    return found | {AFFINITY: people[AFFINITY].to_numpy()}


def _known(
    base: Model,
    catalogue: Iterable[Item],
    items: Int32,
    request: Int64,
    live: "dict[str, np.ndarray[Any, Any]]",
    histories: Sequence[History],
) -> "dict[str, np.ndarray[Any, Any]]":
    """What the catalogue says of a candidate, beside what the customer likes."""
    entries = {item.item_id: item for item in catalogue}
    known = [entries.get(identity) for identity in base.items.ids]
    price = np.array([np.nan if each is None or each.price is None else each.price for each in known])
    stock = np.array([np.nan if each is None else float(each.in_stock) for each in known])
    category = np.array(["" if each is None else each.category for each in known], dtype=object)
    last = np.array([category[each.items[-1]] if len(each.items) else "" for each in histories], dtype=object)
    mine = category[items]
    liked = live[AFFINITY]
    total = np.array([sum(each.values()) if each else 0.0 for each in liked])
    share = [
        liked[at].get(name, 0.0) / total[at] if total[at] > 0 and name else np.nan
        for at, name in zip(request, mine, strict=True)
    ]
    usual = live["median_price_viewed_90d"] / 100  # minor units
    return {
        "price": price[items],
        "in_stock": stock[items],
        "price_to_usual": np.divide(price[items], usual, out=np.full(len(items), np.nan), where=usual > 0),
        AFFINITY: np.array(share, dtype=np.float64),
        "category_as_last": np.where(mine == "", np.nan, (mine == last[request]).astype(np.float64)),
    }


class _Past:
    """What each person had done before a moment, by item."""

    def __init__(self, rows: Frame, base: Model) -> None:
        item = base.items.rows(rows["item_id"])
        known = rows[item >= 0].assign(item=item[item >= 0])
        self._of = dict(iter(known.groupby("user_id", sort=False)))

    def before(self, user: str, moment: int) -> History:
        """Up to and with the moment; what was given back counts nothing."""
        part = self._of.get(user)
        if part is None:
            return History(np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.float32))
        done = part[(part["timestamp"] <= moment) & (part["weight"] > 0)]
        return History(
            done["item"].to_numpy(np.int32), done["weight"].to_numpy(np.float32), done["timestamp"].to_numpy(np.int64)
        )

    def met(self, asked: Frame, items: Int32, request: Int64) -> "dict[str, np.ndarray[Any, Any]]":
        """How often, and how many ms ago, the person viewed, put into the cart, ordered each candidate."""
        found = {f"{what}_{kind}": np.full(len(items), 0.0 if what == "times" else np.nan)
                 for kind in KINDS for what in ("times", "since")}  # fmt: skip
        edges = np.searchsorted(request, np.arange(len(asked) + 1))
        for at, (user, moment) in enumerate(asked.itertuples(index=False)):
            part = self._of.get(user)
            if part is None:
                continue
            done = part[part["timestamp"] <= moment]
            mine = items[edges[at] : edges[at + 1]]
            for kind, events in KINDS.items():
                each = done[done["event"].isin(events)].groupby("item")["timestamp"].agg(["size", "max"]).reindex(mine)
                found[f"times_{kind}"][edges[at] : edges[at + 1]] = each["size"].fillna(0).to_numpy()
                found[f"since_{kind}"][edges[at] : edges[at + 1]] = moment - each["max"].to_numpy(dtype=np.float64)
        return found
