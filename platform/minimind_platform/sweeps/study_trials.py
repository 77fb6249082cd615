"""A trial as its study knows it, and what we note on Optuna's."""

from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.trial import FrozenTrial
from optuna.trial import TrialState as Stage

from minimind_platform.sweeps.views import TrialState

STATES = {
    Stage.WAITING: TrialState.WAITING,
    Stage.RUNNING: TrialState.RUNNING,
    Stage.COMPLETE: TrialState.COMPLETE,
    Stage.PRUNED: TrialState.PRUNED,
    Stage.FAIL: TrialState.FAILED,
}


class Note(StrEnum):
    """What we note on a trial."""

    SETTINGS = "settings"
    """Written last when it is asked for: a running trial without it was not asked for to the end."""
    BY_HAND = "by_hand"
    REASON = "reason"
    DECIDED = "decided"
    """Why it shall be pruned."""


@dataclass(frozen=True)
class StudyTrial:
    """One trial as the study knows it."""

    number: int
    state: TrialState
    """WAITING also if the process died while it asked for it: the next one that asks gets it."""
    params: dict[str, Any]
    """What was chosen, plain values. With a function: what it asked Optuna for."""
    settings: dict[str, Any] = field(default_factory=dict)
    """What to train with, over the fixed values: the params, or what the function returned. Empty while it waits."""
    values: tuple[float, ...] = ()
    """One for each objective; of a pruned trial its newest report."""
    intermediate: dict[int, float] = field(default_factory=dict)
    """First objective by percent of the training."""
    started_at: float | None = None
    """When it was asked for, in seconds since 1970."""
    ended_at: float | None = None
    reason: str = ""
    """Why it was pruned, will be, or failed."""
    decided: bool = False
    """It runs, but shall be pruned."""
    excluded: bool = False
    feasible: bool = True
    by_hand: bool = False


def shown(trial: FrozenTrial, excluded: Container[int]) -> StudyTrial:
    """Optuna's trial as ours."""
    notes = trial.user_attrs
    return StudyTrial(
        number=trial.number,
        state=TrialState.WAITING if half_asked(trial) else STATES[trial.state],
        params=params_of(trial),
        settings=dict(notes.get(Note.SETTINGS, {})),
        values=tuple(trial.values or ()),
        intermediate=dict(sorted(trial.intermediate_values.items())),
        started_at=_seconds(trial.datetime_start),
        ended_at=_seconds(trial.datetime_complete),
        reason=str(notes.get(Note.REASON) or notes.get(Note.DECIDED) or ""),
        decided=Note.DECIDED in notes and trial.state == Stage.RUNNING,
        excluded=trial.number in excluded,
        feasible=all(value <= 0 for value in trial.constraints.values()),
        by_hand=bool(notes.get(Note.BY_HAND)),
    )


def half_asked(trial: FrozenTrial) -> bool:
    """Whether the process died while it asked for this trial."""
    return trial.state == Stage.RUNNING and Note.SETTINGS not in trial.user_attrs


def params_of(trial: FrozenTrial) -> dict[str, Any]:
    """What was chosen; of a trial that waits, what a person wants."""
    chosen = {name: clean(value, trial.distributions[name]) for name, value in trial.params.items()}
    if Note.SETTINGS in trial.user_attrs:
        return chosen
    return dict(trial.system_attrs.get("fixed_params", {})) | chosen


def clean(value: Any, searched: BaseDistribution) -> Any:
    """A value as a person writes it: Optuna gives 0.15000000000000002 as the third step of 0.05."""
    return round(value, 12) if isinstance(searched, FloatDistribution) and searched.step else value


def front(costs: Mapping[int, tuple[float, ...]]) -> list[int]:
    """Numbers of the trials that no other one beats in everything. Small costs are good."""
    kept: list[tuple[tuple[float, ...], int]] = []
    # One that beats another comes before it.
    for cost, number in sorted((cost, number) for number, cost in costs.items()):
        if not any(other != cost and all(map(float.__le__, other, cost)) for other, _ in kept):
            kept.append((cost, number))
    return sorted(number for _, number in kept)


def _seconds(time: datetime | None) -> float | None:
    return None if time is None else time.timestamp()
