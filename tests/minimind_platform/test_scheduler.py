import json
import logging
import os
import signal
import subprocess
import sys
import time
from itertools import count
from pathlib import Path

import psutil
import pytest

from minimind_platform.dispatcher import Dispatcher
from minimind_platform.errors import NotFoundError, PlatformError, TrackingUnavailableError
from minimind_platform.local_executor import LocalExecutor, strays
from minimind_platform.progress import ProgressReader
from minimind_platform.reconciler import Reconciler
from minimind_platform.scheduler import only_one
from minimind_platform.settings import Settings
from minimind_platform.store import NewTask, Store
from minimind_platform.tasks import State

FAKE = Path(__file__).with_name("fake_trainer.py")
LONG = {"steps": 1000, "step_seconds": 0.05}
PROCESS = """
import logging, sys
from pathlib import Path
from minimind_platform.local_executor import LocalExecutor
from minimind_platform.scheduler import only_one, run_forever
from minimind_platform.settings import Settings
class NoMirror:
    def update(self, task): pass
settings = Settings(home=Path(sys.argv[1]))
logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stdout)
with only_one(settings.mlruns_dir):
    run_forever(settings, LocalExecutor(settings, lambda _: [sys.executable, sys.argv[2]]), NoMirror(), 0.05)
"""
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


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path)
    yield home
    for task in home.store.active():  # whatever a failed test has left
        for process in strays(home.settings.task_dir(task.id) / f"attempt-{task.attempt}"):
            process.kill()
    home.store.close()


# how a task ends


def test_a_task_trains_to_its_end(home):
    task = home.run(home.submit(), *{State.FINISHED, State.FAILED})
    assert task.state is State.FINISHED
    assert home.moves(task.id)[-1] == "FINISHED" and home.moves(task.id)[:2] == ["QUEUED", "STARTING"]
    assert (task.progress.step, task.progress.total_steps, task.progress.loss) == (5, 5, 4.0)
    assert home.store.leases() == {} and task.unsynced


def test_bad_settings_fail_with_the_words_of_the_trainer(home):
    task = home.run(home.submit(do="settings"), State.FAILED)
    assert (task.error, task.error_class, task.hint) == ("--epochs: too few", "settings", "Use more.")
    assert task.attempt == 1


def test_an_exception_without_a_result_fails_with_its_last_line(home):
    task = home.run(home.submit(do="raise"), State.FAILED)
    assert task.error == "RuntimeError: the tokenizer is missing"
    assert "log" in task.hint


def test_a_crash_is_named(home):
    task = home.run(home.submit(do="segfault"), State.FAILED)
    assert task.error == "The trainer crashed (SIGSEGV)."


def test_progress_tells_how_long_it_will_take(home):
    task_id = home.submit(steps=100, step_seconds=0.05)
    home.run(task_id, State.RUNNING)
    home.wait_for_step(task_id, 3)
    home.dispatcher._last_look = 0.0
    home.dispatcher.tick()
    progress = home.store.get(task_id).progress
    assert progress.step >= 3 and progress.total_steps == 100
    assert 3 < progress.seconds_left < 15
    home.stop(task_id)
    home.run(task_id, State.STOPPED)


# stopping


def test_a_running_task_stops_and_goes_on_where_it_stopped(home):
    task_id = home.submit(steps=30)
    home.run(task_id, State.RUNNING)
    home.wait_for_step(task_id)
    home.stop(task_id)
    stopped = home.run(task_id, State.STOPPED)
    assert 1 <= stopped.progress.step < 30
    home.store.move(stopped, State.QUEUED, "resumed by a person")
    task = home.run(task_id, State.FINISHED)
    assert task.attempt == 2
    assert f"attempt 2 begins at step {stopped.progress.step}" in home.log(task_id)


def test_a_task_that_was_just_claimed_stops_without_having_run(home):
    task_id = home.submit(**LONG)
    home.store.claim({"cpu": ["cpu:0"]}, time.time())
    home.stop(task_id)
    home.run(task_id, State.STOPPED)
    assert home.log(task_id) == "" and home.store.leases() == {}


def test_a_task_stops_while_it_starts(home):
    task_id = home.submit(**LONG)
    home.dispatcher.tick()
    home.stop(task_id)
    home.run(task_id, State.STOPPED)
    assert home.store.leases() == {}


def test_a_queued_task_that_was_stopped_never_starts(home):
    task_id = home.submit()
    home.stop(task_id, State.STOPPED)
    home.dispatcher.tick()
    assert home.store.get(task_id).attempt == 0


def test_a_trainer_that_does_not_listen_is_killed_after_the_grace(tmp_path):
    home = Home(tmp_path, stop_grace_seconds=1)
    task_id = home.submit(do="hang", **LONG)
    home.run(task_id, State.RUNNING)
    home.wait_for_step(task_id)
    home.stop(task_id)
    home.run(task_id, State.STOPPED, seconds=5)
    assert "killed" in home.store.events(task_id)[-1].reason


# losses


def test_a_killed_trainer_is_resumed_by_itself(home):
    task = home.run(home.submit(do="die", at=3), State.FINISHED, State.FAILED)
    assert task.state is State.FINISHED and task.attempt == 2
    assert home.moves(task.id) == [
        "QUEUED", "STARTING", "RUNNING", "LOST", "QUEUED", "STARTING", "RUNNING", "FINISHED",
    ]  # fmt: skip
    assert "attempt 2 begins at step 2" in home.log(task.id)
    assert "memory" in home.store.events(task.id)[3].reason


def test_two_attempts_without_a_new_step_are_enough(home):
    task = home.run(home.submit(do="die", at=1, always=True), State.FAILED)
    assert task.attempt == 2
    assert "killed by the system" in task.error and "Two attempts" in task.hint


def test_restarts_have_a_limit_even_with_progress(tmp_path):
    home = Home(tmp_path, max_restarts=2)
    task_id = home.submit(steps=100, step_seconds=0.02)
    for attempt in (1, 2, 3):
        home.run(task_id, State.RUNNING)
        home.wait_for_step(task_id, attempt)
        while home.store.get(task_id).attempt < attempt:
            home.dispatcher.tick()
        home.run(task_id, State.RUNNING)
        step = ProgressReader(home.settings.task_dir(task_id)).read().step
        home.wait_for_step(task_id, step + 1)
        os.kill(home.pid(task_id, attempt=attempt), signal.SIGKILL)
        home.run(task_id, State.QUEUED, State.FAILED)
    task = home.store.get(task_id)
    assert task.state is State.FAILED and task.attempt == 3
    assert "2 times" in task.hint


def test_a_killed_runner_loses_nothing_and_leaves_no_second_copy(home):
    task_id = home.submit(steps=40)
    home.run(task_id, State.RUNNING)
    home.wait_for_step(task_id)
    os.kill(home.pid(task_id, "runner"), signal.SIGKILL)
    task = home.run(task_id, State.FINISHED, State.FAILED)
    assert task.state is State.FINISHED and task.attempt == 2
    steps = [json.loads(line) for line in (home.settings.task_dir(task_id) / "metrics.jsonl").read_text().splitlines()]
    assert [r["step"] for r in steps if r["kind"] == "metrics"] == list(range(1, 41))


def test_files_that_vanish_are_a_loss_not_a_hang(home):
    task_id = home.submit(**LONG)
    home.run(task_id, State.RUNNING)
    home.wait_for_step(task_id)
    folder = home.settings.task_dir(task_id)
    (folder / "attempt-1").rename(folder / "gone")
    home.dispatcher.tick()
    assert home.store.get(task_id).state is State.RUNNING  # its processes are still there
    for process in strays(folder / "attempt-1"):
        process.kill()
    task = home.run(task_id, State.QUEUED)
    assert "LOST" in home.moves(task.id)
    home.stop(task_id, State.STOPPED)


# turns


def test_two_cpu_slots_run_two_tasks(tmp_path):
    home = Home(tmp_path, cpu_slots=2)
    ids = [home.submit(**LONG) for _ in range(3)]
    home.dispatcher.tick()
    assert [home.store.get(i).device for i in ids] == ["cpu:0", "cpu:1", ""]
    for task_id in ids[:2]:
        home.run(task_id, State.RUNNING)
        home.stop(task_id)
    home.stop(ids[2], State.STOPPED)
    for task_id in ids[:2]:
        home.run(task_id, State.STOPPED)


def test_waiting_tasks_say_why(home):
    ids = [home.submit(name="first", **LONG), home.submit(), home.submit(), home.submit(device="cuda")]
    home.dispatcher.tick()
    sentences = [home.store.get(i).waits_for for i in ids]
    assert sentences == [
        "",
        "waits for cpu:0, held by first",
        "position 2 in the queue",
        "waits for cuda, which this machine does not have",
    ]
    home.stop(ids[0])
    home.run(ids[0], State.STOPPED)


# the scheduler itself


def test_a_gpu_that_is_found_later_is_used(home, monkeypatch):
    task_id = home.submit(device="cuda")
    home.dispatcher.tick()
    assert home.store.get(task_id).waits_for == "waits for cuda, which this machine does not have"
    monkeypatch.setattr(home.dispatcher._executor, "slots", lambda: {"cuda": ["cuda:0"]})
    assert home.run(task_id, State.FINISHED).device == "cuda:0"


def test_a_new_scheduler_starts_what_the_last_one_only_claimed(home):
    task_id = home.submit()
    home.store.claim({"cpu": ["cpu:0"]}, time.time())
    home.start_scheduler()
    assert home.run(task_id, State.FINISHED).attempt == 1


def test_a_new_scheduler_settles_what_ended_meanwhile(home):
    task_id = home.submit()
    home.run(task_id, State.RUNNING, State.FINISHED)
    time.sleep(0.5)
    home.start_scheduler()
    home.dispatcher.tick()
    assert home.store.get(task_id).state is State.FINISHED


def test_a_slot_that_a_crash_left_taken_is_given_back(home):
    task = home.store.get(home.submit())
    home.store.claim({"cpu": ["cpu:0"]}, time.time())
    task = home.stop(task.id)
    with home.store._write() as connection:
        connection.exec_driver_sql("UPDATE lease SET task_id = 'somebody gone'")
    home.run(task.id, State.STOPPED)
    home.dispatcher._last_look = 0.0
    home.dispatcher.tick()
    assert home.store.leases() == {}


@pytest.fixture
def process(home):
    """Starts schedulers as processes of their own."""
    started = []

    def start():
        command = [sys.executable, "-c", PROCESS, str(home.settings.home), str(FAKE)]
        environment = os.environ | {"PYTHONUNBUFFERED": "1"}
        started.append(
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)
        )
        assert "ready" in started[-1].stdout.readline() or started[-1].wait(10)
        return started[-1]

    yield start
    for one in started:
        one.kill()
        one.communicate()


def test_a_task_outlives_its_scheduler_and_is_found_again(home, process):
    first = process()
    task_id = home.submit(steps=60, step_seconds=0.05)
    home.run(task_id, State.RUNNING, tick=False)
    home.wait_for_step(task_id)
    pid = home.pid(task_id)
    first.kill()
    first.wait()
    second = process()
    assert home.run(task_id, State.RUNNING, tick=False).attempt == 1
    home.stop(task_id)
    home.run(task_id, State.STOPPED, tick=False, seconds=5)
    assert not psutil.pid_exists(pid)
    assert home.log(task_id).count("begins") == 1
    second.terminate()
    assert second.wait(5) == 0


def test_a_task_that_ends_without_a_scheduler_is_settled_by_the_next(home, process):
    first = process()
    task_id = home.submit(steps=10, step_seconds=0.2)  # long enough to be seen while it runs
    home.run(task_id, State.RUNNING, tick=False)
    first.terminate()
    assert first.wait(5) == 0
    while not (home.settings.task_dir(task_id) / "attempt-1" / "exit.json").exists():
        time.sleep(0.05)
    assert home.store.get(task_id).state is State.RUNNING
    process()
    home.run(task_id, State.FINISHED, tick=False)


def test_a_second_scheduler_refuses_and_names_the_first(home, process):
    first = process()
    with pytest.raises(PlatformError, match=f"process {first.pid}"), only_one(home.settings.mlruns_dir):
        pass
    beat = json.loads((home.settings.mlruns_dir / "scheduler.json").read_text())
    assert beat["pid"] == first.pid and abs(beat["t"] - time.time()) < 10


# the mirror


class FakeMirror:
    def __init__(self):
        self.told = []
        self.error: Exception | None = None

    def update(self, task):
        if self.error:
            raise self.error
        self.told.append((task.name, task.state))


def test_the_mirror_is_told_the_newest_state_once(home):
    mirror = FakeMirror()
    reconciler = Reconciler(home.store, mirror)
    task_id = home.submit("first")
    home.run(task_id, State.FINISHED)
    reconciler.round()
    reconciler.round()
    assert mirror.told == [("first", State.FINISHED)]
    assert not home.store.get(task_id).unsynced


def test_while_the_server_is_away_tasks_stay_unsynced(home, caplog):
    mirror = FakeMirror()
    reconciler = Reconciler(home.store, mirror)
    task_id = home.submit()
    home.stop(task_id, State.STOPPED)
    mirror.error = TrackingUnavailableError()
    with caplog.at_level(logging.WARNING):
        for _ in range(5):
            reconciler.round()
    assert len(caplog.records) == 1  # says so once
    assert home.store.get(task_id).unsynced
    mirror.error = None
    reconciler.round()
    assert not home.store.get(task_id).unsynced


def test_a_run_that_is_gone_is_given_up_and_an_odd_one_is_tried_less_and_less(home):
    mirror, now = FakeMirror(), [0.0]
    reconciler = Reconciler(home.store, mirror, clock=lambda: now[0])
    home.submit()
    mirror.error = NotFoundError()
    reconciler.round()
    assert home.store.unmirrored() == []
    home.submit("odd")
    tries = []
    mirror.error = ValueError("refused")
    mirror.update = lambda task: tries.append(task) or (_ for _ in ()).throw(ValueError("refused"))
    for now[0] in range(100):
        reconciler.round()
    assert 4 <= len(tries) <= 7
