"""What every slate asks of one state, straight from its bytes: the newest touches, and sums of a series by its names.

A request needs a few columns of the state; `features.plain` reads all of them, which takes five times as long.
"""

from itertools import accumulate, compress
from operator import itemgetter, mul

from features.errors import BrokenState
from features.packing import BY_PLACE, COLUMN_COUNTS, COLUMNS, EVENT, LONG, OLD, sizes_of
from features.states import TOUCHING

_NAMES = [name for names in COLUMNS.values() for name in names]
_WIDTHS = [width for width, names in COLUMNS.items() for _ in names]
_AT = {name: at for at, name in enumerate(_NAMES)}
_in_order = itemgetter(*(count for counts in COLUMN_COUNTS.values() for count in counts))
_SUBS = ("", "sub place", "sub short", "sub")  # where the sub of a cell is, by the kind that its shape says
_MORE = (("value", 0), ("value short", 8), ("value word", 24), ("value top", 56))  # and the bytes of its value
_CAST = {1: "B", 2: "H", 4: "I", 8: "Q"}


class Glance:
    """One state, of which only what is asked for is read; None is a customer never seen.

    Raises:  BrokenState: these bytes aren't a state of this format, or its columns don't fit each other.
    """

    __slots__ = ("_at", "_counts", "_ends", "_packed", "_series", "_text", "_view", "newest", "touches")

    def __init__(self, packed: bytes | None) -> None:
        self.newest, self.touches = -1, list[tuple[int, str, str]]()
        self._packed = packed
        if not packed:
            return
        begin, counts = sizes_of(packed)
        self._counts = _in_order(counts)
        self._ends = list(accumulate(map(mul, self._counts, _WIDTHS), initial=begin))
        if self._ends[-1] > len(packed):
            raise BrokenState("a state ends before its columns do")
        self._view = memoryview(packed)
        try:
            self._text, self._at = self._names()
            low, shapes = self._column("series"), self._column("shape")
            self._series = [number | shape >> 6 << 8 for number, shape in zip(low, shapes, strict=True)]  # of each run
            self.newest = self._newest()
            self.touches = self._touches()
        except (IndexError, ValueError) as error:
            raise BrokenState("the columns of a state don't fit each other") from error

    def has(self, series: int) -> bool:
        """Whether there is any cell of a series."""
        if not self._packed:
            return False
        return series in self._series

    def sums(self, series: int) -> dict[str, int]:
        """What the cells of a series add up to, by the names of their keys; only what is kept for ever.

        Raises:  BrokenState: the columns don't fit each other.
        """
        if not self._packed:
            return {}
        found: dict[str, int] = {}
        try:
            for name, value in self._cells(series):
                found[name] = found.get(name, 0) + value
        except (IndexError, ValueError) as error:
            raise BrokenState("the columns of a state don't fit each other") from error
        return found

    def _column(self, name: str) -> "list[int] | bytes":
        at = _AT[name]
        if _WIDTHS[at] == 1:
            return self._packed[self._ends[at] : self._ends[at + 1]] if self._packed else b""
        return self._view[self._ends[at] : self._ends[at + 1]].cast(_CAST[_WIDTHS[at]]).tolist()  # type: ignore[call-overload,no-any-return]

    def _names(self) -> tuple[str | bytes, list[int]]:
        """All texts in one, and where each begins; as bytes where some character takes several of them."""
        packed = self._packed or b""
        heap = packed[self._ends[-1] :]
        sizes: list[int] | bytes = self._column("size")
        if LONG in sizes:
            long = iter(self._column("long size"))
            sizes = [size if size < LONG else next(long, -1) for size in sizes]
        at = list(accumulate(sizes, initial=0))
        if at[-1] != len(heap):
            raise BrokenState("the names of a state don't fill the rest of it")
        return (heap.decode() if heap.isascii() else heap), at

    def _name(self, place: int) -> str:
        if not 0 <= place < len(self._at) - 1:
            raise IndexError("there is no name at this place")
        found = self._text[self._at[place] : self._at[place + 1]]
        return found if isinstance(found, str) else found.decode()

    def _newest(self) -> int:
        """The value of the first cell."""
        if not self._counts[_AT["value"]]:
            return -1
        kind, number = self._first("shape") & 3, 0
        for name, bits in _MORE[: kind + 1]:
            number |= self._first(name) << bits
        return number >> 1 ^ -(number & 1)

    def _first(self, name: str) -> int:
        """The first entry of a column that has one."""
        at = _AT[name]
        if not self._counts[at]:
            raise IndexError("a column lacks its first entry")
        begin = self._ends[at]
        return int.from_bytes(self._view[begin : begin + _WIDTHS[at]], "little")

    def _touches(self) -> list[tuple[int, str, str]]:
        codes, ages, places = self._column("touch"), self._column("touch age"), self._column("touch place")
        newest, text, at = self.newest, self._text, self._at
        if len(places) == len(codes) and isinstance(text, str) and not self._counts[_AT["touch age high"]]:
            return [
                (newest - age, text[at[place] : at[place + 1]], TOUCHING[code & EVENT])
                for code, age, place in zip(codes, ages, places, strict=True)
            ]
        high, place, raw = iter(self._column("touch age high")), iter(places), iter(self._column("touch sub"))
        found = []
        for code, low in zip(codes, ages, strict=True):
            age = low | next(high, 0) << 32 if code & OLD else low
            item = self._name(next(place, -1)) if code & BY_PLACE else self._called(next(raw, -1))
            found.append((newest - age, item, TOUCHING[code & EVENT]))
        return found

    def _called(self, sub: int) -> str:
        """The name of a sub; 0 is no key."""
        return self._name(self._column("name").index(sub)) if sub else ""

    def _cells(self, series: int) -> list[tuple[str, int]]:
        """Name of the key and value of each cell of a series."""
        found: list[tuple[str, int]] = []
        if series in self._series:
            shapes = self._column("shape")
            for run, number in enumerate(self._series):
                if number == series:
                    found += zip(self._keys(run, shapes[run]), self._values(run, shapes[run]), strict=True)
        return found

    def _keys(self, run: int, shape: int) -> list[str]:
        """The names of the keys of the cells of a run."""
        kind = shape >> 4 & 3
        if not kind:
            return [""] * self._column("run")[run]
        subs = self._part(_SUBS[kind], run, [other >> 4 & 3 == kind for other in self._column("shape")])
        return [self._name(place) for place in subs] if kind == 1 else [self._called(sub) for sub in subs]

    def _values(self, run: int, shape: int) -> list[int]:
        """The values of the cells of a run."""
        shapes = self._column("shape")
        numbers = self._part("value", run, [True] * len(shapes))
        for least in range(1, (shape & 3) + 1):
            name, bits = _MORE[least]
            more = self._part(name, run, [other & 3 >= least for other in shapes])
            numbers = [number | high << bits for number, high in zip(numbers, more, strict=True)]
        return [number >> 1 ^ -(number & 1) for number in numbers]

    def _part(self, name: str, run: int, has: list[bool]) -> list[int]:
        """What a run has of a column, in which not all runs have something."""
        column, runs = self._column(name), self._column("run")
        begin = sum(compress(runs[:run], has))
        if begin + runs[run] > len(column):
            raise ValueError("a column ends before its runs do")
        return list(column[begin : begin + runs[run]])
