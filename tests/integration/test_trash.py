"""Removing tasks for good, with a real tracking server and its database: everything goes, and only that."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from minimind_platform import ConflictError, NotFoundError, Platform, Settings, State, Task
from minimind_platform.errors import TrackingUnavailableError
from minimind_platform.trash.keeper import TrashKeeper
from minimind_platform.trash.purge import Purger
from minimind_platform.trash.store import TrashStore
from minimind_platform.views import JobState
from trainer.spool import Spool
from trainer.uploads import Uploader

VALUES = {"data_path": "p.jsonl", "hidden_size": 64, "num_hidden_layers": 1}
VALUES |= {"num_attention_heads": 4, "num_key_value_heads": 2}
TABLES = ("runs", "metrics", "latest_metrics", "params", "tags")


@pytest.fixture
def platform(platform: Platform, tracking: Settings) -> Platform:
    """Our own tracking server, so its database is at its place."""
    (platform.settings.mlruns_dir / "tracking.db").symlink_to(tracking.mlruns_dir / "tracking.db")
    return platform


@pytest.fixture
def trained(platform: Platform, tracking: Settings) -> Callable[..., Task]:
    """Makes a task that has trained: metrics, a registered checkpoint of 100 kB with two names, a MiniMind file."""

    def train(name: str, state: State = State.FINISHED, **values: Any) -> Task:
        task = platform.submit("pretrain", VALUES | {"model_name": f"m-{name}"} | values, name=name)
        folder = platform.settings.task_dir(task.id)
        spool = Spool(folder)
        for step in range(1, 101):
            spool.metrics(step, {"train/loss": 1 / step})
        checkpoint = folder / "checkpoints" / "step_000100"
        checkpoint.mkdir(parents=True)
        (checkpoint / "model.safetensors").write_bytes(b"w" * 100_000)
        spool.write("checkpoint", step=100, path="checkpoints/step_000100", tags={"minimind.bytes": "9"}, best=True)
        spool.close()
        url, artifacts = tracking.tracking, platform.settings.artifacts_dir
        Uploader.for_task(folder, task.id, url, artifacts, f"m-{name}", task.experiment_id).finish()
        weights = platform.settings.out_dir / f"{name}_64.pth"
        weights.write_bytes(b"p" * 50_000)
        weights.with_suffix(".json").write_text(json.dumps({"task": task.id}))
        return ended(platform, task, state)

    return train


def ended(platform: Platform, task: Task, state: State) -> Task:
    if state is not State.QUEUED:
        claimed = platform._store.claim({"cpu": ["cpu:0"]}, time.time() + 1)
        assert claimed
        assert claimed.id == task.id
        task = platform._store.move(claimed, State.RUNNING, "its trainer runs")
        task = platform._store.move(task, state, "done")
    return task


def rows(tracking: Settings, task: Any) -> dict[str, int]:
    """Rows of MLflow's own tables about a run."""
    with sqlite3.connect(tracking.mlruns_dir / "tracking.db") as connection:
        found = {}
        for table in TABLES:
            query = f"SELECT count(*) FROM {table} WHERE run_uuid = ?"
            found[table] = connection.execute(query, [task.id]).fetchone()[0]
        query = "SELECT count(*) FROM model_versions WHERE run_id = ? AND current_stage != 'Deleted_Internal'"
        return found | {"versions": connection.execute(query, [task.id]).fetchone()[0]}


def on_disk(platform: Platform) -> int:
    """Bytes of all files of the home, each once."""
    found = {}
    for top in (platform.settings.out_dir, platform.settings.artifacts_dir.resolve()):
        for path in top.rglob("*"):
            status = path.lstat()
            if path.is_file() and ".jobs" not in path.parts:
                found[status.st_ino] = status.st_blocks * 512
    return sum(found.values())


def done(platform: Platform, job: Any, wait_until: Any) -> dict[str, Any]:
    wait_until(lambda: platform.job(job.id).state is not JobState.RUNNING, 60, "the removal")
    found = platform.job(job.id)
    assert found.state is JobState.DONE, found.error
    return found.result


def test_removing_frees_the_bytes_that_were_promised_and_every_row(
    platform: Platform, trained: Any, tracking: Settings, wait_until: Any, mlflow: Any
) -> None:
    kept, gone = trained("kept"), trained("gone")
    platform.delete(gone.id)
    page = platform.trash.page(wait=True)
    assert [(item.id, item.bytes) for item in page.items] == [(gone.id, page.bytes)]
    assert 150_000 < page.bytes < 400_000, "the checkpoint has two names, and counts once"
    assert all(rows(tracking, gone).values())
    before = on_disk(platform)

    result = done(platform, platform.trash.purge([gone.id]).job, wait_until)

    assert before - on_disk(platform) == page.bytes == result["freed"]
    assert not any(rows(tracking, gone).values())
    assert not platform.settings.task_dir(gone.id).exists()
    assert not list(platform.settings.artifacts_dir.glob(f"*/{gone.id}"))
    assert sorted(path.name for path in platform.settings.out_dir.glob("*_64.*")) == ["kept_64.json", "kept_64.pth"]
    assert platform._store.get(gone.id) is None
    assert platform._store.events(gone.id) == []
    found = mlflow("registered-models/search", filter="name%20LIKE%20%27m-%25%27", max_results=100)
    names = {model["name"] for model in found["registered_models"]}
    assert "m-kept" in names
    assert "m-gone" not in names, "nothing was left in it"
    assert all(rows(tracking, kept).values())
    assert platform.checkpoints(kept.id)[0].name == "m-kept"


STEPS = ["remove_versions", "remove", "weights", "folder", "rows"]


@pytest.mark.parametrize("last", STEPS)
def test_a_removal_that_was_killed_is_finished_by_the_next(
    platform: Platform, trained: Any, tracking: Settings, monkeypatch: Any, last: str
) -> None:
    """Killed after each of its steps in turn."""
    task = trained(f"killed-{last}".replace("_", "-"))
    platform.delete(task.id)
    store = TrashStore(platform._store.engine)
    store.mark([task.id], [])

    class KilledError(BaseException):
        pass

    def killed(*_: Any) -> None:
        raise KilledError

    purger = Purger(platform.settings, store, lambda _: None)
    if last == "remove":
        monkeypatch.setattr("minimind_platform.trash.purge.weight_files", killed)
    elif last == "remove_versions":
        monkeypatch.setattr(purger._runs, "remove", killed)
    elif last == "weights":
        monkeypatch.setattr("minimind_platform.trash.purge._remove_folder", killed)
    elif last == "folder":
        monkeypatch.setattr(store, "remove_task", killed)
    else:
        monkeypatch.setattr(purger, "_say", lambda line: line["done"] and killed())
    with pytest.raises(KilledError):
        purger.task(task) if last != "rows" else purger.run()
    monkeypatch.undo()
    if last != "rows":
        with pytest.raises(ConflictError, match="being removed for good"):
            platform.restore(task.id)
    Purger(platform.settings, TrashStore(platform._store.engine), lambda _: None).run()
    assert not any(rows(tracking, task).values())
    assert platform._store.get(task.id) is None
    assert not platform.settings.task_dir(task.id).exists()


def test_a_process_that_is_killed_leaves_what_going_on_finishes(
    platform: Platform, trained: Any, tracking: Settings, wait_until: Any
) -> None:
    tasks = [trained(f"many-{number}") for number in range(3)]
    for task in tasks:
        platform.delete(task.id)
    TrashStore(platform._store.engine).mark([task.id for task in tasks], [])
    command = [sys.executable, "-m", "minimind_platform.trash.purge", str(platform.settings.home)]
    process = subprocess.Popen([*command, str(tracking.tracking_port)], stdout=subprocess.PIPE)
    assert process.stdout
    process.stdout.readline()  # it has begun
    wait_until(lambda: len(platform.tasks(deleted=True).tasks) < 3, 60, "the first removal")
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    purge = platform.trash.go_on()
    if purge.job:  # unless it was too fast
        done(platform, purge.job, wait_until)
    assert platform.trash.page().total == 0
    assert not any(sum(rows(tracking, task).values()) for task in tasks)


def test_the_trash_is_emptied_by_itself_of_what_is_old_and_goes_on_where_it_was_interrupted(
    platform: Platform, trained: Any, wait_until: Any
) -> None:
    old, new, half = (trained(name) for name in ("old", "new", "half"))
    for task, days in ((old, 31), (new, 29), (half, 1)):
        platform.delete(task.id)
        platform._store.set_deleted(platform.task(task.id), time.time() - days * 86_400)
    TrashStore(platform._store.engine).mark([half.id], [])  # and then the one that removed it was killed

    def names() -> set[str]:
        TrashKeeper(platform.trash, 30).round()
        return {item.name for item in platform.trash.page().items}

    wait_until(lambda: names() == {"new"}, 60, "the removal of two of three")
    assert not (platform.settings.task_dir(old.id)).exists()
    TrashKeeper(platform.trash, 0).round()  # never
    assert platform.trash.page().purging == 0
    assert platform.restore(new.id).deleted_at is None


@pytest.mark.fault("delete of a running task")
def test_what_a_task_needs_that_has_not_ended_stays(platform: Platform, trained: Any, wait_until: Any) -> None:
    base, other = trained("base"), trained("other")
    version = platform.checkpoints(base.id)[0]
    path = str(platform.settings.task_dir(base.id) / "checkpoints" / "step_000100")
    (platform.settings.task_dir(base.id) / "checkpoints" / "step_000100" / "config.json").write_text("{}")
    add = platform._store.add
    from minimind_platform.store import NewTask

    def named(number: int, weight: str, parent: str = "") -> Task:
        values = {"from_weight": weight}
        return add(NewTask(f"{number:032x}", "", "sft", f"user {number}", "p", "1", values, 0, parent))[0]

    users = [
        named(1, f"models:/{version.name}/{version.version}"),
        named(2, path),
        named(3, str(platform.settings.out_dir / "base_64.pth")),
        named(4, "none", base.id),
        named(5, f"models:/{version.name}/{version.version + 1}"),
    ]
    found = platform.trash.dependents(base.id)
    assert {(one.name, one.need.value) for one in found} == {
        ("user 1", "weights"), ("user 2", "weights"), ("user 3", "weights"), ("user 4", "clone"),
    }  # fmt: skip
    for task in (base, other):
        platform.delete(task.id)
    with pytest.raises(ConflictError, match=r"'user 1' .queued. needs 'base'") as told:
        platform.trash.purge([base.id, other.id])
    assert "Stop these" in told.value.hint
    assert platform.restore(other.id).deleted_at is None, "nothing was begun"
    platform.delete(other.id)
    purge = platform.trash.empty()
    assert {one.name for one in purge.kept} == {"user 1", "user 2", "user 3"}
    done(platform, purge.job, wait_until)
    assert [item.name for item in platform.trash.page().items] == ["base"]
    for user in users:
        platform.stop(user.id)
    assert {one.ended for one in platform.trash.dependents(base.id)} == {True}
    done(platform, platform.trash.purge([base.id]).job, wait_until)
    assert platform.trash.page().total == 0


def test_without_the_tracking_server_nothing_is_half_done(platform: Platform, trained: Any, free_port: Any) -> None:
    task = trained("away")
    platform.delete(task.id)
    away = Platform(Settings(home=platform.settings.home, tracking_port=free_port()))
    assert not away.trash.page(wait=True).tracking
    with pytest.raises(TrackingUnavailableError):
        away.trash.purge([task.id])
    assert platform.restore(task.id).deleted_at is None
    platform.delete(task.id)
    rows_ = TrashStore(platform._store.engine)
    rows_.mark([task.id], [])  # the server went away between the question and the removal
    with pytest.raises(TrackingUnavailableError):
        Purger(away.settings, rows_, lambda _: None).run()
    assert (platform.settings.task_dir(task.id) / "checkpoints").is_dir()
    assert (platform.settings.out_dir / "away_64.pth").is_file()


def test_files_that_others_have_written_since_stay(platform: Platform, trained: Any) -> None:
    task = trained("twice")
    weights = platform.settings.out_dir / "twice_64.pth"
    os.utime(weights, (time.time() + 5, time.time() + 5))  # another task writes it now, its description comes next
    platform.delete(task.id)
    store = TrashStore(platform._store.engine)
    store.mark([task.id], [])
    Purger(platform.settings, store, lambda _: None).run()
    assert weights.is_file()


def test_a_server_elsewhere_loses_what_its_interface_allows_and_the_rest_is_told(
    platform: Platform, trained: Any, tracking: Settings
) -> None:
    task = trained("remote")
    platform.delete(task.id)
    store = TrashStore(platform._store.engine)
    store.mark([task.id], [])
    settings = Settings(home=platform.settings.home, tracking_uri=tracking.tracking)
    purger = Purger(settings, store, lambda _: None)
    purger.run()
    assert f"mlflow gc --run-ids {task.id}" in purger.remains[0]
    left = rows(tracking, task)
    assert left["versions"] == 0
    assert left["runs"] == 1
    assert not list(Path(tracking.artifacts_dir).glob(f"*/{task.id}/artifacts/*"))
    assert platform._store.get(task.id) is None


def test_a_trial_goes_alone_and_its_sweep_stays_told_then_all_of_it_goes(
    platform: Platform, trained: Any, tracking: Settings, wait_until: Any, mlflow: Any
) -> None:
    sweep = platform.sweeps.create("pretrain", VALUES, ["learning_rate"], name="gone soon", options={"n_trials": 2})
    study, tasks = platform.sweeps.study(sweep), []
    for loss in (3.0, 2.0):
        trial = study.ask()
        assert trial
        task = ended(platform, platform.submit_trial(sweep, trial.number, trial.settings), State.FINISHED)
        study.complete(trial.number, [loss])
        platform._store.set_trial_state(task, "COMPLETE")
        tasks.append(task)
    platform.delete(tasks[0].id)
    (item,) = platform.trash.page(wait=True).items
    assert [(one.name, one.need.value) for one in item.dependents] == [("gone soon", "sweep")]
    done(platform, platform.trash.purge([tasks[0].id]).job, wait_until)
    assert [(trial.number, trial.values, trial.task_id) for trial in platform.sweeps.trials(sweep.id)] == [
        (0, (3.0,), ""), (1, (2.0,), tasks[1].id),
    ]  # fmt: skip
    with pytest.raises(ConflictError, match="was removed for good"):
        platform.sweeps.promote(sweep.id, 0)

    platform.sweeps.delete(sweep.id)
    with pytest.raises(ConflictError, match="still being stopped and deleted"):
        platform.trash.purge([sweep.id])
    platform.delete(tasks[1].id)  # the scheduler's part
    (item,) = platform.trash.page(wait=True).items
    assert (item.kind, item.name, item.trials) == ("sweep", "gone soon", 1)
    done(platform, platform.trash.purge([sweep.id]).job, wait_until)
    assert platform.trash.page().total == 0
    assert not any(sum(rows(tracking, one).values()) for one in (*tasks, sweep))
    with pytest.raises(NotFoundError):
        platform.sweeps.get(sweep.id)
    again = platform.sweeps.create("pretrain", VALUES, ["learning_rate"], name="gone soon", options={"n_trials": 1})
    assert platform.sweeps.trials(again.id) == []
