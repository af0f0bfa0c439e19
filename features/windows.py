"""Windows of time: which tiles a feature sums, and how long tiles of which size are kept.

A window is a sawtooth, as Chronon defines it: `[floor((t - length) / hop) * hop, t)`. It is exact by that definition,
at most one hop longer than the ideal window, and moves on with no new event. Tiles start at multiples of 5 minutes UTC.
"""

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from features.errors import BadFeature

Ints = npt.NDArray[np.int64]

TILE_MS = 300_000
HOUR, DAY = 12, 288  # in tiles
SESSION = 6
LONGEST = 366 * DAY
_NEVER = 2**24 - 1
_MINUTES = {"m": 1, "h": 60, "d": 1_440}
_SHAPE = re.compile(r"(\d{1,5})([mhd])(?: before (\d{1,5})([mhd]))?", re.ASCII)


@dataclass(frozen=True, order=True)
class Window:
    """A length and how long ago it ended, in tiles of 5 minutes; `months` counts calendar months back instead.

    `hop` is the size of the tiles that it is summed from. A length of 0 with no months is all time.
    """

    hop: int
    length: int = 0
    ago: int = 0
    months: int = -1

    def start(self, now_ms: Ints) -> Ints:
        """First tile inside, per moment."""
        if self.months >= 0:
            return np.maximum(_month(now_ms, self.months), 1)
        tile = now_ms // TILE_MS
        if not self.length:
            return np.zeros_like(tile)
        return np.maximum((tile - self.length - self.ago) // self.hop * self.hop, 1)

    def end(self, now_ms: Ints) -> Ints:
        """First tile after it, per moment; a window that ends now has no end, since nothing known now is later."""
        if self.months > 0:
            return _month(now_ms, self.months - 1)
        if self.ago:
            return np.maximum((now_ms // TILE_MS - self.ago) // self.hop * self.hop, 1)
        return np.full(len(now_ms), _NEVER, dtype=np.int64)

    def edges(self, now_ms: int) -> tuple[int, int]:
        """Start and end for one moment."""
        if self.months >= 0:
            month = np.array([now_ms])
            return int(self.start(month)[0]), int(self.end(month)[0])
        if not self.length:
            return 0, _NEVER
        tile = now_ms // TILE_MS - self.ago
        end = max(tile // self.hop * self.hop, 1) if self.ago else _NEVER
        return max((tile - self.length) // self.hop * self.hop, 1), end


ALL_TIME = Window(hop=0)


def window(text: str) -> Window:
    """A window from how a definition writes it.

    Args:    text: `5m`, `24h`, `30d`, `7d before 7d`, `month` (of the calendar, UTC), `last month`, or `` for all time.
    Raises:  BadFeature: it is none of these, or not from 5 minutes to 366 days.
    """
    if text in {"", "month", "last month"}:
        return {"": ALL_TIME, "month": Window(DAY, months=0), "last month": Window(DAY, months=1)}[text]
    match = _SHAPE.fullmatch(text)
    if match is None:
        raise BadFeature(f"the window {text!r} must be like 5m, 24h, 30d, 7d before 7d, month or last month", "window")
    length = int(match[1]) * _MINUTES[match[2]]
    ago = int(match[3] or 0) * _MINUTES[match[4] or "m"]
    if not 5 <= length <= LONGEST * 5 or ago > LONGEST * 5 or length % 5 or ago % 5:
        raise BadFeature(f"the window {text!r} must be of whole 5 minutes, from 5 minutes to 366 days", "window")
    whole = (length + ago) // 5
    hop = 1 if whole <= DAY else HOUR if whole <= 31 * DAY else DAY
    return Window(hop, length // 5, ago // 5)


def _month(now_ms: Ints, back: int) -> Ints:
    """First tile of the calendar month (UTC) that lies so many months before that of each moment."""
    months = now_ms.astype("datetime64[ms]").astype("datetime64[M]") - back
    tiles: Ints = months.astype("datetime64[ms]").astype(np.int64) // TILE_MS
    return tiles
