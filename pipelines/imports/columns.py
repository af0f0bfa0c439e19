"""Which column of a file is what: `--map`, presets, and the check of both against the columns that a file has."""

import re
import tomllib
from collections.abc import Iterable
from collections.abc import Mapping as Table
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from features.errors import BadInput
from features.events import FILE_ALIASES
from pipelines.imports.cells import Rules, read_rules

PRESETS = Path(__file__).parent / "presets"
OPTIONS = ("event", "currency", "timezone", "item_pattern", "categories", "map")

EVENT_TARGETS = (
    "user_id", "anonymous_id", "timestamp", "event", "message_id", "order_id", "item_id", "title", "category", "price",
    "quantity", "brand", "variant", "currency", "url", "image_url", "total", "position",
)  # fmt: skip
ITEM_TARGETS = (
    "item_id", "title", "category", "price", "currency", "url", "image_url", "in_stock", "tags", "attributes",
)  # fmt: skip
SAME = {"product_id": "item_id", "name": "title"}
# Columns that are taken without being mapped, in this order, where the target's own name isn't among them.
USUAL = {
    "user_id": ("customer_id", "user"),
    "item_id": ("product_id", "item"),
    "title": ("name",),
    "timestamp": ("ts",),
}
NOT_TARGETS = frozenset({"products", "charges", "type"})
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")


@dataclass(frozen=True)
class Mapping:
    """How rows become events: target -> source column, and what holds for the whole file.

    `event` is empty where nothing was said: then it is `Order Completed` for a file with an order id, else
    `Product Viewed`. Without an `item_pattern` every product id is an item. `categories` fill a missing category.
    """

    columns: Table[str, str] = field(default_factory=dict)
    event: str = ""
    currency: str = ""
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))
    item_pattern: re.Pattern[str] | None = None
    categories: Rules = ()


def parse_map(text: str) -> dict[str, str]:
    """Target -> source column from `to=from,...`; empty for an empty text.

    Raises:  BadInput: a part without `=`, a target that is no identifier or stands twice.
    """
    columns: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        target, equals, source = (side.strip() for side in part.partition("="))
        if not (equals and target and source):
            raise BadInput(f"--map takes to=from,..., {part!r} is none", "map")
        _put(columns, target, source)
    return columns


def mapping_from(
    map_text: str = "",
    event: str = "",
    preset: str = "",
    currency: str = "",
    timezone: str = "",
    item_pattern: str = "",
    categories: Path | None = None,
) -> Mapping:
    """A mapping from what the command line says; each option goes before the preset's, `--map` target by target.

    Raises:  BadInput: naming the option, before any file of rows is opened.
    """
    given = _preset(preset) if preset else {}
    columns: dict[str, str] = {}
    for target, source in given.get("map", {}).items():
        _put(columns, target, source)
    table = categories or given.get("categories")
    return Mapping(
        columns=columns | parse_map(map_text),
        event=canonical_name(event or given.get("event", "")),
        currency=_currency(currency or given.get("currency", "")),
        zone=_zone(timezone or given.get("timezone", "UTC")),
        item_pattern=_pattern(item_pattern or given.get("item_pattern", "")),
        categories=read_rules(table) if table else (),
    )


def presets() -> tuple[str, ...]:
    """Names of the presets that come with Kindred."""
    return tuple(sorted(path.stem for path in PRESETS.glob("*.toml")))


def bind(
    columns: Table[str, str], header: Iterable[str], targets: Iterable[str], needed: Iterable[str]
) -> dict[str, str]:
    """Target -> source column for one file: what is mapped, and columns named as a target that isn't mapped.

    Args:    needed: targets of which there must be one, alternatives divided by `|`.
    Raises:  BadInput: a mapped column that the file lacks, a needed target without one; lists the file's columns.
    """
    names = tuple(header)
    has = f"the file has the columns {', '.join(map(repr, names))}"
    bound: dict[str, str] = {}
    for target, source in columns.items():
        if source not in names:
            raise BadInput(f"--map: no column {source!r} for {target}; {has}", "map")
        bound[target] = source
    taken = frozenset(bound.values())
    for target in targets:
        usual = (name for name in (target, *USUAL.get(target, ())) if name in names and name not in taken)
        if target not in bound and (source := next(usual, "")):
            bound[target] = source
    for one_of in needed:
        if not any(target in bound for target in one_of.split("|")):
            raise BadInput(
                f"no column for {one_of.replace('|', ' or ')}: name it by --map {one_of.split('|')[0]}=...; {has}",
                "map",
            )
    return bound


@lru_cache(maxsize=1 << 12)
def canonical_name(name: str) -> str:
    """The track name as it stands on the wire, also for `View` or `PURCHASE`; an unknown name stays as it is."""
    return FILE_ALIASES.get(name) or FILE_ALIASES.get(name.lower(), name)


def _put(columns: dict[str, str], target: str, source: Any) -> None:
    name = SAME.get(target, target)
    if not NAME.fullmatch(name) or name in NOT_TARGETS:
        raise BadInput(
            f"--map: {target!r} can't be a target; there are {', '.join(EVENT_TARGETS)} and any other name", "map"
        )
    if not isinstance(source, str) or not source:
        raise BadInput(f"--map: {target} needs the name of a column", "map")
    if name in columns:
        raise BadInput(f"--map: {target} is mapped twice", "map")
    columns[name] = source


def _preset(name: str) -> dict[str, Any]:
    path = Path(name) if name.endswith(".toml") else PRESETS / f"{name}.toml"
    if not path.is_file() or not (name.endswith(".toml") or name in presets()):
        raise BadInput(f"no preset {name!r}; there are {', '.join(presets())}, or name a .toml file", "preset")
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadInput(f"the preset {path} can't be read: {error}", "preset") from error
    for key, value in given.items():
        if key not in OPTIONS or not isinstance(value, dict if key == "map" else str):
            raise BadInput(f"the preset {path} has {key!r}; there are {', '.join(OPTIONS)}", "preset")
    if "categories" in given:
        given["categories"] = path.parent / given["categories"]
    return given


def _currency(code: str) -> str:
    if code and not re.fullmatch(r"[A-Za-z]{3}", code):
        raise BadInput(f"the currency is an ISO code such as GBP, not {code!r}", "currency")
    return code.upper()


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise BadInput(f"no time zone {name!r}; one is called Europe/London", "timezone") from error


def _pattern(pattern: str) -> re.Pattern[str] | None:
    try:
        return re.compile(pattern) if pattern else None
    except re.error as error:
        raise BadInput(f"the item pattern is no regular expression: {error}", "item_pattern") from error
