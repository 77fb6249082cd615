"""Keeps the parent runs in MLflow true: how many trials there were, and which is the best.

SweepMirror(store, tracking).round()      # in the reconciler's thread
"""

from contextlib import suppress

from minimind_platform.errors import NotFoundError
from minimind_platform.store import Store
from minimind_platform.sweeps.parent_run import ParentRuns
from minimind_platform.sweeps.store import SweepStore
from minimind_platform.sweeps.views import Sweep
from minimind_platform.tracking_client import TrackingClient


class SweepMirror:
    """Tells MLflow about every change, sooner or later."""

    def __init__(self, store: Store, tracking: TrackingClient) -> None:
        self._tasks = store
        self._sweeps = SweepStore(store.engine)
        self._runs = ParentRuns(tracking)

    def round(self) -> None:
        """Tell what can be told now.

        Raises:
            TrackingUnavailableError: not now; try again.
        """
        for sweep in self._sweeps.unmirrored():
            params, task_id = self._best(sweep)
            with suppress(NotFoundError):  # somebody removed the run for good; the sweep lives all the same
                self._runs.update(sweep, params, task_id)
            self._sweeps.set_mirrored(sweep)

    def _best(self, sweep: Sweep) -> tuple[dict[str, object], str]:
        """Searched settings and task of the best trial."""
        tasks = {task.trial: task for task in self._tasks.trials(sweep.id)} if sweep.best else {}
        task = tasks.get(sweep.best[0]) if sweep.best else None
        if task is None:
            return {}, ""
        return {param.name: task.config[param.name] for param in sweep.spec.params}, task.id
