"""Keeps MLflow's view of each task true, in a thread of its own so that a slow server never holds up the queue.

    Reconciler(store, MlflowMirror(settings)).start()

It is told what our database says and never asked. For a task that has ended, what is missing of its metrics and
checkpoints goes there first, then its end.
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import Protocol

from minimind_platform.errors import NotFoundError, PlatformError, TrackingUnavailableError
from minimind_platform.replay import replay, send_files
from minimind_platform.settings import Settings
from minimind_platform.store import Store
from minimind_platform.tasks import RUN_STATUS, Task
from minimind_platform.tracking_client import TrackingClient
from trainer.names import Tag

log = logging.getLogger(__name__)

EVERY_SECONDS = 1.0
SHORTEST_PAUSE, LONGEST_PAUSE = 2.0, 15.0
LONGEST_TASK_PAUSE = 600.0


class RunDeletedError(PlatformError):
    """The MLflow run was deleted there; nothing can be written to it until it is restored."""


class Mirror(Protocol):
    """Where tasks are shown besides our own pages."""

    def update(self, task: Task) -> None:
        """Show the task as it is.

        Raises:
            TrackingUnavailableError: not now; try again.
            NotFoundError: there is nothing to write to, and never will be.
            Exception: this task cannot be shown now.
        """
        ...


class MlflowMirror:
    """MLflow's runs."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._tracking = TrackingClient(settings.tracking)

    def update(self, task: Task) -> None:
        run = self._tracking.get("runs/get", run_id=task.id)["run"]
        if run["info"].get("lifecycle_stage") == "deleted":
            raise RunDeletedError
        if task.ended and not send_files(task, self._settings, self._tracking, run["info"].get("artifact_uri", "")):
            replay(task, self._settings)
        tags = {Tag.STATE: task.state.value, Tag.ATTEMPT: str(task.attempt)}
        tags |= {Tag.TRIAL_STATE: task.trial_state} if task.trial_state else {}
        self._tracking.post("runs/log-batch", run_id=task.id, tags=[{"key": k, "value": v} for k, v in tags.items()])
        end = {"end_time": int(task.ended_at * 1000)} if task.ended and task.ended_at else {}
        self._tracking.post("runs/update", run_id=task.id, status=RUN_STATUS[task.state].value, **end)


class Reconciler(threading.Thread):
    """Tells the mirror about every move, sooner or later."""

    def __init__(
        self,
        store: Store,
        mirror: Mirror,
        clock: Callable[[], float] = time.monotonic,
        sweeps: Callable[[], None] = lambda: None,
    ) -> None:
        """Make it.

        Args:
            store: the queue.
            mirror: is told of tasks.
            clock: in seconds.
            sweeps: tells of sweeps what is not told yet.
        """
        super().__init__(name="reconciler", daemon=True)
        self._store = store
        self._mirror = mirror
        self._clock = clock
        self._sweeps = sweeps
        self._wake = threading.Event()
        self._pause = 0.0
        self._not_before: dict[str, tuple[float, float]] = {}  # task: when to try again, and the pause until then

    def poke(self) -> None:
        """Something has moved; do not wait for the next round."""
        self._wake.set()

    def run(self) -> None:
        while True:
            self._wake.wait(max(EVERY_SECONDS, self._pause))
            self._wake.clear()
            try:
                self.round()
            except Exception:  # the thread must live as long as the scheduler
                log.exception("The reconciler failed; it tries again in a moment.")
                self._pause = LONGEST_PAUSE

    def round(self) -> None:
        """Tell what can be told now."""
        for task in self._store.unmirrored():
            if self._not_before.get(task.id, (0.0, 0.0))[0] > self._clock():
                continue
            try:
                self._mirror.update(task)
            except TrackingUnavailableError as error:
                self._server_is_away(error)
                return
            except NotFoundError:
                log.warning("%s has no MLflow run any more; its %s is not shown there.", task.id[:8], task.state)
            except Exception as error:
                self._postpone(task, error)
                continue
            self._store.set_mirrored(task)
            self._not_before.pop(task.id, None)
            self._server_is_back()
        try:
            self._sweeps()
        except TrackingUnavailableError as error:
            self._server_is_away(error)

    def _server_is_back(self) -> None:
        if self._pause:
            log.info("The tracking server is back.")
            self._pause = 0.0

    def _server_is_away(self, error: Exception) -> None:
        if not self._pause:
            log.warning("%s Tasks go on; it is told later.", error)
        self._pause = min(LONGEST_PAUSE, max(SHORTEST_PAUSE, self._pause * 2))

    def _postpone(self, task: Task, error: Exception) -> None:
        pause = min(LONGEST_TASK_PAUSE, max(SHORTEST_PAUSE, self._not_before.get(task.id, (0.0, 0.0))[1] * 2))
        self._not_before[task.id] = (self._clock() + pause, pause)
        log.warning("MLflow was not told about %s yet, next try in %.0f s: %s", task.id[:8], pause, error)
