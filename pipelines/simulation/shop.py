"""Which shop: its size, its days and its seed; everything else follows from these."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from features.errors import BadInput
from pipelines.simulation.words import CATEGORIES

DAY_MS = 24 * 3_600_000

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

# Traffic from Monday to Sunday: the shop is busiest at the weekend.
WEEK = (1.0, 0.95, 0.92, 0.92, 0.95, 1.2, 1.35)


@dataclass(frozen=True, kw_only=True)
class Shop:
    """A simulated shop; two equal values leave the same events, byte for byte.

    `events` is how many events there are, `until` (ms UTC) when they end, `days` how long they take. `customers` and
    `items` follow from `events` where they are None. The shop's day ends at the time of day of `until`: then prices and
    stock change, and no visit reaches across. `duplicates` and `late` are shares of events that come a second time
    (in addition to `events`), and that arrive up to six hours after they happened.

    Raises:  BadInput: with the field.
    """

    events: int
    until: int
    seed: int = 0
    days: int = 180
    customers: int | None = None
    items: int | None = None
    duplicates: float = 0.0
    late: float = 0.0

    def __post_init__(self) -> None:
        lowest = {"events": 1, "days": 1, "seed": 0, "customers": 1, "items": len(CATEGORIES)}
        for field, least in lowest.items():
            value = getattr(self, field)
            if value is not None and value < least:
                raise BadInput(f"{field} must be at least {least}, got {value}", field)
        if self.until < self.days * DAY_MS:
            raise BadInput(f"until must lie at least {self.days} days after 1970, got {self.until}", "until")
        for field in ("duplicates", "late"):
            if not 0.0 <= getattr(self, field) <= 1.0:
                raise BadInput(f"{field} is a share between 0 and 1, got {getattr(self, field)}", field)

    @property
    def n_customers(self) -> int:
        """Customers with a user_id: one for every fifty events unless given."""
        return max(20, self.events // 50) if self.customers is None else self.customers

    @property
    def n_visitors(self) -> int:
        """Visitors who never say who they are."""
        return max(1, self.n_customers // 2)

    @property
    def n_items(self) -> int:
        """Items of the catalogue: one for every two hundred events, from 200 to 20,000, unless given."""
        return min(20_000, max(200, self.events // 200)) if self.items is None else self.items

    @property
    def key(self) -> str:
        """Sets the message ids of this shop apart from those of any other."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:10]

    def starts(self, day: int) -> int:
        """When a day begins, ms UTC."""
        return self.until - (self.days - day) * DAY_MS

    def date(self, day: int) -> datetime:
        """The middle of a day, which says what weekday and what season it is."""
        return datetime.fromtimestamp(self.starts(day) / 1000, UTC) + timedelta(hours=12)

    def random(self, *stream: int) -> np.random.Generator:
        """A source of chance of its own for each stream, so that one part drawing more moves no other."""
        return np.random.default_rng((self.seed, *stream))


def targets(shop: Shop) -> Ints:
    """(days,) how many events there are by the end of each day: weekly and yearly season, and a little growth."""
    dates = [shop.date(day) for day in range(shop.days)]
    week = np.array([WEEK[date.weekday()] for date in dates])
    year = np.array([1.0 + 0.3 * _closeness(date.timetuple().tm_yday, 340) for date in dates])
    growth = np.linspace(0.9, 1.1, shop.days)
    total = np.cumsum(week * year * growth)
    rounded: Ints = np.rint(total / total[-1] * shop.events).astype(np.int64)
    return rounded


def category_season(shop: Shop, day: int) -> Floats:
    """(categories,) how much more than usual each category is wanted on a day, as a logarithm."""
    date = shop.date(day)
    weekend = date.weekday() >= 5
    return np.array(
        [
            category.swing * _closeness(date.timetuple().tm_yday, category.peak) + category.weekend * weekend
            for category in CATEGORIES
        ],
        dtype=np.float32,
    )


def _closeness(day_of_year: int, peak: int) -> float:
    """1 on the peak, -1 half a year away."""
    return float(np.cos(2 * np.pi * (day_of_year - peak) / 365.25))
