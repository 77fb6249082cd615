"""Sweeps whose settings a function chooses: it lives in a person's program, so that program asks for the trials.

    asking = Asking(platform.sweeps, sweep.id, function)
    asking.fill(sweep)       # again and again, while the program lives

Queueing them, reporting, ending early and telling stay with the scheduler.
"""

import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from minimind_platform.sweeps.budget import end_reason
from minimind_platform.sweeps.views import Sweep, SweepState, TrialState

if TYPE_CHECKING:
    import optuna

    from minimind_platform.sweeps.service import Sweeps

Function = Callable[["optuna.Trial"], Mapping[str, Any]]
"""Takes an Optuna trial, returns the settings to train with."""


class Asking:
    """Keeps as many trials asked for as may run at once."""

    def __init__(self, sweeps: "Sweeps", sweep_id: str, function: Function | None) -> None:
        self.function = function
        self._sweeps = sweeps
        self._id = sweep_id
        self._warned = False

    def fill(self, sweep: Sweep) -> None:
        """Ask for trials while there is room and budget; nothing for a sweep that the scheduler asks for itself.

        Raises:
            Exception: whatever the function raises; its trial has failed.
        """
        if not sweep.spec.function or sweep.state is not SweepState.RUNNING or sweep.deleted_at is not None:
            return
        study = self._sweeps.study(sweep)
        trials = study.trials()
        if self.function is None:
            self._warn_if_nobody_asks(sweep, any(trial.state is TrialState.RUNNING for trial in trials))
            return
        while sum(trial.state is TrialState.RUNNING for trial in trials) < sweep.spec.parallel:
            if end_reason(sweep, trials, sweep.device_seconds):
                return
            study.ask(self.function)
            trials = study.trials()

    def _warn_if_nobody_asks(self, sweep: Sweep, busy: bool) -> None:
        if not busy and not self._warned:
            self._warned = True
            text = f"A function chooses the settings of sweep {sweep.name!r}; give it to run(), so that it goes on."
            warnings.warn(text, RuntimeWarning, stacklevel=5)
