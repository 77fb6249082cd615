"""A training on real data that is killed ten times in ten ways ends as one that nothing disturbed."""

import hashlib
import json
import os
import shutil
import signal
import time

import pytest
from waiting import until

from chaos.world import VALUES, World
from minimind_platform import State
from minimind_platform.runner import LINUX
from trainer import fault_points

REAL = {
    "data_path": "dataset/pretrain_real.jsonl",
    "hidden_size": 32,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_seq_len": 128,
    "batch_size": 8,
    "max_steps": 120,
    "save_interval": 10,
    "eval_fraction": 0.02,
    "eval_interval": 40,
}
POINTS = ("saver.before_manifest", "saver.half_removed", "spool.after_record", "uploader.after_send")
PATIENCE_SECONDS = 120


class Victim:
    """The training that is killed."""

    def __init__(self, world, task):
        self.world, self.id = world, task.id

    @property
    def task(self):
        return self.world.platform.task(self.id)

    def send(self, number, *roles):
        """A signal to the trainer (`pid`), the runner, or both at once."""
        folder = self.world.settings.task_dir(self.id) / f"attempt-{self.task.attempt}"
        record = json.loads((folder / "proc.json").read_text())
        for role in roles:
            os.kill(record[role], number)

    def losses(self, key):
        return dict(self.world.history(self.id, key))

    def weights(self):
        folder = self.world.settings.task_dir(self.id) / "checkpoints" / f"step_{REAL['max_steps']:06d}"
        return hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()


def kill_scheduler(victim):
    victim.world.kill(victim.world.scheduler)
    victim.send(signal.SIGKILL, "pid")


def kill_tracking(victim):
    victim.world.kill(victim.world.tracking)
    victim.send(signal.SIGKILL, "pid")


def at(point):
    return lambda victim: fault_points.arm(victim.world.faults, point, "kill")


WAYS = {
    "the trainer is killed": lambda victim: victim.send(signal.SIGKILL, "pid"),
    "the trainer is told to end, from outside": lambda victim: victim.send(signal.SIGTERM, "pid"),
    "the runner is killed": lambda victim: victim.send(signal.SIGKILL, "runner"),
    "runner and trainer go at once": lambda victim: victim.send(signal.SIGKILL, "runner", "pid"),
    "the scheduler is killed, then the trainer": kill_scheduler,
    "the tracking server is killed, then the trainer": kill_tracking,
    **{f"killed at {point}": at(point) for point in POINTS},
}


@pytest.fixture
def world(tmp_path, free_port, real_data):
    made = World(tmp_path, free_port(), free_port())
    shutil.copy(real_data / "pretrain_real.jsonl", tmp_path / "dataset")
    yield made
    made.close()


@pytest.mark.integration
@pytest.mark.skipif(not LINUX, reason="needs a child subreaper and PDEATHSIG")
@pytest.mark.fault("kill -9 trainer", "kill -9 runner", "kill during a checkpoint")
def test_a_training_killed_ten_times_in_ten_ways_ends_as_one_that_nothing_disturbed(world):
    servers = (world.tracking, world.scheduler)
    until(lambda: world.keep_servers(*servers), PATIENCE_SECONDS, "the start of the servers")
    calm = Victim(world, world.platform.submit("pretrain", VALUES | REAL, name="calm"))
    victim = Victim(world, world.platform.submit("pretrain", VALUES | REAL, name="killed ten times"))
    assert len(WAYS) == 10
    for number, (way, harm) in enumerate(WAYS.items(), start=1):
        step = victim.task.progress.step
        until(lambda step=step: victim.task.progress.step > step + 2, PATIENCE_SECONDS, f"a step before {way}")
        assert victim.task.attempt == number
        harmed = time.time()
        harm(victim)

        def resumed(number=number):
            world.keep_servers(*servers)
            return victim.task.attempt == number + 1

        until(resumed, PATIENCE_SECONDS, f"attempt {number + 1}, after {way},")
        if number == 1:
            lost = next(event for event in world.platform.events(victim.id) if event.after == State.LOST)
            assert lost.at - harmed < 5
    for one in (victim, calm):
        until(lambda one=one: one.task.ended and not one.task.unsynced, PATIENCE_SECONDS, "the end")
        assert one.task.state is State.FINISHED, one.task.error
    assert [one["point"] for one in fault_points.fired(world.faults)] == list(POINTS)
    assert (victim.task.attempt, calm.task.attempt) == (11, 1)
    losses = victim.losses("train/loss")
    assert list(losses) == list(range(1, REAL["max_steps"] + 1))
    assert losses == calm.losses("train/loss")
    assert victim.losses("eval/loss") == calm.losses("eval/loss")
    assert victim.weights() == calm.weights()
