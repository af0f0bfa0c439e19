"""A fitted model against what came after: asked once, in blocks of bounded memory, and measured in every way."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from features.errors import BadInput
from models.arrays import Csr, Int32, Int64, Mask
from models.contracts import Model, Progress
from models.histories import Histories
from models.interactions import IdMap, Interactions
from training import beyond, datasets, groups, metrics
from training.splits import Split

CELLS = 1 << 24  # scores that stand in memory at a time
BLOCK = 512  # users at most that are asked for at a time
Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class Question:
    """What a model is asked and should answer: of n users the histories, the targets and what is never shown.

    `wanted` is (n, n_items) csr of ones, `unknown` (n,) targets outside of the catalogue, `hidden` (n, n_items) csr or
    None.
    """

    users: IdMap
    asked: Histories
    wanted: Csr
    unknown: Int64
    hidden: Csr | None = None

    @property
    def measured(self) -> Mask:
        """(n,) who has a target."""
        return np.diff(self.wanted.indptr) + self.unknown > 0


def question(split: Split, items: IdMap, mask: bool, newest: int | None = None) -> Question:
    """What the split asks of a model of these items.

    Args:    mask: items of the history are never shown, and are no targets; newest: as in datasets.histories().
    Raises:  BadInput: no user has a target.
    """
    users = IdMap.of(split.test["user_id"].unique())
    asked = datasets.histories(split.known, users, items, newest)
    wanted, unknown = datasets.targets(split.test, users, items)
    hidden = datasets.histories(split.known, users, items).matrix if mask else None
    made = Question(users, asked, wanted if hidden is None else _without(wanted, hidden), unknown, hidden)
    if not made.measured.any():
        raise BadInput(
            "no user has anything left to be found; ask with --no-mask, or choose another --holdout", "holdout"
        )
    return made


def slates(model: Model, questions: Sequence[Question], k: int, progress: Progress | None = None) -> list[Int32]:
    """The answers to several questions about the same histories, which the model is asked once.

    Args:    progress: counts users.
    Returns: (n, k) int32 for each question, padded with -1.
    """
    asked = questions[0].asked
    answers: list[list[Int32]] = [[] for _ in questions]
    for start, stop in blocks(len(asked), len(model.items)):
        scores = model.scores(asked.rows(start, stop))
        for answer, each in zip(answers, questions, strict=True):
            shown = scores if each.hidden is None else _hide(scores.copy(), each.hidden[start:stop])
            answer.append(metrics.ranked(shown, each.wanted[start:stop].toarray() > 0, k))
        if progress is not None:
            progress(stop, len(asked))
    return [np.concatenate(parts) for parts in answers]


def blocks(users: int, items: int) -> Iterator[tuple[int, int]]:
    """[start, stop) of users, so few that their scores of all items fit into CELLS."""
    step = max(1, min(BLOCK, CELLS // max(items, 1)))
    return ((start, min(start + step, users)) for start in range(0, users, step))


@dataclass(frozen=True)
class Evaluation:
    """`metrics` are means; `values` are those of each measured user, in the order of `users`."""

    metrics: dict[str, float]
    values: dict[str, Float64]
    users: IdMap


def judge(answers: Int32, asked: Question, ks: Sequence[int]) -> Evaluation:
    """Accuracy at every k, and `users`: over how many users they are means.

    Args:    answers: (n, max(ks)) int32 rows of the question's items, padded with -1.
    """
    there = asked.measured
    values = metrics.per_user(answers[there], asked.wanted[there], asked.unknown[there], ks)
    found = {name: float(value.mean()) for name, value in values.items()}
    found |= {f"coverage@{k}": metrics.coverage(answers[there], asked.wanted.shape[1], k) for k in ks}
    found["users"] = float(np.count_nonzero(there))
    names = [name for name, kept in zip(asked.users.ids, there.tolist(), strict=True) if kept]
    return Evaluation(found, values, IdMap(tuple(names)))


def described(
    answers: Int32,
    asked: Question,
    learned: Interactions,
    ks: Sequence[int],
    seed: int = 0,
    categories: Int32 | None = None,
) -> dict[str, float]:
    """Beyond accuracy (training.beyond), and accuracy at the largest k by group of user and item (training.groups).

    Args:    as judge() and beyond.measure().
    """
    there = asked.measured
    histories = asked.asked.take(np.flatnonzero(there))
    found = beyond.measure(answers[there], learned, histories, ks, seed, categories)
    answers, wanted, unknown = answers[there][:, : max(ks)], asked.wanted[there], asked.unknown[there]
    values = metrics.per_user(answers, wanted, unknown, (max(ks),))
    met = np.bincount(learned.histories.items, minlength=len(learned.items))
    return found | groups.by_user(values, histories.counts) | groups.by_item(answers, wanted, unknown, met)


def evaluate(model: Model, split: Split, ks: Sequence[int], mask: bool, newest: int | None = None) -> dict[str, float]:
    """Every metric at every k on the split's test, and `users`: over how many users they are means.

    Args:    as question().
    Raises:  BadInput: no user has a target.
    """
    asked = question(split, model.items, mask, newest)
    return judge(slates(model, [asked], max(ks))[0], asked, ks).metrics


def _hide(scores: "NDArray[np.float32]", hidden: Csr) -> "NDArray[np.float32]":
    scores[np.repeat(np.arange(hidden.shape[0]), np.diff(hidden.indptr)), hidden.indices] = -np.inf
    return scores


def _without(wanted: Csr, hidden: Csr) -> Csr:
    left = csr_matrix(wanted - wanted.multiply(hidden > 0))
    left.eliminate_zeros()
    left.sort_indices()
    return left
