"""A task as everybody sees it, its states and the moves between them."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from trainer.names import RunStatus


class State(StrEnum):
    """Where a task stands. Only the moves in `MOVES` exist; the database refuses others."""

    QUEUED = "QUEUED"
    """Waits for its turn and for a free device."""
    STARTING = "STARTING"
    """Holds its device; the runner is being started."""
    RUNNING = "RUNNING"
    """Its trainer runs."""
    STOPPING = "STOPPING"
    """Was asked to stop; saves a checkpoint first."""
    LOST = "LOST"
    """Its attempt is over before its end, and may be tried again. Passes to QUEUED or FAILED at once."""
    FINISHED = "FINISHED"
    """Trained to its end."""
    FAILED = "FAILED"
    """Ended by an error; the task says which."""
    STOPPED = "STOPPED"
    """Ended by a person; can be resumed where it stopped."""


MOVES: dict[State, frozenset[State]] = {
    State.QUEUED: frozenset({State.STARTING, State.STOPPED, State.FAILED}),
    State.STARTING: frozenset({State.RUNNING, State.STOPPING, State.LOST, State.FAILED, State.QUEUED, State.FINISHED}),
    State.RUNNING: frozenset({State.STOPPING, State.FINISHED, State.FAILED, State.STOPPED, State.LOST}),
    State.STOPPING: frozenset({State.STOPPED, State.FINISHED, State.FAILED, State.LOST}),
    State.LOST: frozenset({State.QUEUED, State.FAILED, State.STOPPED}),
    State.FINISHED: frozenset(),
    State.FAILED: frozenset({State.QUEUED}),
    State.STOPPED: frozenset({State.QUEUED}),
}
ACTIVE = frozenset({State.STARTING, State.RUNNING, State.STOPPING, State.LOST})
ENDED = frozenset({State.FINISHED, State.FAILED, State.STOPPED})
RUN_STATUS: dict[State, RunStatus] = {
    State.QUEUED: RunStatus.SCHEDULED,
    State.STARTING: RunStatus.SCHEDULED,
    State.RUNNING: RunStatus.RUNNING,
    State.STOPPING: RunStatus.RUNNING,
    State.LOST: RunStatus.RUNNING,
    State.FINISHED: RunStatus.FINISHED,
    State.FAILED: RunStatus.FAILED,
    State.STOPPED: RunStatus.KILLED,
}
"""What MLflow shows for each state. Written there, never read back as truth."""


@dataclass(frozen=True)
class Progress:
    """How far a training is, from the newest records of its spool."""

    step: int = 0
    total_steps: int = 0
    """0 while not known yet."""
    epoch: float = 0.0
    epochs: int = 0
    loss: float | None = None
    eval_loss: float | None = None
    reward: float | None = None
    """Mean reward of the answers, of trainings by rewards."""
    eval_reward: float | None = None
    learning_rate: float | None = None
    tokens_per_second: float | None = None
    seconds_left: float | None = None
    """From the speed since this attempt began."""
    trend: tuple[float, ...] = ()
    """How the loss went, of trainings by rewards the reward: at most 32 means over equally many records each."""

    @property
    def fraction(self) -> float:
        """Share done, 0 to 1."""
        return min(1.0, self.step / self.total_steps) if self.total_steps else 0.0


@dataclass(frozen=True)
class Difference:
    """A setting in which a task differs from the one that it was made from."""

    name: str
    before: Any
    """None where the other task's type has no such setting; a long value is cut, ending in "…"."""
    after: Any


@dataclass(frozen=True)
class Task:
    """One requested training, from submit to end. Its id is the id of its MLflow run."""

    id: str
    name: str
    type: str
    state: State
    config: dict[str, Any]
    """Complete settings, defaults included."""
    created_at: float
    """Seconds since 1970, like all times here."""
    priority: int = 0
    """Higher goes first."""
    project: str = "minimind"
    """MLflow experiment."""
    experiment_id: str = ""
    started_at: float | None = None
    """Begin of the current or last attempt."""
    ended_at: float | None = None
    attempt: int = 0
    device: str = ""
    """Slots that it holds, or held last: `cpu:0`, `cuda:1`, `cuda:0,1`; "" before the first start."""
    waits_for: str = ""
    """Why a queued task is not started yet, for people; "" if it is next or not queued."""
    progress: Progress = field(default_factory=Progress)
    error: str = ""
    """One line: why it failed; "" if it did not."""
    error_class: str = ""
    hint: str = ""
    """The way out, when it failed."""
    parent_id: str = ""
    """Task that this one retries or was cloned from."""
    unsynced: bool = False
    """Its last metrics or its end are not in MLflow yet."""
    deleted_at: float | None = None
    purging_at: float | None = None
    """Since when it is being removed for good, which nothing undoes."""
    version: int = 0
    """Counts the moves; used to avoid lost updates."""
    sweep_id: str = ""
    """The sweep that it is a trial of; "" for none."""
    trial: int = -1
    """Its number in that sweep."""
    trial_state: str = ""
    """How it ended as a trial, a `TrialState`; "" while that is open."""
    archived_at: float | None = None
    """When it was put away from the usual lists."""
    differs: tuple[Difference, ...] = ()
    """Settings that are not those of its parent."""
    overrides: dict[str, Any] = field(default_factory=dict)
    """Settings that its attempts have instead of those in `config`, since one failed by them."""

    @property
    def ended(self) -> bool:
        """Whether it is in an end state."""
        return self.state in ENDED


@dataclass(frozen=True)
class TaskEvent:
    """One line of a task's history."""

    at: float
    attempt: int
    before: str
    """State before; "" for the first event."""
    after: str
    reason: str
    error_class: str = ""
    """Of an attempt that failed: why, an `ErrorClass`."""
    overrides: dict[str, Any] = field(default_factory=dict)
    """What was changed for the next attempt, if that differs from the one before."""


@dataclass(frozen=True)
class TaskPage:
    """One page of a list of tasks."""

    tasks: list[Task]
    total: int
    """Tasks that match the filter, on all pages."""
    counts: dict[str, int]
    """Tasks by state, over all that match the filter but for the state."""
    turns: dict[str, int] = field(default_factory=dict)
    """Place in the queue, from 1 on, of queued tasks by their id; those of other pages may be among them."""
