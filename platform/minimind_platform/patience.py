"""Waiting for something that takes hours: patient with servers that are started again, but never silent for ever.

watch = Watch(platform, timeout=60)
while not watch.ask(look):
    watch.pause("Task ab12cd34 has not ended")
"""

import math
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

from minimind_platform.errors import DatabaseUnavailableError, TrackingUnavailableError
from minimind_platform.settings import Settings

POLL_SECONDS = 0.5
AWAY_SECONDS = 120.0
"""How long a database or a tracking server may be away, as when it is started anew; then a wait ends with its error."""
ALONE_SECONDS = 5.0
"""How long the scheduler may be away, likewise, before it is said that nothing will happen."""
T = TypeVar("T")


class Observed(Protocol):
    """What is needed of a platform."""

    settings: Settings

    def scheduler_alive(self) -> bool:
        """Whether the scheduler works."""
        ...


class Watch:
    """One wait."""

    def __init__(self, platform: Observed, timeout: float | None = None, poll: float = POLL_SECONDS) -> None:
        self._platform = platform
        self._timeout = timeout
        self._poll = poll
        self._deadline = math.inf if timeout is None else time.monotonic() + timeout
        self._away_since: float | None = None
        self._alone_since: float | None = None
        self._warned = False

    def ask(self, look: Callable[[], T]) -> T | None:
        """An answer, or None while the server that knows it is away.

        Raises:
            DatabaseUnavailableError, TrackingUnavailableError: it is away for too long.
        """
        try:
            answer = look()
        except (DatabaseUnavailableError, TrackingUnavailableError):
            self._away_since = self._away_since or time.monotonic()
            if time.monotonic() - self._away_since > AWAY_SECONDS:
                raise
            return None
        self._away_since = None
        return answer

    def pause(self, waiting_for: str) -> None:
        """Wait for the next look; a warning, once, if no scheduler works that could make something happen.

        Args:
            waiting_for: what has not happened yet, for people.

        Raises:
            TimeoutError: the time is over.
        """
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"{waiting_for} after {self._timeout:g} s. Nothing was stopped.")
        if self._is_alone() and not self._warned:
            self._warned = True
            home = self._platform.settings.home
            text = f"The scheduler of {home} is not running; nothing happens until `minimind up` is started there."
            warnings.warn(text, RuntimeWarning, stacklevel=3)
        time.sleep(min(self._poll, left))

    def _is_alone(self) -> bool:
        settings = self._platform.settings
        elsewhere = bool(settings.database_url) and not (settings.mlruns_dir / "scheduler.json").exists()
        if elsewhere or self._platform.scheduler_alive():
            self._alone_since = None
            return False
        self._alone_since = self._alone_since or time.monotonic()
        return time.monotonic() - self._alone_since >= ALONE_SECONDS


@contextmanager
def left_running(what: str) -> Iterator[None]:
    """Ctrl-C says what it did not end."""
    try:
        yield
    except KeyboardInterrupt:
        raise KeyboardInterrupt(what) from None
