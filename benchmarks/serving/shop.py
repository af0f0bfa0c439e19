"""The shop that every contender serves: 100,000 items, customers with taste, a fitted ALS, live profiles in Redis.

It is made once, in a data folder of its own, and found there again.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.keys import KeyStore
from features.offline import EventLog, interactions
from features.online import connect
from features.settings import Settings
from models import create, ranker_rows
from models.ranker import Ranker
from models.registry import CHAMPION, Registry
from pipelines.backfill import restore_all, source_name
from pipelines.imports.job import Report, write_events, write_items
from pipelines.imports.orders import accepted
from training import datasets, notebook_ranker, runs
from training.notebook_ranker import NotebookRanker
from training.trainer import Fitted

START_MS = 1_767_225_600_000  # 2026-01-01
DAYS = 7
NAMES, SHARES = ("Product Viewed", "Product Added", "Order Completed"), (0.85, 0.1, 0.05)
CATEGORIES = 40
TASTES = 250
LOYALTY = 0.8  # of a customer's events that share goes to the items of their taste


@dataclass(frozen=True)
class Shop:
    """Each item is met once at least; `events` of each customer are as many, in the order of time."""

    items: int = 100_000
    dims: int = 64
    customers: int = 8_000
    events: int = 50
    seed: int = 0

    def item(self, row: int) -> str:
        """The id of an item; its rows are in the order of ids."""
        return f"sku-{row:06d}"

    def customer(self, row: int) -> str:
        """The id of a customer."""
        return f"c{row:06d}"

    def category(self, row: int) -> str:
        """The category of an item: those of one taste share a few."""
        return f"category-{(row % TASTES) % CATEGORIES:02d}"

    def price(self, row: int) -> float:
        """The price of an item, in pounds."""
        return 1.0 + (row * 7_919 % 9_900) / 100


def prepared(shop: Shop, settings: Settings) -> str:
    """The shop in log, Redis and registry, its ALS the champion; returns a key that may ask for slates."""
    done = settings.data / "prepared"
    if not done.is_file():
        write_items(settings, _catalogue(shop), START_MS, Report(), _nothing)
        until = START_MS + DAYS * 86_400_000
        rows = (accepted(raw, until) for raw in _events(shop))
        write_events(EventLog(settings.data), source_name("import", "serving", 1), rows, Report(), _nothing)
    client = connect(settings.redis)
    restore_all(client, settings.data, settings.buckets)
    client.close()
    if not done.is_file():
        _champion(shop, settings)
        done.touch()
    return KeyStore(settings.data).issue("secret", ("recommend",), "benchmark", START_MS)[1]


def histories(shop: Shop) -> NDArray[np.int64]:
    """(customers, events) the items that each customer met, oldest first."""
    random = np.random.default_rng(shop.seed)
    taste = random.integers(TASTES, size=(shop.customers, 1))
    size = shop.items // TASTES
    depth = (size * random.random((shop.customers, shop.events)) ** 2).astype(np.int64)
    own = depth * TASTES + taste
    other = random.integers(shop.items, size=own.shape)
    met = np.where(random.random(own.shape) < LOYALTY, own, other)
    once = random.permutation(shop.items)[: met.size]
    met.reshape(-1)[random.permutation(met.size)[: len(once)]] = once
    return met


def _events(shop: Shop) -> Iterator[bytes]:
    """Segment messages in the order of time."""
    met = histories(shop)
    random = np.random.default_rng(shop.seed + 1)
    kinds = random.choice(len(NAMES), met.size, p=SHARES).tolist()
    times = START_MS + np.arange(met.size) * DAYS * 86_400_000 // met.size
    written: list[str] = np.datetime_as_string(times.astype("datetime64[ms]")).tolist()
    for at, row in enumerate(met.T.reshape(-1).tolist()):
        name, when = NAMES[kinds[at]], written[at]
        line = (
            f'{{"product_id":"{shop.item(row)}","category":"{shop.category(row)}","price":{shop.price(row)},'
            f'"quantity":1,"currency":"GBP"}}'
        )
        if name == "Order Completed":
            line = f'{{"order_id":"o{at}","currency":"GBP","products":[{line}]}}'
        yield (
            f'{{"type":"track","messageId":"m{at}","userId":"{shop.customer(at % shop.customers)}","event":"{name}",'
            f'"timestamp":"{when}Z","properties":{line}}}'
        ).encode()


def _catalogue(shop: Shop) -> Iterator[dict[str, Any]]:
    """Every tenth item is out of stock."""
    for row in range(shop.items):
        yield {
            "item_id": shop.item(row),
            "title": f"Item {row}",
            "category": shop.category(row),
            "price": shop.price(row),
            "currency": "GBP",
            "in_stock": row % 10 != 3,
        }


def _champion(shop: Shop, settings: Settings) -> None:
    frame = datasets.checked(interactions(EventLog(settings.data)))
    learned = datasets.interactions(frame)
    model = create("als", shop.seed, {"embedding_size": shop.dims, "epochs": 8}).fit(learned)
    window = (START_MS, START_MS + DAYS * 86_400_000)
    example = tuple(learned.items.names(learned.histories[0].items[-5:]))
    fitted = Fitted("als", model, dict(model.facts), window, window, "any", len(learned.users), example)
    workspace = settings.data / "tmp"
    workspace.mkdir(parents=True, exist_ok=True)
    made = runs.register(settings.mlflow, runs.recommender(fitted), {}, workspace)
    with Registry(settings.mlflow) as registry:
        registry.set_alias("als", CHAMPION, made.version)


def place_ranker(settings: Settings, wanted: bool) -> None:
    """Make a ranker the champion of its name, or take that from it; its trees are as many as those of a real one."""
    with Registry(settings.mlflow) as registry:
        made = registry.versions("ranker")
        if wanted:
            registry.set_alias("ranker", CHAMPION, made[0].version if made else _ranker(settings))
        elif made:
            registry.remove_alias("ranker", CHAMPION)


def _ranker(settings: Settings) -> str:
    """The version of one that learned at random: what it says means nothing, what it takes to say it does."""
    random = np.random.default_rng(0)
    table = random.standard_normal((30_000, len(ranker_rows.NAMES))).astype(np.float32)
    relevance = (table[:, 5] + random.standard_normal(len(table)) > 2).astype(np.int32)
    made = Ranker().fit(table, ranker_rows.NAMES, np.full(300, 100, dtype=np.int64), relevance)
    example = pd.DataFrame(table[:5].astype(np.float64), columns=list(ranker_rows.NAMES))
    registrable = runs.Registrable(
        made.name, made.save, made.params, made.facts, {}, notebook_ranker.__name__, example,
        NotebookRanker(made).predict(example),
    )  # fmt: skip
    with TemporaryDirectory(dir=settings.data) as workspace:
        return runs.register(settings.mlflow, registrable, {}, Path(workspace)).version


def factors_of(settings: Settings) -> Path:
    """The folder with the champion's files."""
    with Registry(settings.mlflow) as registry:
        champion = registry.champion("als")
        if champion is None:
            raise RuntimeError("the shop has no champion: remove its data folder and run this again")
        return registry.download(champion, settings.data / "models")


def _nothing() -> None:
    """Progress that nobody watches."""
