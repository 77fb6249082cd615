"""A sweep's trials as people see them: what the study says of them together with their tasks.

views = trial_views(study.trials(), tasks)
"""

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from minimind_platform.sweeps.store import Summary
from minimind_platform.sweeps.views import Trial
from minimind_platform.tasks import Task

if TYPE_CHECKING:
    from minimind_platform.sweeps.study import StudyTrial


def summarise(trials: Sequence["StudyTrial"], best: Sequence[int], tasks: Iterable[Task]) -> Summary:
    """What lists and MLflow show."""
    values = {trial.number: tuple(trial.values) for trial in trials}
    counts = Counter(str(trial.state) for trial in trials)
    known = round(device_seconds(task for task in tasks if task.ended), 1)  # what runs would change it each moment
    return Summary(dict(sorted(counts.items())), tuple(best), tuple(values[number] for number in best), known)


def device_seconds(tasks: Iterable[Task]) -> float:
    """Time that trainings have had on their devices: of their last attempts, times their slots."""
    now = time.time()
    spans = ((task, task.started_at, task.ended_at or now) for task in tasks)
    return sum(max(0.0, end - begin) * _slots(task) for task, begin, end in spans if begin is not None)


def trial_views(trials: Sequence["StudyTrial"], tasks: Iterable[Task]) -> list[Trial]:
    """By number."""
    by_number = {task.trial: task for task in tasks}
    return [_view(trial, by_number.get(trial.number)) for trial in trials]


def _view(trial: "StudyTrial", task: Task | None) -> Trial:
    return Trial(
        number=trial.number,
        state=trial.state,
        params=trial.params,
        values=tuple(trial.values),
        intermediate=trial.intermediate,
        task_id=task.id if task else "",
        task_state=task.state if task else None,
        started_at=task.started_at if task else None,
        ended_at=task.ended_at if task else trial.ended_at,
        device=task.device if task else "",
        step=task.progress.step if task else 0,
        total_steps=task.progress.total_steps if task else 0,
        reason=trial.reason,
        excluded=trial.excluded,
        feasible=trial.feasible,
        by_hand=trial.by_hand,
    )


def _slots(task: Task) -> int:
    return task.device.count(",") + 1 if task.device else 1
