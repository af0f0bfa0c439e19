"""The ranker: candidates of other models in the order in which what is known at this moment puts them.

LightGBM and not torch: a row is thirty numbers of different kinds, many of them missing, and there are thousands of
rows, not millions. Trees need no scaling and no device, score a slate of a hundred candidates on one core in about a
millisecond, name what each number added (TreeSHAP, exact), and are a text file.

Sources: Burges. From RankNet to LambdaRank to LambdaMART. 2010. Lundberg et al. From Local Explanations to Global
Understanding with Explainable AI for Trees. Nature Machine Intelligence 2020.
"""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import lightgbm
import msgspec
import numpy as np
from numpy.typing import NDArray

from features.errors import BadInput, BrokenArtifact, NotFitted
from models.arrays import Float32, Int32, Int64
from models.contracts import Progress
from models.trees import Trees, sums, trees_of

FORMAT = 1
TREES, HEAD = "ranker.txt", "model.json"
MOST_RELEVANT = 30
_NAME = re.compile(r"[A-Za-z0-9_.]+")


@dataclass(frozen=True)
class RankerConfig:
    """Trees are small; how many there are is found on the newest `held_share` of the requests, at most `rounds`.

    `objective`: lambdarank weighs a pair of candidates by what swapping them changes in NDCG, rank_xendcg is the cross
    entropy. `at`: of the slate only so many places count.
    """

    objective: Literal["lambdarank", "rank_xendcg"] = "lambdarank"
    at: int = 10
    leaves: int = 15
    learning_rate: float = 0.05
    rounds: int = 400
    patience: int = 40
    min_rows_in_leaf: int = 50
    column_share: float = 0.7
    row_share: float = 0.8
    l2: float = 5.0
    held_share: float = 0.2


class _Head(msgspec.Struct, frozen=True):
    """model.json, where artifacts.stored_name() looks for the name."""

    name: str
    format: int
    features: tuple[str, ...]
    params: dict[str, Any]
    facts: dict[str, float]


class Ranker:
    """Boosted trees over rows of candidates; equal seeds and rows give equal scores, on any number of cores."""

    name: ClassVar[str] = "ranker"
    settings: ClassVar[type[RankerConfig]] = RankerConfig

    def __init__(self, config: RankerConfig | None = None, seed: int = 0) -> None:
        self._config = config or RankerConfig()
        self._seed = seed
        self._trees: Any = None
        self._sums: Trees | None = None
        self._names: tuple[str, ...] = ()
        self._facts: dict[str, float] = {}

    @property
    def params(self) -> dict[str, float | int | str]:
        """Its configuration and seed."""
        return {**asdict(self._config), "seed": self._seed}

    @property
    def facts(self) -> dict[str, float]:
        """What fit() found: `trees`, `requests` that say something, and `ndcg` on those kept aside."""
        self._check_fitted()
        return dict(self._facts)

    @property
    def features(self) -> tuple[str, ...]:
        """The names of the columns, in their order."""
        self._check_fitted()
        return self._names

    def fit(
        self, table: Float32, names: Sequence[str], groups: Int64, relevance: Int32, progress: Progress | None = None
    ) -> Self:
        """Find how many trees are enough on the newest requests, then fit that many on all of them.

        Args:    table: (rows, features) float32, NaN where nothing is known; groups: (requests,) how many rows each
                 request has, requests from oldest to newest; relevance: (rows,) from 0 to 30, higher is better.
        Raises:  BadInput: sizes that don't fit, infinite values, names that are no plain words or come twice, or no
                 request that prefers one candidate to another.
        """
        names = tuple(names)
        _check(table, names, groups, relevance)
        kept = _telling(groups, relevance)
        if not kept.any():
            raise BadInput(
                "no request prefers one of its candidates to another: there is nothing to learn", "relevance"
            )
        rows = np.repeat(kept, groups)
        table, relevance, groups = table[rows], relevance[rows], groups[kept]
        rounds, quality = self._enough(table, names, groups, relevance)
        _tell(progress, 1)
        self._hold(lightgbm.train(self._options(), _data(table, names, groups, relevance), rounds))
        self._names = names
        self._facts = {"trees": float(rounds), "requests": float(len(groups)), "ndcg": quality}
        _tell(progress, 2)
        return self

    def score(self, table: Float32, names: Sequence[str]) -> Float32:
        """How well each candidate fits; higher is better, within one request only.

        Args:    table: (rows, features) float32; names: of its columns.
        Returns: (rows,) float32.
        Raises:  BadInput: the columns aren't those that it was fitted with; `field` names the first that differs.
        """
        self._check_columns(table, names)
        if self._sums is None:
            raise NotFitted("ranker has no trees yet: call fit() or load() first")
        return sums(self._sums, table)

    def contributions(self, table: Float32, names: Sequence[str]) -> Float32:
        """What each column of each candidate adds to its score, compared with the mean candidate.

        Returns: (rows, features) float32; with the mean they sum to the score.
        Raises:  BadInput: as score().
        """
        self._check_columns(table, names)
        parts = self._trees.predict(table, pred_contrib=True, num_threads=1)
        return np.asarray(parts, dtype=np.float32)[:, :-1]

    def save(self, folder: Path) -> None:
        """Write ranker.txt and model.json into an existing folder."""
        self._check_fitted()
        self._trees.save_model(str(folder / TREES))
        head = _Head(self.name, FORMAT, self._names, dict(self.params), self._facts)
        (folder / HEAD).write_bytes(msgspec.json.encode(head))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The ranker from its files.

        Raises:  BrokenArtifact: a file is missing or can't be read, or the two are not of one ranker.
        """
        try:
            head = msgspec.json.decode((folder / HEAD).read_bytes(), type=_Head)
            text = (folder / TREES).read_text()
            params = dict(head.params)
            ranker = cls(seed=int(params.pop("seed")))
            ranker._config = RankerConfig(**params)
            ranker._hold(lightgbm.Booster(model_str=text))
        except (OSError, ValueError, KeyError, TypeError, msgspec.MsgspecError, lightgbm.basic.LightGBMError) as error:
            raise BrokenArtifact(f"the files in {folder} can't be read as a ranker: {error}") from error
        if (head.name, head.format) != (cls.name, FORMAT):
            raise BrokenArtifact(f"{folder} holds {head.name!r} in format {head.format}, not {cls.name!r} in {FORMAT}")
        if tuple(ranker._trees.feature_name()) != head.features:
            raise BrokenArtifact(f"{HEAD} and {TREES} in {folder} name different features")
        ranker._names, ranker._facts = head.features, head.facts
        return ranker

    def _hold(self, trees: Any) -> None:
        self._trees, self._sums = trees, trees_of(trees.model_to_string())
        sums(self._sums, np.zeros((1, trees.num_feature()), dtype=np.float32))  # no request waits for machine code

    def _check_fitted(self) -> None:
        if self._trees is None:
            raise NotFitted("ranker has no trees yet: call fit() or load() first")

    def _check_columns(self, table: Float32, names: Sequence[str]) -> None:
        self._check_fitted()
        for mine, given in zip(self._names, names, strict=False):
            if mine != given:
                raise BadInput(f"the column {given!r} stands where {mine!r} was when the ranker was fitted", mine)
        if len(names) != len(self._names) or table.ndim != 2 or table.shape[1] != len(names):
            raise BadInput(f"{len(self._names)} columns were fitted; {len(names)} names, table {table.shape}", "table")

    def _enough(self, table: Float32, names: tuple[str, ...], groups: Int64, relevance: Int32) -> tuple[int, float]:
        """How many trees did best on the newest requests, and their NDCG; all of them where too few are there."""
        held = int(len(groups) * self._config.held_share)
        if held == 0:
            return self._config.rounds, float("nan")
        cut, edge = len(groups) - held, int(groups[: len(groups) - held].sum())
        known = _data(table[:edge], names, groups[:cut], relevance[:edge])
        newer = _data(table[edge:], names, groups[cut:], relevance[edge:], known)
        stop = lightgbm.early_stopping(self._config.patience, verbose=False)
        trees = lightgbm.train(self._options(), known, self._config.rounds, valid_sets=[newer], callbacks=[stop])
        return max(trees.best_iteration, 1), float(trees.best_score["valid_0"][f"ndcg@{self._config.at}"])

    def _options(self) -> dict[str, Any]:
        config = self._config
        return {
            "objective": config.objective,
            "metric": "ndcg",
            "eval_at": [config.at],
            "lambdarank_truncation_level": config.at + 5,
            "label_gain": list(range(MOST_RELEVANT + 1)),
            "num_leaves": config.leaves,
            "learning_rate": config.learning_rate,
            "min_data_in_leaf": config.min_rows_in_leaf,
            "feature_fraction": config.column_share,
            "bagging_fraction": config.row_share,
            "bagging_freq": 1,
            "bagging_by_query": True,
            "lambda_l2": config.l2,
            "seed": self._seed,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": 1,
            "verbosity": -1,
        }


def _data(
    table: Float32, names: tuple[str, ...], groups: Int64, relevance: Int32, like: Any = None
) -> "lightgbm.Dataset":
    quiet = {"verbosity": -1, "feature_pre_filter": False}
    return lightgbm.Dataset(
        table, relevance, group=groups, feature_name=list(names), reference=like, params=quiet, free_raw_data=False
    )


def _check(table: Float32, names: tuple[str, ...], groups: Int64, relevance: Int32) -> None:
    if table.ndim != 2 or table.shape[1] != len(names) or not names:
        raise BadInput(f"the table is {table.shape} and has {len(names)} names", "table")
    if relevance.shape != (len(table),) or int(groups.sum()) != len(table):
        raise BadInput(f"{len(table)} rows, {len(relevance)} relevances, groups of {int(groups.sum())} rows", "groups")
    if np.isinf(table).any():
        raise BadInput(f"{names[int(np.isinf(table).any(axis=0).argmax())]} holds infinite values", "table")
    if len(relevance) and not 0 <= int(relevance.min()) <= int(relevance.max()) <= MOST_RELEVANT:
        raise BadInput(f"relevance goes from 0 to {MOST_RELEVANT}", "relevance")
    if wrong := [name for name in names if not _NAME.fullmatch(name)]:
        raise BadInput(f"{wrong[0]!r} is no plain word of letters, digits, _ and .", "names")
    if len(set(names)) < len(names):
        raise BadInput("a feature is named twice", "names")


def _telling(groups: Int64, relevance: Int32) -> "NDArray[np.bool_]":
    """(requests,) whether the candidates of a request differ in relevance."""
    ends = np.cumsum(groups)
    spans = zip((ends - groups).tolist(), ends.tolist(), strict=True)
    return np.array([stop > start and np.ptp(relevance[start:stop]) > 0 for start, stop in spans], dtype=np.bool_)


def _tell(progress: Progress | None, done: int) -> None:
    if progress is not None:
        progress(done, 2)
