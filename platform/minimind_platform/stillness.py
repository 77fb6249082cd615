"""Sees from outside that a training records nothing new, whatever its trainer thinks of itself.

stillness = Stillness(time.monotonic)
text = stillness.look(token, step)  # "" while it moves; a sentence once when it has stopped moving
"""

import statistics
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

LEAST_SECONDS, TIMES = 600.0, 20.0
"""How long nothing new may come, at least, and in usual pauses between two looks that saw something new."""


@dataclass
class _Seen:
    step: int
    at: float
    pauses: deque[float] = field(default_factory=lambda: deque(maxlen=32))
    moved: bool = False
    told: bool = False


class Stillness:
    """What it knows of the trainings that run. Before its first step a training may take as long as its data needs."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: dict[str, _Seen] = {}

    def look(self, token: str, step: int) -> str:
        """Look at an attempt that runs; `step` is its newest, also one that it does again."""
        now, known = self._clock(), self._seen.get(token)
        if known is None:
            self._seen[token] = _Seen(step, now)
        elif step != known.step:
            if known.moved:
                known.pauses.append(now - known.at)
            known.step, known.at, known.moved, known.told = step, now, True, False
        elif known.moved and not known.told:
            usual = statistics.median(known.pauses) if known.pauses else 0.0
            if now - known.at >= max(LEAST_SECONDS, TIMES * usual):
                known.told = True
                return f"nothing new for {(now - known.at) / 60:.0f} minutes, at step {step}"
        return ""

    def forget(self, token: str) -> None:
        self._seen.pop(token, None)
