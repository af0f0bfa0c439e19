"""How much each scorer counts in a mixture: a softmax regression on what people did next.

Every scorer gives each item one number, standardised over the catalogue and its tail pulled in, so that scorers of any
scale can be added up. The weights maximise the likelihood of the wanted items among the candidates that the scorers
name; the problem is convex, so equal data gives equal weights. From there models/climbing.py goes where the slates are
better. Wanted items that no scorer names are left out: among candidates that are all somebody's best, one that is
nobody's would teach that high scores are wrong.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from models.arrays import Float32
from models.climbing import climbed
from models.contracts import Model
from models.histories import Histories
from models.holdout import Holdout
from models.ranking import top_rows

Float64 = NDArray[np.float64]

AGAIN = ("taken_before", "taken_lately")  # scorers of their own: how often, and how lately, the person took the item
REPEATS = 0.02  # below this share of things taken again, a history says only what else may be liked
BLOCK = 128


def mixed(members: Mapping[str, Model], weights: Mapping[str, float], histories: Histories) -> Float32:
    """The weighted sum of what every scorer says.

    Returns: (n, n_items) float32.
    """
    scores = np.zeros((len(histories), histories.n_items), dtype=np.float32)
    for name, part in _said(members, histories, any(name in weights for name in AGAIN)).items():
        scores += np.float32(weights[name]) * part
    return scores


def weigh(members: Mapping[str, Model], held: Holdout, candidates: int) -> dict[str, float]:
    """The weight of each member, and of AGAIN where people take things again; all alike where nothing is learned."""
    again = held.repeats >= REPEATS
    names = [*members, *(AGAIN if again else ())]
    tables: list[Float32] = []
    shares: list[Float32] = []
    for at in range(0, len(held.asked), BLOCK):
        asked, wanted = held.asked.rows(at, at + BLOCK), held.wanted[at : at + BLOCK]
        said = _said(members, asked, again)
        known = None if again else asked.matrix
        rivals = [top_rows(part.copy(), min(candidates, asked.n_items), known)[0] for part in said.values()]
        for row in np.flatnonzero(np.diff(wanted.indptr)):
            items = np.unique(np.concatenate([best[row][best[row] >= 0] for best in rivals]))
            named = np.isin(items, wanted.indices[wanted.indptr[row] : wanted.indptr[row + 1]])
            if named.any():
                tables.append(np.stack([said[name][row, items] for name in names], axis=1))
                shares.append(named.astype(np.float32) / np.float32(named.sum()))
    weights = {}
    if tables:
        weights = dict(zip(names, climbed(tables, shares, learn(tables, shares)).tolist(), strict=True))
    return weights if any(weights.get(name) for name in members) else dict.fromkeys(names, 1.0 / len(names))


def standardised(scores: Float32) -> Float32:
    """Each row in deviations from its mean, of those the signed log(1 + amount); a row of equal scores is all 0.

    Args:    scores: (n, n_items) float32.
    """
    centred = scores - scores.mean(axis=1, keepdims=True)
    spread = np.sqrt(np.square(centred).mean(axis=1, keepdims=True))
    even: Float32 = np.divide(centred, spread, out=np.zeros_like(centred), where=spread > 0)
    return np.copysign(np.log1p(np.abs(even)), even)


def learn(features: Sequence[Float32], wanted: Sequence[Float32], l2: float = 1e-3) -> Float64:
    """The weight of each feature.

    Args:    features: of each person (candidates, n_features) float32; wanted: of each person (candidates,) the share
             of what is wanted that each candidate is, summing to 1.
    Returns: (n_features,) float64, none below 0.
    """
    size = features[0].shape[1]
    starts = np.concatenate([[0], np.cumsum([len(each) for each in features])[:-1]])
    person = np.repeat(np.arange(len(features)), [len(each) for each in features])
    table, share = np.concatenate(features).astype(np.float64), np.concatenate(wanted).astype(np.float64)
    reached = np.add.reduceat(share, starts)

    def loss(weights: Float64) -> tuple[float, Float64]:
        logits = table @ weights
        logits -= np.maximum.reduceat(logits, starts)[person]
        exponents = np.exp(logits)
        totals = np.add.reduceat(exponents, starts)
        value = float(reached @ np.log(totals) - share @ logits) / len(features)
        gradient = table.T @ (exponents / totals[person] * reached[person] - share) / len(features)
        return value + l2 * float(weights @ weights), gradient + 2 * l2 * weights

    found = minimize(loss, np.full(size, 1.0 / size), jac=True, method="L-BFGS-B", bounds=[(0.0, None)] * size)
    weights: Float64 = found.x
    return weights


def _said(members: Mapping[str, Model], histories: Histories, again: bool) -> dict[str, Float32]:
    said = {name: standardised(member.scores(histories)) for name, member in members.items()}
    if again:
        said |= dict(zip(AGAIN, _again(histories), strict=True))
    return said


def _again(histories: Histories) -> tuple[Float32, Float32]:
    """log(1 + weight) of what was taken before, and 1 / (its place from the end)."""
    places = histories.indptr[1:][histories.rows_of] - np.arange(len(histories.items))
    shape = (len(histories), histories.n_items)
    lately = np.zeros(shape, dtype=np.float32)
    lately[histories.rows_of, histories.items] = 1.0 / places  # the newest place is written last
    return np.log1p(histories.matrix.toarray()).astype(np.float32), lately
