"""The model registry over MLflow's REST, without its client: versions, aliases, tags, and files fetched with checks."""

from models.registry.client import Registry
from models.registry.files import FOLDER, folder_of, tidy
from models.registry.records import (
    CANARY,
    CHALLENGER,
    CHAMPION,
    FEATURE_TAG,
    MANIFEST_TAG,
    SHADOW,
    Record,
    Standing,
    Trial,
    Version,
)

__all__ = [
    "CANARY",
    "CHALLENGER",
    "CHAMPION",
    "FEATURE_TAG",
    "FOLDER",
    "MANIFEST_TAG",
    "SHADOW",
    "Record",
    "Registry",
    "Standing",
    "Trial",
    "Version",
    "folder_of",
    "tidy",
]
