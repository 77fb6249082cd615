"""One curve in buckets whose width in steps is a power of two and which begin at multiples of it.

    curve = Buckets()
    curve.add(120, 2.31, 1_764_000_000.0)
    curve.part()             # all of it
    curve.part((8, 4099))    # what an asker lacks who has buckets of 8 steps up to step 4099

Old buckets stay where they are while the curve grows, so that only its end has to be sent. When there are more than
`MOST_BUCKETS`, the width doubles and neighbours are joined; smallest and largest value survive that, so no spike is
lost.
"""

from array import array
from bisect import bisect_left, insort
from dataclasses import dataclass
from typing import Any

MOST_BUCKETS = 1_024
MOST_NANS = 500
LARGEST = 1e300
"""What is beyond counts as infinite: MLflow keeps infinity as the largest number, and sums need room."""


@dataclass(frozen=True)
class CurvePart:
    """A piece of a curve, by growing step. Width 1 means raw points."""

    width: int
    begin: int
    """Begin of its first bucket; whoever has later buckets replaces them."""
    steps: list[int]
    """First recorded step of each bucket."""
    last: list[int]
    """Last recorded step of each bucket."""
    mean: list[float]
    low: list[float]
    high: list[float]
    count: list[int]
    times: list[float]
    """Of the last point, seconds since 1970."""
    nans: list[int]
    """Steps whose value was not a number."""
    sampled: bool
    """Whether points are missing because a tracking server elsewhere gave only a sample."""


class Buckets:
    """A curve. Not safe for several threads; its owner locks."""

    def __init__(self, width: int = 1) -> None:
        self.width = width
        self.sampled = False
        self.newest: int | None = None
        """Largest step, of a number or not."""
        self._first, self._last, self._count = array("q"), array("q"), array("q")
        self._low, self._high, self._total, self._time = (array("d") for _ in range(4))
        self._nans: list[int] = []

    def __len__(self) -> int:
        return len(self._first)

    @property
    def last_begin(self) -> int:
        """Begin of the last bucket; 0 without one."""
        return self._first[-1] // self.width * self.width if self._first else 0

    def add(self, step: int, value: float | None, at: float) -> None:
        """Take in a point; None, NaN and infinity are no numbers. Points of one step are joined."""
        self.newest = step if self.newest is None else max(step, self.newest)
        if value is None or not abs(value) < LARGEST:
            self._add_nan(step)
            return
        self.join(step, step, value, value, value, 1, at)

    def join(self, first: int, last: int, low: float, high: float, total: float, count: int, at: float) -> None:
        """Take in points that lie within one bucket, from step `first` to `last` with this sum and number."""
        self.newest = last if self.newest is None else max(last, self.newest)
        at_end = not self._first or first // self.width > self._first[-1] // self.width
        index = len(self._first) if at_end else self._place(first)
        if index == len(self._first) or self._first[index] // self.width != first // self.width:
            row = (first, last, low, high, total, count, at)
            for column, value in zip(self._columns(), row, strict=True):
                column.insert(index, value)
            while len(self._first) > MOST_BUCKETS:
                self._double()
            return
        if last >= self._last[index]:
            self._time[index] = at if last > self._last[index] else max(at, self._time[index])
        self._first[index], self._last[index] = min(first, self._first[index]), max(last, self._last[index])
        self._low[index], self._high[index] = min(low, self._low[index]), max(high, self._high[index])
        self._total[index] += total
        self._count[index] += count

    def cut(self, step: int) -> None:
        """Forget all from the bucket on that this step lies in."""
        begin = step // self.width * self.width
        index = self._place(begin)
        for column in self._columns():
            del column[index:]
        self._nans = [nan for nan in self._nans if nan < begin]
        self.newest = max([*self._last[-1:], *self._nans[-1:]], default=None)

    def part(self, since: tuple[int, int] | None = None) -> CurvePart | None:
        """What an asker lacks; None for nothing.

        Args:
            since: the width of the asker's buckets, and a step in the last of them: the last that it has, or the
                bucket's begin. One whose buckets are wider gets everything.
        """
        if self.newest is None:
            return None
        if since is None or since[0] > self.width:
            index, begin = 0, min([*self._first[:1], *self._nans[:1]])
            begin = begin // self.width * self.width
        else:
            width, step = since
            if width == self.width and self.newest <= step:
                return None
            begin = (step // width * width) // self.width * self.width
            index = self._place(begin)
        totals, counts = self._total[index:], self._count[index:]
        return CurvePart(
            width=self.width,
            begin=begin,
            steps=self._first[index:].tolist(),
            last=self._last[index:].tolist(),
            mean=[total / count for total, count in zip(totals, counts, strict=True)],
            low=self._low[index:].tolist(),
            high=self._high[index:].tolist(),
            count=counts.tolist(),
            times=self._time[index:].tolist(),
            nans=self._nans[bisect_left(self._nans, begin) :],
            sampled=self.sampled,
        )

    def _add_nan(self, step: int) -> None:
        at = bisect_left(self._nans, step)
        if len(self._nans) < MOST_NANS and (at == len(self._nans) or self._nans[at] != step):
            insort(self._nans, step)

    def _columns(self) -> tuple["array[Any]", ...]:
        return (self._first, self._last, self._low, self._high, self._total, self._count, self._time)

    def _place(self, step: int) -> int:
        """Index of the bucket that a step lies in, or would be inserted at."""
        return bisect_left(self._first, step // self.width * self.width)

    def _double(self) -> None:
        """Join neighbours until their width is twice what it was."""
        rows = list(zip(*self._columns(), strict=True))
        for column in self._columns():
            del column[:]
        self.width *= 2
        newest = self.newest
        for row in rows:
            self.join(*row)
        self.newest = newest
