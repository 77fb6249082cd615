import json
import time

import pytest

from minimind_platform.executors import Ending
from minimind_platform.progress import ProgressReader
from minimind_platform.remedies import remedies_of
from minimind_platform.rows import Retries
from minimind_platform.settle import Rules, after_failure, after_loss, judge
from minimind_platform.store import Waiting
from minimind_platform.tasks import State, Task
from minimind_platform.waits import explain
from trainer.names import ErrorClass, Outcome

FINISHED, FAILED, STOPPED = Ending(Outcome.FINISHED), Ending(Outcome.FAILED, error="no"), Ending(Outcome.STOPPED)


@pytest.mark.parametrize(
    ("state", "ending", "to", "words"),
    [
        (State.RUNNING, FINISHED, State.FINISHED, "to its end"),
        (State.STOPPING, FINISHED, State.FINISHED, "to its end"),
        (State.RUNNING, FAILED, State.FAILED, "no"),
        (State.STOPPING, FAILED, State.STOPPED, "no"),
        (State.STOPPING, STOPPED, State.STOPPED, "saving a checkpoint"),
        (State.STOPPING, Ending(rc=137, signal=9, killed=True), State.STOPPED, "grace"),
        (State.STOPPING, Ending(), State.STOPPED, "before it could save"),
        (State.RUNNING, STOPPED, State.LOST, "from outside"),
        (State.RUNNING, Ending(rc=137, signal=9), State.LOST, "memory"),
        (State.RUNNING, Ending(rc=137), State.LOST, "memory"),
        (State.RUNNING, Ending(rc=143, signal=15), State.LOST, "SIGTERM"),
        (State.RUNNING, Ending(), State.LOST, "lost with its process"),
        (State.RUNNING, Ending(rebooted=True), State.LOST, "restarted"),
        (State.RUNNING, Ending(rc=139, signal=11), State.FAILED, "SIGSEGV"),
        (State.RUNNING, Ending(rc=1, last_words="KeyError: 'x'"), State.FAILED, "KeyError: 'x'"),
        (State.RUNNING, Ending(rc=0), State.FAILED, "exit code 0"),
        (State.STARTING, Ending(rc=2, last_words="no such file"), State.FAILED, "no such file"),
    ],
)
def test_what_becomes_of_a_task(state, ending, to, words):
    verdict = judge(state, ending)
    assert verdict.to is to
    assert words in verdict.reason


def test_pauses_double_up_to_ten_minutes():
    for restarts, seconds in ((0, 15), (1, 30), (2, 60), (9, 600)):
        verdict = after_loss(Retries(restarts, 0, 5), 6, "lost", Rules(max_restarts=10))
        assert verdict.to is State.QUEUED
        assert verdict.changes == {"restarts": restarts + 1, "fruitless": 0}
        assert 0.8 * seconds <= verdict.pause <= 1.2 * seconds


def test_a_task_that_gets_nowhere_is_given_up():
    assert after_loss(Retries(0, 0, 5), 5, "lost", Rules()).changes["fruitless"] == 1
    assert after_loss(Retries(1, 1, 5), 5, "lost", Rules()).to is State.FAILED
    assert after_loss(Retries(3, 0, 5), 9, "lost", Rules(max_restarts=3)).to is State.FAILED
    assert after_loss(Retries(0, 0, 5), 9, "lost", Rules(max_restarts=0)).to is State.FAILED


def test_progress_follows_the_spool_over_attempts_and_torn_lines(tmp_path):
    reader = ProgressReader(tmp_path)
    assert reader.read().step == 0
    records = [
        {"kind": "begin", "t": 0, "attempt": 1, "step": 0, "total_steps": 100, "epochs": 2},
        {"kind": "metrics", "t": 5_000, "step": 10, "values": {"train/loss": 3.0, "train/epoch": 0.2}},
        {"kind": "metrics", "t": 5_100, "step": 10, "values": {"eval/loss": 4.0}},
        {"kind": "metrics", "t": 5_200, "step": 10, "values": {"train/loss": None, "train/epoch": None}},
        {"kind": "begin", "t": 60_000, "attempt": 2, "step": 10, "total_steps": 100, "epochs": 2},
        {
            "kind": "metrics",
            "t": 70_000,
            "step": 20,
            "values": {"train/loss": 2.0, "train/reward": 0.5, "eval/reward": 0.25},
        },
    ]
    with (tmp_path / "metrics.jsonl").open("w") as spool:
        for record in records:
            line = json.dumps(record) + "\n"
            spool.write(line[:10])
            spool.flush()
            reader.read()
            spool.write(line[10:])
            spool.flush()
        spool.write("not json\n")
    progress = reader.read()
    assert (progress.step, progress.loss, progress.eval_loss, progress.epoch) == (20, 2.0, 4.0, 0.2)
    assert (progress.reward, progress.eval_reward) == (0.5, 0.25)
    assert progress.seconds_left == 80.0  # 80 steps at the one step a second of this attempt
    assert ProgressReader(tmp_path).read() == progress


def test_waiting_is_explained():
    slots = {"cpu": ["cpu:0", "cpu:1"]}
    line = [Waiting(str(n), f"task {n}", "auto", 1, 0.0, "") for n in range(3)]
    line += [Waiting("later", "later", "cpu", 2, 112.0, ""), Waiting("soon", "soon", "cpu", 1, 103.5, "")]
    line += [Waiting("gpu", "gpu", "cuda:3", 1, 0.0, "")]
    assert explain(line, slots, {"cpu:0": "a", "cpu:1": "b"}, now=100.0) == {
        "0": "waits for cpu:0 or cpu:1, held by a and b",
        "1": "waits for its turn",
        "2": "waits for its turn",
        "later": "next try in 15 s",
        "soon": "next try in 4 s",
        "gpu": "waits for cuda:3, which this machine does not have",
    }
    assert explain(line[:1], slots, {"cpu:0": "a"}, now=time.time()) == {"0": ""}


def test_waiting_for_several_gpus_is_explained():
    slots = {"cuda": ["cuda:0", "cuda:1", "cuda:2"]}
    line = [Waiting("two", "two", "auto", 2, 0.0, ""), Waiting("four", "four", "cuda", 4, 0.0, "")]
    assert explain(line, slots, {"cuda:0": "a", "cuda:1": "a"}, now=100.0) == {
        "two": "waits for 2 of cuda:0, cuda:1, cuda:2, held by a",
        "four": "waits for 4 GPUs, which this machine does not have",
    }
    assert explain(line[:1], slots, {"cuda:1": "a"}, now=100.0) == {"two": ""}


def test_a_training_that_lost_one_of_its_processes_is_tried_again():
    error = "Rank 1 of 2 was killed (SIGKILL), perhaps for lack of memory."
    ending = Ending(Outcome.FAILED, error=error, error_class=ErrorClass.KILLED, rc=1)
    verdict = judge(State.RUNNING, ending)
    assert verdict.to is State.LOST
    assert verdict.reason == f"lost with one of its processes ({error[:-1]})"
    assert judge(State.STOPPING, ending).to is State.STOPPED


def task_of(**values):
    config = {"batch_size": 12, "accumulation_steps": 1, "learning_rate": 1e-3, "num_processes": 1}
    overrides = values.pop("overrides", {})
    more = {name: values.pop(name) for name in ("sweep_id", "error_class") if name in values}
    return Task("ab", "first", "sft", State.LOST, config | values, 0.0, overrides=overrides, **more)


def failed(error_class, error="It went wrong."):
    return Ending(Outcome.FAILED, error=error, error_class=error_class, hint="Do something.")


@pytest.mark.parametrize(
    ("settings", "overrides"),
    [
        ({}, {"batch_size": 6, "accumulation_steps": 2}),
        ({"batch_size": 9}, {"batch_size": 3, "accumulation_steps": 3}),
        ({"batch_size": 2, "accumulation_steps": 5}, {"batch_size": 1, "accumulation_steps": 10}),
        ({"batch_size": 1}, {}),
        ({"num_processes": 6}, {"batch_size": 6, "accumulation_steps": 2}),
        ({"num_processes": 7}, {}),
        ({"retry_out_of_memory": False}, {}),
        ({"overrides": {"batch_size": 6, "accumulation_steps": 2}}, {"batch_size": 3, "accumulation_steps": 4}),
    ],
)
def test_with_too_little_memory_fewer_rows_go_at_once_and_as_many_into_a_step(settings, overrides):
    task = task_of(error_class="out_of_memory", **settings)
    verdict = judge(State.RUNNING, failed("out_of_memory"), remedies_of(task))
    assert verdict.to is (State.LOST if overrides else State.FAILED)
    assert verdict.changes["error_class"] == "out_of_memory"
    if overrides:
        again = after_failure(task, remedies_of(task))
        assert again.to is State.QUEUED and again.changes == {"overrides": overrides} and not again.pause
        assert f"batch_size {overrides['batch_size']} and accumulation_steps" in again.reason


@pytest.mark.parametrize(
    ("settings", "overrides"),
    [
        ({}, {"learning_rate": 5e-4}),
        ({"overrides": {"batch_size": 6}}, {"batch_size": 6, "learning_rate": 5e-4}),
        ({"overrides": {"learning_rate": 5e-4}}, {}),
        ({"retry_diverged": False}, {}),
        ({"sweep_id": "s1"}, {}),
    ],
)
def test_a_loss_that_broke_is_tried_at_half_the_rate_once(settings, overrides):
    task = task_of(error_class="diverged", **settings)
    verdict = judge(State.RUNNING, failed("diverged"), remedies_of(task))
    assert verdict.to is (State.LOST if overrides else State.FAILED)
    if overrides:
        assert after_failure(task, remedies_of(task)).changes == {"overrides": overrides}


@pytest.mark.parametrize("error_class", ["settings", "data", "data_changed", "base", "reward", "internal"])
def test_what_is_wrong_stays_wrong_and_is_not_tried_again(error_class):
    verdict = judge(State.RUNNING, failed(error_class, "rows.jsonl, line 3: no text."), remedies_of(task_of()))
    assert (verdict.to, verdict.reason) == (State.FAILED, "rows.jsonl, line 3: no text.")


@pytest.mark.fault("disk full at a checkpoint")
def test_a_full_disk_is_tried_again_after_a_pause_and_told_in_the_end():
    task = task_of(error_class="disk")
    ending = failed("disk", "The disk is full.")
    assert judge(State.RUNNING, ending, remedies_of(task)).to is State.LOST
    assert after_failure(task, remedies_of(task)) is None
    assert after_loss(Retries(0, 0, 5), 6, "", Rules(), ending).pause > 0
    given_up = after_loss(Retries(3, 0, 5), 6, "", Rules(), ending)
    assert (given_up.to, given_up.reason) == (State.FAILED, "The disk is full.")
    assert (given_up.changes["error_class"], given_up.changes["hint"]) == ("disk", "Do something.")
    assert judge(State.RUNNING, ending, remedies_of(task_of(retry_lost=False))).to is State.FAILED
