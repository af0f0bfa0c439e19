"""On whom the weights of a mixture are learned: on people of whom the members know all that is asked with, or less.

    python -m benchmarks.select_holdout --case beauty --data ../shared/data
    python -m benchmarks.select_holdout --case diginetica --data ../shared/data

By data of training alone. Of some people only the last event is kept from the members ("known", as `blend` does it), of
others the event before it, too ("moved on"), of others everything ("new"). Each kind gives weights, and each weights'
mixture is asked for what the case's validation wants. What was found: benchmarks/quality.md, "Weights of a mixture".
"""

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.card import CASES, split_of
from models import create
from models.arrays import Float32, Mask
from models.contracts import Model
from models.histories import Histories
from models.holdout import Holdout, only
from models.interactions import Interactions
from models.mixing import mixed, weigh
from training import datasets, evaluation, splits, validation
from training.splits import Split

MEMBERS = "session_knn,item_knn,ease,graph_filter,als,trending,sasrec"
PEOPLE = 2_000  # of each kind
ASKED = 5_000  # of those whom validation asks for
CANDIDATES = 100
KS = (10, 20)


def validated(case: str, data: Path) -> Split:
    """A split of the case's training part that is as its test: something happened since the fit, or nobody is known."""
    split = split_of(case, data)
    if case == "beauty":
        return splits.leave_last_out(split.known, "strict")
    return validation.validation(split, "prefixes")


@dataclass(frozen=True)
class Kinds:
    """`learned` is what members are fitted on, `held` who was kept aside, by kind."""

    learned: Interactions
    held: Mapping[str, Holdout]


def kept_aside(interactions: Interactions, people: int, seed: int) -> Kinds:
    """Up to `people` of each kind, all different ones, who have four events or more; at most half of all people."""
    histories = interactions.histories
    rows = np.random.default_rng(seed).permutation(np.flatnonzero(histories.counts >= 4))
    size = min(people, len(rows) // 6)
    last, wanted = np.zeros(len(histories.items), dtype=np.bool_), np.zeros(len(histories.items), dtype=np.bool_)
    last[histories.indptr[1:][histories.counts > 0] - 1] = True
    aside, chosen = wanted.copy(), {}
    for at, kind in enumerate(("known", "moved on", "new")):
        chosen[kind] = np.sort(rows[at * size : (at + 1) * size])
        theirs = np.isin(histories.rows_of, chosen[kind])
        wanted |= theirs & last
        aside |= theirs & {"known": last, "moved on": last | _before(last), "new": theirs}[kind]
    asked, ends = only(histories, ~wanted), only(histories, wanted)
    learned = replace(interactions, histories=only(histories, ~aside))
    held = {kind: Holdout.of(learned, asked.take(who), ends.take(who), share=0.0) for kind, who in chosen.items()}
    return Kinds(learned, held)


def _before(last: Mask) -> Mask:
    return np.append(last[1:], False)


class Mixture:
    """Fitted members with given weights, as far as it is asked by `evaluation.slates`."""

    def __init__(self, members: Mapping[str, Model], weights: Mapping[str, float]) -> None:
        self._members = {name: model for name, model in members.items() if name in weights}
        self._weights = weights
        self.items = next(iter(members.values())).items

    def scores(self, histories: Histories) -> Float32:
        """The weighted sum of what the members say."""
        return mixed(self._members, self._weights, histories)


def main() -> None:
    """Print a line of JSON of each member alone, and of each kind of people and their weights."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", choices=CASES, default="beauty")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--members", default=MEMBERS)
    given = parser.parse_args()
    split = validated(given.case, given.data)
    interactions = datasets.interactions(split.fit)
    kinds = kept_aside(interactions, PEOPLE, seed=5)
    members = {name: create(name).fit(kinds.learned) for name in given.members.split(",")}
    some = np.random.default_rng(5).permutation(split.test["user_id"].unique())[:ASKED]
    split = replace(split, test=split.test[split.test["user_id"].isin(some)])
    asked = evaluation.question(split, interactions.items, CASES[given.case].masked)
    every = {name: {name: 1.0} for name in members}
    every |= {kind: weigh(members, held, CANDIDATES) for kind, held in kinds.held.items()}
    for what, weights in every.items():
        answers = evaluation.slates(Mixture(members, weights), [asked], max(KS))[0]  # type: ignore[arg-type]
        found = evaluation.judge(answers, asked, KS).metrics
        shown = {key: round(found[key], 4) for key in ("hr@10", "ndcg@10", "hr@20", "ndcg@20", "mrr@20")}
        shown |= {f"weight_{name}": round(weight, 2) for name, weight in weights.items() if weight}
        print(json.dumps({"by": what, **shown}), flush=True)


if __name__ == "__main__":
    main()
