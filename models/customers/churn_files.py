"""The files of a churn model: model.json, linear.npz, and its trees in LightGBM's own text."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import lightgbm
import numpy as np

from features.errors import BrokenArtifact
from models import array_files
from models.customers.calibration import Blend
from models.customers.encoding import Encoding
from models.customers.line import Line
from models.fields import stored

TREES, LINE = "trees.txt", "linear.npz"
Config = TypeVar("Config")


def write(
    folder: Path,
    name: str,
    params: Mapping[str, Any],
    facts: Mapping[str, float],
    encoding: Encoding,
    trees: Any,
    line: Line,
    blend: Blend,
) -> None:
    """Write all three into an existing folder."""
    blended = {"intercept": blend.intercept, "weights": list(blend.weights)}
    more = {"facts": dict(facts), "encoding": encoding.as_params(), "blend": blended}
    (folder / TREES).write_text(trees.model_to_string(), encoding="utf-8")
    np.savez(folder / LINE, allow_pickle=False, **{**line._asdict(), "intercept": np.array([line.intercept])})
    array_files.write(folder, name, {**params, **more})


def read(folder: Path, name: str) -> tuple[dict[str, Any], dict[str, float], Encoding, Any, Line, Blend]:
    """What write() wrote: parameters, facts, and the four parts.

    Raises:  BrokenArtifact: a file is missing, can't be read, or doesn't fit the others.
    """
    params, _ = array_files.read(folder, name)
    try:
        facts = {str(key): float(value) for key, value in params["facts"].items()}
        blended = params["blend"]
        blend = Blend(float(blended["intercept"]), tuple(float(weight) for weight in blended["weights"]))
        encoding = Encoding.from_params(params["encoding"])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise BrokenArtifact(f"model.json in {folder} lacks or misstates {error}") from error
    trees, line = _trees(folder), _line(folder)
    wide, curved = encoding.widths
    if trees.num_feature() != wide or len(line.weights) != curved or len(blend.weights) != 2:
        raise BrokenArtifact(f"the files in {folder} don't belong together: they are of different columns")
    return params, facts, encoding, trees, line, blend


def config(kind: type[Config], params: Mapping[str, Any], folder: Path) -> Config:
    """The config dataclass from the parameters.

    Raises:  BrokenArtifact: one is missing or of another type.
    """
    try:
        return stored(kind, params)
    except (KeyError, TypeError, ValueError) as error:
        raise BrokenArtifact(f"model.json in {folder} lacks or misstates {error}") from error


def _trees(folder: Path) -> Any:
    try:
        text = (folder / TREES).read_text(encoding="utf-8")
        return lightgbm.Booster(model_str=text)
    except (OSError, UnicodeDecodeError, lightgbm.basic.LightGBMError) as error:
        raise BrokenArtifact(f"{TREES} in {folder} can't be read: {error}") from error


def _line(folder: Path) -> Line:
    try:
        with np.load(folder / LINE, allow_pickle=False) as stored:
            centre, scale, weights, intercept = (np.asarray(stored[key], np.float64) for key in Line._fields)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise BrokenArtifact(f"{LINE} in {folder} can't be read: {error}") from error
    whole = centre.shape == scale.shape == weights.shape and intercept.shape == (1,) and weights.ndim == 1
    if not whole or not all(np.isfinite(each).all() for each in (centre, scale, weights, intercept)):
        raise BrokenArtifact(f"{LINE} in {folder} doesn't hold finite numbers of one shape")
    return Line(centre, scale, weights, float(intercept[0]))
