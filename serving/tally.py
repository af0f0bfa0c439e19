"""What one worker counts of its answers, and what becomes of it in Redis.

An *arm* is who answered: the versions that a State is made of and, while a canary is tried, whose customer it was. Each
count goes to the trial that runs, to the hour of every version (what the next champion is held against), and to what
is known of a champion since its promotion.

Clicks are counted of answers that are RIPE_MS old, where they came by then: else an answer of a moment ago, which
nobody can have clicked yet, would count against whoever serves now. They are joined by request_id. So are orders that
name one; an order that names none counts for the arm that its customer is in.
"""

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from features.events import Event
from features.online import TrialCounts, hour_trial, watch_trial
from serving.decide.state import State
from serving.evidence import CANARY, CHAMPION
from serving.following.plans import Key, Watched
from serving.receipts import answered_at, is_of

RIPE_MS = 120_000
WAITING_MS = 10_000  # that a click waits for the worker which answered to say so
MOST = 10_000  # clicks and orders that wait at once
HOURS_KEPT_S = 4 * 3_600
REWARDS = {"Product Clicked": "clicks", "Order Completed": "orders"}
ONCE = tuple(f"{arm}:{reward}" for arm in (CANARY, CHAMPION) for reward in REWARDS.values())


class Arm(NamedTuple):
    """`trial` and `variant` are empty where no canary is tried; `lineup` is every version that has a part in it."""

    trial: str
    variant: str
    lineup: str

    @property
    def name(self) -> str:
        """As it is written."""
        return f"{self.trial}/{self.variant}|{self.lineup}"

    @property
    def keys(self) -> list[Key]:
        """The versions of the lineup."""
        return [Key(*each.split(":", 1)) for each in self.lineup.split(",") if each]


class Reward(NamedTuple):
    """A click or an order as it was told: `id` is the request_id that it names, empty for none.

    `at` is ms UTC, when it was told; `message_id` makes it count once.
    """

    what: str
    id: str
    customer: str
    message_id: str
    at: int


@dataclass
class Addition:
    """What is to be added to the counts of a trial; `once` holds ids of what counts once each."""

    counts: Counter[str] = field(default_factory=Counter)
    once: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))


class Tally:
    """Counts until they are added up; what could not be is kept and added later."""

    def __init__(self) -> None:
        self.arms: dict[str, Counter[str]] = {}
        self.shadows: dict[str, Counter[str]] = {}
        self.rewards: deque[Reward] = deque(maxlen=MOST)
        self.unsent: dict[str, Addition] = {}
        self._green: deque[tuple[int, str, int]] = deque()

    def of(self, arm: str) -> Counter[str]:
        """The counts of an arm since they were last taken."""
        return self.arms.setdefault(arm, Counter())

    def shadow(self, trial: str) -> Counter[str]:
        """The counts of a shadow."""
        return self.shadows.setdefault(trial, Counter())

    def note(self, event: Event, now: int) -> None:
        """Take a click or an order. A click must name its answer."""
        what = REWARDS[event.name]
        named = getattr(event.properties, "request_id", None) or ""
        if named or what == "orders":
            self.rewards.append(Reward(what, named, event.customer, event.message_id, now))

    def settle(self, now: int, known: Sequence[str], watched: Sequence[Watched], arm_of: Callable[[str], str]) -> None:
        """Turn what was counted into additions.

        Args:    now: ms UTC; known: arms that answer anywhere, by name; watched: champions since their promotion;
                 arm_of: the arm that a customer's answers come from.
        """
        arms, self.arms = self.arms, {}
        for name, counts in arms.items():
            self._add(name, now, watched, counts)
            self._green.append((now, name, counts["answers"]))
        while self._green and self._green[0][0] <= now - RIPE_MS:
            at, name, answers = self._green.popleft()
            self._add(name, at, watched, Counter(ripe=answers))
        shadows, self.shadows = self.shadows, {}
        for trial, counts in shadows.items():
            self._to(trial).counts.update(counts)
        rewards, self.rewards = self.rewards, deque(maxlen=MOST)
        self.rewards.extend(each for each in rewards if not self._rewarded(each, known, watched, now, arm_of))

    def give(self) -> list[bytes]:
        """The clicks and orders for a worker that answers slates, and so knows the arms; they are no longer here."""
        told, self.rewards = self.rewards, deque(maxlen=MOST)
        return [msgspec.json.encode(each) for each in told]

    def take(self, told: Iterable[bytes]) -> None:
        """What others have given, or couldn't be given; it is older than what is here."""
        self.rewards.extendleft(reversed([msgspec.json.decode(each, type=Reward) for each in told]))

    def send(self, store: TrialCounts) -> None:
        """Add everything up.

        Raises:  redis.RedisError, OSError: what was not added stays for the next time.
        """
        for trial in list(self.unsent):
            part = self.unsent[trial]
            kept = {"kept_s": HOURS_KEPT_S} if trial.startswith("served:") else {}
            store.add(trial, part.counts, part.once, **kept)
            del self.unsent[trial]

    def _rewarded(
        self, told: Reward, known: Iterable[str], watched: Sequence[Watched], now: int, arm_of: Callable[[str], str]
    ) -> bool:
        """Whether it is done with: counted, or known to count for nobody."""
        if not told.id:
            self._add(arm_of(told.customer), told.at, watched, Counter(), told.what, told.message_id)
            return True
        at = answered_at(told.id)
        if at is None or (told.what == "clicks" and told.at - at > RIPE_MS):
            return True
        name = next((name for name in known if is_of(told.id, name)), None)
        if name is not None:
            self._add(name, at, watched, Counter(), told.what, told.id)
        return name is not None or now - told.at > WAITING_MS

    def _add(
        self, name: str, at: int, watched: Sequence[Watched], counts: Counter[str], what: str = "", once: str = ""
    ) -> None:
        """Counts of an arm at a moment, to all that they belong to; with `what`, one reward of this id."""
        arm = arm_named(name)
        places = [(arm.trial, f"{arm.variant}:")] if arm.trial else []
        places += [(hour_trial(*key, at), "") for key in arm.keys]
        watching = (each for each in watched if each.key in arm.keys and at >= each.since)
        places += [(watch_trial(*each.key, each.since), "") for each in watching]
        for trial, prefix in places:
            self._to(trial).counts.update({f"{prefix}{field}": count for field, count in counts.items()})
            if what:
                self._to(trial).once[f"{prefix}{what}"].add(once)

    def _to(self, trial: str) -> Addition:
        return self.unsent.setdefault(trial, Addition())


def arm_named(name: str) -> Arm:
    """The arm of a name."""
    tried, _, lineup = name.partition("|")
    trial, _, variant = tried.rpartition("/")
    return Arm(trial, variant, lineup)


def arm_name(state: State) -> str:
    """The arm that a State answers for, as it is written."""
    champions = (*(() if state.champion is None else (state.champion,)), *state.sources)
    lineup = [f"{each.name}:{each.version}" for each in champions]
    lineup += [] if state.ranker is None else [f"ranker:{state.ranker.version}"]
    seed = state.canary.seed if state.canary is not None and state.variant else ""
    return Arm(seed, state.variant if seed else "", ",".join(lineup)).name
