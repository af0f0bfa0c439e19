"""Graph filter: what a history says, passed over the graph of items and users, once and through its low frequencies.

A filter is a curve over the graph's frequencies. It is followed exactly at the leading singular vectors, and by its
chord beyond them: a walk from the history's items to their users and on to what those took. No item-item matrix is
made, so nothing is cut. Vectors that chance alone would have given are left out: where taste tells little, they are
noise that keeps the filter below the popular list.

Sources: Kim et al. Graph Spectral Filtering with Chebyshev Interpolation for Recommendation. SIGIR 2025 (ChebyCF: the
curve, the normalisation, and what they are set to). Shen et al. How Powerful is Graph Convolution for Recommendation?
CIKM 2021 (GF-CF). Halko, Martinsson, Tropp. Finding Structure with Randomness. SIAM Review 2011. Horn.
A Rationale and Test for the Number of Factors in Factor Analysis. Psychometrika 1965 (what chance gives).
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from features.errors import BrokenArtifact, NotFitted
from models import artifacts
from models.arrays import Csr, Float32, Int32, Mask
from models.contracts import Progress, Slates
from models.fields import stored
from models.histories import Histories, History, newest_places
from models.interactions import IdMap, Interactions
from models.linear.item_weights import bounded, power, scaled, sums
from models.ranking import in_blocks, top
from models.trending import popularity
from models.visits import BEYOND, ByVisits

FEWEST = 32  # vectors of a small graph
PART = 8  # of a graph's vectors at most one in so many is taken: with all of them nothing is filtered
ROWS = 65_536  # users that are multiplied at once
CHANCE = (
    1.05  # times the square that chance gives is what a vector must be above: two draws differ by up to a twentieth
)
REPEATS = 0.02  # of the events: from this share on people take things again
LOWEST = 1e-3  # below it a chord of the curve is its slope at 0
TRACE = 1e-6  # of the best score: what popularity may add, so that what is out of reach has an order too


@dataclass(frozen=True)
class GraphFilterConfig(ByVisits):
    """scores = taste (chord d^-inward X' D^-modesty X d^-outward + d^-lift V passed V' d^lift).

    X and the taste are log(1 + weight), D what each user took in all, d what each item was taken. V are the `rank`
    first right singular vectors of D^-1/2 X d^-1/2 (of a small graph fewer, see PART), up to the last that is above
    what the same degrees have with pairs drawn by chance (the first always; all where people take things again, for
    which all vectors together are the memory), s the squares of their values,
    and passed = curve(s) - chord s + low_pass. The curve is 1/2 + 1/2 |2s - 1|^flatness above s = 1/2 and 1/2 - 1/2
    |2s - 1|^flatness below: a straight line at 1, else with a plateau in the middle. Its chord goes from 0 to the least
    s. The exponents and the curve are what the paper has for Gowalla. Beside a history of more than `visits_beyond`
    events X has its visits (0: every history is whole). `half_life_days` is that of the popularity list, which
    an empty history gets.
    """

    rank: int = 512
    modesty: float = 1.0
    inward: float = 0.9
    outward: float = 0.1
    low_pass: float = 0.3
    flatness: float = 1.5
    lift: float = 0.4
    visits_beyond: int = BEYOND
    half_life_days: float = 7.0


class Spectrum(NamedTuple):
    """`vectors` (n_columns, rank) float32 right singular vectors; `squares` (rank,) of their values, falling."""

    vectors: Float32
    squares: Float32


class GraphFilter:
    """The graph with its edges weighed, the singular vectors, and the popularity list."""

    name: ClassVar[str] = "graph_filter"
    settings: ClassVar[type[GraphFilterConfig]] = GraphFilterConfig

    def __init__(self, config: GraphFilterConfig | None = None, seed: int = 0) -> None:
        self._config = config or GraphFilterConfig()
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
        """How many singular vectors there were to take that chance doesn't explain."""
        self._check_fitted()
        return {"rank_found": float(self._vectors.shape[1])}

    def fit(self, interactions: Interactions, progress: Progress | None = None) -> Self:
        """Weigh the graph and find its singular vectors."""
        liked = popularity(interactions, self._config.half_life_days)
        taken = bounded(interactions.taken_together(self._config.visits_beyond), self._seed).log1p()
        rank = min(self._config.rank, max(FEWEST, min(taken.shape) // PART))
        with threadpool_limits(1, "blas"):
            frequencies = spectrum(even(taken), rank, self._seed)
            if _taken_again(interactions) < REPEATS:
                chance = spectrum(even(by_chance(taken, self._seed)), rank, self._seed).squares
                frequencies = beyond_chance(frequencies, chance)
        self._hold(interactions.items, taken, frequencies, liked)
        if progress is not None:
            progress(1, 1)
        return self

    def scores(self, histories: Histories) -> Float32:
        """Exact; items out of reach by popularity."""
        self._check_fitted()
        taste = histories.matrix.log1p()
        walked = scaled(taste, columns=self._inward) @ self._taken_by
        scores: Float32 = (scaled(walked, columns=self._modest) @ self._takes).toarray()
        scores += ((scaled(taste, columns=self._low) @ self._passing) @ self._vectors.T) * self._lift
        best = np.abs(scores).max(axis=1, keepdims=True)
        scores += best * (self._popularity * np.float32(TRACE / self._popularity.max()))
        scores[histories.counts == 0] = self._popularity
        return scores

    def recommend(self, histories: Histories, k: int, exclude: Csr | None = None) -> Slates:
        """Exact ranking of all items."""
        return in_blocks(self.scores, histories, k, exclude)

    def recommend_one(self, history: History, k: int, allowed: Mask | None = None) -> Slates:
        """Exact ranking of all items that are allowed."""
        self._check_fitted()
        return top(self.scores(Histories.of([history], len(self._items)))[0], k, allowed)

    def similar(self, item: int, k: int, allowed: Mask | None = None) -> Slates:
        """By the angle between the items' users, whose votes count less the more they took; the rest is padding."""
        self._check_fitted()
        walked = scaled(self._taken_by[[item]], columns=self._modest) @ self._takes
        row = walked.toarray()[0] * self._outward
        scores = np.where(row > 0, row, -np.inf).astype(np.float32)
        scores[item] = -np.inf
        return top(scores, k, allowed)

    def because(self, history: History, slate: Int32) -> Int32:
        """A score is a sum over the history: its largest part is the reason."""
        self._check_fitted()
        reasons = np.full(len(slate), -1, dtype=np.int32)
        taste = Histories.of([history], len(self._items)).matrix.log1p()
        if not taste.nnz or not len(slate):
            return reasons
        parts = self._parts(taste.indices, np.maximum(slate, 0)) * taste.data[:, None]
        best = parts.argmax(axis=0)
        moved = (parts[best, np.arange(len(slate))] > 0) & (slate >= 0)
        reasons[moved] = newest_places(history, taste.indices[best[moved]])
        return reasons

    def save(self, folder: Path) -> None:
        """Write model.json, items.json and arrays.npz."""
        self._check_fitted()
        arrays = {"vectors": self._vectors, "squares": self._squares, "popularity": self._popularity}
        taken = artifacts.sparse_arrays("taken", self._taken)
        artifacts.write(folder, self.name, self.params, self._items, {**arrays, **taken})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The model as it was saved."""
        floats, integers = artifacts.sparse_shapes("taken")
        shapes = {"vectors": (-1, 0), "squares": (0,), "popularity": (-1,), **floats}
        params, items, arrays = artifacts.read(folder, cls.name, shapes, integers)
        taken = artifacts.sparse_matrix(arrays, "taken", (len(arrays["taken_indptr"]) - 1, len(items)))
        try:
            model = cls(stored(cls.settings, params), int(params["seed"]))
        except (KeyError, TypeError, ValueError) as error:
            raise BrokenArtifact(f"model.json in {folder} lacks or misstates {error}") from error
        if len(arrays["squares"]) != arrays["vectors"].shape[1]:
            raise BrokenArtifact(f"arrays.npz in {folder} has {len(arrays['squares'])} squares, not one a vector")
        model._hold(items, taken, Spectrum(arrays["vectors"], arrays["squares"]), arrays["popularity"])
        return model

    def _check_fitted(self) -> None:
        if not len(self._items):
            raise NotFitted("graph_filter has no graph yet: call fit() or load() first")

    def _hold(self, items: IdMap, taken: Csr, frequencies: Spectrum, liked: Float32) -> None:
        config, degrees = self._config, sums(taken, 0)
        self._items, self._taken, self._popularity = items, taken, liked
        self._vectors, self._squares = frequencies
        chord, passed = _passed(self._squares, config)
        self._passing = self._vectors * passed
        self._inward, self._outward = power(degrees, -config.inward) * chord, power(degrees, -config.outward)
        self._modest = power(sums(taken, 1), -config.modesty)
        self._low, self._lift = power(degrees, -config.lift), power(degrees, config.lift)
        self._takes = scaled(taken, columns=self._outward)
        self._taken_by = csr_matrix(taken.T)

    def _parts(self, items: Int32, slate: Int32) -> Float32:
        """(h, k) what each item of a history adds to each of the slate, per unit of taste."""
        walked = scaled(self._taken_by[items], self._inward[items], self._modest)
        first = (walked @ self._taken_by[slate].T).toarray() * self._outward[slate]
        low = (self._passing[items] * self._low[items, None]) @ self._vectors[slate].T * self._lift[slate]
        parts: Float32 = first + low
        return parts


def _taken_again(interactions: Interactions) -> float:
    """The share of the events that aren't the first of their pair."""
    return 1 - interactions.matrix.nnz / max(len(interactions.histories.items), 1)


def even(taken: Csr) -> Csr:
    """D^-1/2 X d^-1/2: everybody, and every item, weighs the same."""
    return scaled(taken, power(sums(taken, 1), -0.5), power(sums(taken, 0), -0.5))


def by_chance(taken: Csr, seed: int) -> Csr:
    """As many pairs of every user, and of every item, but whose is whose is drawn; of equal pairs one stays."""
    rows = np.repeat(np.arange(taken.shape[0]), np.diff(taken.indptr))
    keys = rows * np.int64(taken.shape[1]) + np.random.default_rng(seed).permutation(taken.indices)
    keys, first = np.unique(keys, return_index=True)
    return csr_matrix((taken.data[first], np.divmod(keys, taken.shape[1])), shape=taken.shape)


def beyond_chance(found: Spectrum, chance: Float32) -> Spectrum:
    """The vectors up to the last one whose square is clearly above that of the same place by chance; one at least."""
    places = min(len(found.squares), len(chance))
    above = np.flatnonzero(found.squares[:places] > CHANCE * chance[:places])
    kept = max(1, int(above.max(initial=0)) + 1)
    return Spectrum(found.vectors[:, :kept].copy(), found.squares[:kept].copy())


def spectrum(matrix: Csr, rank: int, seed: int, rounds: int = 5) -> Spectrum:
    """The first `rank` right singular vectors, by power iterations on a random start."""
    rank = min(rank, *matrix.shape)
    wide = min(rank + 32, *matrix.shape)
    basis = np.random.default_rng(seed).standard_normal((matrix.shape[1], wide)).astype(np.float32)
    for _ in range(rounds):
        basis = np.linalg.qr(_squared(matrix, basis))[0]
    squares, turned = np.linalg.eigh(basis.T @ _squared(matrix, basis))
    vectors = basis @ turned[:, ::-1][:, :rank]
    return Spectrum(vectors.astype(np.float32), np.maximum(squares[::-1][:rank], 0).astype(np.float32))


def _squared(matrix: Csr, basis: Float32) -> Float32:
    """matrix' matrix basis, some rows at a time: of a million users all at once would be gigabytes."""
    found = np.zeros_like(basis)
    for start in range(0, matrix.shape[0], ROWS):
        part = matrix[start : start + ROWS]
        found += part.T @ (part @ basis)
    return found


def _passed(squares: Float32, config: GraphFilterConfig) -> tuple[np.float32, Float32]:
    """The slope of the chord, and (rank,) float32 what each vector passes beside it."""
    reached = np.float32(max(squares.min(initial=1.0), LOWEST))
    chord = _curve(reached, config.flatness) / reached
    return chord, _curve(squares, config.flatness) - chord * squares + np.float32(config.low_pass)


def _curve(squares: Any, flatness: float) -> Any:
    """What of each frequency passes: 0 at 0, a half at a half, 1 at 1."""
    middle = 2 * squares - 1
    return 0.5 + 0.5 * np.sign(middle) * np.abs(middle) ** np.float32(flatness)
