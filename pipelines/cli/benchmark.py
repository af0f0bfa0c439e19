"""`kindred benchmark`: ranking models by default; other kinds of models are its sub-commands."""

# ruff: noqa: PLC0415 - each command imports its job when it is called: models take seconds, and `--help` needs none
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from features.errors import BadInput
from features.settings import from_environment
from pipelines import console
from pipelines.cli.options import Device, Event, Json, Map, Pattern, Preset, Seed, Set, Zone, duration, listed

app = typer.Typer(invoke_without_command=True)


@app.callback()
def benchmark(
    context: typer.Context,
    interactions: Annotated[Path | None, typer.Option(help="CSV, Parquet or JSONL of who met what.")] = None,
    protocol: Annotated[str, typer.Option(help="split, leave-last-out, time-split or prefixes.")] = "",
    test: Annotated[Path | None, typer.Option(help="The test part of a given split, or the prefixes.")] = None,
    holdout: Annotated[str, typer.Option(help="Last part of a time split, for example 30d.")] = "30d",
    fit: Annotated[str, typer.Option(help="strict or refit.")] = "strict",
    no_mask: Annotated[
        bool, typer.Option("--no-mask", help="Items of the history may be recommended again; always so with prefixes.")
    ] = False,
    models: Annotated[str, typer.Option(help="Models, comma-separated, or all.")] = "als,trending,popularity",
    k: Annotated[str, typer.Option(help="Cut-offs, comma-separated.")] = "10,20",
    target_event: Annotated[str, typer.Option(help="Only these events are to be found in the test part.")] = "",
    map_text: Map = "",
    event: Event = "",
    preset: Preset = "",
    timezone: Zone = "",
    item_pattern: Pattern = "",
    seed: Seed = 0,
    seeds: Annotated[int, typer.Option(help="How many fits are averaged, with seeds from --seed on.")] = 1,
    compare: Annotated[str, typer.Option(help="Show the difference of each model to this one.")] = "",
    tune: Annotated[int, typer.Option(help="Trials on validation data before a model is measured.")] = 0,
    tune_for: Annotated[str, typer.Option(help="The metric to tune for; default ndcg at the largest k.")] = "",
    device: Device = "cpu",
    settings: Set = None,
    json: Json = False,
) -> None:
    """Any model on any interaction file, under full ranking."""
    if context.invoked_subcommand is not None:
        return
    if interactions is None:
        raise BadInput("benchmark needs --interactions FILE", "interactions")
    from models import chosen
    from pipelines.benchmark import Tuning, benchmark_files
    from pipelines.benchmark_options import Options
    from pipelines.benchmark_table import rows, tuned_rows
    from pipelines.imports.columns import mapping_from

    mapping = mapping_from(map_text, event, preset, "", timezone, item_pattern, None)
    options = Options(
        protocol=cast("Any", protocol),  # checked with the rest
        models=listed(models),
        ks=tuple(int(part) if part.isdigit() else 0 for part in listed(k)),
        holdout_ms=duration(holdout),
        fit=cast("Any", fit),
        mask=not no_mask,
        target_event=target_event or None,
        seed=seed,
        seeds=seeds,
        compare=compare,
        tune=tune,
        tune_for=tune_for,
        device=device,
        settings=chosen(settings or ()),
    )
    best: dict[str, Any] = {}
    storage = from_environment().data / "tuning.db" if tune else None
    tuning = Tuning(storage, on_tuned=best.__setitem__)
    with console.progress("benchmark") as bar:
        results = benchmark_files(interactions, test, mapping, options, lambda _, done, total: bar(done, total), tuning)
    if json:
        told = {name: {"tuned": {**each.params, "weights": each.weights}} for name, each in best.items()}
        console.as_json({name: {**found, **told.get(name, {})} for name, found in results.items()})
        return
    console.table("", ("metric", *results), rows(results))
    if best:
        console.table("tuned on validation", ("model", "setting", "value"), tuned_rows(best))
