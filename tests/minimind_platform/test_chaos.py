"""Kills schedulers, runners and trainers at random times and checks what must hold whatever happens."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from minimind_platform.local_executor import lock_is_free
from minimind_platform.runner import COOKIE, LINUX
from minimind_platform.settings import Settings
from minimind_platform.store import ListQuery, NewTask, Store
from minimind_platform.tasks import ENDED, MOVES, State

FAKE = Path(__file__).with_name("fake_trainer.py")
TASKS, STEPS, SECONDS = 12, 25, 8
SCHEDULER = """
import sys
from pathlib import Path
from minimind_platform.local_executor import LocalExecutor
from minimind_platform.scheduler import only_one, run_forever
from minimind_platform.settings import Settings
class NoMirror:
    def update(self, task): pass
settings = Settings(home=Path(sys.argv[1]), cpu_slots=3, max_restarts=50, stop_grace_seconds=5)
with only_one(settings.mlruns_dir):
    run_forever(settings, LocalExecutor(settings, lambda _: [sys.executable, "-S", sys.argv[2]]), NoMirror(), 0.05)
"""


def start_scheduler(home):
    return subprocess.Popen([sys.executable, "-c", SCHEDULER, str(home), str(FAKE)], start_new_session=True)


def live_attempts(settings):
    return [folder for folder in settings.out_dir.glob("*/attempt-*") if not lock_is_free(folder)]


def kill_one(settings, who, dice):
    folders = live_attempts(settings)
    if not folders:
        return
    with suppress(FileNotFoundError, ProcessLookupError):
        record = json.loads((dice.choice(folders) / "proc.json").read_text())
        os.kill(record[who], signal.SIGKILL)


def check_now(settings):
    """No task has two live runners, and no more run than there are slots."""
    live = live_attempts(settings)
    assert len({folder.parent for folder in live}) == len(live)
    assert len(live) <= 3


def check_history(store, task):
    events = store.events(task.id)
    assert [event.before for event in events[1:]] == [event.after for event in events[:-1]]
    assert all(State(event.after) in MOVES[State(event.before)] for event in events[1:])
    assert task.version == len(events) - 1


def check_metrics(settings, task):
    records = [json.loads(line) for line in (settings.task_dir(task.id) / "metrics.jsonl").read_text().splitlines()]
    steps = [record["step"] for record in records if record["kind"] == "metrics"]
    assert steps == list(range(1, len(steps) + 1))
    assert task.state is not State.FINISHED or len(steps) == STEPS


def cookies(home):
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            found += [process] if str(home) in process.environ().get(COOKIE, "") else []
    return found


@pytest.mark.integration
@pytest.mark.skipif(not LINUX, reason="needs a child subreaper and PDEATHSIG")
@pytest.mark.parametrize("seed", [1])
@pytest.mark.fault("kill -9 scheduler or web")
def test_nothing_is_lost_or_doubled_whatever_is_killed(tmp_path, seed):
    dice = random.Random(seed)
    settings = Settings(home=tmp_path, cpu_slots=3)
    store = Store(settings.database)
    for number in range(TASKS):
        config = {"steps": STEPS, "step_seconds": 0.05}
        store.add(NewTask(f"{number:032x}", "", "sft", f"task {number}", "minimind", "1", config))
    scheduler = start_scheduler(tmp_path)
    give_up = time.monotonic() + 60
    chaos_until = time.monotonic() + SECONDS
    try:
        while any(not task.ended for task in store.page(ListQuery(limit=TASKS)).tasks):
            assert time.monotonic() < give_up, store.page().counts
            time.sleep(dice.uniform(0.02, 0.3))
            check_now(settings)
            if time.monotonic() > chaos_until:
                continue
            who = dice.choice(["pid", "pid", "pid", "runner", "runner", "runner", "scheduler", "pause"])
            if who == "scheduler":
                scheduler.kill()
                scheduler.wait()
                scheduler = start_scheduler(tmp_path)
            elif who == "pause":
                scheduler.send_signal(signal.SIGSTOP)
                time.sleep(0.3)
                scheduler.send_signal(signal.SIGCONT)
            else:
                kill_one(settings, who, dice)
        tasks = store.page(ListQuery(limit=TASKS)).tasks
        assert {task.state for task in tasks} <= ENDED - {State.STOPPED}
        assert store.leases() == {} and cookies(tmp_path) == []
        for task in tasks:
            check_history(store, task)
            check_metrics(settings, task)
    finally:
        scheduler.kill()
        scheduler.wait()
