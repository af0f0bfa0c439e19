"""What may be tuned of each model: the one table of ranges, read by training/tuning.py.

The defaults of a model's config lie within its ranges, since the first trial is always the defaults.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from features.errors import BadInput
from models import MODELS

Value = float | int | str


@dataclass(frozen=True)
class Range:
    """From `low` to `high`, both included; `log` draws evenly by factor, `integer` whole numbers only."""

    low: float
    high: float
    log: bool = False
    integer: bool = False


@dataclass(frozen=True)
class Choice:
    """One of these."""

    values: tuple[Value, ...]


@dataclass(frozen=True)
class Space:
    """The ranges of a model by the names of its config's fields.

    `reports`: the model may be asked for scores from within fit()'s progress, so that a bad trial can be stopped early.
    """

    ranges: Mapping[str, Range | Choice]
    reports: bool = False


SPACES: dict[str, Space] = {
    "als": Space(
        {
            "embedding_size": Range(32, 256, log=True, integer=True),
            "alpha": Range(0.5, 64, log=True),
            "regularization": Range(0.005, 1, log=True),
            "epochs": Choice((8, 15, 30)),
        }
    ),
    "trending": Space({"half_life_days": Range(0.25, 365, log=True)}),
}


def space_of(name: str) -> Space:
    """The space of a model.

    Raises:  BadInput: nothing of it can be tuned.
    """
    if name not in SPACES:
        raise BadInput(f"there is nothing to tune in {name!r}; tunable: {', '.join(SPACES)}", "tune")
    return SPACES[name]


def defaults_of(name: str) -> dict[str, Value]:
    """What production uses, of the parameters that can be tuned."""
    given = asdict(MODELS[name].settings())
    return {each: given[each] for each in space_of(name).ranges}
