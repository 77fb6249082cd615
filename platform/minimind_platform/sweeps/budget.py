"""When a sweep ends, and when it pauses: pure decisions about its trials.

end_reason(sweep, trials, device_seconds)       # "" while it may go on
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from minimind_platform.moves import BY_PERSON
from minimind_platform.sweeps.views import OVER, Sweep, TrialState

if TYPE_CHECKING:
    from minimind_platform.sweeps.study import StudyTrial

QUICK_FAILURES = 3


def end_reason(sweep: Sweep, trials: Sequence["StudyTrial"], device_seconds: float) -> str:
    """Why no new trial shall begin; "" if one may. Trials that people added are made in any case."""
    spec = sweep.spec
    if any(trial.state is TrialState.WAITING and not trial.excluded for trial in trials):
        return ""
    if len(trials) >= spec.n_trials:
        return f"{spec.n_trials} trials were made"
    if spec.hours and sweep.spent_seconds >= spec.hours * 3600:
        return f"its {spec.hours:g} hours are over"
    if spec.device_hours and device_seconds >= spec.device_hours * 3600:
        return f"its trainings have used {spec.device_hours:g} hours on their devices"
    if spec.patience and (without := trials_without_gain(sweep, trials)) >= spec.patience:
        return f"{without} trials in a row gained nothing"
    return ""


def trials_without_gain(sweep: Sweep, trials: Sequence["StudyTrial"]) -> int:
    """Trials that have ended since the best was found, failures left out. 0 with several objectives."""
    objective, *others = sweep.spec.objectives
    if others:
        return 0
    best, without = None, 0
    for trial in _ended(trials):
        if trial.state is TrialState.FAILED or trial.excluded:
            continue
        value = objective.sign * trial.values[0] if trial.state is TrialState.COMPLETE and trial.feasible else None
        if value is not None and (best is None or value < best):
            best, without = value, 0
        elif best is not None:
            without += 1
    return without


def pause_reason(trials: Sequence["StudyTrial"], since: float) -> str:
    """Why a sweep shall start no more trials until a person has looked; "" if it may go on.

    Args:
        trials: all of them.
        since: when it was started or resumed last; what went wrong before does not count again.
    """
    if text := missing_metric(trials, since):
        return text
    failures = quick_failures(trials, since)
    if len(failures) < QUICK_FAILURES:
        return ""
    reasons = list(dict.fromkeys(trial.reason for trial in failures))
    told = reasons[0] if len(reasons) == 1 else f"the last: {reasons[-1]}"
    return f"{len(failures)} trials in a row failed before they reached anything; {told}"


def quick_failures(trials: Sequence["StudyTrial"], since: float) -> list["StudyTrial"]:
    """The last trials in a row that failed by themselves before the objective had a value."""
    row: list[StudyTrial] = []
    for trial in reversed(_ended(trials)):
        own = trial.state is TrialState.FAILED and trial.reason != BY_PERSON
        if not own or any(map(math.isfinite, trial.intermediate.values())) or (trial.ended_at or 0.0) < since:
            break
        row.insert(0, trial)
    return row


def missing_metric(trials: Sequence["StudyTrial"], since: float) -> str:
    """What the first trial to end says, if it ended well but without the objective."""
    ended = _ended(trials)
    if any(trial.state is TrialState.COMPLETE for trial in ended):
        return ""
    said = [t for t in ended if t.reason.startswith("It recorded no ") and (t.ended_at or 0.0) >= since]
    return f"Trial {said[0].number} was trained to its end. {said[0].reason}" if said else ""


def _ended(trials: Sequence["StudyTrial"]) -> list["StudyTrial"]:
    return sorted((t for t in trials if t.state in OVER), key=lambda t: (t.ended_at or 0.0, t.number))
