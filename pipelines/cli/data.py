"""Commands about events and items."""

# ruff: noqa: PLC0415 - each command imports its job when it is called: MLflow takes seconds, and `--help` needs none
import time
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from features.errors import BadInput
from features.settings import from_environment
from pipelines import console
from pipelines.cli.options import (
    Categories,
    Currency,
    Event,
    Json,
    Map,
    Pattern,
    Preset,
    Seed,
    Zone,
    day,
    need_file,
    now,
    redis_of,
    show_report,
)

app = typer.Typer()
imports = typer.Typer(no_args_is_help=True, help="Take events or items from a CSV, Parquet or JSONL file.")
app.add_typer(imports, name="import")


@imports.command("events")
def import_events(
    file: Path,
    map_text: Map = "",
    event: Event = "",
    preset: Preset = "",
    currency: Currency = "",
    timezone: Zone = "",
    item_pattern: Pattern = "",
    categories: Categories = None,
    live: Annotated[bool, typer.Option("--live", help="Send to Kafka only, as any producer.")] = False,
    json: Json = False,
) -> None:
    """Events of a file into the event log and the live state; a second time changes nothing."""
    from features.kafka.producer import Producer
    from pipelines.embedded import is_running, parts
    from pipelines.imports.columns import mapping_from
    from pipelines.imports.job import import_events, produce_events

    mapping = mapping_from(map_text, event, preset, currency, timezone, item_pattern, categories)
    need_file(file)
    if live and not is_running(from_environment(), "kafka"):
        raise BadInput("--live needs a Kafka that runs: set KINDRED_KAFKA, or start `kindred stream` first", "live")
    started = time.perf_counter()
    with (
        parts(from_environment(), "kafka" if live else "redis") as settings,
        console.progress(f"importing {file.name}") as bar,
    ):
        if live:
            with closing(Producer(settings.kafka, linger_ms=20)) as producer:
                report = produce_events(settings, producer, file, mapping, now(), bar)
        else:
            with redis_of(settings) as client:
                report = import_events(settings, client, file, mapping, now(), bar)
    show_report(report, "events", time.perf_counter() - started, json)


@imports.command("items")
def import_items(file: Path, map_text: Map = "", json: Json = False) -> None:
    """Items of a file into the catalogue."""
    from pipelines.embedded import parts
    from pipelines.imports.columns import parse_map
    from pipelines.imports.job import import_items

    columns = parse_map(map_text)
    need_file(file)
    started = time.perf_counter()
    bar_of = console.progress(f"importing {file.name}")
    with parts(from_environment(), "redis") as settings, redis_of(settings) as client, bar_of as bar:
        report = import_items(settings, client, file, columns, now(), bar)
    show_report(report, "items", time.perf_counter() - started, json)


@app.command()
def simulate(
    output: Annotated[Path, typer.Option(help="Folder for items.jsonl and events.jsonl.gz.")],
    events: Annotated[int, typer.Option(min=1)] = 100_000,
    customers: Annotated[int | None, typer.Option(min=1)] = None,
    items: Annotated[int | None, typer.Option(min=1)] = None,
    days: Annotated[int, typer.Option(min=1)] = 180,
    seed: Seed = 0,
    until: Annotated[str, typer.Option(help="Day of the last event, YYYY-MM-DD.")] = "2026-06-30",
) -> None:
    """A shop's events and catalogue, seeded, any size."""
    from pipelines.simulate import Shop
    from pipelines.simulate import simulate as write

    end = (day(until, "until") or 0) + 86_400_000
    write(Shop(events=events, until=end, seed=seed, days=days, customers=customers, items=items), output)
    console.say(f"wrote {output / 'items.jsonl'} and {output / 'events.jsonl.gz'}")
