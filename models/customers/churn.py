"""Churn: the chance that a customer won't be back, calibrated, and what it comes from.

Two models that err differently, blended on rows that neither has seen: small regularised trees (LightGBM) and a
logistic regression over piecewise linear curves. The blend of their margins is at the same time the calibration
(Platt's), so log-odds stay a sum, and each column's share in them is exact: TreeSHAP of the trees plus linear terms.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self

import lightgbm
import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from features.errors import NotFitted
from models.arrays import Float32
from models.contracts import Progress
from models.customers import churn_files
from models.customers.calibration import Blend, blend
from models.customers.classifier import Reason
from models.customers.encoding import Encoding, Float64, Inputs
from models.customers.folds import Fold, grouped_folds
from models.customers.line import Line


@dataclass(frozen=True)
class ChurnConfig:
    """Trees are small and see few columns each; how many there are is found on inner folds, at most `rounds`.

    `min_rows_in_leaf`: of a leaf at least so many, or a fiftieth of all rows if that is less, and never under 10;
    `knots`: bends of a curve; `ridge`: how strongly curves are flattened; `rare`: texts seen less often are "others".
    """

    leaves: int = 8
    learning_rate: float = 0.1
    rounds: int = 2_000
    patience: int = 30
    min_rows_in_leaf: int = 50
    column_share: float = 0.3
    row_share: float = 0.7
    l2: float = 10.0
    knots: int = 5
    ridge: float = 20.0
    rare: int = 10
    folds: int = 5


class Parts(NamedTuple):
    """Everything that was fitted."""

    encoding: Encoding
    trees: Any  # lightgbm.Booster
    line: Line
    blend: Blend


class Churn:
    """The classifier; labels are 1 for churned. Equal seeds and rows give equal probabilities."""

    name: ClassVar[str] = "churn"

    def __init__(self, config: ChurnConfig | None = None, seed: int = 0) -> None:
        self._config = config or ChurnConfig()
        self._seed = seed
        self._parts: Parts | None = None
        self._facts: dict[str, float] = {}

    @property
    def params(self) -> dict[str, float | int | str]:
        """Its configuration and seed."""
        return {**asdict(self._config), "seed": self._seed}

    @property
    def facts(self) -> dict[str, float]:
        """What fit() found: trees, the weight of either part, log loss on inner folds, rows, columns used and not."""
        return dict(self._facts)

    @property
    def features(self) -> tuple[str, ...]:
        """The columns that it needs; those that never varied are left out."""
        return self._fitted.encoding.names

    def fit(
        self,
        inputs: Inputs,
        labels: "NDArray[Any]",
        groups: "NDArray[Any] | None" = None,
        progress: Progress | None = None,
    ) -> Self:
        """Fit both parts on inner folds, blend them on what each fold left out, then fit them on all rows.

        Args:    inputs: (n,) columns by name; labels: (n,) 0 or 1; groups: (n,) whose row it is, None: all different.
        Raises:  BadInput: labels that aren't 0 and 1 or are all equal, too few rows or customers of either for the
                 folds, columns that can't be used.
        """
        config = self._config
        encoding = Encoding.of(inputs, config.knots, config.rare)
        folds, target = grouped_folds(labels, groups, config.folds, self._seed, len(next(iter(inputs.values()))))
        flat, curved = encoding.matrix(inputs)[0], encoding.curves(inputs)[0]
        told = progress or (lambda _done, _total: None)
        margins, rounds = self._left_out(flat, curved, target, folds, told)
        joined = blend(margins, target)
        trees = lightgbm.train(self._options(len(target)), _data(flat, target), rounds)
        self._parts = Parts(encoding, trees, Line.fit(curved, target, config.ridge), joined)
        margin = joined.margin(margins)
        self._facts = {
            "trees": float(rounds),
            "trees_weight": joined.weights[0],
            "curves_weight": joined.weights[1],
            "inner_log_loss": float(np.mean(np.logaddexp(0, margin) - target * margin)),
            "rows": float(len(target)),
            "columns": float(len(encoding.names)),
            "dropped": float(len(encoding.dropped)),
        }
        told(len(folds) + 1, len(folds) + 1)
        return self

    def margin(self, inputs: Inputs) -> Float64:
        """(n,) log-odds of churn."""
        parts = self._fitted
        trees = parts.trees.predict(parts.encoding.matrix(inputs)[0], raw_score=True)
        line = parts.line.margin(parts.encoding.curves(inputs)[0])
        return parts.blend.margin(np.column_stack([trees, line]))

    def predict(self, inputs: Inputs) -> Float32:
        """(n,) probabilities of churn."""
        return expit(self.margin(inputs)).astype(np.float32)

    def contributions(self, inputs: Inputs) -> tuple[Float64, float]:
        """What each column adds to the log-odds of each row.

        Returns: (n, len(features)) and the average customer's log-odds; a row's sum plus that is its margin().
        Source:  Lundberg, Erion, Lee. Consistent Individualized Feature Attribution for Tree Ensembles. 2018.
        """
        parts = self._fitted
        flat, flat_of = parts.encoding.matrix(inputs)
        curved, curved_of = parts.encoding.curves(inputs)
        shares = np.asarray(parts.trees.predict(flat, pred_contrib=True))
        of_trees, of_curves = parts.blend.weights
        total = of_trees * _by_column(shares[:, :-1], flat_of) + of_curves * _by_column(
            parts.line.terms(curved), curved_of
        )
        base = parts.blend.intercept + of_trees * float(shares[0, -1]) + of_curves * parts.line.intercept
        return total, base

    def reasons(self, inputs: Inputs, k: int) -> list[list[Reason]]:
        """For each row the k columns that move its probability most, either way, the largest first."""
        effects, _ = self.contributions(inputs)
        order = np.argsort(-np.abs(effects), axis=1, kind="stable")[:, :k]
        names = self.features
        return [
            [Reason(names[at], _plain(inputs[names[at]][row]), float(effects[row, at])) for at in columns]
            for row, columns in enumerate(order)
        ]

    def save(self, folder: Path) -> None:
        """Write model.json, linear.npz and trees.txt (LightGBM's own text)."""
        parts = self._fitted
        churn_files.write(folder, self.name, self.params, self._facts, *parts)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The classifier as it was saved.

        Raises:  BrokenArtifact: a file is missing, of another model, or can't be read.
        """
        params, facts, *parts = churn_files.read(folder, cls.name)
        model = cls(churn_files.config(ChurnConfig, params, folder), int(params.get("seed", 0)))
        model._parts, model._facts = Parts(*parts), facts
        return model

    @property
    def _fitted(self) -> Parts:
        if self._parts is None:
            raise NotFitted("churn has no model yet: call fit() or load() first")
        return self._parts

    def _left_out(
        self, flat: Float64, curved: Float64, target: Float64, folds: list[Fold], told: Progress
    ) -> tuple[Float64, int]:
        """(n, 2) margins of models that haven't seen the row, and how many trees were best over all folds."""
        margins = np.zeros((len(target), 2))
        grown, losses = [], []
        for at, (train, held) in enumerate(folds):
            trees, loss = self._grown(flat, target, train, held)
            grown.append(trees)
            losses.append(loss)
            margins[held, 1] = Line.fit(curved[train], target[train], self._config.ridge).margin(curved[held])
            told(at + 1, len(folds) + 1)
        rounds = _best(losses)
        for trees, (_, held) in zip(grown, folds, strict=True):
            margins[held, 0] = trees.predict(flat[held], raw_score=True, num_iteration=rounds)
        return margins, rounds

    def _grown(
        self, flat: Float64, target: Float64, train: "NDArray[Any]", held: "NDArray[Any]"
    ) -> tuple[Any, Float64]:
        """Trees of one fold, and the log loss after each of them on what the fold left out."""
        losses: dict[str, dict[str, list[float]]] = {}
        stop = lightgbm.early_stopping(self._config.patience, verbose=False)
        data = _data(flat[train], target[train])
        trees = lightgbm.train(
            self._options(len(train)),
            data,
            self._config.rounds,
            valid_sets=[data.create_valid(flat[held], target[held])],
            valid_names=["held"],
            callbacks=[stop, lightgbm.record_evaluation(losses)],
        )
        return trees, np.array(losses["held"]["binary_logloss"])

    def _options(self, rows: int) -> dict[str, Any]:
        config = self._config
        return {
            "objective": "binary",
            "metric": "binary_logloss",
            "num_leaves": config.leaves,
            "learning_rate": config.learning_rate,
            "min_data_in_leaf": min(config.min_rows_in_leaf, max(rows // 50, 10)),
            "feature_fraction": config.column_share,
            "bagging_fraction": config.row_share,
            "bagging_freq": 1,
            "lambda_l2": config.l2,
            "seed": self._seed,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": 1,
            "verbosity": -1,
        }


def _data(rows: Float64, labels: Float64) -> Any:
    return lightgbm.Dataset(rows, labels, params={"verbosity": -1})


def _best(losses: list[Float64]) -> int:
    """The number of trees with the least mean loss; a fold that stopped early keeps its last loss."""
    longest = max(len(loss) for loss in losses)
    every = [np.pad(loss, (0, longest - len(loss)), mode="edge") for loss in losses]
    return int(np.mean(every, axis=0).argmin()) + 1


def _by_column(effects: Float64, owner: "NDArray[np.int64]") -> Float64:
    """(n, columns) sums of what belongs to one column; owners ascend."""
    starts = np.flatnonzero(np.diff(owner, prepend=-1))
    total: Float64 = np.add.reduceat(effects, starts, axis=1)
    return total


def _plain(value: Any) -> float | str | None:
    if isinstance(value, str):
        return value
    return None if value is None or np.isnan(value) else float(value)
