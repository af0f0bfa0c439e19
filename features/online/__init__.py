"""All of Redis: customers' states with their positions, the catalogue, popularity, the embedded server."""

from features.online.catalogue import CHANNEL, CatalogueReader, CatalogueStore
from features.online.client import AWAY, Client, answers, check, connect, connect_async
from features.online.popularity import popular
from features.online.reader import ProfileReader
from features.online.state import BucketCommit, StateStore

__all__ = [
    "AWAY",
    "CHANNEL",
    "BucketCommit",
    "CatalogueReader",
    "CatalogueStore",
    "Client",
    "ProfileReader",
    "StateStore",
    "answers",
    "check",
    "connect",
    "connect_async",
    "popular",
]
