"""What may be said to `kindred benchmark`, and whether it fits together."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import get_args

from features.errors import BadInput
from features.events import FILE_ALIASES
from models import MODELS
from models.device import check_device
from models.spaces import SPACES, space_of
from training.splits import Fit, Protocol
from training.tuning import Goal

BASELINES = ("popularity",)  # measured beside the models, never trained or served
ALL = "all"


@dataclass(frozen=True)
class Options:
    """`mask`: items of the history are neither shown nor wanted, which prefixes never do; `fit` matters for
    leave-last-out alone, `holdout_ms` for time-split alone.

    `target_event`: only such interactions are to be found. `seeds`: so many from `seed` on. `compare`: the model whose
    difference to each other one is given. `tune`: so many trials on validation before a model is measured that has
    something to tune, 0 for the defaults; `tune_for`: the metric they raise, ndcg at the largest k where nothing is
    said. `device`: where models are trained that can be trained on several. `settings`: of each model the fields of its
    configuration that are to be others than production's; they stay so while the rest is tuned.
    """

    protocol: Protocol
    models: tuple[str, ...] = ("als", "trending")
    ks: tuple[int, ...] = (10, 20)
    holdout_ms: int = 30 * 86_400_000
    fit: Fit = "strict"
    mask: bool = True
    target_event: str | None = None
    seed: int = 0
    seeds: int = 1
    compare: str = ""
    tune: int = 0
    tune_for: str = ""
    device: str = "cpu"
    settings: Mapping[str, Mapping[str, object]] = field(default_factory=dict)

    @property
    def masked(self) -> bool:
        """Whether the history is really masked."""
        return self.mask and self.protocol != "prefixes"

    @property
    def named(self) -> tuple[str, ...]:
        """The models, each once; `all` is every model and baseline."""
        every = (*MODELS, *BASELINES)
        return tuple(dict.fromkeys(part for name in self.models for part in (every if name == ALL else (name,))))

    @property
    def goal(self) -> Goal:
        """What tuning raises."""
        return Goal(self.tune_for or f"ndcg@{max(self.ks)}", self.masked)

    @property
    def target(self) -> str | None:
        """The event to be found, as it is called on the wire."""
        wanted = self.target_event
        return None if wanted is None else FILE_ALIASES.get(wanted) or FILE_ALIASES.get(wanted.lower(), wanted)

    def check(self, has_test: bool) -> None:
        """Raises BadInput, naming the option that doesn't fit."""
        if self.protocol not in get_args(Protocol):
            raise BadInput(
                f"--protocol takes one of {', '.join(get_args(Protocol))}, not {self.protocol!r}", "protocol"
            )
        if has_test and self.protocol not in {"split", "prefixes"}:
            raise BadInput(f"--test goes with --protocol split or prefixes; {self.protocol} makes its own", "test")
        if self.protocol == "prefixes" and self.target_event is not None:
            raise BadInput(
                "--target-event goes with the other protocols: under prefixes the next item is wanted", "target-event"
            )
        if self.fit not in get_args(Fit):
            raise BadInput(f"--fit is strict or refit, not {self.fit!r}", "fit")
        if not self.ks or min(self.ks) < 1:
            raise BadInput("--k takes whole numbers above 0, for example 10,20", "k")
        if self.holdout_ms < 1:
            raise BadInput("--holdout must be longer than nothing, for example 30d", "holdout")
        if self.seeds < 1:
            raise BadInput("--seeds is how many fits are averaged, 1 or more", "seeds")
        check_device(self.device)
        self._check_models()

    def _check_models(self) -> None:
        known = (*MODELS, *BASELINES)
        if not self.named:
            raise BadInput(f"--models names no model; known ones: {', '.join(known)}, all", "models")
        for name in self.named:
            if name not in known:
                raise BadInput(f"there is no model {name!r}; known ones: {', '.join(known)}, all", "models")
        for name in self.settings:
            if name not in self.named:
                raise BadInput(f"--set says something of {name}, which is none of --models", "set")
        if self.compare and self.compare not in self.named:
            raise BadInput(f"--compare {self.compare} is none of --models {','.join(self.named)}", "compare")
        if self.tune < 0:
            raise BadInput("--tune is a number of trials, 1 or more", "tune")
        if self.tune and SPACES.keys().isdisjoint(self.named):
            space_of(self.named[0])
        if self.tune:
            self.goal.k  # noqa: B018 - raises where the metric isn't one
