"""The attempts of a task, each with its settings and how it ended, from the task's history.

for attempt in attempts_of(platform.events(task.id)):
    print(attempt.number, attempt.ending, attempt.error_class, attempt.overrides)
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from minimind_platform.tasks import ENDED, State, TaskEvent


@dataclass(frozen=True)
class Attempt:
    """One try at a task's training."""

    number: int
    """From 1."""
    began_at: float
    ended_at: float | None = None
    """None while it runs."""
    ending: str = ""
    """How it ended, a sentence; "" while it runs."""
    error_class: str = ""
    overrides: dict[str, Any] = field(default_factory=dict)
    """Settings that it had instead of those of the task."""


def attempts_of(events: Iterable[TaskEvent]) -> list[Attempt]:
    """All attempts, oldest first."""
    found: list[Attempt] = []
    overrides: dict[str, Any] = {}
    for event in events:
        overrides = event.overrides or overrides
        if event.after == State.STARTING:
            found.append(Attempt(event.attempt, event.at, overrides=overrides))
        elif found and found[-1].ended_at is None and (event.after in ENDED or event.after == State.LOST):
            found[-1] = replace(found[-1], ended_at=event.at, ending=event.reason, error_class=event.error_class)
    return found
