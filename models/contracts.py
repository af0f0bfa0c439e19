"""What every model can do: the narrow Protocol that the trainer, the harness and serving are written against.

A model is asked with a history, never with a user's row: so it answers for anybody, hot or cold, from what happened a
moment ago, and the harness measures exactly what serving does.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self, runtime_checkable

from models.arrays import Csr, Float32, Int32, Mask
from models.histories import Histories, History
from models.interactions import IdMap, Interactions

Progress = Callable[[int, int], None]  # (steps done, steps in all)
Slates = tuple[Int32, Float32]  # item rows and scores, best first, padded with -1 and -inf


class Model(Protocol):
    """A fitted or loaded recommender over `items`.

    Scores have no unit: they order the items of one answer and mean nothing across answers. Equal scores are ordered
    by item row. Every method but the constructor and fit() raises NotFitted before fit() or load().
    """

    name: ClassVar[str]
    settings: ClassVar[type[Any]]  # the frozen dataclass of its configuration, whose defaults are production's

    def __init__(self, config: Any | None = None, seed: int = 0) -> None: ...

    @property
    def items(self) -> IdMap:
        """The catalogue that it was fitted on."""

    @property
    def params(self) -> dict[str, float | int | str]:
        """Its configuration and seed, flat, as logged with a run."""

    @property
    def facts(self) -> dict[str, float]:
        """What fit() measured about itself, for example `index_recall_at_20`."""

    def fit(self, interactions: Interactions, progress: Progress | None = None) -> Self:
        """The model fitted on the interactions; equal seeds and interactions give equal answers.

        Raises:  BadInput: there is nothing to fit on.
        """

    def scores(self, histories: Histories) -> Float32:
        """Score of every item for each history; an empty one gets the popularity list.

        Returns: (n, n_items) float32, finite.
        """

    def recommend(self, histories: Histories, k: int, exclude: Csr | None = None) -> Slates:
        """The k best items for each history, by exact ranking.

        Args:    exclude: (n, n_items), its stored items are never shown.
        Returns: (n, k) int32 and (n, k) float32, padded with -1 and -inf.
        """

    def recommend_one(self, history: History, k: int, allowed: Mask | None = None) -> Slates:
        """The k best items for one history, fast; through the index where the model has one.

        Args:    allowed: (n_items,) what may be shown, None for everything.
        Returns: (k,) int32 and (k,) float32, padded with -1 and -inf; full whenever k items are allowed.
        """

    def similar(self, item: int, k: int, allowed: Mask | None = None) -> Slates:
        """The k items most like one, never itself; all padding where the model knows no likeness.

        Returns: (k,) int32 and (k,) float32.
        """

    def because(self, history: History, slate: Int32) -> Int32:
        """For each slate item the position in the history that raised its score most; -1 where none did."""

    def save(self, folder: Path) -> None:
        """Write npz, JSON, FAISS and ONNX files, never a pickle, into an existing empty folder."""

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The model from its files.

        Raises:  BrokenArtifact: a file is missing or can't be read.
        """


@runtime_checkable
class Refreshable(Protocol):
    """A model that can start from itself instead of from nothing when there is more to learn from; loaded ones too."""

    def refreshed(self, interactions: Interactions, progress: Progress | None = None) -> Self:
        """A new model of newer interactions, cheaper than fit(); this one is left as it is."""
