"""What every classifier can do: a probability from named columns, and why."""

from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol, Self

from numpy.typing import NDArray

from models.arrays import Float32
from models.contracts import Progress
from models.customers.encoding import Inputs


class Reason(NamedTuple):
    """What one column of a customer adds to the log-odds, compared with the average customer."""

    feature: str
    value: float | str | None
    effect: float


class Classifier(Protocol):
    """A fitted or loaded estimate of a probability from named columns.

    Every method but the constructor and fit() raises NotFitted before fit() or load().
    """

    name: ClassVar[str]

    @property
    def params(self) -> dict[str, float | int | str]:
        """Its configuration and seed, flat, as logged with a run."""

    @property
    def facts(self) -> dict[str, float]:
        """What fit() measured about itself."""

    @property
    def features(self) -> tuple[str, ...]:
        """The columns that it needs."""

    def fit(
        self,
        inputs: Inputs,
        labels: "NDArray[Any]",
        groups: "NDArray[Any] | None" = None,
        progress: Progress | None = None,
    ) -> Self:
        """Fitted on n rows; rows of one group (a customer) are never on both sides of an inner split."""

    def predict(self, inputs: Inputs) -> Float32:
        """(n,) probabilities."""

    def reasons(self, inputs: Inputs, k: int) -> list[list[Reason]]:
        """For each row the k columns that move its probability most, either way, the largest first."""

    def save(self, folder: Path) -> None:
        """Write text, npz and JSON files, never a pickle, into an existing folder."""

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The classifier from its files.

        Raises:  BrokenArtifact: a file is missing or can't be read.
        """
