"""All of Redis: customers' states with their positions, items, identity, the catalogue, the embedded server."""

from features.online import generations
from features.online.batch import Batch, Client, Script
from features.online.catalogue import CHANNEL, CatalogueReader, CatalogueStore
from features.online.client import AWAY, answers, check, connect, connect_async
from features.online.identity import IdentityStore
from features.online.items import ItemReader, features_of_everyone, item_features, some_items
from features.online.news import MODELS, tell_of_model
from features.online.popularity import popular, popular_by_context
from features.online.reader import ProfileReader
from features.online.snapshot import Bucket, customers_of, snapshot, tiles_of
from features.online.state import NO_TILES, BucketCommit, StateStore
from features.online.tiles import Merger
from features.online.trials import TrialCounts, canary_trial, hour_trial, shadow_trial, watch_trial

__all__ = [
    "AWAY",
    "CHANNEL",
    "MODELS",
    "NO_TILES",
    "Batch",
    "Bucket",
    "BucketCommit",
    "CatalogueReader",
    "CatalogueStore",
    "Client",
    "IdentityStore",
    "ItemReader",
    "Merger",
    "ProfileReader",
    "Script",
    "StateStore",
    "TrialCounts",
    "answers",
    "canary_trial",
    "check",
    "connect",
    "connect_async",
    "customers_of",
    "features_of_everyone",
    "generations",
    "hour_trial",
    "item_features",
    "popular",
    "popular_by_context",
    "shadow_trial",
    "snapshot",
    "some_items",
    "tell_of_model",
    "tiles_of",
    "watch_trial",
]
