"""Where things are: environment variables KINDRED_*, read once by an entry point and passed down."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from features.errors import BadSetting

SERVABLE = ("blend", "sasrec", "session_knn", "graph_filter", "ease", "item_knn", "two_tower", "als", "trending")
PARTS = ("track", "recommend")
VARIABLES: dict[str, str] = {
    "KINDRED_DATA": "folder of the event log, models, keys and caches; default `./.kindred`",
    "KINDRED_KAFKA": "bootstrap servers, `host:port[,host:port]`; empty starts an embedded broker",
    "KINDRED_REDIS": "`redis://` or `rediss://` URL, of a cluster `redis+cluster://host:port[,host:port]`; "
    "empty starts an embedded Redis",
    "KINDRED_MLFLOW": "URL of an MLflow server; empty starts one on loopback over SQLite",
    "KINDRED_MODELS": f"models that may serve slates, the first with a champion does; default `{','.join(SERVABLE)}`",
    "KINDRED_REPEATABLE": "categories that may be recommended again after a purchase, `*` for all; default none",
    "KINDRED_EXPLORATION": "share of the places of a slate that are drawn among good candidates instead of taking the "
    "best, so that other policies can be judged by what was served; 0 to 0.5, default 0.05",
    "KINDRED_CATEGORY_SHARE": "most of a slate that one category may take, 0.01 to 1; default 1, no bound",
    "KINDRED_GRACE": "how often lists may show a customer an item in 3 days, and the customer not turn to it, before "
    "it moves down; 0 to 100, 0 moves none, default 3",
    "KINDRED_BUCKETS": "number of state buckets, fixed for life; a multiple of the partitions; default 64",
    "KINDRED_SESSION_MS": "how long a stream processor may be silent before others take its partitions over; 1000 to "
    "300000, the brokers' bounds permitting, default 10000 (1500 with the embedded broker)",
    "KINDRED_REQUIRE_GATES": "`1` serves no champion that was set by hand: the one before goes on",
    "KINDRED_WATCH_MINUTES": "how long a champion is watched after its promotion, to go back by itself where it does "
    "worse than the one before; 0 to 1440, 0 watches none, default 30",
    "KINDRED_MLFLOW_SECRET": "secret that MLflow signs its webhooks with; empty takes none",
    "KINDRED_PARTS": "what the service answers, `track`, `recommend` or both, so that they scale apart; "
    "`--parts` of `kindred serve` sets it; default both",
    "KINDRED_MOST_IN_FLIGHT": "slates, and likewise events, that a service worker answers at once; more get a 429; "
    "default 200",
    "KINDRED_DEMO": "`1` serves the demo page and takes keyless calls from this machine only; `kindred demo` sets it",
}

MOST = 65_536
_CLUSTERS = ("redis+cluster://", "rediss+cluster://")


@dataclass(frozen=True)
class Settings:
    """Addresses and folders; an empty address means: the embedded part, whose address is filled in once it runs."""

    data: Path
    kafka: str = ""
    redis: str = ""
    mlflow: str = ""
    models: tuple[str, ...] = SERVABLE
    repeatable: frozenset[str] = frozenset()
    exploration: float = 0.05
    category_share: float = 1.0
    grace: int = 3
    buckets: int = 64
    session_ms: int = 10_000
    require_gates: bool = False
    watch_minutes: int = 30
    mlflow_secret: str = field(default="", repr=False)
    demo: bool = False
    most_in_flight: int = 200
    parts: tuple[str, ...] = PARTS


def from_environment(environment: Mapping[str, str] = os.environ) -> Settings:
    """Settings from KINDRED_* variables.

    Raises:  BadSetting: an unknown KINDRED_* variable or a value that can't be used, named.
    """
    values = {name: value.strip() for name, value in environment.items() if name.startswith("KINDRED_")}
    for name in sorted(values):
        if name not in VARIABLES:
            raise BadSetting(f"{name} is not a setting; known ones: {', '.join(VARIABLES)}", name)
    return Settings(
        data=Path(values.get("KINDRED_DATA") or ".kindred").resolve(),
        kafka=_servers(values.get("KINDRED_KAFKA", "")),
        redis=_redis(values.get("KINDRED_REDIS", "")),
        mlflow=_url("KINDRED_MLFLOW", values.get("KINDRED_MLFLOW", ""), ("http://", "https://")).rstrip("/"),
        models=_names(values.get("KINDRED_MODELS", "")) or SERVABLE,
        repeatable=frozenset(_names(values.get("KINDRED_REPEATABLE", ""))),
        exploration=_share("KINDRED_EXPLORATION", values.get("KINDRED_EXPLORATION") or "0.05", 0.0, 0.5),
        category_share=_share("KINDRED_CATEGORY_SHARE", values.get("KINDRED_CATEGORY_SHARE") or "1", 0.01, 1.0),
        grace=_count("KINDRED_GRACE", values.get("KINDRED_GRACE") or "3", 0, 100),
        require_gates=_flag("KINDRED_REQUIRE_GATES", values.get("KINDRED_REQUIRE_GATES", "")),
        watch_minutes=_count("KINDRED_WATCH_MINUTES", values.get("KINDRED_WATCH_MINUTES") or "30", 0, 1_440),
        mlflow_secret=values.get("KINDRED_MLFLOW_SECRET", ""),
        buckets=_count("KINDRED_BUCKETS", values.get("KINDRED_BUCKETS") or "64"),
        session_ms=_count("KINDRED_SESSION_MS", values.get("KINDRED_SESSION_MS") or "10000", 1_000, 300_000),
        demo=_flag("KINDRED_DEMO", values.get("KINDRED_DEMO", "")),
        parts=parts_of(values.get("KINDRED_PARTS", "")),
        most_in_flight=_count("KINDRED_MOST_IN_FLIGHT", values.get("KINDRED_MOST_IN_FLIGHT") or "200"),
    )


def to_environment(settings: Settings) -> dict[str, str]:
    """The same settings as variables, for a process that this one starts."""
    return {
        "KINDRED_DATA": str(settings.data),
        "KINDRED_KAFKA": settings.kafka,
        "KINDRED_REDIS": settings.redis,
        "KINDRED_MLFLOW": settings.mlflow,
        "KINDRED_MODELS": ",".join(settings.models),
        "KINDRED_REPEATABLE": ",".join(sorted(settings.repeatable)),
        "KINDRED_EXPLORATION": str(settings.exploration),
        "KINDRED_CATEGORY_SHARE": str(settings.category_share),
        "KINDRED_GRACE": str(settings.grace),
        "KINDRED_BUCKETS": str(settings.buckets),
        "KINDRED_SESSION_MS": str(settings.session_ms),
        "KINDRED_REQUIRE_GATES": "1" if settings.require_gates else "",
        "KINDRED_WATCH_MINUTES": str(settings.watch_minutes),
        "KINDRED_MLFLOW_SECRET": settings.mlflow_secret,
        "KINDRED_DEMO": "1" if settings.demo else "",
        "KINDRED_PARTS": ",".join(settings.parts),
        "KINDRED_MOST_IN_FLIGHT": str(settings.most_in_flight),
    }


def parts_of(value: str) -> tuple[str, ...]:
    """The parts of the service that are named, comma-separated; all where none is.

    Raises:  BadSetting: there is no such part.
    """
    wanted = _names(value) or PARTS
    if unknown := [name for name in wanted if name not in PARTS]:
        raise BadSetting(f"KINDRED_PARTS names {_shown(unknown[0])}; known ones: {', '.join(PARTS)}", "KINDRED_PARTS")
    return tuple(name for name in PARTS if name in wanted)


def _names(value: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in value.split(",") if name.strip())


def _url(name: str, value: str, schemes: tuple[str, ...]) -> str:
    if value and not value.startswith(schemes):
        raise BadSetting(f"{name} must start with {' or '.join(schemes)}, got {_shown(value)}", name)
    try:
        urlsplit(value).port  # noqa: B018 - reading it checks it
    except ValueError as error:
        raise BadSetting(f"{name} must end its host with a port from 0 to 65535, got {_shown(value)}", name) from error
    return value


def _redis(value: str) -> str:
    """The address of one Redis, or of a cluster, which may name several nodes."""
    if not value.startswith(_CLUSTERS):
        return _url("KINDRED_REDIS", value, ("redis://", "rediss://", "unix://", *_CLUSTERS))
    nodes = urlsplit(value).netloc.rpartition("@")[2].split(",")
    if urlsplit(value).path.strip("/") or not all(_is_server(node) for node in nodes):
        wanted = "redis+cluster://host:port[,host:port]"
        raise BadSetting(f"KINDRED_REDIS must be {wanted} for a cluster, got {_shown(value)}", "KINDRED_REDIS")
    return value


def _is_server(value: str) -> bool:
    host, _, port = value.rpartition(":")
    return bool(host) and port.isdecimal() and 0 < int(port[:6]) < 65_536


def _servers(value: str) -> str:
    for server in _names(value):
        if not _is_server(server):
            raise BadSetting(f"KINDRED_KAFKA must be host:port[,host:port], got {_shown(value)}", "KINDRED_KAFKA")
    return value


def _count(name: str, value: str, least: int = 1, most: int = MOST) -> int:
    if not value.isdecimal() or not least <= int(value[:9]) <= most:
        raise BadSetting(f"{name} must be a whole number from {least} to {most}, got {_shown(value)}", name)
    return int(value)


def _share(name: str, value: str, least: float, most: float) -> float:
    try:
        share = float(value)
    except ValueError:
        share = -1.0
    if not least <= share <= most:
        raise BadSetting(f"{name} must be a number from {least:g} to {most:g}, got {_shown(value)}", name)
    return share


def _flag(name: str, value: str) -> bool:
    if value not in {"", "0", "1"}:
        raise BadSetting(f"{name} must be 0 or 1, got {_shown(value)}", name)
    return value == "1"


def _shown(value: str) -> str:
    """A value short enough for an error line, without the password that a URL may hold."""
    scheme, separator, rest = value.rpartition("@")
    shown = f"...@{rest}" if separator and scheme else value
    return repr(shown[:80])
