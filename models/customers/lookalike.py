"""Lookalike: from a seed audience to the customers most like it.

Source: centroids: MacQueen. Some Methods for Classification and Analysis of Multivariate Observations. 1967, on unit
        vectors as in Dhillon, Modha. Concept Decompositions. Machine Learning 2001. Classifier: seeds against everybody
        else, of whom some would belong to the seed: under selection at random the order of the scores is that of the
        true probabilities all the same (Elkan, Noto. Learning Classifiers from Only Positive and Unlabeled Data.
        KDD 2008); in audience expansion: Qu et al. Systems and Methods for Generating Expanded User Segments. 2014.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple, Self, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from features.errors import BadInput, BrokenArtifact, NotFitted
from models import array_files
from models.arrays import Float32, Int64
from models.artifacts import Arrays
from models.contracts import Slates
from models.fields import stored
from models.ranking import top

Method = Literal["classifier", "cosine", "euclid"]
Rows = NDArray[np.integer[Any]]
Floats = NDArray[np.floating[Any]]
SHAPES = {
    **dict.fromkeys(("centroids", "directions"), (0, 0)),
    **dict.fromkeys(("mean", "scale", "weights", "intercept", "reach"), (0,)),
}


@dataclass(frozen=True)
class LookalikeConfig:
    """How likeness is measured; chosen on the tuning audiences of benchmarks/lookalike.py.

    `centroids`: how many a diverse seed gets, never more than it has customers. The classifier learns from seeds and
    others of equal total weight, `evidence` each, against a ridge of 1, so that the size of the shop changes nothing;
    `taste` scales the standardised vectors against the features, which are fewer and say more when a seed is small; so
    it does for the distances of euclid.
    No more than `others` customers stand for everybody else.
    """

    method: Method = "classifier"
    centroids: int = 1
    evidence: float = 100.0
    taste: float = 0.15
    others: int = 50_000


class Explanation(NamedTuple):
    """Why one customer has this score.

    `centroid` is the nearest one (by angle; for the method euclid by distance), `cosine` the angle to its customers.
    `direction` (size,) float32 is where the score rises: CustomerSpace.contributions() turns it into the items of a
    history that speak for and against. `features` (f,) float32 are what each feature adds to the classifier's log odds;
    for euclid what it takes from nearness (minus its squared distance), for cosine zeros.
    """

    centroid: int
    cosine: float
    direction: Float32
    features: Float32


class Lookalike:
    """One seed audience: its centroids, and a classifier that tells it from everybody else."""

    name: ClassVar[str] = "lookalike"

    def __init__(self, config: LookalikeConfig | None = None, seed: int = 0) -> None:
        self._config = config or LookalikeConfig()
        self._seed = seed
        if self._config.method not in get_args(Method):
            known = ", ".join(get_args(Method))
            raise BadInput(f"there is no method {self._config.method!r}; known ones: {known}", "method")
        self._centroids: Floats = np.zeros((0, 0), dtype=np.float32)

    @property
    def params(self) -> dict[str, float | int | str]:
        """Its configuration and seed."""
        return {**asdict(self._config), "seed": self._seed}

    @property
    def centroids(self) -> Floats:
        """(k, size) of unit length; for the method euclid (k, size + f), standardised."""
        self._check_fitted()
        return self._centroids

    def fit(self, vectors: Float32, seed_rows: Rows, features: Float32 | None = None) -> Self:
        """Learn what the seed has in common.

        Args:    vectors: (n, size) of all customers, zeros for those of whom nothing is known; seed_rows: rows of the
                 seed audience, in any order; features: (n, f) more about them, on any scale, for the classifier.
        Raises:  BadInput: a NaN, no seed with a vector, a row that isn't there, or nobody beside the seed.
        """
        vectors, features = _checked(vectors, features)
        rows = np.unique(np.asarray(seed_rows, dtype=np.int64))
        if len(rows) and not 0 <= rows[0] <= rows[-1] < len(vectors):
            raise BadInput(f"seed rows must lie in 0..{len(vectors) - 1}", "seed_rows")
        known = _known(vectors)
        seeds, others = rows[known[rows]], np.flatnonzero(known)
        others = others[~np.isin(others, rows)]
        if not len(seeds):
            raise BadInput("no customer of the seed audience has met any known item: name others", "seed_rows")
        if not len(others):
            raise BadInput("everybody is in the seed audience: there is nobody left to find", "seed_rows")
        with threadpool_limits(1):
            self._learn(vectors, features, seeds, others)
            self._place(vectors[seeds], features[seeds])
        return self

    def score(self, vectors: Float32, features: Float32 | None = None) -> Float32:
        """How like the seed audience each customer is.

        Returns: (n,) float32 in [0, 1], higher is more alike; it orders customers, and is no probability: the others
                 may belong to the audience too. 0 where nothing is known of a customer.
        Raises:  NotFitted; BadInput: other columns than in fit(), or a NaN.
        """
        self._check_fitted()
        vectors, features = _checked(vectors, features)
        if (vectors.shape[1], features.shape[1]) != (self._size, len(self._mean) - self._size):
            raise BadInput(f"fitted on vectors of {self._size} and {len(self._mean) - self._size} features", "vectors")
        if self._config.method == "cosine":
            found = (1.0 + np.max(_unit(vectors) @ self._centroids.T, axis=1)) / 2.0
        elif self._config.method == "euclid":
            apart = _distances(self._standard(vectors, features), self._centroids).min(axis=1)
            found = 1.0 / (1.0 + apart / self._reach)
        else:
            found = expit(self._standard(vectors, features) @ self._weights + self._intercept)
        return np.where(_known(vectors), np.clip(found, 0.0, 1.0), 0.0).astype(np.float32)

    def expand(self, vectors: Float32, k: int, exclude: Rows | None = None, features: Float32 | None = None) -> Slates:
        """The k customers most like the seed, ties by row.

        Args:    exclude: rows never to be named, such as the seed itself.
        Returns: (k,) int32 rows and (k,) float32 scores, best first, padded with -1 and -inf.
        """
        scores = self.score(vectors, features)
        allowed = _known(vectors)
        if exclude is not None:
            allowed[np.asarray(exclude, dtype=np.int64)] = False
        return top(scores, k, allowed)

    def explain(self, vector: Float32, features: Float32 | None = None) -> Explanation:
        """Why the customer at `vector` (size,), with `features` (f,), has this score.

        Raises:  NotFitted; BadInput: as score().
        """
        given = None if features is None else features[None]
        self.score(vector[None], given)
        cosines = (_unit(vector[None]) @ self._directions.T)[0]
        nearest = int(cosines.argmax())
        if self._config.method == "cosine":
            none = np.zeros(len(self._mean) - self._size, dtype=np.float32)
            return Explanation(nearest, float(cosines[nearest]), self._directions[nearest], none)
        standard = self._standard(*_checked(vector[None], given))[0]
        rises, parts = self._weights, standard * self._weights
        if self._config.method == "euclid":
            nearest = int(_distances(standard[None], self._centroids)[0].argmin())
            rises = self._centroids[nearest] - standard
            parts = -np.square(rises)
        direction = (rises / self._scale)[: self._size].astype(np.float32)
        return Explanation(nearest, float(cosines[nearest]), direction, parts[self._size :].astype(np.float32))

    def save(self, folder: Path) -> None:
        """Write model.json and model.npz."""
        self._check_fitted()
        arrays = {key: getattr(self, f"_{key}") for key in SHAPES if key not in {"intercept", "reach"}}
        arrays |= {"intercept": np.array([self._intercept]), "reach": np.array([self._reach])}
        array_files.write(folder, self.name, self.params, arrays)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The model from its files.

        Raises:  BrokenArtifact: a file is missing or damaged.
        """
        params, arrays = array_files.read(folder, cls.name, SHAPES)
        try:
            model = cls(stored(LookalikeConfig, params), int(params["seed"]))
            sound = _sound(arrays)
        except (KeyError, TypeError, ValueError, BadInput) as error:
            raise BrokenArtifact(f"model.json in {folder} lacks or misstates {error}") from error
        if not sound:
            raise BrokenArtifact(f"the arrays of the lookalike in {folder} don't fit together")
        model._size = arrays["directions"].shape[1]
        for key in ("centroids", "directions", "mean", "scale", "weights"):
            setattr(model, f"_{key}", arrays[key])
        model._intercept, model._reach = float(arrays["intercept"][0]), float(arrays["reach"][0])
        return model

    def _check_fitted(self) -> None:
        if not len(self._centroids):
            raise NotFitted("lookalike has no seed audience yet: call fit() or load() first")

    def _place(self, vectors: Float32, features: Float32) -> None:
        """Centroids of the seed, by angle or by distance; in the order of how many customers each has."""
        points = self._standard(vectors, features) if self._config.method == "euclid" else _unit(vectors)
        k = min(self._config.centroids, len(np.unique(points, axis=0)))
        found = KMeans(k, n_init=4, random_state=self._seed).fit(points)
        order = np.argsort(-np.bincount(found.labels_, minlength=k), kind="stable")
        groups = [vectors[found.labels_ == group] for group in order]
        self._directions = _unit(np.array([_unit(group).mean(axis=0) for group in groups], dtype=np.float32))
        self._centroids = found.cluster_centers_[order] if self._config.method == "euclid" else self._directions
        self._reach = float(np.median(_distances(points, self._centroids).min(axis=1))) or 1.0

    def _learn(self, vectors: Float32, features: Float32, seeds: Int64, others: Int64) -> None:
        """Logistic regression; both sides weigh the same, however many they are."""
        if len(others) > self._config.others:
            chosen = np.random.default_rng(self._seed).choice(len(others), self._config.others, replace=False)
            others = others[np.sort(chosen)]
        rows = np.concatenate([seeds, others])
        self._size = vectors.shape[1]
        columns = np.hstack([vectors[rows], features[rows]]).astype(np.float64)
        self._mean, spread = columns.mean(axis=0), columns.std(axis=0)
        self._scale = np.where(spread > 0, spread, 1.0)
        self._scale[: self._size] /= self._config.taste
        share = [self._config.evidence / len(seeds)] * len(seeds) + [self._config.evidence / len(others)] * len(others)
        belongs = np.arange(len(rows)) < len(seeds)
        learned = LogisticRegression(max_iter=2_000, tol=1e-6)
        learned.fit((columns - self._mean) / self._scale, belongs, sample_weight=share)
        self._weights, self._intercept = learned.coef_[0], float(learned.intercept_[0])

    def _standard(self, vectors: Float32, features: Float32) -> "NDArray[np.float64]":
        standard: NDArray[np.float64] = (np.hstack([vectors, features]) - self._mean) / self._scale
        return standard


def _sound(arrays: Arrays) -> bool:
    """Whether the arrays of a file fit together."""
    shape, columns = arrays["directions"].shape, len(arrays["mean"])
    return (
        shape[0] == len(arrays["centroids"]) > 0
        and shape[1] <= columns
        and arrays["centroids"].shape[1] in (shape[1], columns)
        and len(arrays["scale"]) == len(arrays["weights"]) == columns
        and len(arrays["intercept"]) == len(arrays["reach"]) == 1
        and bool((arrays["scale"] > 0).all() and arrays["reach"][0] > 0)
    )


def _checked(vectors: Float32, features: Float32 | None) -> tuple[Float32, Float32]:
    features = np.zeros((len(vectors), 0), dtype=np.float32) if features is None else features
    if vectors.ndim != 2 or features.ndim != 2 or len(vectors) != len(features):
        raise BadInput("vectors are (n, size), and features (n, f) of the same customers", "vectors")
    for name, values in (("vectors", vectors), ("features", features)):
        if not np.isfinite(values).all():
            raise BadInput(f"{name} hold a NaN or an infinity in row {_first_bad(values)}", name)
    return vectors, features


def _first_bad(values: Float32) -> int:
    return int(np.flatnonzero(~np.isfinite(values).all(axis=1))[0])


def _known(vectors: Float32) -> "NDArray[np.bool_]":
    known: NDArray[np.bool_] = (vectors != 0).any(axis=1)
    return known


def _unit(vectors: Float32) -> Float32:
    lengths = np.sqrt(np.square(vectors).sum(axis=1, keepdims=True))
    units: Float32 = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
    return units


def _distances(points: Floats, centroids: Floats) -> Floats:
    """(n, k) Euclidean, without (n, k, columns) in memory."""
    squares = np.square(points).sum(axis=1)[:, None] + np.square(centroids).sum(axis=1)
    distances: Floats = np.sqrt(np.maximum(squares - 2.0 * points @ centroids.T, 0.0))
    return distances
