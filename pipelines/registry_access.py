"""What a command about models works with: the registry, and the live state where there is one."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from features.errors import Overloaded, Unavailable
from features.online import (
    AWAY,
    TrialCounts,
    answers,
    canary_trial,
    connect,
    shadow_trial,
    tell_of_model,
    watch_trial,
)
from features.settings import Settings
from models.registry import CHAMPION, Registry, Standing
from pipelines import console
from pipelines.embedded import is_running, parts
from pipelines.parity import Parity, parity

SAMPLE = 200  # customers that a promotion looks at


@dataclass(frozen=True)
class Access:
    """The registry and the settings with the addresses of what runs; `redis` is empty where no Redis is."""

    settings: Settings
    registry: Registry

    @property
    def cache(self) -> Path:
        """Where models are fetched to, the same folder that serving uses."""
        return self.settings.data / "models"

    def parity(self, now: int) -> Parity | None:
        """A sample of customers, read online and from the log; None where no live state could be looked at."""
        if not self.settings.redis:
            return None
        try:
            return parity(self.settings, SAMPLE, now)
        except (Overloaded, *AWAY) as error:
            console.warn(f"parity was not looked at: {error}")
            return None

    def tell(self, name: str) -> None:
        """Tell services to look at once; without it they look within a second."""
        if not self.settings.redis:
            return
        try:
            with answers(self.settings.redis):
                tell_of_model(connect(self.settings.redis), name)
        except Unavailable as error:
            console.warn(f"services will see it a moment later: {error}")

    def trials(self, names: Iterable[str]) -> list[str]:
        """How canaries, shadows and watched champions do, a line each; none where no Redis holds their counts."""
        if not self.settings.redis:
            return []
        with answers(self.settings.redis):
            counts = TrialCounts(connect(self.settings.redis))
            found = self.registry.standings(names).values()
            return [line for each in found for line in _trials(each, counts)]


def _trials(standing: Standing, counts: TrialCounts) -> Iterator[str]:
    if trial := standing.trial:
        found = counts.read(canary_trial(standing.name, trial.version, trial.at))
        yield f"canary {standing.name} {trial.version}: {_arms(found)}"
    if trial := standing.shadow:
        found = counts.read(shadow_trial(standing.name, trial.version, trial.at))
        answers_, shown = found.get("shadow:answers", 0), found.get("shadow:items", 0)
        overlap = f"{found.get('shadow:shared', 0) / shown:.2f}" if shown else "unknown"
        failed = found.get("shadow:errors", 0)
        yield f"shadow {standing.name} {trial.version}: {answers_} answers, overlap {overlap}, {failed} failed"
    record = standing.record
    if record is not None and record.until and standing.aliases.get(CHAMPION) == record.version:
        new = counts.read(watch_trial(standing.name, record.version, record.at))
        before = counts.before(standing.name, record.previous, record.at)
        moment = f"{datetime.fromtimestamp(record.until / 1000, UTC):%Y-%m-%d %H:%M}"
        told = f"{_done(new)}; {record.previous} before: {_done(before)}"
        yield f"champion {standing.name} {record.version}, watched until {moment} UTC: {told}"


def _arms(found: Mapping[str, int]) -> str:
    """What both arms did, as counted."""
    return "; ".join(f"{arm} {_done(found, f'{arm}:')}" for arm in ("canary", "champion"))


def _done(found: Mapping[str, int], arm: str = "") -> str:
    return ", ".join(f"{found.get(f'{arm}{what}', 0)} {what}" for what in ("answers", "errors", "clicks", "orders"))


@contextmanager
def registry_of(settings: Settings) -> Iterator[Access]:
    """The registry, and Redis where one is configured or runs already."""
    needed = ("mlflow", "redis") if is_running(settings, "redis") else ("mlflow",)
    with parts(settings, *needed) as found, Registry(found.mlflow) as registry:
        yield Access(found, registry)
