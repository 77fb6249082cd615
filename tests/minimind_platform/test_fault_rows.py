"""Faults that no other file has: a reboot, a hang, locks, clocks, rivals, odd names; with real processes."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress

import psutil
import pytest
from scheduled import FAKE, LONG, Home
from stored import new
from waiting import gone, until

from minimind_platform.dispatcher import Dispatcher
from minimind_platform.errors import ConflictError
from minimind_platform.local_executor import LocalExecutor
from minimind_platform.runner import LINUX, write
from minimind_platform.service import Platform
from minimind_platform.store import ListQuery
from minimind_platform.tasks import ENDED, State

HOUR = 3600.0
IMPATIENT = """
import logging, sys
from pathlib import Path
from minimind_platform import database, scheduler
from minimind_platform.local_executor import LocalExecutor
from minimind_platform.settings import Settings
class NoMirror:
    def update(self, task): pass
database.LOCK_WAIT_SECONDS, scheduler.ERROR_PAUSE_SECONDS = 0.3, 0.2
settings = Settings(home=Path(sys.argv[1]))
logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
with scheduler.only_one(settings.mlruns_dir):
    scheduler.run_forever(settings, LocalExecutor(settings, lambda _: [sys.executable, sys.argv[2]]), NoMirror(), 0.05)
"""
RIVAL = """
import sys
from pathlib import Path
from minimind_platform.errors import PlatformError
from minimind_platform.scheduler import only_one
for _ in range(20):
    print("ready", flush=True)
    sys.stdin.readline()
    try:
        with only_one(Path(sys.argv[1])):
            print("works", flush=True)
            sys.stdin.readline()
    except PlatformError as error:
        print(error, flush=True)
        sys.stdin.readline()
"""


@pytest.mark.fault("reboot")
def test_a_task_that_ran_when_the_machine_was_restarted_is_lost_and_resumed(home):
    task_id = home.submit(steps=40, step_seconds=0.05)
    home.run(task_id, State.RUNNING)
    home.wait_for_step(task_id, 2)
    folder = home.settings.task_dir(task_id) / "attempt-1"
    record = json.loads((folder / "proc.json").read_text())
    os.kill(record["runner"], signal.SIGSTOP)  # all at once, as when the power goes
    os.kill(record["pid"], signal.SIGKILL)
    os.kill(record["runner"], signal.SIGKILL)
    until(lambda: gone(record["runner"]))
    write(folder / "proc.json", record | {"boot_id": "before", "runner": os.getpid(), "pid": os.getpid()})
    home.start_scheduler()
    task = home.run(task_id, State.FINISHED, State.FAILED)
    assert (task.state, task.attempt) == (State.FINISHED, 2)
    reasons = [event.reason for event in home.store.events(task_id)]
    assert "lost when the machine was restarted" in reasons
    records = [json.loads(line) for line in (folder.parent / "metrics.jsonl").read_text().splitlines()]
    assert [r["step"] for r in records if r["kind"] == "metrics"] == list(range(1, 41))


@pytest.mark.fault("trainer hangs")
def test_a_trainer_that_stands_still_can_be_stopped(tmp_path):
    home = Home(tmp_path, stop_grace_seconds=1)
    task_id = home.submit(**LONG)
    home.run(task_id, State.RUNNING)
    home.wait_for_step(task_id)
    pid = home.pid(task_id)
    os.kill(pid, signal.SIGSTOP)
    home.stop(task_id)
    task = home.run(task_id, State.STOPPED)
    assert "killed" in home.store.events(task.id)[-1].reason
    assert gone(pid) and home.store.leases() == {}
    home.store.close()


@pytest.mark.fault("database locked")
def test_a_locked_queue_delays_the_scheduler_and_loses_nothing(home):
    command = [sys.executable, "-c", IMPATIENT, str(home.settings.home), str(FAKE)]
    pipe = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    process = subprocess.Popen(command, env=os.environ | {"PYTHONUNBUFFERED": "1"}, **pipe)
    try:
        assert process.stdout
        task_id, second = home.submit(steps=40, step_seconds=0.05), home.submit()
        home.run(task_id, State.RUNNING, tick=False)
        ending = home.settings.task_dir(task_id) / "attempt-1" / "exit.json"
        with closing(sqlite3.connect(home.settings.mlruns_dir / "app.db", isolation_level=None)) as holder:
            holder.execute("BEGIN EXCLUSIVE")
            until(ending.exists)  # the training does not need the queue
            said = next(line for line in process.stdout if "does not answer" in line)
            assert "Try again" in said
            assert home.store.get(task_id).state is State.RUNNING  # and readers are served
            holder.execute("ROLLBACK")
        for one in (task_id, second):
            assert home.run(one, State.FINISHED, State.FAILED, tick=False).attempt == 1
            assert [move for move in home.moves(one) if move != "RUNNING"] == ["QUEUED", "STARTING", "FINISHED"]
        assert process.poll() is None
    finally:
        process.kill()
        process.communicate()


@pytest.mark.fault("clock jumps")
@pytest.mark.parametrize("jump", [HOUR, -HOUR])
def test_a_clock_that_jumps_disturbs_no_task(tmp_path, monkeypatch, jump):
    home = Home(tmp_path, cpu_slots=2)
    executor = LocalExecutor(home.settings, lambda _: [sys.executable, "-S", str(FAKE)])
    home.dispatcher = Dispatcher(home.settings, home.store, executor, pause_seconds=300)
    calm, lost = home.submit(steps=60, step_seconds=0.05), home.submit(do="die", at=2)
    home.run(calm, State.RUNNING)
    until(lambda: home.dispatcher.tick() and "LOST" in home.moves(lost))
    assert home.run(lost, State.QUEUED).attempt == 1  # its next attempt begins in minutes
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + jump)
    waiting = [home.submit(), home.submit()]
    for task_id in (calm, lost, *waiting):
        assert home.run(task_id, State.FINISHED, State.FAILED).state is State.FINISHED
    assert [home.store.get(task_id).attempt for task_id in (calm, lost, *waiting)] == [1, 2, 1, 1]
    assert home.store.leases() == {}
    home.store.close()


@pytest.mark.fault("two servers started at once")
def test_of_schedulers_that_start_at_once_one_works(tmp_path):
    command = [sys.executable, "-c", RIVAL, str(tmp_path / "mlruns")]
    rivals = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]

    def say_all():
        for rival in rivals:
            rival.stdin.write("go\n")
            rival.stdin.flush()

    def hear_all():
        return [rival.stdout.readline().strip() for rival in rivals]

    try:
        for _ in range(20):
            assert hear_all() == ["ready", "ready"]
            say_all()
            told = hear_all()
            assert told.count("works") == 1
            winner = rivals[told.index("works")]
            [refusal] = [one for one in told if one != "works"]
            assert f"process {winner.pid}" in refusal
            # the winner lets go before the next round begins: its answer to this is "ready"
            say_all()
    finally:
        for rival in rivals:
            rival.kill()
            rival.communicate()


@pytest.mark.fault("stop while starting or stopping, stop twice")
@pytest.mark.parametrize("state", [State.QUEUED, State.STARTING, State.RUNNING, State.STOPPING])
def test_ten_stops_at_once_are_one(home, state):
    task_id = home.submit(**LONG)
    if state is not State.QUEUED:
        home.dispatcher.tick()
    if state in (State.RUNNING, State.STOPPING):
        home.run(task_id, State.RUNNING)
        home.wait_for_step(task_id)
    platform = Platform(home.settings)
    if state is State.STOPPING:
        platform.stop(task_id)
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda _: platform.stop(task_id).state, range(10)))
    assert set(answers) <= {State.STOPPING, State.STOPPED}
    home.run(task_id, State.STOPPED)
    moves = home.moves(task_id)
    assert moves.count("STOPPING") <= 1 and moves.count("STOPPED") == 1
    assert home.store.leases() == {}


@pytest.mark.fault("delete of a running task")
def test_a_task_that_has_not_ended_is_not_deleted_in_any_state(home):
    platform = Platform(home.settings)
    task_id = home.submit(**LONG)

    def refused(state):
        assert home.store.get(task_id).state is state
        with pytest.raises(ConflictError):
            platform.delete(task_id)
        assert home.store.get(task_id).deleted_at is None

    home.dispatcher.tick()
    refused(State.STARTING)
    home.run(task_id, State.RUNNING)
    refused(State.RUNNING)
    home.stop(task_id)
    refused(State.STOPPING)
    home.run(task_id, State.STOPPED)
    assert home.settings.task_dir(task_id).is_dir()


@pytest.mark.fault("1000 queued tasks")
def test_a_thousand_tasks_are_claimed_once_each_and_in_their_turn(store):
    """Without processes: what it costs is measured in bench/, what it may not do is here."""
    first, *_ = ids = [store.add(new(priority=-100 if n == 0 else 0))[0].id for n in range(1000)]
    page = store.page(ListQuery(states=[State.QUEUED], limit=50, offset=900))
    assert (len(page.tasks), page.total) == (50, 1000)
    slots = {"cpu": [f"cpu:{n}" for n in range(1000)]}
    now = time.time()
    claimed = [store.claim(slots, now + n) for n in range(1000)]
    assert [task.id for task in claimed] == [*ids[1:], first]
    assert store.claim(slots, now) is None
    assert len(set(store.leases())) == 1000


@pytest.mark.skipif(not LINUX, reason="reads /proc")
@pytest.mark.fault("argument injection")
@pytest.mark.parametrize(
    "trick", ["--help", "-c", "; touch {0}", "$(touch {0})", "`touch {0}`", "| touch {0}", "a\n{0}"]
)
def test_what_a_person_typed_is_on_no_command_line_and_in_no_shell(home, tmp_path, trick):
    typed = trick.format(tmp_path / "canary")
    task_id = home.submit(name=typed, data_path=typed, save_weight=typed, steps=1000, step_seconds=0.05)
    home.run(task_id, State.RUNNING)
    home.wait_for_step(task_id)
    for pid in (home.pid(task_id), home.pid(task_id, "runner")):
        assert typed not in psutil.Process(pid).cmdline()
        assert str(tmp_path / "canary") not in " ".join(psutil.Process(pid).cmdline())
        assert typed not in psutil.Process(pid).environ().values()
    written = json.loads((home.settings.task_dir(task_id) / "config.json").read_text())
    assert written["config"]["save_weight"] == typed
    home.stop(task_id)
    home.run(task_id, *ENDED)
    assert not (tmp_path / "canary").exists()


@pytest.mark.fault("secrets in logs or params")
def test_tokens_of_the_platform_reach_no_trainer_and_no_file(home, monkeypatch):
    names = (
        "MINIMIND_DATABASE_URL", "MINIMIND_STUDY_URL", "MINIMIND_TRACKING_DATABASE_URL", "MINIMIND_WEBHOOK_URL",
        "MINIMIND_DATABASE_PASSWORD_FILE", "MLFLOW_BACKEND_STORE_URI", "HF_TOKEN", "AWS_SECRET_ACCESS_KEY",
        "OPENAI_API_KEY", "GITHUB_TOKEN",
    )  # fmt: skip
    for name in names:
        monkeypatch.setenv(name, f"canary-{name}")
    task_id = home.submit(**LONG)
    home.run(task_id, State.RUNNING)
    home.wait_for_step(task_id)
    trainer = psutil.Process(home.pid(task_id))
    assert not [value for value in trainer.environ().values() if "canary" in value]
    assert "canary" not in " ".join(trainer.cmdline())
    home.stop(task_id)
    home.run(task_id, State.STOPPED)
    folder = home.settings.task_dir(task_id)
    for path in (p for p in home.settings.home.rglob("*") if p.is_file()):
        with suppress(PermissionError):
            assert b"canary" not in path.read_bytes(), path
    assert (folder / "log.txt").stat().st_mode & 0o077 == 0
