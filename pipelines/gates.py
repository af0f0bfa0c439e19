"""What a version must show before it may serve: each gate with the number that was found and the bound asked of it."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path

from features.definitions import FEATURES
from features.errors import BadInput, BrokenArtifact
from features.table import Table
from models import facts_of
from models.registry import FEATURE_TAG, Registry, Version
from models.registry.trail import Gate
from pipelines.parity import Parity

QUALITY = {
    "churn": "auc",
    "clusters": "silhouette",
    "lookalike": "auc",
    "ranker": "ndcg_at_10",
}  # of a model of items ndcg_at_10
NEEDED = ("ndcg_at_10", "recall_at_10", "coverage_at_10")  # of a model of items
RANKER = "ranker"
RECALL = "index_recall_at_20"
LEAST_RECALL = 0.95
LATENCY = "ask_ms_p99"
MOST_MS = 50.0  # of one core for a slate, at the 99th percentile
KEPT_COVERAGE = 0.5  # of the champion's: a model that shows everybody the same few items is broken, whatever its NDCG
GAIN = "gain_ndcg_at_10"
TOLERATED = 0.05  # of the champion's quality: how far below 0 the interval of the gain may reach
AGAINST = "kindred.compared_with"
INTEGRITY, INDEX, SPEED, MEANING = (
    "integrity of the files",
    "recall of the index",
    "p99 of a slate in ms",
    "features mean what they did",
)
OF_FILES = (INTEGRITY, INDEX, SPEED, MEANING)  # what a version must pass to be tried on anybody
WINDOW = ("kindred.measured_since", "kindred.measured_until", "kindred.measured_on")


def of_version(
    registry: Registry, candidate: Version, champion: Version | None, cache: Path, parity: Parity | None, force: bool
) -> tuple[Gate, ...]:
    """Every gate of a version against the champion; both with their metrics.

    Args:    cache: where files are fetched to; parity: None where no live state was looked at.
    Raises:  BrokenArtifact: its files are damaged and it is forced: that would stop the service from following.
    """
    measured = of_customers(candidate, champion) if candidate.name in QUALITY else of_items(candidate, champion)
    files = of_files(lambda: facts_of(registry.download(candidate, cache)), force)
    return (*measured, *files, fingerprints(candidate.tags), agreement(parity))


def of_items(candidate: Version, champion: Version | None) -> list[Gate]:
    """Of a model of slates."""
    gates = [_present(candidate, metric) for metric in NEEDED]
    gates.append(quality(candidate, champion))
    if champion is not None and "coverage_at_10" in champion.metrics:
        least = KEPT_COVERAGE * champion.metrics["coverage_at_10"]
        found = candidate.metrics.get("coverage_at_10", math.nan)
        bound = f">= {least:.4g}, half of the champion's"
        gates.append(Gate("coverage of the catalogue", shown(found), bound, found >= least))
    slow = candidate.metrics.get(LATENCY, math.nan)
    gates.append(Gate(SPEED, shown(slow), f"<= {MOST_MS:g}", slow <= MOST_MS))
    return gates


def of_customers(candidate: Version, champion: Version | None) -> list[Gate]:
    """Of a model of customers."""
    gates = [_present(candidate, QUALITY[candidate.name]), _point(candidate, champion, QUALITY[candidate.name], "")]
    return [*gates, never_worse(candidate)] if candidate.name == RANKER else gates


def never_worse(candidate: Version) -> Gate:
    """A ranker must gain over the order that it was given: the lower end of the interval decides."""
    low = candidate.metrics.get(f"{GAIN}_low", math.nan)
    return Gate(f"gain in {NEEDED[0]} over no ranker, from", shown(low), ">= 0 with 95%", low >= 0)


def quality(candidate: Version, champion: Version | None) -> Gate:
    """NDCG@10 against the champion.

    Where the version was measured beside the champion's recipe on the same customers, the lower end of the interval of
    the gain decides; where it was not, but on the same days, the two figures; else those, and the value says so.
    """
    if champion is None:
        return _point(candidate, champion, NEEDED[0], "")
    low, gain = candidate.metrics.get(f"{GAIN}_low"), candidate.metrics.get(GAIN)
    if candidate.tags.get(AGAINST) == champion.version and low is not None and gain is not None:
        least = -TOLERATED * candidate.metrics.get("rival_ndcg_at_10", 0.0)
        value = f"{gain:+.4g}, from {low:+.4g} with 95%"
        bound = f"from >= {least:.4g}, measured beside version {champion.version}"
        return Gate(f"gain in {NEEDED[0]} over the champion", value, bound, low >= least)
    same = all(candidate.tags.get(tag) == champion.tags.get(tag) for tag in WINDOW)
    return _point(candidate, champion, NEEDED[0], "" if same else " on other days")


def of_files(load: Callable[[], Mapping[str, float]], force: bool) -> list[Gate]:
    """Of what is on the server: it is as registered, loads, and its index finds what is to be found."""
    bound = "as registered, and it loads"
    try:
        facts = load()
    except BrokenArtifact as error:
        if force:
            raise
        return [Gate(INTEGRITY, str(error), bound, False)]
    gates = [Gate(INTEGRITY, "as registered", bound, True)]
    if RECALL in facts:
        found = facts[RECALL]
        gates.append(Gate(INDEX, shown(found), f">= {LEAST_RECALL:g}", found >= LEAST_RECALL))
    return gates


def fingerprints(tags: Mapping[str, str], table: Table = FEATURES) -> Gate:
    """Whether every feature that a version was trained on is there and means what it did."""
    wanted = {key.removeprefix(FEATURE_TAG): value for key, value in tags.items() if key.startswith(FEATURE_TAG)}
    changed = [name for name, digest in sorted(wanted.items()) if not table.means(name, digest)]
    named = f"{len(changed)} changed: {', '.join(changed[:5])}"
    found = named if changed else f"{len(wanted)} features, all as trained"
    return Gate(MEANING, found, "all as trained", not changed)


def agreement(parity: Parity | None) -> Gate:
    """Whether customers are read online as the event log has them; told only where nobody could be looked at."""
    gate, bound = "online features equal offline ones", "0 of the customers looked at differ"
    if parity is None or not parity.customers:
        return Gate(gate, "nobody looked at: no live state here", bound, True, binding=False)
    often = ", ".join(name for name, _ in parity.features.most_common(3))
    found = f"{parity.differing} of {parity.customers} differ" + (f", in {often}" if often else "")
    return Gate(gate, found, bound, parity.differing == 0)


def stopping(gates: tuple[Gate, ...]) -> list[Gate]:
    """Those that were not passed and bind."""
    return [gate for gate in gates if gate.binding and not gate.passed]


def shown(value: float) -> str:
    """A figure for a table."""
    return "missing" if math.isnan(value) else f"{value:.4g}"


def refusal(name: str, version: str, gates: tuple[Gate, ...], done: str) -> str:
    """Why something was not done, in one line: which gate, and by how much."""
    failed = "; ".join(f"{gate.gate} is {gate.value}, asked {gate.bound}" for gate in stopping(gates))
    return f"{name} version {version} was not {done}: {failed}"


def _point(candidate: Version, champion: Version | None, metric: str, measured: str) -> Gate:
    found = candidate.metrics.get(metric, math.nan)
    least = -math.inf if champion is None else champion.metrics.get(metric, -math.inf)
    bound = "no champion yet" if least == -math.inf else f">= {least:.4g} of the champion{measured}"
    return Gate(f"{metric} not below the champion's", shown(found), bound, found >= least)


def _present(candidate: Version, metric: str) -> Gate:
    value = candidate.metrics.get(metric, math.nan)
    return Gate(f"{metric} is there", shown(value), "from 0 to 1", 0 <= value <= 1)


def need_share(percent: str) -> float:
    """A share of the customers from a percentage such as 10%.

    Raises:  BadInput: it isn't a number above 0 and at most 50: a canary is the smaller part.
    """
    try:
        found = float(percent.removesuffix("%"))
    except ValueError:
        found = math.nan
    if not 0 < found <= 50:
        raise BadInput(f"a canary takes more than 0 and at most 50 percent, got {percent!r}", "percent")
    return found / 100
