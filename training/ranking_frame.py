"""What a ranker learns from: at each moment of the past the candidates it would have been given, and what was chosen.

A request is a person at the moment before they met something: the candidates come from a recommender that was fitted
before the window, asked as serving asks it; what was chosen is relevant. Every number of a row is as it could have been
known at that moment (features.offline.training_frame), and becomes a row by models.ranker_rows, as in serving.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from features.errors import BadInput
from features.items import Item
from features.profiles import history_of
from models.arrays import Float32, Int32, Int64
from models.contracts import Model
from models.histories import Histories, History
from models.ranker import MOST_RELEVANT
from models.ranker_rows import ITEM, NAMES, OF_CUSTOMER, RECENT, Customer, Float64, Things, table_of
from models.ranking import top

Frame = pd.DataFrame
Live = Callable[[Frame, Sequence[str]], Frame]  # (labels with as_of and an id, names) -> with a column for each name
Touches = Sequence[tuple[int, str, str]]
BLOCK = 256  # requests that the base is asked for at once


@dataclass(frozen=True)
class RankingConfig:
    """Candidates of a request: the best `candidates` of the base.

    Rows are made of the newest `requests` only. `target` is the event that chooses, empty for every one that adds
    weight, which is then how relevant the item is. With `visit_ms` above 0 a request is the moment before the visit in
    which something was chosen (events without a longer pause between them), so that the cart doesn't give the answer
    away; at 0 it is the moment before the choice. Without `again`, items met before are neither candidates nor wanted.
    """

    candidates: int = 100
    requests: int = 4_000
    target: str = ""
    visit_ms: int = 0
    again: bool = False


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


class _Request(NamedTuple):
    """What was chosen (rows of items, and how relevant each is), what was known, and the candidates, best first."""

    chosen: Int32
    worth: Int32
    touches: Touches
    candidates: Int32


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
    asked, chosen = _requests(_timed(rows), base, window, config)
    people = live(asked, OF_CUSTOMER)
    requests = _with_candidates(base, chosen, people[RECENT].tolist(), config)
    left = [at for at, each in enumerate(requests) if len(each.chosen)]
    if not left:
        raise BadInput("nobody chose anything that was new to them in the window", "window")
    asked, people = asked.iloc[left].reset_index(drop=True), people.iloc[left]
    requests = [requests[at] for at in left]
    items = np.concatenate([each.candidates for each in requests])
    groups = np.array([len(each.candidates) for each in requests], dtype=np.int64)
    return RankingFrame(
        table=_table(base, asked, people, requests, live, catalogue),
        groups=groups,
        relevance=np.concatenate([_relevance(each) for each in requests]),
        items=items,
        wanted=np.array([len(each.chosen) for each in requests], dtype=np.int64),
        asked=asked,
    )


def _timed(rows: Frame) -> Frame:
    for column in ("timestamp", "event"):
        if column not in rows.columns:
            raise BadInput(f"a ranking frame needs the column {column}", column)
    return rows.sort_values("timestamp", kind="stable").reset_index(drop=True)


def _requests(
    rows: Frame, base: Model, window: tuple[int, int], config: RankingConfig
) -> tuple[Frame, list[tuple[Int32, Int32]]]:
    """Who chose what at which moment; what is chosen at the same moment is one request."""
    since, until = window
    moments = _moments(rows, config.visit_ms)
    wanted = rows["weight"] > 0 if not config.target else rows["event"] == config.target
    wanted &= (rows["timestamp"] >= since) & (rows["timestamp"] < until) & (moments >= since - 1)
    worth = rows["weight"].clip(1, MOST_RELEVANT).astype(np.int32) if not config.target else 1
    taken = rows.assign(item=base.items.rows(rows["item_id"]), as_of=moments, worth=worth)[wanted]
    taken = taken[taken["item"] >= 0].groupby(["as_of", "user_id", "item"], sort=True)["worth"].max().reset_index()
    if taken.empty:
        what = f"has a {config.target!r} of" if config.target else "met"
        raise BadInput(f"nobody {what} a known item in the window", "window")
    number = taken.groupby(["as_of", "user_id"], sort=True).ngroup().to_numpy()
    kept = number >= number[-1] + 1 - config.requests
    taken, number = taken[kept], number[kept] - number[kept][0]
    first = np.flatnonzero(np.diff(number, prepend=-1))
    pairs = zip(
        np.split(taken["item"].to_numpy(np.int32), first[1:]),
        np.split(taken["worth"].to_numpy(np.int32), first[1:]),
        strict=True,
    )
    return taken.iloc[first][["user_id", "as_of"]].reset_index(drop=True), list(pairs)


def _moments(rows: Frame, visit_ms: int) -> "pd.Series[int]":
    """The last millisecond before each row, or before the visit that it belongs to."""
    if visit_ms <= 0:
        return rows["timestamp"] - 1
    people = rows.groupby("user_id", sort=False)["timestamp"]
    visit = (people.diff() > visit_ms).groupby(rows["user_id"], sort=False).cumsum()
    return rows.groupby([rows["user_id"], visit], sort=False)["timestamp"].transform("min") - 1


def _with_candidates(
    base: Model, chosen: Sequence[tuple[Int32, Int32]], recent: Sequence[Touches], config: RankingConfig
) -> list[_Request]:
    found = []
    for at in range(0, len(chosen), BLOCK):
        histories = [_history(base, touches) for touches in recent[at : at + BLOCK]]
        scores = base.scores(Histories.of(histories, len(base.items)))
        block = zip(scores, histories, chosen[at : at + BLOCK], recent[at : at + BLOCK], strict=True)
        found += [_request(score, history, pair, touches, config) for score, history, pair, touches in block]
    return found


def _history(base: Model, touches: Touches) -> History:
    """As serving asks with: each item once, at its newest place, oldest first."""
    known = history_of(touches)[::-1]
    newest: dict[str, int] = {}
    for at, item_id, _ in touches:
        newest.setdefault(item_id, at)
    return History(
        base.items.rows([item_id for item_id, *_ in known]),
        np.array([weight for _, weight, *_ in known], dtype=np.float32),
        np.array([newest[item_id] for item_id, *_ in known], dtype=np.int64),
    )


def _request(
    scores: Float32, history: History, chosen: tuple[Int32, Int32], touches: Touches, config: RankingConfig
) -> _Request:
    met, allowed = history.items[history.items >= 0], np.ones(len(scores), dtype=np.bool_)
    allowed[met] = config.again
    best, _ = top(scores, min(config.candidates, int(allowed.sum())), allowed)
    items, worth = chosen
    new = np.ones(len(items), dtype=np.bool_) if config.again else ~np.isin(items, met)
    return _Request(items[new], worth[new], touches, best)


def _relevance(request: _Request) -> Int32:
    worth = dict(zip(request.chosen.tolist(), request.worth.tolist(), strict=True))
    return np.array([worth.get(item, 0) for item in request.candidates.tolist()], dtype=np.int32)


def _table(
    base: Model, asked: Frame, people: Frame, requests: Sequence[_Request], live: Live, catalogue: Iterable[Item]
) -> Float32:
    ids = np.array(base.items.ids, dtype=object)
    items = np.concatenate([each.candidates for each in requests])
    counts = [len(each.candidates) for each in requests]
    labels = pd.DataFrame({"item_id": ids[items], "as_of": np.repeat(asked["as_of"].to_numpy(), counts)})
    things = live(labels, ITEM)
    numbers: Float64 = np.column_stack([things[name].to_numpy(dtype=np.float64) for name in ITEM])
    price, stock, category = _catalogue(base, catalogue)
    features: list[dict[Any, Any]] = people[list(OF_CUSTOMER)].to_dict("records")
    tables, edge = [], 0
    for request, moment, known in zip(requests, asked["as_of"].tolist(), features, strict=True):
        rows, count = request.candidates, len(request.candidates)
        last = base.items.row(request.touches[0][1]) if len(request.touches) else -1
        customer = Customer(moment, known, category[last] if last >= 0 else "")
        names = [str(each) for each in category[rows]]
        offered = Things(ids[rows].tolist(), numbers[edge : edge + count], price[rows], stock[rows], names)
        tables.append(table_of(customer, offered))
        edge += count
    return np.concatenate(tables)


def _catalogue(base: Model, catalogue: Iterable[Item]) -> "tuple[Float64, Float64, np.ndarray[Any, Any]]":
    """Price, stock and category of each item of the base."""
    entries = {item.item_id: item for item in catalogue}
    known = [entries.get(identity) for identity in base.items.ids]
    price = np.array([np.nan if each is None or each.price is None else each.price for each in known])
    stock = np.array([np.nan if each is None else float(each.in_stock) for each in known])
    category = np.array(["" if each is None else each.category for each in known], dtype=object)
    return price, stock, category


__all__ = ["NAMES", "Live", "RankingConfig", "RankingFrame", "ranking_frame"]
