"""Options that several commands share, and what is done with them before a job sees them."""

import contextlib
import getpass
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from features.errors import BadInput
from features.settings import Settings
from pipelines import console

if TYPE_CHECKING:
    from features.online import Client

Json = Annotated[bool, typer.Option("--json", help="JSON for programs.")]
Map = Annotated[str, typer.Option("--map", help="Columns, as to=from,...")]
Event = Annotated[str, typer.Option(help="Event name of rows that carry none.")]
Preset = Annotated[str, typer.Option(help="A mapping that comes with Kindred, or a TOML file.")]
Currency = Annotated[str, typer.Option(help="ISO code of prices that name none.")]
Zone = Annotated[str, typer.Option("--timezone", help="Zone of times that carry none; default UTC.")]
Pattern = Annotated[str, typer.Option(help="Only ids that match are items; other lines are charges.")]
Categories = Annotated[Path | None, typer.Option(help="CSV keyword,category for items without a category.")]
Device = Annotated[str, typer.Option(help="cpu, or cuda to train sasrec on a GPU.")]
Set = Annotated[
    list[str] | None, typer.Option("--set", help="A model's setting, as MODEL.FIELD=VALUE; may be said again.")
]
Seed = Annotated[int, typer.Option(help="Equal seeds give equal results.")]


@contextlib.contextmanager
def redis_of(settings: Settings) -> "Iterator[Client]":
    """A connection that answers, for a job; whatever Redis raises in it is `Unavailable` with the address."""
    from features.online import answers, connect  # noqa: PLC0415 - it loads the features, and a bad one is a command's error

    with answers(settings.redis):
        client = connect(settings.redis)
        client.ping()
        yield client


def now() -> int:
    """Now, ms UTC."""
    return time.time_ns() // 1_000_000


def listed(text: str) -> tuple[str, ...]:
    """The parts of a comma-separated option."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def who() -> str:
    """Who is at the keyboard, for the audit trail."""
    return getpass.getuser()


def need_file(file: Path) -> None:
    """Before anything is started for it."""
    if not file.is_file():
        raise BadInput(f"there is no file {file}", "file")


def day(text: str, option: str) -> int | None:
    """A day as ms UTC; None where the option is empty."""
    if not text:
        return None
    try:
        return int(datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).timestamp() * 1000)
    except ValueError as error:
        raise BadInput(f"{option} must be a day as YYYY-MM-DD, got {text!r}", option) from error


def duration(text: str, option: str = "holdout") -> int:
    """Milliseconds of a duration such as 30d or 12h."""
    units = {"h": 3_600_000, "d": 86_400_000}
    if len(text) < 2 or text[-1] not in units or not text[:-1].isdigit() or int(text[:-1]) < 1:
        raise BadInput(f"{option} must be a number of days or hours such as 30d or 12h, got {text!r}", option)
    return int(text[:-1]) * units[text[-1]]


def show_report(report: Any, what: str, seconds: float, json: bool) -> None:
    """What became of a file's rows, for people or as JSON."""
    if json:
        console.as_json(
            {
                what: report.accepted,
                "rows": report.rows,
                "seconds": seconds,
                "known": report.known,
                "refused": dict(report.refused),
                "set_aside": dict(report.set_aside),
            }
        )
        return
    console.say(f"{report.accepted} {what} taken, {report.known} were there before")
    if report.rows:
        console.say(f"  {report.rows} rows in {seconds:.1f} s, {report.rows / seconds:,.0f} a second")
    for reason, count in _largest(report.set_aside):
        console.say(f"  {count} rows set aside: {reason}")
    for reason, count in _largest(report.refused):
        console.say(f"  {count} rows refused: {reason}")
    if report.refused:
        console.say(f"  refused rows are in {report.rejects}")


@contextlib.contextmanager
def ended_by_hand() -> Iterator[None]:
    """For what runs until somebody stops it: then that is no failure."""
    try:
        yield
    except KeyboardInterrupt:
        console.say("stopped")


def interrupt(*_: object) -> NoReturn:
    """SIGTERM ends a command as Ctrl-C does."""
    raise KeyboardInterrupt


def _largest(counts: dict[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))[:20]
