"""Waiting for tasks and following them, with a real queue and real records, but no trainer."""

import math
import threading
import time
import warnings
from itertools import count

import pytest

from minimind_platform import ModelVersion, NotFoundError, Platform, Settings, State, patience
from minimind_platform.errors import DatabaseUnavailableError, TrackingUnavailableError
from minimind_platform.runs import Runs
from minimind_platform.store import NewTask
from trainer.spool import Spool

numbers = count(1)


@pytest.fixture(autouse=True)
def at_work(monkeypatch):
    """As if a scheduler worked, and nobody waits long."""
    monkeypatch.setattr(Platform, "scheduler_alive", lambda self: True)
    monkeypatch.setattr("minimind_platform.runs.FRESH_SECONDS", -1.0)


@pytest.fixture
def platform(tmp_path):
    return Platform(Settings(home=tmp_path))


def add(platform, name="first", **config):
    id = f"{next(numbers):08x}" * 4  # noqa: A001
    folder = platform.settings.task_dir(id)
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    values = {"device": "auto", "learning_rate": 1e-4} | config
    return platform._store.add(NewTask(id, id, "sft", name, "minimind", "1", values, 0))[0]


def end(platform, task, state=State.STOPPED):
    return platform._store.move(platform.task(task.id), state, "test")


def test_wait_gives_the_task_as_it_ended(platform):
    task = add(platform)
    later = threading.Timer(0.05, end, (platform, task, State.FAILED))
    later.start()
    assert platform.wait(task.id[:8], poll=0.01).state is State.FAILED
    later.join()


def test_wait_for_several_keeps_their_order(platform):
    tasks = [add(platform), add(platform)]
    for task in reversed(tasks):
        end(platform, task)
    assert [task.id for task in platform.wait([task.id for task in tasks])] == [task.id for task in tasks]
    assert platform.wait([]) == []


def test_a_timeout_names_what_goes_on(platform):
    first, second = add(platform, "first"), add(platform, "second")
    end(platform, first)
    with pytest.raises(TimeoutError, match=f"{second.id[:8]} second .QUEUED. after 0 s. Nothing was stopped") as caught:
        platform.wait([first.id, second.id], timeout=0)
    assert "first" not in str(caught.value)


def test_there_must_be_such_a_task(platform):
    with pytest.raises(NotFoundError):
        platform.wait("abcdef")
    with pytest.raises(NotFoundError):
        next(platform.follow("abcdef"))


def test_ctrl_c_says_that_the_tasks_go_on(platform, monkeypatch):
    task = add(platform)
    monkeypatch.setattr(patience.time, "sleep", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt, match="go on"):
        platform.wait(task.id)
    with pytest.raises(KeyboardInterrupt, match=f"{task.id[:8]} goes on"):
        list(platform.follow(task.id))
    assert platform.task(task.id).state is State.QUEUED


def test_a_wait_without_a_scheduler_is_not_silent(platform, monkeypatch):
    monkeypatch.setattr(Platform, "scheduler_alive", lambda self: False)
    monkeypatch.setattr(patience, "ALONE_SECONDS", 0.0)
    task = add(platform)
    with pytest.warns(RuntimeWarning, match="minimind up") as told, pytest.raises(TimeoutError):
        platform.wait(task.id, timeout=0.05, poll=0.01)
    assert len(told) == 1


def test_a_scheduler_on_another_machine_is_not_missed(platform, tmp_path, monkeypatch):
    monkeypatch.setattr(Platform, "scheduler_alive", lambda self: False)
    monkeypatch.setattr(patience, "ALONE_SECONDS", 0.0)
    task = add(platform)
    elsewhere = Platform(Settings(home=tmp_path / "away", database_url=platform.settings.database))
    with warnings.catch_warnings(), pytest.raises(TimeoutError):
        warnings.simplefilter("error")
        elsewhere.wait(task.id, timeout=0.02, poll=0.01)


def test_a_database_that_comes_back_ends_no_wait(platform, monkeypatch):
    task = end(platform, add(platform))
    answers = iter([DatabaseUnavailableError(), task])

    def look():
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    watch = patience.Watch(platform)
    assert watch.ask(look) is None
    assert watch.ask(look) == task
    monkeypatch.setattr(patience, "AWAY_SECONDS", -1.0)
    with pytest.raises(TrackingUnavailableError):
        watch.ask(lambda: (_ for _ in ()).throw(TrackingUnavailableError()))


def test_follow_gives_old_and_new_records_until_the_end(platform):
    task = add(platform)
    spool = Spool(platform.settings.task_dir(task.id))
    spool.write("begin", step=0, total_steps=3)
    spool.metrics(1, {"train/loss": 3.0, "train/learning_rate": 0.1})
    points = platform.follow(task.id, ["train/loss", "eval/loss"], poll=0.01)
    first = next(points)
    assert (first.step, first.values) == (1, {"train/loss": 3.0})
    assert abs(first.time - time.time()) < 5
    spool.metrics(2, {"train/grad_norm": 1.0})  # none of them
    spool.metrics(2, {"eval/loss": math.nan})
    second = next(points)
    assert second.step == 2
    assert math.isnan(second.values["eval/loss"])
    spool.metrics(3, {"train/loss": 2.0})
    end(platform, task)
    assert [point.values for point in points] == [{"train/loss": 2.0}]
    assert len(list(platform.follow(task.id))) == 4


def test_history_is_one_row_a_step(platform):
    task = add(platform)
    spool = Spool(platform.settings.task_dir(task.id))
    for step in (1, 2, 3):
        spool.metrics(step, {"train/loss": 4.0 - step})
    spool.metrics(2, {"eval/loss": 2.5})
    frame = platform.history(task.id, ["eval/loss", "train/loss", "no/such"])
    assert list(frame.columns) == ["eval/loss", "train/loss", "no/such"]
    assert frame["train/loss"].to_dict() == {1: 3.0, 2: 2.0, 3: 1.0}
    assert frame.loc[2, "eval/loss"] == 2.5
    assert frame["no/such"].isna().all()
    assert frame.index.name == "step"
    assert list(platform.history(task.id).columns) == ["train/loss", "eval/loss"]
    assert platform.history(add(platform).id, ["train/loss"]).empty


def test_dataframe_has_settings_last_values_and_state(platform):
    first, second = add(platform, learning_rate=1e-3), add(platform, "second")
    spool = Spool(platform.settings.task_dir(first.id))
    spool.metrics(1, {"train/loss": 3.0})
    spool.metrics(2, {"train/loss": 2.0})
    end(platform, first)
    frame = platform.dataframe([second.id, first.id])
    assert list(frame.index) == [second.id, first.id]
    row = frame.loc[first.id]
    assert (row["state"], row["params.learning_rate"], row["metrics.train/loss"]) == ("STOPPED", 1e-3, 2.0)
    assert row["ended_at"] > row["created_at"]
    assert math.isnan(frame.loc[second.id, "metrics.train/loss"])
    assert set(platform.dataframe().index) == {first.id, second.id}
    assert platform.dataframe([]).empty


def test_the_best_model_is_chosen_when_all_are_registered(platform, monkeypatch):
    task = end(platform, add(platform))
    facts = {"loss": 1.0, "bytes": 1, "created_at": 1.0, "aliases": [], "parameters": 1, "sha256": ""}
    versions = [ModelVersion("m", 1, task.id, "sft", 10, eval_loss=2.0, **facts)]
    monkeypatch.setattr(Platform, "checkpoints", lambda self, _id: versions)

    def told(_seconds):
        versions.append(ModelVersion("m", 2, task.id, "sft", 20, eval_loss=1.0, **facts))
        platform._store.set_mirrored(platform.task(task.id))

    monkeypatch.setattr(patience.time, "sleep", told)
    assert platform.best_model(task.id).uri == "models:/m/2"
    late = end(platform, add(platform))
    monkeypatch.setattr("minimind_platform.follow.SYNC_SECONDS", 0)
    with pytest.raises(TimeoutError, match="MLflow has not got all"):
        platform.best_model(late.id)


class Tracking:
    """MLflow with one run: what it has of it can grow."""

    def __init__(self, **series):
        self.series = series

    def get(self, call, **asked):
        if call == "runs/get":
            last = [{"key": key, "value": rows[-1][1]} for key, rows in self.series.items()]
            return {"run": {"data": {"metrics": last}}}
        rows = [row for row in self.series.get(asked["metric_key"], []) if row[0] >= asked["start_step"]]
        return {"metrics": [{"step": step, "value": value, "timestamp": step * 1000} for step, value in rows]}


@pytest.fixture
def elsewhere(platform, tmp_path):
    """The same platform as another machine sees it: by URLs, without the home folder."""
    there = Platform(Settings(home=tmp_path / "away", database_url=platform.settings.database))
    there._tracking = Tracking(**{"train/loss": [(1, 3.0), (2, "NaN")], "eval/loss": [(2, 2.5)]})
    there._runs = Runs(there._tracking)
    return there


def test_from_another_machine_the_points_are_those_of_mlflow(platform, elsewhere):
    task = end(platform, add(platform))
    points = elsewhere.follow(task.id, poll=0.01)
    assert next(points).values == {"train/loss": 3.0}
    second = next(points)
    assert second.values["eval/loss"] == 2.5
    assert math.isnan(second.values["train/loss"])
    elsewhere._tracking.series["train/loss"].append((3, 1.0))  # it comes late: the upload lags behind
    assert next(points).step == 3
    platform._store.set_mirrored(platform.task(task.id))
    assert list(points) == []
    assert elsewhere.history(task.id, ["train/loss"])["train/loss"].iloc[-1] == 1.0
    assert elsewhere.dataframe([task.id])["metrics.eval/loss"].iloc[0] == 2.5
