"""Sweeps on a real queue, scheduler and tracking server; only the trainings are quick curves."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from minimind_platform import ConflictError, Platform, Settings, SettingsError, State, SweepState, TrialState
from minimind_platform.home import prepare
from minimind_platform.local_executor import lock_is_free
from minimind_platform.supervisor import Supervisor

TRAINER = Path(__file__).with_name("curve_trainer.py")
SCHEDULER = """
import sys
from pathlib import Path
from minimind_platform.local_executor import LocalExecutor
from minimind_platform.reconciler import MlflowMirror
from minimind_platform.scheduler import only_one, run_forever
from minimind_platform.settings import Settings
class Told(MlflowMirror):  # sending what a trainer has written takes a process of its own, and has tests of its own
    def update(self, task):
        import minimind_platform.reconciler as reconciler
        reconciler.replay = lambda *_: None
        super().update(task)
settings = Settings(home=Path(sys.argv[1]), tracking_port=int(sys.argv[3]), cpu_slots=3, stop_grace_seconds=5)
with only_one(settings.mlruns_dir):
    executor = LocalExecutor(settings, lambda _: [sys.executable, "-S", sys.argv[2]])
    run_forever(settings, executor, Told(settings), 0.05, with_sweeps=True)
"""
FAST = {"max_steps": 10, "grad_clip": 2, "from_weight": "none", "device": "cpu", "hidden_size": 64}


@pytest.fixture
def values(platform):
    rows = '{"conversations": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}\n'
    path = platform.settings.data_dir / "s.jsonl"
    path.write_text(rows * 10, encoding="utf-8")
    return {"data_path": str(path), **FAST}


@pytest.fixture
def scheduler(platform):
    """Starts a scheduler; the one before is killed, if there is one."""
    running = []

    def start(kill: bool = False):
        if kill and running:
            running[-1].kill()
            running[-1].wait()
        home, port = str(platform.settings.home), str(platform.settings.tracking_port)
        running.append(subprocess.Popen([sys.executable, "-c", SCHEDULER, home, str(TRAINER), port]))
        return running[-1]

    yield start
    for process in running:
        if process.poll() is None:
            process.kill()
            process.wait()
    for folder in platform.settings.out_dir.glob("*/attempt-*"):
        kill_attempt(folder)


def kill_attempt(folder: Path) -> None:
    if not lock_is_free(folder) and (folder / "proc.json").exists():
        with suppress(ProcessLookupError):
            os.kill(json.loads((folder / "proc.json").read_text())["pid"], signal.SIGKILL)


def ended(platform: Platform, sweep_id: str):
    sweep = platform.sweeps.get(sweep_id)
    return sweep if sweep.ended else None


def test_no_trial_is_lost_or_doubled_whatever_is_killed(platform, values, scheduler, wait_until, mlflow):
    dice = random.Random(1)
    scheduler()
    options = {"n_trials": 14, "parallel": 3, "pruner": "none", "sampler": "random"}
    sweep = platform.sweeps.create("sft", values, ["learning_rate"], name="chaos", options=options)
    for _ in range(5):
        wait_until(lambda: platform.sweeps.get(sweep.id).counts.get(TrialState.RUNNING), 60, "a trial")
        folders = list(platform.settings.out_dir.glob("*/attempt-*"))
        if folders and dice.random() < 0.7:
            kill_attempt(dice.choice(folders))
        scheduler(kill=True)
    wait_until(lambda: ended(platform, sweep.id), 60, "the end of the sweep")
    sweep, trials = platform.sweeps.get(sweep.id), platform.sweeps.trials(sweep.id)
    assert sweep.state is SweepState.FINISHED and sweep.reason == "14 trials were made"
    assert [trial.number for trial in trials] == list(range(14))
    assert {trial.state for trial in trials} == {TrialState.COMPLETE}
    tasks = platform.tasks(words="chaos", limit=100).tasks
    assert sorted(task.id for task in tasks) == sorted(trial.task_id for trial in trials)
    assert {(task.state, task.trial_state) for task in tasks} == {(State.FINISHED, "COMPLETE")}
    best = min(trials, key=lambda trial: trial.values)
    assert sweep.best == (best.number,) and sweep.best_values == (best.values,)

    def parent():
        run = mlflow("runs/get", run_id=sweep.id)["run"]
        return run if run["info"]["status"] == "FINISHED" else None

    run = wait_until(parent, 60, "the parent run")
    metrics = {metric["key"]: metric["value"] for metric in run["data"]["metrics"]}
    tags = {tag["key"]: tag["value"] for tag in run["data"]["tags"]}
    assert metrics["sweep/best_value"] == pytest.approx(best.values[0]) and metrics["sweep/trials"] == 14
    assert tags["minimind.best_task"] == best.task_id and tags["minimind.state"] == "FINISHED"
    assert float(tags["best.learning_rate"]) == best.params["learning_rate"]
    nested = {"experiment_ids": [sweep.experiment_id], "filter": f"tags.`mlflow.parentRunId` = '{sweep.id}'"}
    assert {r["info"]["run_id"] for r in mlflow("runs/search", nested)["runs"]} == {t.task_id for t in trials}
    assert "search_space.json" in {file["path"] for file in mlflow("artifacts/list", run_id=sweep.id)["files"]}


def test_a_tracking_server_that_is_killed_on_the_way_costs_no_trial(tmp_path, values, free_port, wait_until):
    settings = Settings(home=tmp_path, tracking_port=free_port())
    prepare(settings)
    server = Supervisor(settings)._tracking()
    server.start()
    wait_until(server.ready, 60, "the start of the tracking server")
    platform = Platform(settings)
    options = {"n_trials": 8, "parallel": 2, "pruner": "none", "sampler": "random"}
    slower = values | {"grad_clip": 10}
    sweep = platform.sweeps.create("sft", slower, ["learning_rate"], name="cut off", options=options)
    command = [sys.executable, "-c", SCHEDULER, str(tmp_path), str(TRAINER), str(settings.tracking_port)]
    scheduler = subprocess.Popen(command)
    try:
        wait_until(lambda: platform.sweeps.get(sweep.id).done >= 2, 60, "the end of two trials")
        assert server.process
        os.killpg(server.process.pid, signal.SIGKILL)
        wait_until(lambda: server.ended() is not None, 10, "the end of the tracking server")
        open_ones = {t.number for t in platform.sweeps.trials(sweep.id) if t.state is TrialState.RUNNING and t.task_id}
        by_number = lambda: {t.number: t.state for t in platform.sweeps.trials(sweep.id)}  # noqa: E731
        told = lambda: all(by_number()[number] is TrialState.COMPLETE for number in open_ones)  # noqa: E731
        wait_until(told, 60, "the end of those that ran, without a tracking server")
        assert not platform.sweeps.get(sweep.id).ended  # the next ones wait for it
        server.start()
        wait_until(lambda: ended(platform, sweep.id), 90, "the end of the sweep")
        trials = platform.sweeps.trials(sweep.id)
        assert [t.state for t in trials] == [TrialState.COMPLETE] * 8 and len({t.task_id for t in trials}) == 8

        def synced():
            tasks = platform.tasks(words="cut off").tasks
            return not platform.sweeps.get(sweep.id).unsynced and not any(task.unsynced for task in tasks)

        wait_until(synced, 60, "MLflow to know all of it")
    finally:
        scheduler.kill()
        scheduler.wait()
        server.ask_to_stop()
        server.wait(time.monotonic() + 5)


def test_a_run_that_never_came_into_the_queue_is_cleared_away(platform, values, scheduler, wait_until, mlflow):
    sweep = platform.sweeps.create("sft", values, ["learning_rate"], options={"n_trials": 1, "pruner": "none"})
    parent = [{"key": "mlflow.parentRunId", "value": sweep.id}]
    half = mlflow("runs/create", {"experiment_id": sweep.experiment_id, "start_time": 1, "tags": parent})["run"]["info"]
    mlflow("runs/update", {"run_id": half["run_id"], "status": "SCHEDULED"})
    scheduler()
    wait_until(lambda: ended(platform, sweep.id), 60, "the end of the sweep")
    assert mlflow("runs/get", run_id=half["run_id"])["run"]["info"]["lifecycle_stage"] == "deleted"
    [trial] = platform.sweeps.trials(sweep.id)
    assert mlflow("runs/get", run_id=trial.task_id)["run"]["info"]["lifecycle_stage"] == "active"


def test_asha_ends_trials_early_and_saves_their_steps(platform, values, scheduler, wait_until, mlflow):
    scheduler()
    rates = {"learning_rate": [1e-3, 1e-2, 1e-4, 0.05, 2e-5, 0.3]}
    options = {"n_trials": 6, "sampler": "grid", "pruner": "asha", "first_stage": 10, "reduction": 2}
    sweep = platform.sweeps.create("sft", values | {"grad_clip": 20}, rates, options=options)
    wait_until(lambda: ended(platform, sweep.id), 60, "the end of the sweep")
    trials = platform.sweeps.trials(sweep.id)
    pruned = [trial for trial in trials if trial.state is TrialState.PRUNED]
    assert trials[0].state is TrialState.COMPLETE and platform.sweeps.get(sweep.id).best == (0,)
    assert len(pruned) >= 3 and all(trial.step < 10 and trial.reason for trial in pruned)
    assert {platform.task(trial.task_id).state for trial in pruned} == {State.STOPPED}

    def marked():
        run = mlflow("runs/get", run_id=pruned[0].task_id)["run"]
        return {"key": "minimind.trial_state", "value": "PRUNED"} in run["data"]["tags"]

    wait_until(marked, 60, "the mark of a pruned trial in MLflow")


@pytest.mark.parametrize(
    ("decay", "told"),
    [
        (0.5, "3 trials in a row failed before they reached anything; The loss of step 1 is not finite."),
        (0.6, "Trial 0 was trained to its end. It recorded no eval/loss. It recorded system/memory_mb, train/loss."),
        (0.7, "3 trials in a row failed before they reached anything; What it reached is not a number"),
    ],
    ids=["fails", "no metric", "nan"],
)
def test_a_sweep_that_goes_wrong_pauses_and_says_why(platform, values, scheduler, wait_until, decay, told):
    scheduler()
    changed = values | {"weight_decay": decay, "max_steps": 2}
    options = {"pruner": "none", "n_trials": 5}
    sweep = platform.sweeps.create("sft", changed, ["learning_rate"], options=options)
    wait_until(lambda: ended(platform, sweep.id), 60, "the pause")
    sweep = platform.sweeps.get(sweep.id)
    assert sweep.state is SweepState.PAUSED and sweep.reason.startswith(told)
    assert sweep.counts["FAILED"] == (1 if decay == 0.6 else 3)


def test_what_fails_from_outside_is_repeated_as_the_same_trial(platform, values, scheduler, wait_until):
    scheduler()
    sweep = platform.sweeps.create(
        "sft", values | {"grad_clip": 7, "max_steps": 2}, ["learning_rate"], options={"n_trials": 1}
    )
    wait_until(lambda: ended(platform, sweep.id), 60, "the end of the sweep")
    [trial] = platform.sweeps.trials(sweep.id)
    assert trial.state is TrialState.COMPLETE
    events = [event.reason for event in platform.events(trial.task_id)]
    assert "repeated by its sweep, because it failed for reasons outside of it" in events
    assert platform.task(trial.task_id).attempt > 4


def test_stop_resume_extend_delete_restore(platform, values, scheduler, wait_until):
    scheduler()
    slow = values | {"grad_clip": 60, "max_steps": 6}
    sweep = platform.sweeps.create("sft", slow, ["learning_rate"], name="one", options={"n_trials": 2, "parallel": 2})
    with pytest.raises(SettingsError, match="There is a sweep 'one' already"):
        platform.sweeps.create("sft", slow, ["learning_rate"], name="one")
    running = lambda: [t for t in platform.sweeps.trials(sweep.id) if t.task_state is State.RUNNING]  # noqa: E731
    wait_until(lambda: len(running()) == 2, 60, "two trials")
    platform.sweeps.stop(sweep.id)
    stopped = lambda: {t.task_state for t in platform.sweeps.trials(sweep.id)} == {State.STOPPED}  # noqa: E731
    wait_until(stopped, 60, "the stop of its trials")
    assert {trial.state for trial in platform.sweeps.trials(sweep.id)} == {TrialState.RUNNING}
    platform.sweeps.resume(sweep.id)
    wait_until(lambda: ended(platform, sweep.id), 60, "its end")
    trials = platform.sweeps.trials(sweep.id)
    assert len(trials) == 2 and {trial.state for trial in trials} <= {TrialState.COMPLETE, TrialState.PRUNED}
    with pytest.raises(ConflictError, match="extend it"):
        platform.sweeps.resume(sweep.id)
    platform.sweeps.extend(sweep.id, n_trials=1, parallel=1)
    added = platform.sweeps.add_trial(sweep.id, {"learning_rate": "1e-3"})
    assert added.by_hand and added.state in (TrialState.WAITING, TrialState.RUNNING)
    wait_until(lambda: platform.sweeps.get(sweep.id).done == 4 and ended(platform, sweep.id), 60, "the end of both")
    assert platform.sweeps.get(sweep.id).best == (added.number,)
    platform.sweeps.exclude(sweep.id, added.number)
    assert platform.sweeps.get(sweep.id).best != (added.number,)

    platform.sweeps.extend(sweep.id, n_trials=1)
    wait_until(lambda: len(running()) == 1, 60, "one more trial")
    platform.sweeps.delete(sweep.id)
    wait_until(lambda: platform.tasks(deleted=True).total == 5, 60, "the end of its tasks")
    assert platform.sweeps.page().total == 0 and platform.tasks().total == 0
    platform.sweeps.restore(sweep.id)
    assert platform.tasks().total == 5
    assert platform.sweeps.resume(sweep.id).state is SweepState.RUNNING
    wait_until(lambda: platform.sweeps.get(sweep.id).done == 5, 60, "the end of the one that was stopped")
