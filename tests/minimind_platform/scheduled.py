"""What tests of the scheduler have in common: an installation whose trainer does as it is told."""

import json
import sys
import time
from itertools import count
from pathlib import Path

from minimind_platform.dispatcher import Dispatcher
from minimind_platform.local_executor import LocalExecutor
from minimind_platform.progress import ProgressReader
from minimind_platform.settings import Settings
from minimind_platform.store import NewTask, Store
from minimind_platform.tasks import State

FAKE = Path(__file__).with_name("fake_trainer.py")
LONG = {"steps": 1000, "step_seconds": 0.05}
numbers = count()


class Home:
    """An installation with a fake trainer, whose scheduler runs step by step in this process."""

    def __init__(self, folder, **settings):
        self.settings = Settings(home=folder, **{"stop_grace_seconds": 5} | settings)
        self.store = Store(self.settings.database)
        self.start_scheduler()

    def start_scheduler(self):
        executor = LocalExecutor(self.settings, lambda _: [sys.executable, "-S", str(FAKE)])
        self.dispatcher = Dispatcher(self.settings, self.store, executor, pause_seconds=0.05)

    def submit(self, name="", priority=0, **config):
        number = next(numbers)
        config = {"device": "auto"} | config
        new = NewTask(f"{number:032x}", "", "sft", name or f"task {number}", "minimind", "1", config, priority)
        return self.store.add(new)[0].id

    def run(self, task_id, *states, tick=True, seconds=15.0):
        """Let the scheduler work until the task is in one of these states."""
        give_up = time.monotonic() + seconds
        while (task := self.store.get(task_id)).state not in states:
            assert time.monotonic() < give_up, f"still {task}"
            if tick:
                self.dispatcher.tick()
            time.sleep(0.02)
        return task

    def stop(self, task_id, to=State.STOPPING):
        return self.store.move(self.store.get(task_id), to, "stopped by a person")

    def moves(self, task_id):
        return [event.after for event in self.store.events(task_id)]

    def log(self, task_id):
        path = self.settings.task_dir(task_id) / "log.txt"
        return path.read_text() if path.exists() else ""

    def pid(self, task_id, name="pid", attempt=1):
        return json.loads((self.settings.task_dir(task_id) / f"attempt-{attempt}" / "proc.json").read_text())[name]

    def wait_for_step(self, task_id, step=1):
        reader = ProgressReader(self.settings.task_dir(task_id))
        give_up = time.monotonic() + 15
        while reader.read().step < step:
            assert time.monotonic() < give_up
            time.sleep(0.02)
