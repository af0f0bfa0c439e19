"""`kindred train` and `kindred models` as the command line has them: from the event log to rows to look at."""

from collections.abc import Callable, Mapping, Sequence
from itertools import chain

from features.errors import BadInput
from features.events import iso
from features.items import Item, decode_item
from features.offline import EventLog, ItemLog, interactions, read_items
from features.settings import Settings
from models import READS_CONTEXTS
from pipelines.gates import NEEDED, QUALITY
from pipelines.promotion import Listed
from pipelines.services import commit_of_checkout
from pipelines.train import Job, Trained, train
from training import runs

# of `kindred train`; the last but one is what a challenger gains over the champion's recipe on the same customers
COLUMNS = ("quality [95%]", "without repeats", "recall@10", "coverage@10", "gain over champion", "fit s")


def train_models(
    settings: Settings,
    names: Sequence[str],
    window: tuple[int | None, int | None],
    holdout_ms: int,
    seed: int,
    progress: Callable[[int, int], None],
    tune: int = 0,
    device: str = "cpu",
    given: Mapping[str, Mapping[str, object]] | None = None,
    refresh: bool = False,
) -> list[Trained]:
    """Train on the event log's interactions within the window (ms UTC).

    Args:    tune: how many configurations of each model of slates are tried first, on the window before the holdout;
             device: where models are trained that can be trained on several; given: of each model the fields of its
             configuration that are to be others than production's; refresh: start from the newest version.
    Raises:  BadInput: there are none; and as pipelines.train.
    """
    log = EventLog(settings.data)
    frame = interactions(log, *window, contexts=not READS_CONTEXTS.isdisjoint(names))
    if frame.empty:
        raise BadInput("the event log holds no interactions to train on: `kindred import events FILE` first", "events")
    workspace = settings.data / "tmp"
    workspace.mkdir(parents=True, exist_ok=True)
    job = Job(
        settings.mlflow,
        holdout_ms,
        commit_of_checkout(),
        workspace,
        settings.data / "models",
        log,
        catalogue_of(settings),
        settings.models,
        tune,
        settings.data / "studies.db",
        device,
        given or {},
        refresh,
    )
    return train(names, frame, job, lambda _name, done, total: progress(done, total), seed)


def catalogue_of(settings: Settings) -> list[Item]:
    """What the item log says of every item now, by id; what was deleted isn't there."""
    found: dict[str, tuple[int, bytes | None]] = {}
    for source in ItemLog(settings.data).sources():
        for row in chain.from_iterable(read_items(source)):
            before = found.get(row.item_id)
            if before is None or row.available_at >= before[0]:
                found[row.item_id] = row.available_at, row.value
    return [decode_item(value) for _, (_, value) in sorted(found.items()) if value is not None]


def trained_rows(trained: Sequence[Trained]) -> list[tuple[str, ...]]:
    """What `kindred train` did as a table: a version that was there already says so."""
    return [
        (
            each.name,
            each.refused or (each.version if each.fresh else f"{each.version} (as before)"),
            _bounded(each, runs.own_name(QUALITY.get(each.name, NEEDED[0]))),
            _figure(each, "ndcg@10_new"),
            _figure(each, "recall@10"),
            _figure(each, "coverage@10"),
            _bounded(each, "gain_ndcg@10"),
            _figure(each, "fit_seconds", 1),
        )
        for each in trained
    ]


def _bounded(trained: Trained, name: str) -> str:
    """A metric by its name, with its interval where it has one."""
    if name not in trained.metrics:
        return "-"
    interval = f" [{_figure(trained, f'{name}_low')}, {_figure(trained, f'{name}_high')}]"
    return f"{name} {_figure(trained, name)}{interval if f'{name}_low' in trained.metrics else ''}"


def _figure(trained: Trained, name: str, digits: int = 4) -> str:
    return f"{trained.metrics[name]:.{digits}f}" if name in trained.metrics else "-"


def _quality(version: Listed) -> str:
    metric = QUALITY.get(version.name, NEEDED[0])
    return f"{metric} {version.metrics[metric]:.4f}" if metric in version.metrics else "-"


def model_rows(found: Sequence[Listed]) -> list[tuple[str, ...]]:
    """Versions as a table: model, version, alias, when, quality, commit, the last entry of its trail, its state."""
    return [
        (
            each.name,
            each.version,
            ", ".join(each.aliases),
            iso(each.created),
            _quality(each),
            each.commit[:8],
            _last(each),
            _state(each),
        )
        for each in found
    ]


def _last(version: Listed) -> str:
    """What was done to a version last, by whom, when and why."""
    if not version.trail:
        return ""
    last = version.trail[-1]
    forced = " (forced)" if last.forced else ""
    return f"{last.action}{forced} by {last.who}, {iso(last.at)}" + (f": {last.why}" if last.why else "")


def _state(version: Listed) -> str:
    """What is to be known of a version beyond its aliases."""
    said = [f"serves {version.share:.4g}"] if version.share else []
    said += ["ungated"] if version.ungated else []
    said += [f"refused {iso(each.at)}: {each.reason}" for each in version.refusals[-1:]]
    return "; ".join(said)
