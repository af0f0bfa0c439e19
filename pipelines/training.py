"""`kindred train` and `kindred models` as the command line has them: from the event log to rows to look at."""

from collections.abc import Callable, Sequence

from features.errors import BadInput
from features.events import iso
from features.offline import EventLog, interactions
from features.settings import Settings
from pipelines.promotion import Listed
from pipelines.services import commit_of_checkout
from pipelines.train import Trained, train


def train_models(
    settings: Settings,
    names: Sequence[str],
    window: tuple[int | None, int | None],
    holdout_ms: int,
    seed: int,
    progress: Callable[[int, int], None],
) -> list[Trained]:
    """Train on the event log's interactions within the window (ms UTC).

    Raises:  BadInput: there are none; and as pipelines.train.
    """
    frame = interactions(EventLog(settings.data), *window)
    if frame.empty:
        raise BadInput("the event log holds no interactions to train on: `kindred import events FILE` first", "events")
    workspace = settings.data / "tmp"
    workspace.mkdir(parents=True, exist_ok=True)
    commit = commit_of_checkout()
    told = lambda _name, done, total: progress(done, total)  # noqa: E731 - drops the name, the bar has a title
    return train(names, frame, settings.mlflow, holdout_ms, told, commit, workspace, seed)


def model_rows(found: Sequence[Listed]) -> list[tuple[str, ...]]:
    """Versions as a table: model, version, alias, when, quality, commit, the last entry of its trail."""
    return [
        (
            each.name,
            each.version,
            ", ".join(each.aliases),
            iso(each.created),
            f"{each.metrics['ndcg_at_10']:.4f}" if "ndcg_at_10" in each.metrics else "-",
            each.commit[:8],
            f"{each.trail[-1].action} by {each.trail[-1].who}, {iso(each.trail[-1].at)}" if each.trail else "",
        )
        for each in found
    ]
