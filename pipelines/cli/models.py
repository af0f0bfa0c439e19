"""Commands about models."""

# ruff: noqa: PLC0415 - each command imports its job when it is called: MLflow takes seconds, and `--help` needs none
from typing import Annotated

import typer

from features.errors import KindredError
from features.settings import from_environment
from pipelines import console
from pipelines.cli.options import Json, Seed, day, duration, now, who

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
    from pipelines.training import COLUMNS, train_models, trained_rows

    window = (day(since, "since"), day(until, "until"))
    with parts(from_environment(), "mlflow") as settings, console.progress("training") as bar:
        trained = train_models(settings, model, window, duration(holdout), seed, bar)
    if json:
        console.as_json(trained)
    else:
        console.table("", ("model", "version", *COLUMNS), trained_rows(trained))


@app.command()
def models(json: Json = False) -> None:
    """Versions, aliases, metrics, and who promoted what when."""
    from models.registry import Registry
    from pipelines.embedded import parts
    from pipelines.promotion import listing
    from pipelines.train import TRAINABLE
    from pipelines.training import model_rows

    with parts(from_environment(), "mlflow") as settings, Registry(settings.mlflow) as registry:
        found = listing(registry, TRAINABLE)
    if json:
        console.as_json(found)
    else:
        columns = ("model", "version", "alias", "registered", "quality", "commit", "last change")
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
