"""`kindred doctor`: ask each configured server and say what is wrong in words that help."""

import shutil
from collections.abc import Callable

import msgspec

from features.errors import KindredError
from features.kafka.producer import is_up
from features.kafka.topics import partitions_of
from features.online import check
from features.online.server import executable
from features.settings import Settings
from models.registry import Registry
from pipelines.services import check_models

LEAST_DISK = 1 << 30


class Check(msgspec.Struct, frozen=True):
    """One part, whether it is well, and what was found."""

    part: str
    ok: bool
    found: str


def check_all(settings: Settings) -> list[Check]:
    """Every check; a part that is embedded is asked only whether it could be started here."""
    return [
        _tried("data", lambda: _data(settings)),
        _tried("redis", lambda: _redis(settings)),
        _tried("kafka", lambda: _kafka(settings)),
        _tried("mlflow", lambda: _mlflow(settings)),
    ]


def _tried(part: str, look: Callable[[], str]) -> Check:
    try:
        return Check(part, True, look())
    except (KindredError, OSError) as error:
        return Check(part, False, str(error))


def _data(settings: Settings) -> str:
    settings.data.mkdir(parents=True, exist_ok=True)
    probe = settings.data / ".doctor"
    probe.write_bytes(b"")
    probe.unlink()
    free = shutil.disk_usage(settings.data).free
    if free < LEAST_DISK:
        raise KindredError(f"{settings.data} has {free >> 20} MiB free, at least 1024 are needed")
    return f"{settings.data} can be written, {free >> 30} GiB free"


def _redis(settings: Settings) -> str:
    if not settings.redis:
        return f"embedded, {executable()}"
    return f"version {check(settings.redis)}"


def _kafka(settings: Settings) -> str:
    if not settings.kafka:
        return "embedded"
    up, found = is_up(settings.kafka)
    if not up:
        raise KindredError(found)
    partitions = partitions_of(settings.kafka, "events")
    if partitions and settings.buckets % partitions:
        raise KindredError(
            f"KINDRED_BUCKETS ({settings.buckets}) isn't a multiple of {partitions} partitions of events"
        )
    return f"{found}; topic events has {partitions or 'not been made yet, 0'} partitions"


def _mlflow(settings: Settings) -> str:
    check_models(settings)
    if not settings.mlflow:
        return "embedded"
    with Registry(settings.mlflow) as registry:
        registry.ping()
        served = [f"{name} {version.version}" for name in settings.models if (version := registry.champion(name))]
    return f"answers; champions: {', '.join(served) or 'none yet'}"
