"""What a training run was given, as one hash: the same again needs no second version."""

import hashlib
import json

import pandas as pd

from features.definitions import FEATURES
from features.weights import WEIGHTS
from training.datasets import Frame
from training.trainer import Recipe

INPUTS_TAG = "kindred.inputs_sha256"
FEATURES_TAG = "kindred.features"


def digest_of(frame: Frame) -> str:
    """SHA-256 of the rows, their order and the names of the columns."""
    hashed = pd.util.hash_pandas_object(frame, index=False).to_numpy()
    return hashlib.sha256(json.dumps(list(frame.columns)).encode() + hashed.tobytes()).hexdigest()


def inputs_of(recipe: Recipe, data: str, holdout_ms: int, code: str, base: str | None = None) -> str:
    """SHA-256 of everything that decides what comes out: data, recipe, windows, weights of events, code.

    Args:    data: as digest_of() gives it; code: the commit; base: the version that is started from, if there is one.
    """
    given: list[object] = [recipe.name, recipe.seed, dict(recipe.params or {}), data, holdout_ms, WEIGHTS, code]
    given += [] if base is None else [base]
    given += [] if recipe.weights is None else [dict(recipe.weights)]
    return hashlib.sha256(json.dumps(given, sort_keys=True).encode()).hexdigest()


def features_fingerprint() -> str:
    """Of all feature definitions together: another one means that features may mean something else."""
    return FEATURES.generation
