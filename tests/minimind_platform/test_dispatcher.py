"""How a task moves: its ends, its stops, its losses, its turn; with a fake trainer in real processes."""

import json
import os
import signal
import time

import pytest
from scheduled import LONG, Home

from minimind_platform.local_executor import strays
from minimind_platform.progress import ProgressReader
from minimind_platform.tasks import State

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


@pytest.mark.fault("stop while starting or stopping, stop twice")
def test_a_task_that_was_just_claimed_stops_without_having_run(home):
    task_id = home.submit(**LONG)
    home.store.claim({"cpu": ["cpu:0"]}, time.time())
    home.stop(task_id)
    home.run(task_id, State.STOPPED)
    assert home.log(task_id) == "" and home.store.leases() == {}


@pytest.mark.fault("stop while starting or stopping, stop twice")
def test_a_task_stops_while_it_starts(home):
    task_id = home.submit(**LONG)
    home.dispatcher.tick()
    home.stop(task_id)
    home.run(task_id, State.STOPPED)
    assert home.store.leases() == {}


@pytest.mark.fault("stop while starting or stopping, stop twice")
def test_a_queued_task_that_was_stopped_never_starts(home):
    task_id = home.submit()
    home.stop(task_id, State.STOPPED)
    home.dispatcher.tick()
    assert home.store.get(task_id).attempt == 0


@pytest.mark.fault("trainer hangs")
def test_a_trainer_that_does_not_listen_is_killed_after_the_grace(tmp_path):
    home = Home(tmp_path, stop_grace_seconds=1)
    task_id = home.submit(do="hang", **LONG)
    home.run(task_id, State.RUNNING)
    home.wait_for_step(task_id)
    home.stop(task_id)
    home.run(task_id, State.STOPPED, seconds=5)
    assert "killed" in home.store.events(task_id)[-1].reason


# losses


@pytest.mark.fault("kill -9 trainer")
def test_a_killed_trainer_is_resumed_by_itself(home):
    task = home.run(home.submit(do="die", at=3, step_seconds=0.3), State.FINISHED, State.FAILED)
    assert task.state is State.FINISHED and task.attempt == 2
    assert home.moves(task.id) == [
        "QUEUED", "STARTING", "RUNNING", "LOST", "QUEUED", "STARTING", "RUNNING", "FINISHED",
    ]  # fmt: skip
    assert "attempt 2 begins at step 2" in home.log(task.id)
    assert "memory" in home.store.events(task.id)[3].reason


@pytest.mark.fault("killed by the system for memory")
def test_two_attempts_without_a_new_step_are_enough(home):
    task = home.run(home.submit(do="die", at=1, always=True), State.FAILED)
    assert task.attempt == 2
    assert "killed by the system" in task.error and "Two attempts" in task.hint


@pytest.mark.fault("killed by the system for memory")
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
        give_up = time.monotonic() + 15
        while home.moves(task_id).count("LOST") < attempt:  # it may be in the queue too shortly to be seen there
            assert time.monotonic() < give_up
            home.dispatcher.tick()
    task = home.store.get(task_id)
    assert task.state is State.FAILED and task.attempt == 3
    assert "2 times" in task.hint


@pytest.mark.fault("kill -9 runner")
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


# failures that a change can cure


@pytest.mark.fault("CUDA out of memory")
def test_a_task_without_enough_memory_is_tried_with_less_at_once_and_its_attempts_are_kept(home):
    task = home.run(home.submit(do="out_of_memory", batch_size=8, accumulation_steps=1, fits=2), State.FINISHED)
    assert task.attempt == 3
    assert task.overrides == {"batch_size": 2, "accumulation_steps": 4}
    assert (task.config["batch_size"], task.config["accumulation_steps"]) == (8, 1)  # what the person chose
    told = [(e.attempt, e.error_class, e.overrides) for e in home.store.events(task.id) if e.error_class or e.overrides]
    assert told == [
        (1, "out_of_memory", {}),
        (1, "", {"batch_size": 4, "accumulation_steps": 2}),
        (2, "out_of_memory", {}),
        (2, "", {"batch_size": 2, "accumulation_steps": 4}),
    ]
    assert not task.error


@pytest.mark.fault("CUDA out of memory")
def test_a_task_that_can_run_with_no_less_fails_with_its_error(home):
    task = home.run(home.submit(do="out_of_memory", batch_size=2, accumulation_steps=1, fits=0), State.FAILED)
    assert (task.attempt, task.error, task.error_class) == (2, "Out of memory on the GPU.", "out_of_memory")
    assert task.hint == "Lower it."


@pytest.mark.fault("NaN or infinite loss")
def test_a_task_that_diverges_again_at_half_the_rate_fails(home):
    task = home.run(home.submit(do="diverged", learning_rate=1e-3, always=True), State.FAILED)
    assert task.attempt == 2 and task.overrides == {"learning_rate": 5e-4}
    assert task.error_class == "diverged"
    assert "learning_rate 0.0005, half of it" in " ".join(e.reason for e in home.store.events(task.id))


@pytest.mark.fault("kill -9 scheduler or web")
def test_a_scheduler_that_dies_in_between_tries_a_failed_attempt_again_all_the_same(home):
    task_id = home.submit(do="out_of_memory", batch_size=4, accumulation_steps=1, fits=2)
    home.dispatcher._after_loss = lambda *_: None  # as if it died between the two moves
    home.run(task_id, State.LOST)
    home.start_scheduler()
    assert home.run(task_id, State.FINISHED).overrides == {"batch_size": 2, "accumulation_steps": 2}


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
        "waits for its turn",
        "waits for cuda, which this machine does not have",
    ]
    home.stop(ids[0])
    home.run(ids[0], State.STOPPED)


# what a new scheduler finds, and what changes later


def test_a_gpu_that_is_found_later_is_used(home, monkeypatch):
    task_id = home.submit(device="cuda")
    home.dispatcher.tick()
    assert home.store.get(task_id).waits_for == "waits for cuda, which this machine does not have"
    monkeypatch.setattr(home.dispatcher._executor, "slots", lambda: {"cuda": ["cuda:0"]})
    assert home.run(task_id, State.FINISHED).device == "cuda:0"


@pytest.mark.fault("kill -9 scheduler or web")
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
