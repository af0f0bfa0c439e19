"""What one decision costs beside the model's own answer, by case: 100,000 items, everything on.

    python -m benchmarks.deciding [--items 100000] [--requests 400]

The model answers at once with fixed items, so that what is left are the stages: bounds, masks, sources, ranker,
variety, actions, exploration, scores, reasons. Times are of one core; on a busy machine trust the CPU column.
"""

import argparse
import gc
import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from features.items import Item
from features.trends import EVERYBODY
from models.arrays import Int32, Mask
from models.contracts import Slates
from models.histories import History
from models.interactions import IdMap
from models.ranker import Ranker
from models.ranker_rows import ITEM, NAMES
from models.ranking import top
from serving.decide.actions import Boost, Pin
from serving.decide.asked import Asked, Touch
from serving.decide.catalogue import Catalogue
from serving.decide.columns import Columns
from serving.decide.decision import decide
from serving.decide.limits import Limits, Where
from serving.decide.state import Champion, LoadedRanker, Policy, State
from serving.decide.trends import Trends

NOW = 1_767_268_800_000


class Fixed:
    """Answers with the first items that are allowed: what it costs is what the stages need of it."""

    def __init__(self, items: IdMap) -> None:
        self.items = items
        self._scores = -np.arange(2_000, dtype=np.float32)

    def recommend_one(self, _history: History, k: int, allowed: Mask) -> Slates:
        """The first k allowed of 2,000 items."""
        return top(self._scores, k, allowed[: len(self._scores)])

    def similar(self, _item: int, k: int, allowed: Mask) -> Slates:
        """The same."""
        return top(self._scores, k, allowed[: len(self._scores)])

    def because(self, history: History, slate: Int32) -> Int32:
        """The oldest touch."""
        return np.full(len(slate), 0 if len(history.items) else -1, dtype=np.int32)


def shop(ids: IdMap) -> State:
    """A state of these items, a tenth of them out of stock, in 50 categories."""
    size = len(ids)
    items = {
        item_id: Item(item_id=item_id, category=f"c{at % 50}", price=float(at % 200), in_stock=at % 10 != 0)
        for at, item_id in enumerate(ids.ids)
    }
    catalogue = Catalogue(items)
    wanted = [(ids.ids[at], 1_000.0 - place) for place, at in enumerate(range(0, size, max(1, size // 1_000)))]
    champion = Champion("fixed", "1", Fixed(ids), Columns(ids, catalogue))  # type: ignore[arg-type]
    actions = (
        Pin(name="hero", item_id=ids.ids[11], position=2),
        Boost(name="sale", where=Where(categories=frozenset({"c3"})), places=3),
    )
    trending = Trends({EVERYBODY: wanted})
    return State(champion, catalogue=catalogue, trending=trending, actions=actions, policy=Policy(0.05, 0.5))


def customer(ids: tuple[str, ...], number: int) -> Asked:
    """Somebody with 30 items of history, 5 of them bought."""
    met = [ids[at] for at in np.random.default_rng(number).integers(0, len(ids), 30)]
    touches = tuple(Touch(item_id, 1.0, "Product Viewed", NOW - 1) for item_id in met)
    return Asked(NOW, 10, f"u:{number}", touches, frozenset(met[:5]))


def ranker() -> LoadedRanker:
    """One of as many trees and columns as a real one."""
    rng = np.random.default_rng(0)
    table = rng.standard_normal((30_000, len(NAMES))).astype(np.float32)
    relevance = (table[:, 5] + rng.standard_normal(len(table)) > 2).astype(np.int32)
    return LoadedRanker("1", Ranker().fit(table, NAMES, np.full(300, 100, dtype=np.int64), relevance))


def cases(ids: tuple[str, ...], state: State, requests: int) -> Iterator[tuple[str, State, list[Asked]]]:
    """Name, state and questions of each case."""
    known = [customer(ids, number) for number in range(requests)]
    garden = Limits(Where(categories=frozenset({"c1"}), max_price=50.0))
    nothing = Limits(Where(categories=frozenset({"none such"})))
    live = {item_id: (1.0,) * len(ITEM) for item_id in ids[:2_500]}
    ranked = [replace(asked, features={"views_24h": 3, "category_affinity": {"c1": 1.0}}) for asked in known]
    yield "a customer, 10 items", state, known
    yield "100 items", state, [replace(asked, n=100) for asked in known]
    yield "somebody new", state, [Asked(NOW, 10, f"u:{number}") for number in range(requests)]
    yield "category and price", state, [replace(asked, limits=garden) for asked in known]
    yield "a filter that matches nothing", state, [replace(asked, limits=nothing) for asked in known]
    yield "1,000 items excluded", state, [replace(asked, exclude=ids[:1_000]) for asked in known]
    yield "items like one", state, [Asked(NOW, 10, alike=ids[number]) for number in range(requests)]
    yield "with a ranker", replace(state, ranker=ranker(), items=live), ranked


def main() -> None:
    """Print a table."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    options.add_argument("--items", type=int, default=100_000)
    options.add_argument("--requests", type=int, default=400)
    given = options.parse_args()
    ids = IdMap.of(f"sku-{number:07d}" for number in range(given.items))
    state = shop(ids)
    gc.collect()
    gc.freeze()  # as the service does
    print(f"{'case':32}{'p50 us':>9}{'p99 us':>9}{'CPU us':>9}")
    for name, made, questions in cases(ids.ids, state, given.requests):
        for asked in questions[:20]:
            decide(made, asked)
        times, cpu = [], time.process_time()
        for asked in questions:
            started = time.perf_counter()
            decide(made, asked)
            times.append(time.perf_counter() - started)
        cpu = (time.process_time() - cpu) / len(questions)
        p50, p99 = np.quantile(times, [0.5, 0.99]) * 1e6
        print(f"{name:32}{p50:9.0f}{p99:9.0f}{cpu * 1e6:9.0f}")
    gc.unfreeze()


if __name__ == "__main__":
    main()
