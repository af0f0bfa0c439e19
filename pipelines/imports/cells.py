"""One cell of a file as a value: text, id, number, time; and the category that a title speaks of."""

import csv
import math
import re
from collections.abc import Callable
from datetime import date, datetime, time, tzinfo
from functools import lru_cache
from pathlib import Path
from typing import Any

from features.errors import BadInput

# What writers of CSV put where there is nothing; as a customer's id it would be one customer of thousands of strangers.
ABSENT = frozenset({"", "nan", "NaN", "NULL", "null", "None", "<NA>"})
MAX_ID = 255
FIRST_SECOND, LAST_SECOND = 1e8, 1e10  # 1973-03-03 to 2286-11-20: below or above, a number is no time in this unit
YES, NO = frozenset({"true", "1", "yes", "y", "t"}), frozenset({"false", "0", "no", "n", "f"})

WORD = re.compile(r"[^\W_]+")

Rules = tuple[tuple[str, str], ...]


def text(value: Any) -> str:
    """The cell without blanks around it; empty where it holds nothing (also `nan`, `NULL`, `None`)."""
    shown = (value if isinstance(value, str) else "" if value is None else str(value)).strip()
    return "" if shown in ABSENT else shown


def identifier(value: Any, name: str) -> str:
    """An id as text; `17850.0`, which a column of floats makes of 17850, is `17850`.

    Raises:  BadInput: longer than 255 characters.
    """
    if isinstance(value, str):
        return _identifier(value, name)
    return _identifier(text(int(value) if isinstance(value, float) and value.is_integer() else value), name)


def number(value: Any, name: str) -> float | None:
    """A finite number, None where the cell holds nothing.

    Raises:  BadInput: anything else, also numbers with a currency sign or a thousands separator.
    """
    return None if value is None else _number(value if isinstance(value, str) else str(value), name)


@lru_cache(maxsize=1 << 15)
def _identifier(value: str, name: str) -> str:
    shown = text(value)
    if shown.endswith(".0") and shown[:-2].isdigit():
        shown = shown[:-2]
    if len(shown) > MAX_ID:
        raise BadInput(f"{name} is longer than {MAX_ID} characters", name)
    return shown


@lru_cache(maxsize=1 << 15)
def _number(value: str, name: str) -> float | None:
    shown = text(value)
    if not shown:
        return None
    try:
        parsed = float(shown)
    except ValueError as error:
        raise BadInput(f"{name} {shown[:40]!r} is not a number", name) from error
    if not math.isfinite(parsed):
        raise BadInput(f"{name} {shown[:40]!r} is not a finite number", name)
    return parsed


def boolean(value: Any, name: str) -> bool:
    """True or false from what files write for it.

    Raises:  BadInput: anything else.
    """
    shown = text(value).lower()
    if shown in YES or shown in NO:
        return shown in YES
    raise BadInput(f"{name} {shown[:40]!r} is neither true nor false", name)


def moment(value: Any, zone: tzinfo) -> int:
    """A time as int ms UTC: ISO 8601 with or without a zone, a date, unix seconds or (from 1e11 on) milliseconds.

    `zone` holds where the cell names none. A local time that the clock jumped over in spring is read with the offset
    from before the jump (01:30 becomes 02:30 by the new one); of the two that autumn has, the earlier is taken.
    Raises:  BadInput: neither of them, with the cell.
    """
    if isinstance(value, str):
        return _moment(value.strip(), zone)
    if isinstance(value, datetime):
        return _ms(value, zone)
    if isinstance(value, date):
        return _ms(datetime.combine(value, time()), zone)
    return _moment(identifier(value, "timestamp"), zone)


@lru_cache(maxsize=1 << 15)
def _moment(shown: str, zone: tzinfo) -> int:
    if not shown:
        raise BadInput("no timestamp", "timestamp")
    try:
        unix = float(shown)
    except ValueError:
        unix = 0.0
    if FIRST_SECOND <= unix < LAST_SECOND:
        return round(unix * 1000)
    if FIRST_SECOND * 1000 <= unix < LAST_SECOND * 1000:
        return round(unix)
    try:
        return _ms(datetime.fromisoformat(shown), zone)
    except ValueError as error:
        wanted = "ISO 8601 (2026-03-01T12:00:00Z, 2026-03-01 12:00) or unix seconds or milliseconds"
        raise BadInput(f"timestamp {shown[:40]!r} is not {wanted}", "timestamp") from error


def _ms(moment: datetime, zone: tzinfo) -> int:
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=zone)
    try:
        ms = int(aware.timestamp() * 1000 + 0.5)
    except (OverflowError, ValueError, OSError) as error:
        raise BadInput(f"timestamp {moment} is out of range", "timestamp") from error
    if ms < 0:
        raise BadInput(f"timestamp {moment} lies before 1970", "timestamp")
    return ms


def read_rules(path: Path) -> Rules:
    """(keyword, category) in the order of a CSV file with these two columns; keywords of one word or more.

    Raises:  BadInput: no such file, other columns, or a line that lacks one of them, with its number.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = list(csv.reader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadInput(f"{path} can't be read as a table of categories: {error}", "categories") from error
    if not lines or lines[0] != ["keyword", "category"]:
        raise BadInput(f"{path} needs the header keyword,category", "categories")
    rules = []
    for number_, line in enumerate(lines[1:], start=2):
        if len(line) != 2 or not _words(line[0]).strip() or not line[1].strip():
            raise BadInput(f"{path} line {number_}: a keyword and a category are needed", "categories")
        rules.append((_words(line[0]), line[1].strip()))
    return tuple(rules)


def categoriser(rules: Rules) -> Callable[[str], str]:
    """The function from a title to its category: that of the first keyword, in the order of the rules, that the title
    holds as whole words (capitals and punctuation don't matter); `other` where none does, empty for an empty title.
    """

    @lru_cache(maxsize=1 << 15)
    def category(title: str) -> str:
        words = _words(title)
        if not rules or not words.strip():
            return ""
        return next((category for keyword, category in rules if keyword in words), "other")

    return category


def _words(shown: str) -> str:
    """Capitals and digits with one blank before, between and after, so that `in` compares whole words."""
    return f" {' '.join(WORD.findall(shown.upper()))} "
