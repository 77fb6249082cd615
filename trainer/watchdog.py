"""Watches a training while it runs, and says so when something looks wrong. What is done then is up to the settings
`watch_…`: a mark in the record, a notice to people, a checkpoint, or a stop. It changes no number of the training.

    with Watchdog(session) as watch:
        with watch.step(): ...
        watch.recorded(loss)
"""

import statistics
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType

from trainer.names import Rule
from trainer.session import Session

LOOK_SECONDS = 5.0


class LossSpike:
    """A loss that rises far above what it was, and stays there for several records. Single jumps are noise."""

    KEPT, LEAST = 64, 20
    """Records that it is compared with, at most and at least."""
    SUSTAINED = 5
    SPREADS = 8.0
    """Times the usual spread (median absolute deviation, as a standard deviation) above the median."""
    SHARE = 0.2
    """And so much of the median, because a steady loss has hardly any spread."""

    def __init__(self) -> None:
        self._usual: deque[float] = deque(maxlen=self.KEPT)
        self._above: list[float] = []

    def take(self, loss: float) -> str:
        """Look at the next record; a sentence when the rise has lasted, once for each."""
        if len(self._usual) >= self.LEAST:
            middle = statistics.median(self._usual)
            spread = 1.4826 * statistics.median(abs(value - middle) for value in self._usual)
            if loss > middle + max(self.SPREADS * spread, self.SHARE * abs(middle)):
                self._above.append(loss)
                return self._judge(middle)
        self._above.clear()
        self._usual.append(loss)
        return ""

    def _judge(self, middle: float) -> str:
        above = self._above
        if len(above) == self.SUSTAINED:
            return f"The loss has risen from {middle:.4g} to {above[-1]:.4g} and stays there."
        if len(above) == self.KEPT:  # this is how it is now
            self._usual.clear()
            self._usual.extend(above)
            above.clear()
        return ""


class StalledStep:
    """A step that takes ten times as long as the others do."""

    TIMES, LEAST_SECONDS, LEAST_STEPS = 10.0, 60.0, 5

    def __init__(self) -> None:
        self._seconds: deque[float] = deque(maxlen=64)
        self._began: float | None = None
        self._told = False

    def begin(self, now: float) -> None:
        self._began, self._told = now, False

    def end(self, now: float) -> None:
        if self._began is not None:
            self._seconds.append(now - self._began)
        self._began = None

    def look(self, now: float) -> str:
        """From another thread, at any time."""
        began, seconds = self._began, list(self._seconds)
        if began is None or self._told or len(seconds) < self.LEAST_STEPS:
            return ""
        usual = statistics.median(seconds)
        if now - began < max(self.TIMES * usual, self.LEAST_SECONDS):
            return ""
        self._told = True
        return f"This step takes {now - began:.0f} s already; the others took {usual:.2g} s."


class SlowData:
    """More time goes into fetching rows than into learning from them, for a while."""

    SHARE, LEAST_SECONDS, LEAST_STEPS = 0.5, 60.0, 20

    def __init__(self) -> None:
        self._told = False
        self._clear()

    def _clear(self) -> None:
        self._loading, self._steps, self._whole = 0.0, 0, 0.0

    def take(self, loading: float, whole: float) -> str:
        """One step's seconds for its data and in all."""
        self._loading, self._whole, self._steps = self._loading + loading, self._whole + whole, self._steps + 1
        if self._whole < self.LEAST_SECONDS or self._steps < self.LEAST_STEPS:
            return ""
        share = self._loading / self._whole
        self._clear()
        if self._told or share < self.SHARE:
            return ""
        self._told = True
        return f"{100 * share:.0f} % of the time goes into fetching rows. Put the data on a faster disk."


class IdleGpu:
    """A GPU that has had next to nothing to do for minutes."""

    PERCENT, LEAST_SECONDS = 5.0, 300.0

    def __init__(self) -> None:
        self._since: float | None = None
        self._told = False

    def take(self, percent: float, now: float) -> str:
        """How busy it is now."""
        if percent > self.PERCENT:
            self._since, self._told = None, False
            return ""
        self._since = self._since if self._since is not None else now
        if self._told or now - self._since < self.LEAST_SECONDS:
            return ""
        self._told = True
        return f"The GPU has been idle for {(now - self._since) / 60:.0f} minutes while this training holds it."


class Watchdog:
    """All of them over one training. The one for the loss looks in every process, so that all of them act alike."""

    def __init__(self, session: Session, losses: bool, gpu_busy: Callable[[], float | None] | None = None) -> None:
        """Watch a training.

        Args:
            session: of this attempt.
            losses: whether a rise of the loss says anything, which it does not where a model learns from rewards.
            gpu_busy: tells how busy the GPU is, in percent.
        """
        self._session, self._clock = session, time.monotonic
        self._idle, self._gpu_busy = IdleGpu(), gpu_busy
        self._spike = LossSpike() if losses else None
        self._stalled, self._slow = StalledStep(), SlowData()
        self._loading = 0.0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._work, name="watchdog", daemon=True)

    def __enter__(self) -> "Watchdog":
        if self._session.ranks.first:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        if self._session.ranks.first:
            self._thread.join()

    @contextmanager
    def step(self) -> Iterator[None]:
        """One step is made in the body: fetching its rows, learning, recording; no evaluation, no checkpoint."""
        began = self._clock()
        self._loading = 0.0
        self._stalled.begin(began)
        yield
        now = self._clock()
        self._stalled.end(now)
        if text := self._slow.take(self._loading, now - began):
            self._tell(Rule.SLOW_DATA, text)

    @contextmanager
    def loading(self) -> Iterator[None]:
        """Rows are fetched in the body."""
        began = self._clock()
        yield
        self._loading += self._clock() - began

    def recorded(self, loss: float) -> None:
        """The mean loss of a window of steps, finite and the same in all processes."""
        if self._spike and (text := self._spike.take(loss)):
            self._session.alarm(Rule.LOSS_SPIKE, text)

    def _tell(self, rule: Rule, text: str) -> None:
        if self._session.ranks.first:
            self._session.alarm(rule, text)

    def _work(self) -> None:
        while not self._done.wait(LOOK_SECONDS):
            if text := self._stalled.look(self._clock()):
                self._tell(Rule.STALLED_STEP, text)
            busy = self._gpu_busy() if self._gpu_busy else None
            if busy is not None and (text := self._idle.take(busy, self._clock())):
                self._tell(Rule.IDLE_GPU, text)
