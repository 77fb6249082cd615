"""What a sweep and its trials look like from outside: plain values. Times are seconds since 1970.

sweep = platform.sweeps.get(id)
sweep.counts[TrialState.PRUNED], sweep.best
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from minimind_platform.errors import Problem
from minimind_platform.sweeps.space import Param
from minimind_platform.sweeps.spec import SweepSpec
from minimind_platform.tasks import State
from minimind_platform.views import Preflight


class SweepState(StrEnum):
    """Where a sweep stands."""

    RUNNING = "RUNNING"
    """Trials are started as slots get free."""
    PAUSED = "PAUSED"
    """No new trials, because something is wrong; those that run go on. `reason` says what."""
    STOPPED = "STOPPED"
    """Stopped by a person; its trials were stopped after saving a checkpoint."""
    FINISHED = "FINISHED"
    """Its budget is used, or nothing is gained any more. Can be extended."""


class TrialState(StrEnum):
    """Where a trial stands."""

    WAITING = "WAITING"
    """Added by a person, not started yet."""
    RUNNING = "RUNNING"
    """Its task is queued, runs, or is stopped together with its sweep."""
    COMPLETE = "COMPLETE"
    PRUNED = "PRUNED"
    """Stopped early, because others were better at that point."""
    FAILED = "FAILED"


OVER = frozenset({TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAILED})
"""A trial that has ended."""


@dataclass(frozen=True)
class Trial:
    """One training of a sweep."""

    number: int
    """From 0, in the order in which they were asked for."""
    state: TrialState
    params: dict[str, Any]
    """The searched settings."""
    values: tuple[float, ...] = ()
    """One for each objective; empty while there is none. Of a pruned trial the last that is known."""
    intermediate: dict[int, float] = field(default_factory=dict)
    """First objective by percent of the training done, 1 to 100."""
    task_id: str = ""
    """"" while it waits."""
    task_state: State | None = None
    started_at: float | None = None
    """When its task first got a device."""
    ended_at: float | None = None
    device: str = ""
    step: int = 0
    """Steps that were done."""
    total_steps: int = 0
    reason: str = ""
    """Why it was pruned, failed or does not count."""
    excluded: bool = False
    """A person said that it does not count."""
    feasible: bool = True
    """False if it took more memory or time than the sweep allows."""
    by_hand: bool = False
    """Its settings were chosen by a person."""

    @property
    def seconds(self) -> float | None:
        """From its start to its end, or None if it has not ended."""
        return None if self.started_at is None or self.ended_at is None else self.ended_at - self.started_at


@dataclass(frozen=True)
class Sweep:
    """One search over settings. Its id is the id of its parent run in MLflow."""

    id: str
    name: str
    state: SweepState
    spec: SweepSpec
    created_at: float
    experiment_id: str = ""
    ended_at: float | None = None
    """When it finished, stopped or was paused last; None while it runs."""
    reason: str = ""
    """Why it is paused, stopped or finished."""
    counts: dict[str, int] = field(default_factory=dict)
    """Trials by state; absent for none."""
    best: tuple[int, ...] = ()
    """Numbers of the best trials: with one objective one, with several all that no other one beats in everything."""
    best_values: tuple[tuple[float, ...], ...] = ()
    """Values of the best trials, in the same order."""
    spent_seconds: float = 0.0
    """Time in which it was running."""
    device_seconds: float = 0.0
    """Time of its trainings on their devices, added up."""
    unsynced: bool = False
    """MLflow has not been told yet how it stands."""
    deleted_at: float | None = None
    purging_at: float | None = None
    """Since when it is being removed for good, which nothing undoes."""
    version: int = 0

    @property
    def type(self) -> str:
        """The training type."""
        return self.spec.type

    @property
    def ended(self) -> bool:
        """Whether it starts no more trials by itself."""
        return self.state is not SweepState.RUNNING

    @property
    def done(self) -> int:
        """Trials that have ended."""
        return sum(self.counts.get(state, 0) for state in OVER)


@dataclass(frozen=True)
class SweepPage:
    """One page of a list of sweeps."""

    sweeps: list[Sweep]
    total: int
    """Sweeps that match, on all pages."""


@dataclass(frozen=True)
class SweepCheck:
    """What is wrong with a sweep, and what it would take."""

    problems: list[Problem]
    params: list[Param] = field(default_factory=list)
    """The search space, complete; those that are wrong are left out."""
    combinations: int | None = None
    """How many there are, if every setting has a fixed number of values."""
    preflight: Preflight | None = None
    """Of one trial, in the middle of the space."""
