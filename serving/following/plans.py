"""What the registry wants served, as a pure function of aliases and tags: so every worker comes to the same."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from models.registry import CHALLENGER, CHAMPION, Standing

RANKER = "ranker"
PROBATION = 0.1  # share of the customers that a champion gets at first which was set by hand


class Key(NamedTuple):
    """One version of one model."""

    name: str
    version: str


@dataclass(frozen=True)
class Trialled:
    """A version that is tried on a share of the customers; `since` ms UTC tells one trial of it from the next.

    `ungated` is a champion that was set by hand, and gets a share before it gets all.
    """

    key: Key
    share: float
    since: int
    ungated: bool = False


class Watched(NamedTuple):
    """A champion that is held against the one before it from its promotion on; `since` and `until` are ms UTC."""

    key: Key
    previous: str
    since: int
    until: int


class Shadowed(NamedTuple):
    """A version that is seen by nobody; `since` ms UTC tells one trial of it from the next."""

    key: Key
    since: int


@dataclass(frozen=True)
class Wanted:
    """Of one model: who is to be champion, and who instead while that one can't be had, best first."""

    champion: Key
    instead: tuple[Key, ...] = ()


@dataclass(frozen=True)
class Plan:
    """What is to be served, `champions` in the order of the settings; `warm` is to be in memory besides.

    `ungated` are champions that no gate ever saw, `held` those that are not served for it.
    """

    champions: tuple[Wanted, ...] = ()
    ranker: Wanted | None = None
    canary: Trialled | None = None
    shadow: Shadowed | None = None
    watched: tuple[Watched, ...] = ()
    warm: tuple[Key, ...] = ()
    ungated: tuple[Key, ...] = ()
    held: tuple[Key, ...] = ()

    @property
    def urgent(self) -> tuple[Key, ...]:
        """What somebody is to be served with, the most urgent first, each once."""
        champions = [wanted.champion for wanted in (*self.champions, *([self.ranker] if self.ranker else []))]
        tried = [self.canary.key] if self.canary else []
        tried += [self.shadow.key] if self.shadow else []
        return tuple(dict.fromkeys((*champions, *tried)))


def plan(standings: Mapping[str, Standing], models: Sequence[str], require_gates: bool) -> Plan:
    """What to serve of the models, the first with a champion leading; only the first canary and shadow of them count.

    A champion that was set by hand stands beside the last that Kindred set, as a canary; with `require_gates` that
    one goes on alone.
    """
    known = [standings[name] for name in models if name in standings and CHAMPION in standings[name].aliases]
    ranker = standings.get(RANKER)
    leading = [*known, *([ranker] if ranker is not None and CHAMPION in ranker.aliases else [])]
    champions = {each.name: _champion(each, require_gates) for each in leading}
    by_hand = [Key(each.name, each.aliases[CHAMPION]) for each in leading if not _gated(each)]
    trials = [trial for each in known if (trial := _trial(each, require_gates)) is not None]
    shadows = [Shadowed(Key(each.name, seen.version), seen.at) for each in known if (seen := each.shadow) is not None]
    return Plan(
        champions=tuple(wanted for each in known if (wanted := champions[each.name]) is not None),
        ranker=champions.get(RANKER),
        canary=trials[0] if trials else None,
        shadow=shadows[0] if shadows else None,
        watched=tuple(watched for each in leading if (watched := _watched(each)) is not None),
        warm=_warm(leading, champions),
        ungated=tuple(by_hand),
        held=tuple(key for key in by_hand if require_gates),
    )


def _champion(standing: Standing, require_gates: bool) -> Wanted | None:
    named = Key(standing.name, standing.aliases[CHAMPION])
    record = standing.record
    if record is None:
        return None if require_gates else Wanted(named)
    before = [Key(standing.name, each) for each in (record.version, record.previous) if each]
    if named in before or record.version == "":
        return Wanted(named, tuple(key for key in before if key != named))
    return Wanted(before[0], (named,) if not require_gates else tuple(before[1:]))


def _gated(standing: Standing) -> bool:
    """Whether the champion came by way of gates, or of somebody who overrode them and said so."""
    record = standing.record
    if record is None:
        return False
    named = standing.aliases[CHAMPION]
    return (named == record.version and record.gated) or named == record.previous


def _trial(standing: Standing, require_gates: bool) -> Trialled | None:
    """A champion on probation comes before a canary that was asked for."""
    record, named = standing.record, Key(standing.name, standing.aliases[CHAMPION])
    if record is not None and named.version not in {record.version, record.previous} and not require_gates:
        return Trialled(named, PROBATION, record.at, ungated=True)
    trial = standing.trial
    if trial is None or trial.version == named.version:
        return None
    return Trialled(Key(standing.name, trial.version), trial.share, trial.at)


def _watched(standing: Standing) -> Watched | None:
    record = standing.record
    if record is None or not record.until or not record.previous or standing.aliases[CHAMPION] != record.version:
        return None
    return Watched(Key(standing.name, record.version), record.previous, record.at, record.until)


def _warm(standings: Sequence[Standing], champions: Mapping[str, Wanted | None]) -> tuple[Key, ...]:
    """Those that a rollback or a promotion would make champion next: the former first."""
    before = [key for wanted in champions.values() if wanted is not None for key in wanted.instead]
    next_up = [Key(each.name, each.aliases[CHALLENGER]) for each in standings if CHALLENGER in each.aliases]
    return tuple(dict.fromkeys((*before, *next_up)))
