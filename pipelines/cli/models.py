"""Commands about models."""

# ruff: noqa: PLC0415 - each command imports its job when it is called: MLflow takes seconds, and `--help` needs none
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from features.errors import BadInput, KindredError
from features.settings import from_environment
from pipelines import console
from pipelines.cli.options import Device, Json, Seed, Set, day, duration, now, who

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models.registry.trail import Gate

Why = Annotated[str, typer.Option("--why", help="The reason, for the audit trail.")]
End = Annotated[bool, typer.Option("--end", help="End it.")]

app = typer.Typer()


@app.command()
def train(
    model: Annotated[list[str], typer.Argument(help="Models, or all.")],
    since: Annotated[str, typer.Option(help="First day of the data, YYYY-MM-DD.")] = "",
    until: Annotated[str, typer.Option(help="Day after the last one, YYYY-MM-DD.")] = "",
    holdout: Annotated[str, typer.Option(help="The last part, to measure on, for example 30d.")] = "30d",
    tune: Annotated[int, typer.Option(min=0, help="Try so many configurations first, on the window before.")] = 0,
    seed: Seed = 0,
    device: Device = "cpu",
    settings: Set = None,
    refresh: Annotated[
        bool, typer.Option("--refresh", help="Start from the champion (als, two_tower, sasrec, blend): cheaper.")
    ] = False,
    json: Json = False,
) -> None:
    """Fit, measure on what came later, register as a challenger."""
    from models import chosen
    from models.device import check_device
    from pipelines.embedded import parts
    from pipelines.training import COLUMNS, train_models, trained_rows

    check_device(device)  # before anything is started for it
    given = chosen(settings or ())
    window = (day(since, "since"), day(until, "until"))
    with parts(from_environment(), "mlflow") as where, console.progress("training") as bar:
        trained = train_models(where, model, window, duration(holdout), seed, bar, tune, device, given, refresh)
    if json:
        console.as_json(trained)
    else:
        console.table("", ("model", "version", *COLUMNS), trained_rows(trained))


@app.command()
def models(json: Json = False) -> None:
    """Versions, aliases, metrics, and who promoted what when."""
    from pipelines.promotion import listing
    from pipelines.registry_access import registry_of
    from pipelines.train import TRAINABLE
    from pipelines.training import model_rows

    with registry_of(from_environment()) as access:
        found = listing(access.registry, TRAINABLE)
        trials = access.trials(TRAINABLE)
    if json:
        console.as_json(found)
        return
    columns = ("model", "version", "alias", "registered", "quality", "commit", "last change", "state")
    console.table("", columns, model_rows(found))
    for line in trials:
        console.say(line)


@app.command()
def promote(
    model: str,
    version: str,
    force: Annotated[bool, typer.Option("--force", help="Promote although a gate fails; the trail says so.")] = False,
    watch: Annotated[
        int | None, typer.Option(min=0, max=1_440, help="Minutes to watch it for; KINDRED_WATCH_MINUTES unless said.")
    ] = None,
    why: Why = "",
    json: Json = False,
) -> None:
    """Make a version the champion, if it passes the gates; it goes back by itself where it does worse."""
    from pipelines import gates, promotion
    from pipelines.registry_access import registry_of

    settings = from_environment()
    minutes = settings.watch_minutes if watch is None else watch
    with registry_of(settings) as access:
        parity = access.parity(now())
        tell = partial(access.tell, model)
        done = promotion.promote(
            access.registry, model, version, force, who(), now(), access.cache, why, parity, minutes * 60_000, tell
        )
    _show(done, done.gates, json)
    if not done.promoted:
        raise KindredError(gates.refusal(model, version, done.gates, "promoted"))
    if not json:
        watched = f", watched for {minutes} minutes" if minutes and done.previous not in {"", version} else ""
        console.say(f"{model} version {version} is champion{watched}; before: {done.previous or 'none'}")


@app.command()
def rollback(model: str, why: Why = "") -> None:
    """Make the champion before this one champion again."""
    from pipelines import promotion
    from pipelines.registry_access import registry_of

    with registry_of(from_environment()) as access:
        restored = promotion.rollback(access.registry, model, who(), now(), why, partial(access.tell, model))
    console.say(f"{model} version {restored.version} is champion again")


@app.command()
def canary(
    model: str,
    version: Annotated[str, typer.Argument(help="None with --end.")] = "",
    percent: Annotated[str, typer.Argument(help="Share of the customers, such as 10%.")] = "",
    end: End = False,
    why: Why = "",
    json: Json = False,
) -> None:
    """Serve a version to a share of the customers; it ends by itself where it does worse than the champion."""
    from models.registry import CANARY
    from pipelines import gates, trials
    from pipelines.registry_access import registry_of

    if end != (not version) or end != (not percent):
        raise BadInput("say which VERSION gets how many percent, or --end without them", "version")
    share = 0.0 if end else gates.need_share(percent)
    with registry_of(from_environment()) as access:
        if end:
            ended = trials.end_trial(access.registry, model, CANARY, who(), now(), why)
        else:
            done = trials.canary(access.registry, model, version, share, who(), now(), access.cache, why)
        access.tell(model)
    if end:
        console.say(f"{model} version {ended.version} is canary no longer")
        return
    _show(done, done.gates, json)
    if not done.begun:
        raise KindredError(gates.refusal(model, version, done.gates, "made canary"))
    if not json:
        console.say(f"{model} version {version} serves {share:.4g} of the customers; champion: {done.champion}")


@app.command()
def shadow(
    model: str,
    version: Annotated[str, typer.Argument(help="None with --end.")] = "",
    end: End = False,
    why: Why = "",
    json: Json = False,
) -> None:
    """Let a version score what the champion answered, seen by nobody; `kindred models` compares them."""
    from models.registry import SHADOW
    from pipelines import gates, trials
    from pipelines.registry_access import registry_of

    if end != (not version):
        raise BadInput("say which VERSION, or --end without one", "version")
    with registry_of(from_environment()) as access:
        if end:
            ended = trials.end_trial(access.registry, model, SHADOW, who(), now(), why)
        else:
            done = trials.shadow(access.registry, model, version, who(), now(), access.cache, why)
        access.tell(model)
    if end:
        console.say(f"{model} version {ended.version} is shadow no longer")
        return
    _show(done, done.gates, json)
    if not done.begun:
        raise KindredError(gates.refusal(model, version, done.gates, "made shadow"))
    if not json:
        console.say(f"{model} version {version} is shadow of {done.champion}")


def _show(done: object, gates: "Sequence[Gate]", json: bool) -> None:
    if json:
        console.as_json(done)
        return
    verdicts = {(True, True): "passed", (False, True): "FAILED", (True, False): "told", (False, False): "told: fails"}
    rows = [(gate.gate, gate.value, gate.bound, verdicts[gate.passed, gate.binding]) for gate in gates]
    console.table("", ("gate", "found", "asked", ""), rows)
