"""`kindred benchmark churn` and `kindred benchmark clv`."""

# ruff: noqa: PLC0415 - each command imports its job when it is called: LightGBM takes a second, and `--help` needs none
from pathlib import Path
from typing import Annotated, Any

import typer

from features.errors import BadInput
from features.settings import from_environment
from pipelines import console
from pipelines.cli.options import Json, Map, Zone, day, duration

app = typer.Typer()
_SHOWN = ("auc", "pr_auc", "log_loss", "brier", "ece", "ece_by_chance")


@app.command()
def churn(
    table: Annotated[Path | None, typer.Option(help="CSV, Parquet or JSONL, a row a customer; else the log.")] = None,
    label: Annotated[str, typer.Option(help="The table's column that says who churned: Yes or No, 1 or 0.")] = "",
    folds: Annotated[int, typer.Option(help="Of the table's cross-validation.")] = 5,
    horizon: Annotated[str, typer.Option(help="Without a table: no order for so long is churn.")] = "30d",
    every: Annotated[str, typer.Option(help="Without a table: how far apart the moments are.")] = "7d",
    seeds: Annotated[int, typer.Option(help="How many seeds.", min=1)] = 3,
    json: Json = False,
) -> None:
    """Churn on a labelled table, or from the event log, beside simple models."""
    from pipelines.benchmark_churn import Options, benchmark_log, benchmark_table

    drawn = tuple(range(seeds))
    with console.progress("benchmark churn") as bar:
        if table is not None:
            from pipelines.labelled_table import read_labelled

            if not label:
                raise BadInput("--table needs --label: the column that says who churned", "label")
            read = read_labelled(table, label)
            found = {**benchmark_table(read, Options(folds, drawn), bar), "dropped": read.dropped}
        else:
            from features.offline import EventLog
            from training.churn import Task

            task = Task(horizon=duration(horizon, "horizon"), every=duration(every, "every"))
            found = benchmark_log(EventLog(from_environment().data), task, drawn, bar)
    if json:
        console.as_json(found)
    else:
        _show_churn(found)


@app.command()
def clv(
    interactions: Annotated[Path, typer.Option(help="CSV, Parquet or JSONL, a row a purchase.")],
    calibration_end: Annotated[str, typer.Option(help="Last day to learn from, YYYY-MM-DD; default the middle.")] = "",
    map_text: Map = "",
    timezone: Zone = "",
    json: Json = False,
) -> None:
    """What customers will buy and what it is worth: BG/NBD and the spend model, counted on what came after."""
    from pipelines.benchmark_clv import benchmark_clv_file
    from pipelines.imports.columns import mapping_from

    end = day(calibration_end, "calibration-end")
    with console.progress("benchmark clv"):
        found = benchmark_clv_file(interactions, mapping_from(map_text, timezone=timezone), end)
    if json:
        console.as_json(found)
    else:
        _show_clv(found)


def _show_churn(found: dict[str, Any]) -> None:
    models = {name: values for name, values in found.items() if isinstance(values, dict) and "auc" in values}
    shown = [name for name in (*_SHOWN, "ece_pooled") if any(name in values for values in models.values())]
    rows = [(model, *(_cell(values, name) for name in shown)) for model, values in models.items()]
    console.table("", ("model", *shown), rows)
    for name, value in found.get("task", {}).items():
        console.say(f"{name}: {value:.4g}")
    for name, why in found.get("dropped", {}).items():
        console.say(f"left out: {name} ({why})")
    for name in found["telltales"]:
        console.say(f"beware: {name} alone gives the label away")


def _cell(values: dict[str, float], name: str) -> str:
    if name not in values:
        return "-"
    spread = values.get(f"{name}_folds", values.get(f"{name}_seeds"))
    return f"{values[name]:.4f}" + (f" ±{spread:.4f}" if spread is not None else "")


def _show_clv(found: dict[str, Any]) -> None:
    for part in ("fit", "spend"):
        if part in found:
            console.say(f"{part}: " + ", ".join(f"{name} {value:.4f}" for name, value in found[part].items()))
    holdout = found["holdout"]
    names = list(next(iter(holdout.values())))
    console.table("", ("holdout", *holdout), [(n, *(f"{v[n]:.4f}" for v in holdout.values())) for n in names])
    rows = [tuple(v if isinstance(v, str | int) else f"{v:.3f}" for v in row.values()) for row in found["by_repeats"]]
    console.table("", tuple(found["by_repeats"][0]), rows)
