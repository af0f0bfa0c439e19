"""Commands about models."""

# ruff: noqa: PLC0415 - each command imports its job when it is called: MLflow takes seconds, and `--help` needs none
from pathlib import Path
from typing import Annotated, cast

import typer

from features.errors import KindredError
from features.settings import from_environment
from pipelines import console
from pipelines.cli.options import Event, Json, Map, Pattern, Preset, Seed, Zone, day, duration, listed, now, who

app = typer.Typer()


@app.command()
def train(
    model: Annotated[list[str], typer.Argument(help="Models, or all.")],
    since: Annotated[str, typer.Option(help="First day of the data, YYYY-MM-DD.")] = "",
    until: Annotated[str, typer.Option(help="Day after the last one, YYYY-MM-DD.")] = "",
    holdout: Annotated[str, typer.Option(help="The last part, to measure on, for example 30d.")] = "30d",
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Fit, measure on what came later, register as a challenger."""
    from pipelines.embedded import parts
    from pipelines.training import train_models

    window = (day(since, "since"), day(until, "until"))
    with parts(from_environment(), "mlflow") as settings, console.progress("training") as bar:
        trained = train_models(settings, model, window, duration(holdout), seed, bar)
    if json:
        console.as_json(trained)
    for each in [] if json else trained:
        metrics = ", ".join(f"{name} {value:.4f}" for name, value in sorted(each.metrics.items()))
        console.say(f"{each.name} version {each.version} is challenger: {metrics}")


@app.command()
def models(json: Json = False) -> None:
    """Versions, aliases, metrics, and who promoted what when."""
    from models import MODELS
    from models.registry import Registry
    from pipelines.embedded import parts
    from pipelines.promotion import listing
    from pipelines.training import model_rows

    with parts(from_environment(), "mlflow") as settings, Registry(settings.mlflow) as registry:
        found = listing(registry, MODELS)
    if json:
        console.as_json(found)
    else:
        columns = ("model", "version", "alias", "registered", "ndcg@10", "commit", "last change")
        console.table("", columns, model_rows(found))


@app.command()
def promote(
    model: str,
    version: str,
    force: Annotated[bool, typer.Option("--force", help="Promote although a gate fails; the trail says so.")] = False,
    json: Json = False,
) -> None:
    """Make a version the champion, if it passes the gates."""
    from models.registry import Registry
    from pipelines import promotion
    from pipelines.embedded import parts

    with parts(from_environment(), "mlflow") as settings, Registry(settings.mlflow) as registry:
        done = promotion.promote(
            registry, model, version, force=force, who=who(), now=now(), cache=settings.data / "models"
        )
    if json:
        console.as_json(done)
    else:
        rows = [(gate.gate, gate.value, gate.bound, "passed" if gate.passed else "FAILED") for gate in done.gates]
        console.table("", ("gate", "found", "asked", ""), rows)
    if not done.promoted:
        failed = ", ".join(gate.gate for gate in done.gates if not gate.passed)
        raise KindredError(f"{model} version {version} was not promoted: {failed}")
    if not json:
        console.say(f"{model} version {version} is champion; before: {done.previous or 'none'}")


@app.command()
def rollback(model: str) -> None:
    """Make the champion before this one champion again."""
    from models.registry import Registry
    from pipelines import promotion
    from pipelines.embedded import parts

    with parts(from_environment(), "mlflow") as settings, Registry(settings.mlflow) as registry:
        restored = promotion.rollback(registry, model, who=who(), now=now())
    console.say(f"{model} version {restored.version} is champion again")


@app.command()
def benchmark(
    interactions: Annotated[Path, typer.Option(help="CSV, Parquet or JSONL of who met what.")],
    protocol: Annotated[str, typer.Option(help="split, leave-last-out or time-split.")],
    test: Annotated[Path | None, typer.Option(help="The test part of a given split.")] = None,
    holdout: Annotated[str, typer.Option(help="Last part of a time split, for example 30d.")] = "30d",
    fit: Annotated[str, typer.Option(help="strict or refit.")] = "strict",
    no_mask: Annotated[bool, typer.Option("--no-mask", help="Items of the history may be recommended again.")] = False,
    models: Annotated[str, typer.Option(help="Models, comma-separated.")] = "als,trending",
    k: Annotated[str, typer.Option(help="Cut-offs, comma-separated.")] = "10,20",
    target_event: Annotated[str, typer.Option(help="Only these events are to be found in the test part.")] = "",
    map_text: Map = "",
    event: Event = "",
    preset: Preset = "",
    timezone: Zone = "",
    item_pattern: Pattern = "",
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Any model on any interaction file, under full ranking."""
    from pipelines.benchmark import Options, Protocol, benchmark_files
    from pipelines.imports.columns import mapping_from
    from training.splits import Fit

    mapping = mapping_from(map_text, event, preset, "", timezone, item_pattern, None)
    options = Options(
        protocol=cast("Protocol", protocol),  # checked with the rest
        models=listed(models),
        ks=tuple(int(part) if part.isdigit() else 0 for part in listed(k)),
        holdout_ms=duration(holdout),
        fit=cast("Fit", fit),
        mask=not no_mask,
        target_event=target_event or None,
        seed=seed,
    )
    with console.progress("benchmark") as bar:
        results = benchmark_files(interactions, test, mapping, options, lambda _, done, total: bar(done, total))
    if json:
        console.as_json(results)
    else:
        names = list(next(iter(results.values())))
        rows = [(name, *(f"{found[name]:.4f}" for found in results.values())) for name in names]
        console.table("", ("metric", *results), rows)
