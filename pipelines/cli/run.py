"""Commands that run Kindred, look after it, or let callers in."""

# ruff: noqa: PLC0415 - each command imports its job when it is called: MLflow takes seconds, and `--help` needs none
import signal
from dataclasses import replace
from pathlib import Path
from typing import Annotated, cast

import typer

from features.errors import BadInput, KindredError
from features.settings import from_environment, parts_of
from pipelines import console
from pipelines.cli.options import (
    Categories,
    Currency,
    Event,
    Json,
    Map,
    Pattern,
    Preset,
    Zone,
    ended_by_hand,
    interrupt,
    listed,
    need_file,
    now,
)

app = typer.Typer()
keys = typer.Typer(no_args_is_help=True, help="Issue, list and revoke the keys of callers.")
app.add_typer(keys, name="keys")


@app.command()
def demo(
    data: Annotated[Path | None, typer.Option(help="Real events instead of a simulated shop.")] = None,
    map_text: Map = "",
    event: Event = "",
    preset: Preset = "",
    currency: Currency = "",
    timezone: Zone = "",
    item_pattern: Pattern = "",
    categories: Categories = None,
    once: Annotated[bool, typer.Option("--once", help="Print one slate before and after an event, then stop.")] = False,
    port: Annotated[int, typer.Option(min=1, max=65_535, help="Port of the page and the API.")] = 3000,
) -> None:
    """Everything on this machine with embedded parts, and a page to look at."""
    from pipelines.demo import Demo
    from pipelines.imports.columns import mapping_from

    mapping = mapping_from(map_text, event, preset, currency, timezone, item_pattern, categories)
    if data is not None:
        need_file(data)
    signal.signal(signal.SIGTERM, interrupt)
    with ended_by_hand():
        Demo(from_environment(), port, once, data, mapping).run()


@app.command()
def serve(
    port: Annotated[int, typer.Option(min=1, max=65_535)] = 3000,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    workers: Annotated[int, typer.Option(min=1)] = 1,
    parts_text: Annotated[
        str, typer.Option("--parts", help="track, recommend; comma-separated. KINDRED_PARTS unless said.")
    ] = "",
) -> None:
    """The HTTP service, against configured servers or the embedded ones that another command runs."""
    from pipelines.embedded import parts
    from pipelines.processes import Children
    from pipelines.services import serve_command, wait_for_end

    settings = from_environment()
    settings = replace(settings, parts=parts_of(parts_text)) if parts_text else settings
    children = Children(settings.data / "logs")
    signal.signal(signal.SIGTERM, interrupt)
    needed = ("redis", "kafka", *(["mlflow"] if "recommend" in settings.parts else []))
    with ended_by_hand(), parts(settings, *needed, children=children) as settings:
        command, environment = serve_command(settings, host, port, workers)
        children.start("service", command, environment)
        told = " and ".join(settings.parts)
        console.say(f"serving {told} on http://{host}:{port}, log in {settings.data / 'logs' / 'service.log'}")
        wait_for_end(children)


@keys.command("issue")
def issue_key(
    kind: Annotated[str, typer.Argument(help="write (browsers) or secret (servers).")],
    scope: Annotated[str, typer.Option(help="track, recommend, items, debug; comma-separated.")] = "track,recommend",
    label: str = "",
    origin: Annotated[
        str, typer.Option(help="sites whose pages may use a write key; comma-separated, all if none.")
    ] = "",
) -> None:
    """Print a new key; only its hash is kept."""
    from features.keys import KeyStore, Kind

    if kind not in {"write", "secret"}:
        raise BadInput(f"a key is write or secret, not {kind!r}", "kind")
    _, token = KeyStore(from_environment().data).issue(cast("Kind", kind), listed(scope), label, now(), listed(origin))
    console.say(token)


@keys.command("list")
def list_keys(json: Json = False) -> None:
    """All keys, without their tokens."""
    from features.events import iso
    from features.keys import KeyStore

    found = KeyStore(from_environment().data).keys()
    if json:
        console.as_json(
            [{"id": k.id, "kind": k.kind, "scopes": k.scopes, "label": k.label, "origins": k.origins} for k in found]
        )
    else:
        rows = [
            (key.id, key.kind, ",".join(key.scopes), key.label, ",".join(key.origins), iso(key.created_at))
            for key in found
        ]
        console.table("", ("id", "kind", "scopes", "label", "origins", "issued"), rows)


@keys.command("revoke")
def revoke_key(key_id: str) -> None:
    """Take a key away; the service refuses it from its next request on."""
    from features.keys import KeyStore

    KeyStore(from_environment().data).revoke(key_id)
    console.say(f"revoked {key_id}")


@app.command()
def doctor(json: Json = False) -> None:
    """Check each configured server and say what is wrong."""
    from pipelines.doctor import check_all

    found = check_all(from_environment())
    if json:
        console.as_json(found)
    else:
        console.table("", ("part", "", "what was found"), [(c.part, "ok" if c.ok else "WRONG", c.found) for c in found])
    if not all(check.ok for check in found):
        raise KindredError("not everything is well: see above")
