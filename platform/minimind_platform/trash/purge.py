"""Removes for good what is marked for it, task by task. A process of its own, so that it outlives tab and server.

    python -m minimind_platform.trash.purge HOME TRACKING_PORT

The row of a task goes last: whoever finds it finds what is left of the task. Each step may be done again, so this may
be killed between any two, and the next one goes on. Prints {"done", "total"} in bytes, and at its end what it did.
"""

import fcntl
import json
import shutil
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from minimind_platform.errors import PlatformError
from minimind_platform.settings import Settings
from minimind_platform.tasks import Task
from minimind_platform.tracking_client import TrackingClient
from minimind_platform.trash.runs import RunRemover
from minimind_platform.trash.sizes import freed, measure, places, weight_files
from minimind_platform.trash.store import TrashStore

LOCK = ".purge.lock"


class Purger:
    """Removes tasks and sweeps."""

    def __init__(self, settings: Settings, rows: TrashStore, say: Callable[[dict[str, Any]], None]) -> None:
        self._settings = settings
        self._rows = rows
        self._say = say
        self._runs = RunRemover(settings, TrackingClient(settings.tracking))
        self.removed = 0
        self.freed = 0
        self.remains: list[str] = []

    def run(self) -> None:
        """Remove all that is marked, and what is marked meanwhile.

        Raises:
            TrackingUnavailableError: the tracking server does not answer; what is left is left for the next time.
        """
        while True:
            tasks, sweeps = self._rows.marked()
            if not tasks and not sweeps:
                return
            total = self.freed + freed(measure(self._places(task)) for task in tasks)
            self._say({"done": self.freed, "total": total})
            for task in tasks:
                self.task(task)
                self._say({"done": self.freed, "total": max(total, self.freed)})
            for sweep in sweeps:
                self.sweep(sweep.id, sweep.name, sweep.experiment_id)

    def task(self, task: Task) -> None:
        """Remove one task: what others could begin to use first, what says that there is something to remove last."""
        gain = freed([measure(self._places(task))])
        self._runs.remove_versions(task.id)
        self._run(task.id, task.name, task.experiment_id)
        for path in weight_files(self._settings.out_dir).get(task.id, []):
            path.unlink(missing_ok=True)
        _remove_folder(self._settings.task_dir(task.id))
        self._rows.remove_task(task.id)
        self.removed += 1
        self.freed += gain

    def sweep(self, sweep_id: str, name: str, experiment_id: str) -> None:
        """Remove what is left of a sweep without its trials."""
        from minimind_platform.sweeps.study import Studies

        self._run(sweep_id, name, experiment_id)
        Studies(self._settings.studies).delete(sweep_id)
        self._rows.remove_sweep(sweep_id)
        self.removed += 1

    def _run(self, run_id: str, name: str, experiment_id: str) -> None:
        if remains := self._runs.remove(run_id):
            self.remains.append(f"{name}: {remains}.")
        if not self._settings.tracking_uri:  # the server leaves empty folders
            _remove_folder(self._settings.artifacts_dir / experiment_id / run_id)

    def _places(self, task: Task) -> list[Path]:
        return places(self._settings, task.id, task.experiment_id)


def _remove_folder(folder: Path) -> None:
    if folder.is_dir():
        shutil.rmtree(folder, ignore_errors=True)  # another process may remove or write a file meanwhile
    if folder.is_dir():
        shutil.rmtree(folder)


def main(home: str, tracking_port: str) -> int:
    from minimind_platform.store import Store

    settings = Settings.load(home=home, tracking_port=int(tracking_port))
    with (settings.out_dir / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one at a time; the next one finds what was marked too late for this one
        purger = Purger(settings, TrashStore(Store(settings.database).engine), lambda line: print(json.dumps(line)))
        try:
            purger.run()
        except (PlatformError, OSError) as error:
            hint = "What is left of it is removed when you go on."
            print(f"{str(error).rstrip('.')}. {purger.removed} removed. {hint}")
            return 1
    print(json.dumps({"removed": purger.removed, "freed": purger.freed, "remains": purger.remains}))
    return 0


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        sys.exit(main(*sys.argv[1:]))
