"""Commands about the live state: the stream processor, its freshness, the features, rebuilding and reconciling."""

# ruff: noqa: PLC0415 - each command imports its job when it is called: MLflow takes seconds, and `--help` needs none
import signal
import threading
from typing import Annotated, Any

import typer

from features.errors import KindredError
from features.settings import from_environment
from pipelines import console
from pipelines.cli.options import Json, duration, now, redis_of

app = typer.Typer()


@app.command()
def stream(
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes that share the partitions.")] = 1,
    metrics_port: Annotated[int, typer.Option(min=0, max=65_535, help="Port for Prometheus; 0: none.")] = 0,
    metrics_host: Annotated[str, typer.Option(help="Address that metrics are served on.")] = "127.0.0.1",
) -> None:
    """The stream processor: Kafka to live state and event log."""
    import logging

    from features.online import connect
    from pipelines.embedded import parts
    from pipelines.metrics import served
    from pipelines.stream import run
    from pipelines.stream.workers import run_workers

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    with (
        parts(from_environment(), "redis", "kafka") as settings,
        served(lambda: connect(settings.redis), settings.data, metrics_host, metrics_port),
    ):
        if workers > 1:
            run_workers(settings, workers, stopping)
        else:
            run(settings, connect(settings.redis), stopping.is_set)


@app.command()
def freshness(json: Json = False) -> None:
    """How fresh the live state is: time from an event's arrival to its state, by stage, of all workers that run."""
    from pipelines.embedded import parts
    from pipelines.stream.latency import quantile, together
    from pipelines.stream.reports import read_reports

    with parts(from_environment(), "redis") as settings, redis_of(settings) as client:
        reports = read_reports(client)
    if json:
        console.as_json(reports)
        return
    if not reports:
        console.say("no stream processor runs, or none has reported yet")
        return
    stages = together(reports)
    rows = [(name, *(f"{quantile(counts, q):.1f}" for q in (0.5, 0.9, 0.99))) for name, counts in stages.items()]
    console.table("milliseconds", ("stage", "p50", "p90", "p99"), rows)
    console.table("", ("worker", "events", "duplicates", "dead letters", "waiting"), [_worker(r) for r in reports])


def _worker(report: dict[str, Any]) -> tuple[object, ...]:
    counted = report["counted"]
    return (
        report["worker"], counted["events"], counted["duplicates"], report["dead_letters"], sum(report["lag"].values())
    )  # fmt: skip


@app.command()
def features(
    sample: Annotated[
        int, typer.Option(min=0, help="Customers and items whose live values are looked at; 0: none.")
    ] = 0,
    json: Json = False,
) -> None:
    """The features: what each means, and with --sample how many customers or items have it and how its values lie."""
    from features.definitions import FEATURES
    from pipelines.inventory import definitions, distributions

    rows = definitions(FEATURES)
    if sample:
        from pipelines.embedded import parts

        with parts(from_environment(), "redis") as settings, redis_of(settings) as client:
            rows = distributions(client, settings.buckets, FEATURES, rows, sample, now())
    if json:
        console.as_json(rows)
    else:
        columns = list(rows[0])
        console.table("", columns, [[row[column] for column in columns] for row in rows])


@app.command()
def backfill(
    drop: Annotated[str, typer.Option(help="Take an old generation of the features out of Redis instead.")] = "",
) -> None:
    """Fold what the event log holds beyond the live state, into this version's generation of the features."""
    from features.definitions import FEATURES
    from features.online import generations
    from pipelines.backfill import restore_all
    from pipelines.embedded import parts

    with parts(from_environment(), "redis") as settings, redis_of(settings) as client:
        if drop:
            removed = generations.drop(client, drop, settings.buckets)
            console.say(f"generation {drop}: {removed} keys removed")
            return
        with console.progress("Folding") as step:
            folded = restore_all(client, settings.data, settings.buckets, step)
        live = generations.live(client)
        others = [name for name in generations.known(client) if name not in {live, FEATURES.generation}]
    console.say(f"folded {folded} events into generation {FEATURES.generation}; live is {live}")
    if others:
        console.say(f"still there: {', '.join(others)}; `kindred backfill --drop {others[0]}` takes it away")


@app.command()
def reconcile(
    repair: Annotated[bool, typer.Option(help="Write what is right; --no-repair only counts.")] = True,
    expire_after: Annotated[str, typer.Option(help="Keep no state without an event for so long, as 800d.")] = "",
    at: Annotated[str, typer.Option(help="Every day at this time (UTC), as 03:30, until stopped.")] = "",
    json: Json = False,
) -> None:
    """Recompute the live state from the event log, compare, count and repair every difference."""
    from features.definitions import FEATURES
    from features.offline import EventLog
    from pipelines.embedded import parts
    from pipelines.nightly import every_day
    from pipelines.reconcile import keep_report
    from pipelines.reconcile import reconcile as compare

    def once() -> None:
        with parts(from_environment(), "redis") as settings, redis_of(settings) as client:
            log = EventLog(settings.data)
            before = now() - duration(expire_after, "expire_after") if expire_after else 0
            with console.progress("Comparing") as step:
                report = compare(client, log, settings.buckets, FEATURES, now(), repair, step, before)
        found = keep_report(settings.data, report, now())
        if json:
            console.as_json(found)
        else:
            told = f"{report.wrong} wrong, {report.repaired} repaired, {report.expired} expired"
            console.say(f"{report.customers} customers compared: {told}; {report.items} items wrong")
            kinds = [("missing", report.missing), ("unexpected", report.unexpected), ("different", report.different)]
            features_of = [(f"feature {name}", number) for name, number in report.features.most_common()]
            if report.wrong:
                console.table("", ("what", "customers"), [*kinds, *features_of])
        if report.items and not repair:
            raise KindredError(f"{report.items} items are wrong; run it with --repair")
        if report.wrong > report.repaired:
            raise KindredError(f"{report.wrong - report.repaired} customers are wrong; run it with --repair")

    if at:
        every_day(at, once, lambda error: console.say(f"kindred: {error}"))
    else:
        once()


@app.command()
def align(
    by: Annotated[str, typer.Option(help="A text feature of customers, such as country.")],
    topic: Annotated[str, typer.Option(help="The derived topic; made where it isn't there.")],
    partitions: Annotated[int, typer.Option(min=1, max=1_000)] = 16,
) -> None:
    """Pass every event on to a topic whose partitions follow an attribute of customers, until stopped."""
    import logging

    from features.online import connect
    from pipelines.align import run
    from pipelines.embedded import parts

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    with parts(from_environment(), "redis", "kafka") as settings:
        run(settings, connect(settings.redis), by, topic, partitions, stopping.is_set, now)
