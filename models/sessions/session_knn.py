"""Session neighbours: what came next in the sessions most like this history. Nothing is trained; only counted.

Three parts: the votes of the neighbours; a walk of two steps over the graph of which item follows which, which reaches
items that no neighbour has; and a trace of popularity, which orders what neither reaches.
Source: Garg et al. Sequence and Time Aware Neighborhood for Session-based Recommendations (STAN). SIGIR 2019; Ludewig
et al. Performance Comparison of Neural and Non-Neural Approaches to Session-based Recommendation (V-STAN). RecSys 2019.
"""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from scipy.sparse import csr_matrix, diags

from features.errors import BrokenArtifact, NotFitted
from models import artifacts
from models.arrays import Csr, Float32, Int32, Int64, Mask
from models.contracts import Progress, Slates
from models.fields import stored
from models.histories import Histories, History
from models.interactions import IdMap, Interactions
from models.ranking import in_blocks, top
from models.sessions.item_graph import scaled, shares, strongest, transitions
from models.sessions.neighbours import Asked, Likeness, Sessions, collapsed
from models.trending import popularity
from models.visits import BEYOND, ByVisits, visits

TRACE = 1e-4  # of the best score: what popularity may add
BLOCK = 64


@dataclass(frozen=True)
class SessionKnnConfig(ByVisits, Likeness):
    """Beside what neighbours are: the shares of the graph's first and second step, against 1 of the neighbours' votes.

    `step`, `walk`: the shares; `reach`: how many events apart two items may be to be joined, `degree`: successors kept
    of each; `hub`: power of a candidate's connections to divide the second step by. `events` bounds memory: of more
    than so many, the newest sessions are kept (without times, any). Of a history of more than `visits_beyond` events
    each visit is a session (0: every history is one). `half_life_days` is that of the popularity list.
    The defaults were chosen together on validation data of short sessions (Diginetica), of whole histories (Amazon
    Beauty) and of buyers' mixed events (RetailRocket): no value is the best of any one of them.
    """

    step: float = 0.0
    walk: float = 0.1
    reach: int = 10
    degree: int = 100
    hub: float = 0.5
    events: int = 10_000_000
    visits_beyond: int = BEYOND
    half_life_days: float = 7.0


class SessionKnn:
    """The sessions, the graph of the items, and the popularity list."""

    name: ClassVar[str] = "session_knn"
    settings: ClassVar[type[SessionKnnConfig]] = SessionKnnConfig

    def __init__(self, config: SessionKnnConfig | None = None, seed: int = 0) -> None:
        self._config = config or SessionKnnConfig()
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
        """How many sessions can be neighbours."""
        self._check_fitted()
        return {"sessions": float(len(self._sessions))}

    def fit(self, interactions: Interactions, progress: Progress | None = None) -> Self:
        """Keep the sessions, and count what follows what."""
        liked = popularity(interactions, self._config.half_life_days)
        sessions = self._kept(interactions.histories)
        self._hold(interactions.items, sessions, *self._joined(sessions), liked)
        if progress is not None:
            progress(1, 1)
        return self

    def scores(self, histories: Histories) -> Float32:
        """Votes of the neighbours + walk + trace of popularity; popularity alone where the history is empty."""
        self._check_fitted()
        scores = np.empty((len(histories), len(self._items)), dtype=np.float32)
        for start in range(0, len(histories), BLOCK):
            block = histories.rows(start, min(start + BLOCK, len(histories)))
            part = scores[start : start + BLOCK]
            part[:] = self._trace
            found = self._found(block)
            rows = np.repeat(np.arange(len(block)), np.diff(found.indptr))
            part[rows, found.indices] += found.data
            part[block.counts == 0] = self._popularity
        return scores

    def recommend(self, histories: Histories, k: int, exclude: Csr | None = None) -> Slates:
        """Exact ranking of all items."""
        return in_blocks(self.scores, histories, k, exclude)

    def recommend_one(self, history: History, k: int, allowed: Mask | None = None) -> Slates:
        """The same as of many: only the sessions that share an item are looked at."""
        self._check_fitted()
        return top(self.scores(self._alone(history))[0], k, allowed)

    def similar(self, item: int, k: int, allowed: Mask | None = None) -> Slates:
        """What follows the item, or precedes it."""
        self._check_fitted()
        scores = np.full(len(self._items), -np.inf, dtype=np.float32)
        row = self._graph[item]
        scores[row.indices] = row.data
        return top(scores, k, allowed)

    def because(self, history: History, slate: Int32) -> Int32:
        """The score is a sum over the different items of the history: the place of the one that adds most."""
        self._check_fitted()
        reasons = np.full(len(slate), -1, dtype=np.int32)
        shown = np.flatnonzero(slate >= 0)
        asked = self._sessions.asked(self._alone(history), self._config)
        if not len(asked.item) or not len(shown):
            return reasons
        parts = self._parts(asked, slate[shown])
        moved = parts.max(axis=0) > 0
        places = np.flatnonzero((history.items >= 0) & (history.weights > 0))[asked.place]
        reasons[shown[moved]] = places[parts.argmax(axis=0)[moved]]
        return reasons

    def save(self, folder: Path) -> None:
        """Write model.json, items.json and arrays.npz."""
        self._check_fitted()
        sessions = self._sessions
        arrays: artifacts.Arrays = {
            "popularity": self._popularity,
            "hubs": self._hubs,
            "sessions_indptr": sessions.indptr,
            "sessions_items": sessions.items,
            "worth": sessions.worth,
            "times": sessions.times,
            **artifacts.sparse_arrays("graph", self._graph),
        }
        artifacts.write(folder, self.name, {**self.params, "ordered": sessions.ordered}, self._items, arrays)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The model as it was saved."""
        floats, integers = artifacts.sparse_shapes("graph")
        floats = {**floats, "popularity": (-1,), "hubs": (-1,), "worth": (0,)}
        integers = {**integers, "sessions_indptr": (0,), "sessions_items": (0,), "times": (0,)}
        params, items, arrays = artifacts.read(folder, cls.name, floats, integers)
        try:
            model = cls(stored(SessionKnnConfig, params), int(params["seed"]))
            ordered = bool(params["ordered"])
        except (KeyError, TypeError, ValueError) as error:
            raise BrokenArtifact(f"model.json in {folder} lacks or misstates {error}") from error
        graph = artifacts.sparse_matrix(arrays, "graph", (len(items), len(items)))
        # sparse_matrix says whether the events' items and the sessions' bounds are whole
        events = {
            "events": arrays["worth"],
            "events_indices": arrays["sessions_items"],
            "events_indptr": arrays["sessions_indptr"],
        }
        artifacts.sparse_matrix(events, "events", (len(arrays["sessions_indptr"]) - 1, len(items)))
        if len(arrays["times"]) not in (0, len(arrays["sessions_indptr"]) - 1):
            raise BrokenArtifact(f"arrays.npz in {folder} has {len(arrays['times'])} times, not one a session")
        sessions = Sessions(
            arrays["sessions_indptr"], arrays["sessions_items"], arrays["worth"], arrays["times"], len(items), ordered
        )
        model._hold(items, sessions, graph, arrays["hubs"], arrays["popularity"])
        return model

    def _check_fitted(self) -> None:
        if not len(self._items):
            raise NotFitted("session_knn has no sessions yet: call fit() or load() first")

    def _hold(self, items: IdMap, sessions: Sessions, graph: Csr, hubs: Float32, liked: Float32) -> None:
        self._items, self._sessions, self._graph, self._popularity = items, sessions, graph, liked
        self._hubs = hubs
        self._trace = TRACE * liked / liked.max()
        _ = sessions.ends, sessions.sizes  # made now, not in the first answer

    def _kept(self, histories: Histories) -> Sessions:
        """Sessions of two or more events, oldest session first."""
        histories = collapsed(visits(histories, self._config.visits_beyond))
        rows: Int64 = np.flatnonzero(histories.counts > 1)
        newest = np.zeros(0, dtype=np.int64)
        if histories.times is not None:
            newest = histories.times[histories.indptr[1:][rows] - 1]
            order = np.argsort(newest, kind="stable")
            rows, newest = rows[order], newest[order]
        elif histories.counts[rows].sum() > self._config.events:
            rows = np.random.default_rng(self._seed).permutation(rows)
        first = int(np.searchsorted(-np.cumsum(histories.counts[rows][::-1])[::-1], -self._config.events))
        kept = histories.take(rows[first:])
        return Sessions(kept.indptr, kept.items, kept.weights, newest[first:], kept.n_items, kept.ordered)

    def _joined(self, sessions: Sessions) -> tuple[Csr, Float32]:
        """What follows each item, or precedes it, as shares of its row; and how each item is damped."""
        items = sessions.items
        if not sessions.ordered:  # any two items of a session are as near as any other two
            items = items[np.lexsort((np.random.default_rng(self._seed).random(len(items)), sessions.session_of))]
        graph = transitions(sessions.session_of, items, sessions.n_items, self._config.reach, sessions.ordered)
        both = csr_matrix(graph + (self._config.backward if sessions.ordered else 1.0) * graph.T)
        degrees = np.maximum(np.asarray(both.sum(axis=0), dtype=np.float32).ravel(), 1e-9)
        return shares(both, self._config.degree), (degrees / degrees.max()) ** -np.float32(self._config.hub)

    def _found(self, histories: Histories) -> Csr:
        """(n, n_items) csr: the votes, the first step and the walk, each at most 1 before its share is taken."""
        asked = self._sessions.asked(histories, self._config)
        votes = self._sessions.votes(self._sessions.matches(asked, self._config), self._config, len(histories))
        shape = (len(histories), len(self._items))
        here = csr_matrix((asked.weight.astype(np.float32), (asked.row, asked.item)), shape=shape)
        step = csr_matrix(here @ self._graph)
        walk = self._second(strongest(step, self._config.degree))
        return csr_matrix(scaled(votes) + self._config.step * scaled(step) + self._config.walk * scaled(walk))

    def _second(self, first: Csr) -> Csr:
        """One step on from the items of the first, the hubs of the graph damped."""
        second = csr_matrix(first @ self._graph, dtype=np.float32)
        second.data *= self._hubs[second.indices]
        return second

    def _parts(self, asked: Asked, slate: Int32) -> Float32:
        """(asked, slate) float32 what each asked item of one history adds to the score of each item of the slate."""
        found = self._sessions.matches(asked, self._config)
        votes = self._sessions.votes(replace(found, row=np.arange(len(found.row))), self._config, len(found.row))
        whole = csr_matrix(self._sessions.shares(asked, found, self._config) @ votes)
        shape = (len(asked.item), len(self._items))
        here = csr_matrix((asked.weight.astype(np.float32), (np.arange(shape[0]), asked.item)), shape=shape)
        step = csr_matrix(here @ self._graph)
        passed = np.zeros(shape[1], dtype=np.float32)
        passed[strongest(csr_matrix(step.sum(axis=0)), self._config.degree).indices] = 1.0
        walk = self._second(csr_matrix(step @ diags(passed)))
        parts = np.zeros((len(asked.item), len(slate)), dtype=np.float32)
        for share, matrix in ((1.0, whole), (self._config.step, step), (self._config.walk, walk)):
            if matrix.nnz:
                parts += share * matrix[:, slate].toarray() / matrix.sum(axis=0).max()
        return parts

    def _alone(self, history: History) -> Histories:
        alone = Histories.of([history], len(self._items))
        return Histories(alone.indptr, alone.items, alone.weights, alone.n_items, alone.times, self._sessions.ordered)
