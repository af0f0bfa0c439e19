"""The weights of a mixture, from where the likelihood has them to where the slates are better.

The likelihood of all candidates asks for more than people see: it also moves weights for the order of what nobody is
shown. So from its optimum a few steps go to where NDCG of what is shown rises, each only if the rise is clear beyond
the differences between people.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.arrays import Float32, Mask

Float64 = NDArray[np.float64]

SHOWN = 20
STEPS = (0.3, 0.15, 0.075)  # of the largest weight
CLEAR = 1.5  # standard errors of the mean that a step must gain
FEWEST = 20  # people: the errors of fewer say nothing


class Candidates(NamedTuple):
    """Of n people up to c candidates: `features` (n, c, f) float32, `wanted` (n, c), `missing` (n, c) -inf where there
    are fewer, else 0."""

    features: Float32
    wanted: Mask
    missing: Float32


def climbed(tables: Sequence[Float32], shares: Sequence[Float32], weights: Float64) -> Float64:
    """Weights whose slates have the higher NDCG, close to the given ones where the data don't say much.

    Args:    tables: of each person (candidates, f) float32; shares: of each person (candidates,), above 0 for what is
             wanted, which must be something; weights: (f,), none below 0.
    Returns: (f,) float64, none below 0.
    """
    if len(tables) < FEWEST:
        return weights
    people = _packed(tables, shares)
    best, found = weights, _ndcg(people, weights)
    for step in STEPS:
        while True:
            moves = [_moved(best, at, by) for at in range(len(best)) for by in (step, -step)]
            gain, move = max(((_gain(_ndcg(people, move) - found), move) for move in moves), key=lambda each: each[0])
            if gain <= 0:
                break
            best, found = move, _ndcg(people, move)
    return best


def _moved(weights: Float64, at: int, step: float) -> Float64:
    moved = weights.copy()
    moved[at] = max(0.0, moved[at] + step * weights.max())
    return moved


def _gain(differences: Float64) -> float:
    """Their mean where it is clear, else nothing."""
    mean, error = float(differences.mean()), float(differences.std()) / np.sqrt(len(differences))
    return mean if mean > CLEAR * error else 0.0


def _ndcg(people: Candidates, weights: Float64) -> Float64:
    """(n,) NDCG of each person's first SHOWN."""
    scores = people.features @ weights.astype(np.float32) + people.missing
    shown = min(SHOWN, scores.shape[1])
    places = np.argpartition(-scores, shown - 1, axis=1)[:, :shown]
    order = np.argsort(-np.take_along_axis(scores, places, 1), axis=1, kind="stable")
    hits = np.take_along_axis(people.wanted, np.take_along_axis(places, order, 1), 1)
    discounts = 1 / np.log2(np.arange(shown) + 2)
    ideal = np.cumsum(discounts)[np.minimum(people.wanted.sum(axis=1), shown) - 1]
    return np.asarray((hits @ discounts) / ideal, dtype=np.float64)


def _packed(tables: Sequence[Float32], shares: Sequence[Float32]) -> Candidates:
    widest = max(len(table) for table in tables)
    features = np.zeros((len(tables), widest, tables[0].shape[1]), dtype=np.float32)
    wanted, missing = np.zeros(features.shape[:2], dtype=np.bool_), np.full(features.shape[:2], -np.inf, np.float32)
    for at, (table, share) in enumerate(zip(tables, shares, strict=True)):
        features[at, : len(table)], wanted[at, : len(table)], missing[at, : len(table)] = table, share > 0, 0
    return Candidates(features, wanted, missing)
