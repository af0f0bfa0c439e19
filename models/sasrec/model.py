"""SASRec of our day: a transformer reads what somebody did in order and says what comes next.

Source: Kang, McAuley. Self-Attentive Sequential Recommendation. ICDM 2018, trained as in Klenitskiy, Vasilev. Turning
Dross Into Gold Loss. RecSys 2023, with shared negatives corrected as in Khrylchenko et al. Correcting the LogQ
Correction. RecSys 2025.
"""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from features.errors import BadInput, BrokenArtifact, NotFitted
from models import artifacts
from models.arrays import Csr, Float32, Int32, Int64, Mask
from models.contracts import Progress, Slates
from models.device import check_device
from models.fields import stored
from models.histories import Histories, History
from models.index import Index, IndexConfig
from models.interactions import IdMap, Interactions
from models.onnx import Graph
from models.ranking import in_blocks, top
from models.trending import popularity

QUERIES = 256
BLOCK = 4096  # histories encoded at once
ENCODER = "encoder.onnx"


@dataclass(frozen=True)
class SasRecConfig:
    """The network, how it is trained, and where; `threads` changes the time, and on `cuda` the arithmetic is bf16.

    `dropout` 0 stands for what the data say (models/sasrec/plan.py), as they do of batches and steps. At most `longest`
    events are read. Scores are cosines over `temperature` against `negatives` items drawn by popularity^`beta` for a
    whole batch, or against all of a catalogue up to `full_softmax_up_to`, on `cuda` up to `full_softmax_on_cuda_up_to`.
    Training ends after `epochs` or `steps`, or when `patience` looks at held-out events found nothing better.
    A warm start ends after `refresh_epochs` at the latest. `members` networks are trained, member i of seed s with seed
    s * members + i, and their scores averaged: each costs a fit, and the index is so many times as wide.
    `half_life_days` is that of the popularity list.
    """

    embedding_size: int = 64
    blocks: int = 2
    heads: int = 2
    dropout: float = 0.0
    longest: int = 200
    temperature: float = 0.07
    negatives: int = 3_840  # with 4,096 a batch's logits are 32 MiB: slower, malloc gives such back each time
    beta: float = 0.75
    full_softmax_up_to: int = 4_000
    full_softmax_on_cuda_up_to: int = 50_000
    learning_rate: float = 0.003
    epochs: int = 100
    refresh_epochs: int = 3
    steps: int = 8_000
    patience: int = 5
    members: int = 1
    half_life_days: float = 7.0
    threads: int = 1
    device: str = "cpu"


class SasRec:
    """Item vectors of length 1, an encoder from a history to a query of length 1, and an index; scores are cosines."""

    name: ClassVar[str] = "sasrec"
    settings: ClassVar[type[SasRecConfig]] = SasRecConfig

    def __init__(self, config: SasRecConfig | None = None, seed: int = 0) -> None:
        self._config = config or SasRecConfig()
        self._seed = seed
        self._items = IdMap(())

    @property
    def items(self) -> IdMap:
        """The catalogue that it was fitted on."""
        self._check_fitted()
        return self._items

    @property
    def params(self) -> dict[str, float | int | str]:
        """Its configuration and seed."""
        return {**asdict(self._config), "seed": self._seed}

    @property
    def facts(self) -> dict[str, float]:
        """What was measured and decided while it was fitted, and how much of the exact top 20 the index finds."""
        self._check_fitted()
        return {**self._facts, "index_recall_at_20": self._index.recall}

    def fit(self, interactions: Interactions, progress: Progress | None = None) -> Self:
        """Train until a held-out event of some users is no longer found better."""
        return self._fit(interactions, self._config, None, progress)

    def refreshed(self, interactions: Interactions, progress: Progress | None = None) -> Self:
        """A new model of newer interactions whose networks start from this one's: `refresh_epochs` do.

        Items that are new start as ever, those that are gone are dropped.
        """
        self._check_fitted()
        fresh = type(self)(self._config, self._seed)
        brief = replace(self._config, epochs=self._config.refresh_epochs)
        return fresh._fit(interactions, brief, self, progress)

    def _fit(
        self, interactions: Interactions, config: SasRecConfig, before: "SasRec | None", progress: Progress | None
    ) -> Self:
        if config.members < 1:
            raise BadInput(f"members is how many networks are averaged, 1 or more, not {config.members}", "members")
        check_device(config.device)
        from models.sasrec.fit import Start, trained  # noqa: PLC0415 - torch is for fitting: who serves doesn't load it

        liked = popularity(interactions, config.half_life_days)
        starts = [] if before is None else [Start(*each) for each in before._networks(interactions.items)]
        learned = trained(interactions.histories, config, self._seed, progress, starts)
        self._hold(interactions.items, learned.vectors, liked, Graph(learned.encoder), learned.facts)
        self._lengths, self._rests = learned.lengths, learned.rests
        sample = np.random.default_rng(self._seed).permutation(len(interactions.histories))[:QUERIES]
        queries, _ = self._queries(interactions.histories.take(np.sort(sample)))
        self._index = Index.build(learned.vectors, queries, IndexConfig())
        return self

    def scores(self, histories: Histories) -> Float32:
        """Cosines of the histories' queries with all items; popularity where the history is empty."""
        self._check_fitted()
        queries, empty = self._queries(histories)
        scores: Float32 = queries @ self._vectors.T
        scores[empty] = self._popularity
        return scores

    def recommend(self, histories: Histories, k: int, exclude: Csr | None = None) -> Slates:
        """Exact ranking of all items."""
        return in_blocks(self.scores, histories, k, exclude)

    def recommend_one(self, history: History, k: int, allowed: Mask | None = None) -> Slates:
        """Encode the history, then ask the index."""
        self._check_fitted()
        items = history.known().items[-self._length :]
        if not len(items):
            return top(self._popularity, k, allowed)
        return self._index.search(self._encoder(items=items[None].astype(np.int64))[0], k, allowed)

    def similar(self, item: int, k: int, allowed: Mask | None = None) -> Slates:
        """By cosine of the item vectors."""
        self._check_fitted()
        return self._index.alike(item, k, allowed)

    def because(self, history: History, slate: Int32) -> Int32:
        """Each event is left out in turn: the one without which the score falls most is the reason."""
        self._check_fitted()
        reasons = np.full(len(slate), -1, dtype=np.int32)
        counted = np.flatnonzero((history.items >= 0) & (history.weights > 0))[-self._length :]
        if not len(counted) or not len(slate):
            return reasons
        items = history.items[counted].astype(np.int64)
        falls = self._encoder(items=items[None]) @ self._vectors[slate].T - self._without_each(items, slate)
        best = falls.argmax(axis=0)
        moved = (falls[best, np.arange(len(slate))] > 0) & (slate >= 0)
        reasons[moved] = counted[best[moved]]
        return reasons

    def save(self, folder: Path) -> None:
        """Write model.json, items.json, arrays.npz, encoder.onnx, and index.faiss where it has lists."""
        self._check_fitted()
        self._encoder.save(folder / ENCODER)
        kept = {**self.params, **self._index.save(folder), "facts": self._facts}
        arrays = {
            "vectors": self._vectors,
            "popularity": self._popularity,
            "lengths": self._lengths,
            "rests": self._rests,
        }
        artifacts.write(folder, self.name, kept, self.items, arrays)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The model as it was saved; torch isn't needed."""
        shapes = {"vectors": (-1, 0), "popularity": (-1,), "lengths": (-1, 0), "rests": (0, 0)}
        params, items, arrays = artifacts.read(folder, cls.name, shapes)
        try:
            model = cls(stored(SasRecConfig, params), int(params["seed"]))
            facts = {str(key): float(value) for key, value in params["facts"].items()}
            model._hold(items, arrays["vectors"], arrays["popularity"], Graph.load(folder / ENCODER), facts)
            model._lengths, model._rests = arrays["lengths"], arrays["rests"]
            model._index = Index.load(folder, model._vectors, params)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BrokenArtifact(f"model.json in {folder} lacks or misstates {error}") from error
        return model

    def _check_fitted(self) -> None:
        if not len(self._items):
            raise NotFitted("sasrec has no vectors yet: call fit() or load() first")

    def _hold(self, items: IdMap, vectors: Float32, liked: Float32, encoder: Graph, facts: dict[str, float]) -> None:
        self._items, self._vectors, self._popularity = items, vectors, liked
        self._encoder, self._facts, self._length = encoder, facts, int(facts["max_length"])

    def _networks(self, items: IdMap) -> list[tuple[Float32, Float32]]:
        """Of each member the item vectors as they were trained, NaN where an item is new, and the rest of it."""
        rows, members = self._items.rows(items.ids), len(self._rests)
        parts = np.split(self._vectors * np.float32(np.sqrt(members)), members, axis=1)
        trained = [part * self._lengths[:, [which]] for which, part in enumerate(parts)]
        nothing = np.float32(np.nan)
        return [
            (np.where(rows[:, None] >= 0, vectors[rows], nothing), rest.copy())
            for vectors, rest in zip(trained, self._rests, strict=True)
        ]

    def _queries(self, histories: Histories) -> tuple[Float32, Mask]:
        """(n, d) queries, zeros where the history is empty, and which those are; equal lengths are encoded together."""
        recent = histories.last(self._length)
        counts = recent.counts
        queries = np.zeros((len(histories), self._vectors.shape[1]), dtype=np.float32)
        for length in np.unique(counts[counts > 0]):
            alike = np.flatnonzero(counts == length)
            for rows in np.array_split(alike, -(-len(alike) * int(length) // BLOCK)):
                items = recent.items[recent.indptr[rows][:, None] + np.arange(length)[None]]
                queries[rows] = self._encoder(items=items.astype(np.int64))
        return queries, counts == 0

    def _without_each(self, items: Int64, slate: Int32) -> Float32:
        """(h, len(slate)) scores when one event is left out; nothing left scores nothing."""
        if len(items) == 1:
            return np.zeros((1, len(slate)), dtype=np.float32)
        left = np.array([np.delete(items, place) for place in range(len(items))])
        scores: Float32 = self._encoder(items=left) @ self._vectors[slate].T
        return scores
