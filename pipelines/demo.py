"""`kindred demo`: everything on this machine, from events to a slate on a page."""

import getpass
import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path

from features.keys import KeyStore
from features.offline import EventLog, ItemLog, summary
from features.online import Client, connect
from features.settings import Settings
from models.registry import Registry
from pipelines import console
from pipelines.backfill import restore, source_name
from pipelines.demo_slates import a_customer, show_change, slate_of
from pipelines.embedded import parts
from pipelines.imports.columns import Mapping
from pipelines.imports.job import Report, digest_of, import_events, write_events, write_items
from pipelines.imports.orders import accepted
from pipelines.processes import Children
from pipelines.promotion import promote
from pipelines.services import is_ready, serve_command, stream_command, wait_for_end
from pipelines.simulate import Shop, catalogue, events
from pipelines.training import train_models

SHOP_EVENTS = 60_000
SIMULATED = "simulated.txt"  # is there once the shop is complete
CONSUMABLES = frozenset({"bird-care", "candles", "coffee", "seeds", "soap"})  # a file can't say which: then all are
HOLDOUT_MS = 30 * 86_400_000
START_S = 60.0

TRAINED = ("als", "trending")  # quick ones: whoever looks at a demo wants a slate within the minute


@dataclass(frozen=True)
class Demo:
    """One run of the demo; `data` is a file of real events, None simulates a shop."""

    settings: Settings
    port: int
    once: bool
    data: Path | None
    mapping: Mapping

    def run(self) -> None:
        """Start everything, show it, and stop it all again on Ctrl-C or when a part dies."""
        started = time.monotonic()
        again = self.settings.repeatable or (CONSUMABLES if self.data is None else frozenset({"*"}))
        settings = replace(self.settings, data=self.settings.data / self._folder(), demo=True, repeatable=again)
        children = Children(settings.data / "logs")
        console.say(f"starting Redis, Kafka and MLflow; data and logs are in {settings.data},")
        console.say("which is what KINDRED_DATA must say for other commands to work on this demo")
        with parts(settings, "redis", "kafka", "mlflow", children=children) as settings:
            self._fill(settings, connect(settings.redis))
            self._train(settings)
            url = self._serve(settings, children)
            keys = _fresh_keys(settings)
            customer = a_customer(url)
            first = slate_of(url, customer)
            console.say(f"first slate {time.monotonic() - started:.1f} s after the start")
            if self.once:
                show_change(url, customer, first)
                return
            _invite(url, customer, keys)
            wait_for_end(children)

    def _folder(self) -> str:
        """Each shop has a folder of its own, so that no demo mixes two, or touches what was imported to stay."""
        return "demo" if self.data is None else f"demo-{digest_of(self.data)[:8]}"

    def _fill(self, settings: Settings, client: Client) -> None:
        """Events and catalogue into log and Redis, where they aren't yet."""
        log = EventLog(settings.data)
        if self.data is not None:
            with console.progress(f"importing {self.data.name}") as bar:
                report = import_events(settings, client, self.data, self.mapping, _now(), bar)
            console.say(f"{report.accepted} events imported, {report.known} were there before")
        elif not (settings.data / SIMULATED).is_file():
            _simulate(settings, log)
        folded = restore(client, log, ItemLog(settings.data), settings.buckets)
        found = summary(log)
        console.say(f"event log: {found['events']} events of {found['customers']} customers, {folded} folded just now")

    def _train(self, settings: Settings) -> None:
        """Train, register and promote, unless there is a champion from before."""
        with Registry(settings.mlflow) as registry:
            if (champion := registry.champion(TRAINED[0])) is not None:
                console.say(f"{champion.name} version {champion.version} is champion already")
                return
            with console.progress("training") as bar:
                trained = train_models(settings, TRAINED, (None, None), _holdout(settings), 0, bar)
            for each in trained:
                console.say(f"{each.name} version {each.version}: ndcg@10 {each.metrics['ndcg@10']:.4f}")
                done = promote(
                    registry,
                    each.name,
                    each.version,
                    force=False,
                    who=f"{getpass.getuser()} (demo)",
                    now=_now(),
                    cache=settings.data / "models",
                )
                for gate in done.gates if not done.promoted else ():
                    if not gate.passed:
                        console.say(f"  not promoted: {gate.gate} is {gate.value}, asked {gate.bound}")

    def _serve(self, settings: Settings, children: Children) -> str:
        """Start the stream processor and the service; returns the service's address."""
        port = children.port(self.port)
        if port != self.port:
            console.say(f"port {self.port} is taken, using {port}")
        url = f"http://127.0.0.1:{port}"
        children.start("stream", *stream_command(settings))
        service = children.start("service", *serve_command(settings, "127.0.0.1", port, workers=1))
        children.wait_until(service, lambda: is_ready(url), START_S)
        return url


def _holdout(settings: Settings) -> int:
    """The last 30 days, or the last fifth of a shorter history."""
    found = summary(EventLog(settings.data))
    return max(1, min(HOLDOUT_MS, (found["until"] - found["since"]) // 5))


def _simulate(settings: Settings, log: EventLog) -> None:
    """The half year of a simulated shop up to now, into the logs; what an interrupted try has left goes first."""
    now = _now()
    for folder in (log.folder, ItemLog(settings.data).folder):
        shutil.rmtree(folder, ignore_errors=True)
    shop = Shop(events=SHOP_EVENTS, until=now, seed=0)
    with console.progress("simulating a shop") as bar:
        write_items(settings, catalogue(shop), now, Report(), lambda: None)
        report = Report()
        past = (accepted(raw, now) for raw in events(shop))
        source = source_name("import", "simulated", 1)
        write_events(log, source, past, report, lambda: bar(report.accepted, SHOP_EVENTS))
    (settings.data / SIMULATED).write_text(f"{report.accepted} events\n")


def _fresh_keys(settings: Settings) -> dict[str, str]:
    """A write key and a secret key for this run; those of the run before are revoked."""
    store = KeyStore(settings.data)
    known = store.keys()
    for key in known:
        if key.label == "demo":
            store.revoke(key.id)
    return {
        "write": store.issue("write", ("track", "recommend"), "demo", _now())[1],
        "secret": store.issue("secret", ("track", "recommend", "items"), "demo", _now())[1],
    }


def _invite(url: str, customer: str, keys: dict[str, str]) -> None:
    console.say(f"\nthe shop:    {url}/")
    console.say(f"write key:   {keys['write']}   (browsers: track)")
    console.say(f"secret key:  {keys['secret']}   (servers: track, recommend, items)")
    console.say(
        f"try:         curl -s {url}/recommend -H 'Authorization: Bearer {keys['secret']}' "
        f'-d \'{{"user_id": "{customer}", "n": 5}}\''
    )
    console.say("Ctrl-C stops everything")


def _now() -> int:
    return time.time_ns() // 1_000_000
