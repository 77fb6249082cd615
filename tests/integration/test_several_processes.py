"""A training of two processes through the real platform: queue, runner, launcher, tracking server."""

import os
import signal
import time

import psutil
import pytest

from minimind_platform import State
from minimind_platform.dispatcher import Dispatcher
from minimind_platform.local_executor import LocalExecutor, strays
from minimind_platform.replay import replay
from trainer.names import Env, Metric
from trainer.problems import cores
from trainer.spool import read_records

VALUES = {
    "data_path": "p.jsonl",
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "batch_size": 4,
    "accumulation_steps": 1,
    "epochs": 3,
    "device": "cpu",
    "num_processes": 2,
    "model_name": "by-two",
}
PATIENCE_SECONDS = 240


@pytest.mark.skipif(cores() < 2, reason="needs two processor cores")
@pytest.mark.fault("kill -9 launcher or one rank")
def test_a_task_of_two_processes_that_loses_one_goes_on_and_ends_in_the_registry(platform):
    settings = platform.settings
    task = platform.submit("pretrain", VALUES | {"save_interval": 20, "keep_checkpoints": 20})
    folder = settings.task_dir(task.id)
    dispatcher = Dispatcher(settings, platform._store, LocalExecutor(settings), pause_seconds=0.1)

    def losses():
        records = [r for r, _ in read_records(folder / "metrics.jsonl") if r["kind"] == "metrics"]
        return [record["step"] for record in records if Metric.LOSS in record["values"]]

    def tick_until(done):
        give_up = time.monotonic() + PATIENCE_SECONDS
        while not done():
            assert time.monotonic() < give_up, platform.task(task.id)
            dispatcher.tick()
            time.sleep(0.05)

    tick_until(lambda: len(losses()) >= 25)
    attempt = folder / "attempt-1"
    ranks = {p.environ().get(Env.RANK): p for p in strays(attempt)}
    assert {"0", "1"} <= ranks.keys()
    os.kill(ranks["1"].pid, signal.SIGKILL)
    tick_until(lambda: platform.task(task.id).ended)

    ended = platform.task(task.id)
    assert (ended.state, ended.attempt, ended.device) == (State.FINISHED, 2, "cpu:0")
    reasons = " ".join(event.reason for event in platform.events(task.id))
    assert "lost with one of its processes (Rank 1 of 2 was killed (SIGKILL)" in reasons
    assert losses() == list(range(1, ended.progress.total_steps + 1))
    assert not any(psutil.pid_exists(p.pid) and p.is_running() for p in ranks.values())
    assert platform._store.leases() == {}
    replay(ended, settings)  # what a busy machine did not send in time
    versions = platform.checkpoints(task.id)
    assert max(version.step for version in versions) == ended.progress.total_steps
    assert {"last", "best"} <= {alias for version in versions for alias in version.aliases}


def test_a_resume_by_force_is_marked_for_its_attempt_only(platform):
    task = platform.submit("pretrain", VALUES | {"num_processes": 1})
    platform.stop(task.id)
    mark = platform.settings.task_dir(task.id) / "attempt-1" / "force"
    assert platform.resume(task.id, force=True).state is State.QUEUED
    assert mark.is_file()
    platform.stop(task.id)
    platform.resume(task.id)
    assert not mark.exists()
