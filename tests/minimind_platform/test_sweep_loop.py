"""The scheduler's part of sweeps, step by step: what it finds again when it was killed between any two of them."""

import json
import time

import pytest

from minimind_platform.errors import SettingsError, TrackingUnavailableError
from minimind_platform.rows import NewTask
from minimind_platform.settings import Settings
from minimind_platform.store import Store
from minimind_platform.sweeps.loop import SweepLoop
from minimind_platform.sweeps.spec import read_spec
from minimind_platform.sweeps.store import NewSweep, SweepStore
from minimind_platform.sweeps.study import Studies
from minimind_platform.sweeps.views import SweepState, TrialState
from minimind_platform.tasks import State
from trainer.errors import Problem

RUNNING, PAUSED, STOPPED, FINISHED = SweepState


class Queue:
    """Stands in for the platform: puts trials into the queue, or says why it cannot."""

    def __init__(self, settings, store):
        self.settings, self.store, self.error, self.deleted = settings, store, None, []

    def submit_trial(self, sweep, number, settings):
        if self.error:
            raise self.error
        key = f"sweep:{sweep.id}:{number}"
        config = dict(settings)
        new = NewTask(f"{number:032x}", key, "sft", key, "m", "1", config, sweep_id=sweep.id, trial=number)
        return self.store.add(new)[0]

    def discard_unqueued(self, sweep):
        pass

    def delete(self, id):  # noqa: A002
        self.deleted.append(id)
        return self.store.set_deleted(self.store.get(id), 1.0)


class Bench:
    """One sweep, and what a test does to it."""

    def __init__(self, folder):
        self.settings = Settings(home=folder)
        self.store = Store(self.settings.database)
        self.sweeps = SweepStore(self.store.engine)
        self.queue = Queue(self.settings, self.store)
        self.loop = SweepLoop(self.queue, self.store)

    def begin(self, **options):
        chosen = {"sampler": "random", "pruner": "none", "n_trials": 3, **options}
        spec = read_spec("sft", {"data_path": "x"}, ["learning_rate"], chosen)
        return self.sweeps.add(NewSweep("s" * 32, "", "one", "1", spec))[0].id

    def killed(self):
        """Another scheduler, which knows nothing but what is stored."""
        self.loop = SweepLoop(self.queue, self.store)

    def study(self):
        sweep = self.sweeps.get("s" * 32)
        return Studies(self.settings.studies).open(sweep.id, sweep.spec)

    def task(self, number):
        return self.store.trials("s" * 32)[number]

    def record(self, number, *losses, total=10):
        folder = self.settings.task_dir(self.task(number).id)
        folder.mkdir(parents=True, exist_ok=True)
        lines = [{"kind": "begin", "step": 0, "total_steps": total}]
        lines += [
            {"kind": "metrics", "step": step, "values": {"eval/loss": loss}}
            for step, loss in enumerate(losses, start=1)
        ]
        (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))

    def run(self, number):
        self.store.claim({"cpu": ["cpu:0", "cpu:1"], "cuda": []}, time.time() - 120)  # it began two minutes ago
        task = self.task(number)
        return self.store.move(task, State.RUNNING, "")

    def end(self, number, state=State.FINISHED, **facts):
        self.store.move(self.task(number), state, "", **facts)

    def states(self):
        return [str(trial.state) for trial in self.study().trials()]


@pytest.fixture
def bench(tmp_path):
    bench = Bench(tmp_path)
    yield bench
    bench.store.close()


def test_trials_are_asked_for_up_to_the_limit_and_told_when_they_end(bench) -> None:
    sweep = bench.begin(parallel=2)
    bench.loop.round()
    assert [task.trial for task in bench.store.trials(sweep)] == [0, 1] and bench.states() == ["RUNNING"] * 2
    bench.run(0)
    bench.record(0, 3.0, 2.0)
    bench.end(0)
    bench.loop.round()
    assert bench.states() == ["COMPLETE", "RUNNING", "RUNNING"] and bench.task(0).trial_state == "COMPLETE"
    now = bench.sweeps.get(sweep)
    assert (now.best, now.best_values, now.counts) == ((0,), ((2.0,),), {"COMPLETE": 1, "RUNNING": 2})
    for number in (1, 2):
        bench.run(number)
        bench.record(number, 1.0)
        bench.end(number)
    bench.loop.round()
    now = bench.sweeps.get(sweep)
    assert now.state is FINISHED and now.reason == "3 trials were made" and now.counts == {"COMPLETE": 3}


def test_a_trial_that_was_asked_for_but_not_queued_is_queued_by_the_next_scheduler(bench) -> None:
    sweep = bench.begin()
    bench.queue.error = TrackingUnavailableError()
    bench.loop.round()
    assert bench.store.trials(sweep) == [] and bench.states() == ["RUNNING"]
    chosen = bench.study().trials()[0].params
    bench.loop.round()  # it rests for a while
    bench.queue.error = None
    bench.killed()
    bench.loop.round()
    assert bench.states() == ["RUNNING"] and bench.task(0).config == chosen


def test_what_was_decided_before_a_crash_is_done_after_it(bench) -> None:
    bench.begin()
    bench.loop.round()
    bench.run(0)
    bench.record(0, 5.0)
    bench.study().decide(0, "others were better at this point")
    bench.killed()
    bench.loop.round()
    assert bench.task(0).state is State.STOPPING
    bench.end(0, State.STOPPED)
    bench.killed()
    bench.loop.round()
    trial = bench.study().trial(0)
    assert trial.state is TrialState.PRUNED and trial.values == (5.0,) and bench.task(0).trial_state == "PRUNED"


def test_a_trial_that_was_told_but_not_marked_is_marked_after_a_crash(bench) -> None:
    sweep = bench.begin(n_trials=1)
    bench.loop.round()
    bench.run(0)
    bench.end(0)
    bench.study().complete(0, [1.0])
    bench.killed()
    bench.loop.round()
    assert bench.task(0).trial_state == "COMPLETE" and bench.sweeps.get(sweep).state is FINISHED


def test_settings_that_cannot_be_trained_fail_and_pause_the_sweep(bench) -> None:
    sweep = bench.begin(n_trials=9)
    bench.queue.error = SettingsError([Problem("data_path", "missing", "There is no file x.")])
    for _ in range(4):
        bench.loop.round()
    now = bench.sweeps.get(sweep)
    assert now.state is PAUSED and now.counts == {"FAILED": 3} and "There is no file x." in now.reason


def test_what_a_person_stops_is_no_failure_that_pauses(bench) -> None:
    sweep = bench.begin(n_trials=4)
    for number in range(4):
        bench.loop.round()
        bench.store.move(bench.task(number), State.STOPPED, "stopped by a person")
    bench.loop.round()
    bench.loop.round()
    now = bench.sweeps.get(sweep)
    assert now.state is FINISHED and now.counts == {"FAILED": 4}


def test_a_trial_over_its_time_is_ended_and_no_solution(bench) -> None:
    sweep = bench.begin(max_minutes=1)
    bench.loop.round()
    bench.run(0)
    bench.record(0, 1.0)
    bench.loop.round()
    assert bench.task(0).state is State.STOPPING and "more than 1 minutes" in bench.study().trial(0).reason
    bench.end(0, State.STOPPED)
    bench.loop.round()
    trial = bench.study().trial(0)
    assert trial.state is TrialState.PRUNED and not trial.feasible and bench.sweeps.get(sweep).best == ()


def test_failures_from_outside_are_repeated_twice_and_then_count(bench) -> None:
    bench.begin(n_trials=1)
    for attempt in range(3):
        bench.loop.round()
        bench.run(0)
        bench.end(0, State.FAILED, error="The training was lost.", error_class="lost")
        bench.loop.round()
        assert bench.task(0).state is (State.QUEUED if attempt < 2 else State.FAILED)
    assert bench.states() == ["FAILED"]


def test_a_stopped_sweep_stops_its_tasks_and_a_resumed_one_lets_them_go_on(bench) -> None:
    sweep = bench.begin(parallel=2, n_trials=2)
    bench.loop.round()
    bench.run(0)
    bench.sweeps.move(bench.sweeps.get(sweep), STOPPED, "")
    bench.loop.round()
    assert [task.state for task in bench.store.trials(sweep)] == [State.STOPPING, State.STOPPED]
    bench.end(0, State.STOPPED)
    bench.loop.round()
    assert bench.states() == ["RUNNING", "RUNNING"]  # open: they are not over
    bench.sweeps.move(bench.sweeps.get(sweep), RUNNING, "")
    bench.killed()
    bench.loop.round()
    assert [task.state for task in bench.store.trials(sweep)] == [State.QUEUED, State.QUEUED]


def test_a_sweep_that_is_deleted_while_it_runs_takes_its_tasks_with_it(bench) -> None:
    sweep = bench.begin(parallel=2)
    bench.loop.round()
    bench.run(0)
    stopped = bench.sweeps.move(bench.sweeps.get(sweep), STOPPED, "")
    bench.sweeps.set_deleted(stopped, 1.0)
    bench.loop.round()
    bench.end(0, State.STOPPED)
    bench.loop.round()
    bench.loop.round()
    assert sorted(bench.queue.deleted) == [task.id for task in bench.store.trials(sweep)]
    assert bench.sweeps.to_attend() == []
