"""EASE: the linear model that best rebuilds every history from the rest of it, in closed form.

Exactly so up to `exact` items; in a larger catalogue each item is rebuilt from those that say most of it alone.

Sources: Steck. Embarrassingly Shallow Autoencoders for Sparse Data. WWW 2019. Regression on the nearest items only:
Ning, Karypis. SLIM: Sparse Linear Methods for Top-N Recommender Systems. ICDM 2011. A ridge by degree: Park et al.
Data-Adaptive Normalization for Linear Autoencoders. 2025.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.linalg.lapack import sposv, spotrf, spotri
from scipy.sparse import csr_matrix, identity
from threadpoolctl import threadpool_limits

from features.errors import BadInput
from models.arrays import Csr, Float32, Int32
from models.contracts import Progress
from models.interactions import Interactions
from models.linear.item_item import ItemItem, ItemItemConfig
from models.linear.item_weights import bounded, cut, power, scaled, spans, sums


@dataclass(frozen=True)
class EaseConfig(ItemItemConfig):
    """Item i has the ridge regularization * mean * (degree_i / mean)^evenness, its degree its squared norm.

    So the ridge grows with the data, as what it is weighed against does, and less for items that few took. A user of n
    items counts n^-modesty; weights are multiplied by degree^-outward of the candidate. `repeat`: weight of an item for
    itself, in largest weights; no regression can tell it. `exact`: so many items are solved for at once (16,000: 2 GiB,
    8e12 operations); in a larger catalogue an item's regression sees `support` others. Each candidate keeps the
    `neighbours` largest of its weights.
    """

    regularization: float = 10.0
    evenness: float = 0.65
    modesty: float = 0.5
    outward: float = 0.15
    repeat: float = 0.5
    neighbours: int = 1000
    exact: int = 16_000
    support: int = 200


class Ease(ItemItem):
    """weights = I - P / diag(P), P the inverse of X' X + ridge."""

    name: ClassVar[str] = "ease"
    settings: ClassVar[type[ItemItemConfig]] = EaseConfig
    _config: EaseConfig

    def _weights(self, interactions: Interactions, progress: Progress | None) -> tuple[Csr, Float32]:
        config = self._config
        taken = bounded(interactions.taken_together(config.visits_beyond), self._seed).log1p()
        taken = scaled(taken, power(np.diff(taken.indptr).astype(np.float32), -config.modesty / 2))
        degrees = sums(taken.multiply(taken), 0)
        ridge = _ridge(degrees, config)
        outward = power(degrees, -config.outward)
        with threadpool_limits(1, "blas"):
            if len(degrees) <= config.exact:
                inverse = _inverse(_gram(taken), ridge)
                spread: Float32 = (1 / inverse.diagonal()).astype(np.float32)
                rebuilt = cut(_rebuilt(inverse, spread), len(degrees), config.neighbours, progress)
            else:
                spread = degrees + ridge
                rebuilt = _nearest(taken, ridge, config.support, progress)
        weights = scaled(rebuilt, outward).T.tocsr()
        itself = config.repeat * np.abs(weights.data).max(initial=0.0)
        whole = csr_matrix(weights + identity(len(degrees), dtype=np.float32, format="csr") * itself)
        return whole, power(spread, -0.5) * power(degrees, config.outward)


def _ridge(degrees: Float32, config: EaseConfig) -> Float32:
    """An item that nobody took has the ridge of a thousandth of the mean: without any it can't be solved for."""
    mean = float(degrees.mean())
    relative = np.maximum(degrees / mean, 1e-3)
    return np.asarray(config.regularization * mean * relative**config.evenness, dtype=np.float32)


def _gram(taken: Csr) -> Float32:
    users = taken.T.tocsr()
    gram = np.empty((taken.shape[1], taken.shape[1]), dtype=np.float32)
    for start, stop in spans(len(gram)):
        gram[start:stop] = (users[start:stop] @ taken).toarray()
    return gram


def _inverse(gram: Float32, ridge: Float32) -> Float32:
    """The inverse of gram + diag(ridge), in the memory of gram."""
    gram[np.diag_indices_from(gram)] += ridge
    factor, failed = spotrf(gram.T, lower=True, overwrite_a=True)
    inverse, singular = spotri(factor, lower=True, overwrite_c=True)
    if failed or singular:
        raise BadInput("the items can't be told apart: raise `regularization`", "regularization")
    for start, stop in spans(len(gram)):
        inverse[start:stop, stop:] = inverse[stop:, start:stop].T
        corner = np.tril(inverse[start:stop, start:stop])
        inverse[start:stop, start:stop] = corner + np.tril(corner, -1).T
    return np.asarray(inverse, dtype=np.float32)


def _rebuilt(inverse: Float32, spread: Float32) -> Iterator[Float32]:
    """Rows of candidates, columns of what they are rebuilt from."""
    for start, stop in spans(len(inverse)):
        block = -inverse[start:stop] * spread[start:stop, None]
        block[np.arange(stop - start), np.arange(start, stop)] = 0.0
        yield block


def _nearest(taken: Csr, ridge: Float32, support: int, progress: Progress | None) -> Csr:
    """Rows of candidates, each rebuilt from the `support` items that would say most of it if each spoke alone."""
    users = taken.T.tocsr()
    n_items = taken.shape[1]
    gram = cut(((users[start:stop] @ taken).tocsr() for start, stop in spans(n_items)), n_items, 4 * support)
    places = np.full(n_items, -1, dtype=np.int32)
    steps = spans(n_items)
    columns, values, counts = [], [], [0]
    for done, (start, stop) in enumerate(steps, 1):
        for item in range(start, stop):
            met, common = _supporting(gram, item, ridge, support)
            columns.append(met)
            values.append(_solved(_within(gram, met, places), ridge[met], common))
            counts.append(len(met))
        if progress is not None:
            progress(done, len(steps))
    shape = (n_items, n_items)
    return csr_matrix((np.concatenate(values), np.concatenate(columns), np.cumsum(counts)), shape=shape)


def _supporting(gram: Csr, item: int, ridge: Float32, support: int) -> tuple[Int32, Float32]:
    start, stop = gram.indptr[item : item + 2]
    others = gram.indices[start:stop] != item
    met, common = gram.indices[start:stop][others], gram.data[start:stop][others]
    best = np.sort(np.argsort(-common / ridge[met], kind="stable")[:support])
    return met[best], common[best]


def _within(gram: Csr, met: Int32, places: Int32) -> Float32:
    """The products of these items with each other; `places` is (n_items,) of -1, and is so again afterwards."""
    rows = gram[met]
    places[met] = np.arange(len(met))
    columns = places[rows.indices]
    places[met] = -1
    inside = columns >= 0
    within = np.zeros((len(met), len(met)), dtype=np.float32)
    within[np.repeat(np.arange(len(met)), np.diff(rows.indptr))[inside], columns[inside]] = rows.data[inside]
    return np.maximum(within, within.T)  # a pair may have been cut from one of its two rows


def _solved(within: Float32, ridge: Float32, common: Float32) -> Float32:
    """Where cuts have left nothing definite, each item speaks alone; nothing where there are no others."""
    if not len(common):
        return common
    within[np.diag_indices_from(within)] += ridge
    _, solved, failed = sposv(within, common)
    return np.asarray(common / within.diagonal() if failed else solved, dtype=np.float32)
