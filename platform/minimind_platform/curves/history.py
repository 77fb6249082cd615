"""What curves need of the history that a tracking server keeps, from wherever it is read.

history.overview(run_id, "train/loss")
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from minimind_platform.curves.buckets import Buckets

Row = tuple[int, float | None, float]
"""Step, value (None where it is no number), and time in seconds since 1970."""


@dataclass(frozen=True)
class RunFacts:
    """What is known of a run, a task's or anybody's."""

    id: str
    name: str
    status: str
    """As MLflow shows it."""
    experiment_id: str
    started_at: float | None
    ended_at: float | None
    task_id: str | None
    """None for a run that others have logged."""
    params: dict[str, str] = field(default_factory=dict)
    deleted: bool = False


class History(Protocol):
    """The same for both ways to read. Errors: TrackingUnavailableError; NotFoundError where there is no such run."""

    def facts(self, run_id: str) -> tuple[RunFacts, list[str]]:
        """A run, and the keys of its metrics."""
        ...

    def overview(self, run_id: str, key: str) -> Buckets:
        """A whole curve."""
        ...

    def rows(self, run_id: str, key: str, begin: int) -> Iterable[Row]:
        """The points from a step on, in order."""
        ...

    def piece(self, run_id: str, key: str, begin: int, end: int) -> Buckets:
        """A curve from one step to another, as exact as `MOST_BUCKETS` allows."""
        ...
