"""What MLflow does not have yet of a task, and sending it now instead of when the scheduler comes to it.

sending.unsent(task)        # numbers
sending.send(task)
"""

from minimind_platform.errors import ConflictError
from minimind_platform.reconciler import MlflowMirror
from minimind_platform.settings import Settings
from minimind_platform.store import Store
from minimind_platform.tasks import Task
from trainer.names import TaskFile
from trainer.spool import read_records

MOST_KEPT = 1_000
"""Tasks whose counts are remembered."""


class Sending:
    """Of all tasks."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self._settings = settings
        self._store = store
        self._counted: dict[str, tuple[int, int, int]] = {}  # task: offset, how far was counted from it, numbers

    def unsent(self, task: Task) -> int:
        """How many numbers a training has recorded that the tracking server has not acknowledged. Only what is new
        since the last call is read."""
        folder = self._settings.task_dir(task.id)
        spool, offset_file = folder / TaskFile.METRICS, folder / TaskFile.OFFSET
        offset = int(offset_file.read_text()) if offset_file.exists() else 0
        known, end, count = self._counted.get(task.id, (offset, offset, 0))
        if known != offset:
            end, count = offset, 0
        for record, end in read_records(spool, end):  # noqa: B007, B020 - the last end is kept
            count += len(record.get("values", ())) if record["kind"] == "metrics" else 0
        if len(self._counted) >= MOST_KEPT:
            self._counted.clear()
        self._counted[task.id] = (offset, end, count)
        return count

    def send(self, task: Task) -> int:
        """Send what MLflow does not have of a task that has ended, and its end; how many numbers that were.

        Raises:
            ConflictError: it has not ended: its trainer sends by itself; or somebody else sends at this moment.
            TrackingUnavailableError: the tracking server does not answer; nothing is lost.
        """
        if not task.ended:
            raise ConflictError(f"Task {task.name!r} is {task.state.lower()}; its trainer sends by itself.")
        count = self.unsent(task)
        MlflowMirror(self._settings).update(task)
        self._store.set_mirrored(task)
        return count
