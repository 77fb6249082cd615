"""A curve in a few numbers, for the small picture of it in a list.

trend = Trend()
trend.add(8.1); trend.add(7.9)
trend.values()      # (8.1, 7.9); of many values means, at most MOST of them
"""

import math

MOST = 32


class Trend:
    """Means over equally many values each, the last one over what there is. Old means stay as values are added, until
    there are too many and each two of them become one."""

    def __init__(self) -> None:
        self._means: list[float] = []
        self._each = 1
        self._sum = 0.0
        self._count = 0

    def add(self, value: float | None) -> None:
        """Take in a value; what is no number is left out."""
        if not isinstance(value, int | float) or not math.isfinite(value):
            return
        self._sum += value
        self._count += 1
        if self._count == self._each:
            self._means.append(self._sum / self._each)
            self._sum, self._count = 0.0, 0
            if len(self._means) == MOST:
                self._means = [(self._means[i] + self._means[i + 1]) / 2 for i in range(0, MOST, 2)]
                self._each *= 2

    def values(self) -> tuple[float, ...]:
        """The means, with four digits each."""
        rest = [self._sum / self._count] if self._count else []
        return tuple(float(f"{mean:.4g}") for mean in [*self._means, *rest])
