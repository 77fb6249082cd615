"""Submitting, deleting and reading runs against a real tracking server."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from minimind_platform import ConflictError, NotFoundError, Platform, Settings, SettingsError, State
from minimind_platform.errors import TrackingUnavailableError
from trainer.names import Metric, Tag

VALUES = {
    "data_path": "p.jsonl",
    "hidden_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}


def run_of(mlflow, task):
    run = mlflow("runs/get", run_id=task.id)["run"]
    return run, {tag["key"]: tag["value"] for tag in run["data"]["tags"]}


def test_a_task_is_a_run_with_all_its_settings(platform, mlflow):
    task = platform.submit("pretrain", VALUES, name="第一个", priority=2)
    run, tags = run_of(mlflow, task)
    params = {param["key"]: param["value"] for param in run["data"]["params"]}
    assert task.state is State.QUEUED
    assert run["info"]["status"] == "SCHEDULED"
    assert run["info"]["run_name"] == tags[Tag.TASK_NAME] == "第一个"
    assert tags[Tag.TYPE] == "pretrain"
    assert params == {name: str(value) for name, value in task.config.items()}
    assert params["learning_rate"] == "0.0005"


def test_the_task_directory_holds_the_config_with_absolute_paths(platform):
    task = platform.submit("pretrain", VALUES)
    folder = platform.settings.task_dir(task.id)
    written = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    assert written == {"type": "pretrain", "config": task.config}
    assert written["config"]["data_path"] == str(platform.settings.data_dir / "p.jsonl")
    assert written["config"]["save_dir"] == str(platform.settings.out_dir)
    assert [path.name for path in folder.iterdir()] == ["config.json"]
    assert task.name == "pretrain-64d-1l"


@pytest.mark.fault("double click on submit")
def test_twenty_submits_with_one_key_give_one_task_and_one_run(platform, mlflow):
    key = f"double-click-{time.time_ns()}"
    others = [platform, Platform(platform.settings)]  # as two processes: they share no lock
    with ThreadPoolExecutor(20) as pool:
        tasks = list(pool.map(lambda n: others[n % 2].submit("pretrain", VALUES, key=key), range(20)))
    assert len({task.id for task in tasks}) == 1
    assert platform.tasks().total == 1
    found = mlflow(
        "runs/search", {"experiment_ids": [tasks[0].experiment_id], "filter": f"tags.`{Tag.SUBMIT_KEY}` = '{key}'"}
    )
    assert [run["info"]["run_id"] for run in found["runs"]] == [tasks[0].id]
    assert [path.name for path in platform.settings.out_dir.iterdir()] == [tasks[0].id]


def test_bad_settings_make_no_run(platform):
    with pytest.raises(SettingsError):
        platform.submit("pretrain", VALUES | {"from_weight": "models:/no-such-model/1"})
    assert platform.tasks().total == 0
    assert not platform.settings.out_dir.exists()


def test_a_failure_half_way_leaves_nothing(platform, mlflow, monkeypatch):
    key = f"half-{time.time_ns()}"
    monkeypatch.setattr(platform._store, "add", lambda _new: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        platform.submit("pretrain", VALUES, key=key)
    experiment = mlflow("experiments/get-by-name", experiment_name="minimind")["experiment"]["experiment_id"]
    query = {"experiment_ids": [experiment], "filter": f"tags.`{Tag.SUBMIT_KEY}` = '{key}'"}
    assert "runs" not in mlflow("runs/search", query)
    assert list(platform.settings.out_dir.iterdir()) == []


def test_delete_hides_and_restore_brings_back(platform, mlflow):
    task = platform.submit("pretrain", VALUES)
    deleted = platform.delete(task.id[:10])
    assert deleted.state is State.STOPPED
    assert deleted.deleted_at
    assert run_of(mlflow, task)[0]["info"]["lifecycle_stage"] == "deleted"
    assert platform.tasks().total == 0
    assert platform.tasks(deleted=True).total == 1
    with pytest.raises(ConflictError, match="restore"):
        platform.resume(task.id)
    assert platform.restore(task.id).deleted_at is None
    assert run_of(mlflow, task)[0]["info"]["lifecycle_stage"] == "active"
    assert platform.resume(task.id).state is State.QUEUED


@pytest.mark.fault("stop while starting or stopping, stop twice", "delete of a running task")
def test_a_running_task_cannot_be_deleted(platform):
    task = platform.submit("pretrain", VALUES)
    platform._store.claim({"cpu": ["cpu:0"]}, time.time())
    with pytest.raises(ConflictError, match="stop it first"):
        platform.delete(task.id)
    assert platform.stop(task.id).state is State.STOPPING
    assert platform.stop(task.id).state is State.STOPPING


def test_retry_makes_a_new_task_with_the_same_settings(platform, mlflow):
    task = platform.submit("pretrain", VALUES, name="a")
    again = platform.retry(task.id)
    assert again.id != task.id
    assert (again.config, again.name, again.parent_id) == (task.config, "a", task.id)
    assert run_of(mlflow, again)[1][Tag.PARENT] == task.id


def test_ids_may_be_shortened_but_not_guessed(platform):
    task = platform.submit("pretrain", VALUES)
    assert platform.task(task.id[:8]).id == task.id
    for bad in ("", "%", task.id[:2], "0" * 32):
        with pytest.raises(NotFoundError):
            platform.task(bad)


def test_points_are_read_as_they_come(platform, mlflow, monkeypatch):
    monkeypatch.setattr("minimind_platform.runs.FRESH_SECONDS", -1.0)
    task = platform.submit("pretrain", VALUES)

    def log(begin, end):
        for first in range(begin, end, 1000):
            rows = [
                {"key": Metric.LOSS, "value": 1 / n, "step": n, "timestamp": n}
                for n in range(first, min(end, first + 1000))
            ]
            mlflow("runs/log-batch", {"run_id": task.id, "metrics": rows})

    log(1, 6001)
    series = platform.series(task.id, [Metric.LOSS, "no/such"])
    assert series[Metric.LOSS].steps == list(range(1, 6001))
    assert not series[Metric.LOSS].sampled
    assert series["no/such"].steps == []
    log(6001, 6004)
    mlflow(
        "runs/log-batch",
        {"run_id": task.id, "metrics": [{"key": Metric.LOSS, "value": "NaN", "step": 6004, "timestamp": 1}]},
    )
    newer = platform.series(task.id, [Metric.LOSS], {Metric.LOSS: 6000})[Metric.LOSS]
    assert newer.steps == [6001, 6002, 6003, 6004]
    assert newer.values[-1] is None
    assert newer.count == 6004


def test_versions_of_models_with_tags_aliases_and_files(platform, mlflow):
    task = platform.submit("pretrain", VALUES)
    folder = platform.settings.task_dir(task.id) / "checkpoints" / "step_000100"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    name = f"m-{task.id[:6]}"
    tags = {
        Tag.STEP: "100",
        Tag.LOSS: "2.5",
        Tag.EVAL_LOSS: "nan",
        Tag.EVAL_REWARD: "0.25",
        Tag.BYTES: "12",
        Tag.TYPE: "pretrain",
        Tag.SHA256: "ab",
    }
    mlflow("registered-models/create", {"name": name})
    mlflow(
        "model-versions/create",
        {
            "name": name,
            "source": f"runs:/{task.id}/checkpoints/step_000100",
            "run_id": task.id,
            "tags": [{"key": key, "value": value} for key, value in tags.items()],
        },
    )
    mlflow("registered-models/alias", {"name": name, "alias": "best", "version": "1"})
    [version] = platform.checkpoints(task.id)
    assert (version.name, version.version, version.step, version.loss, version.eval_loss) == (name, 1, 100, 2.5, None)
    assert version.eval_reward == 0.25
    assert (version.aliases, version.bytes, version.sha256, version.task_id) == (["best"], 12, "ab", task.id)
    assert version in platform.models()
    assert platform.version_files(name, 1) == folder
    used = platform.submit("pretrain", VALUES | {"from_weight": f"models:/{name}@best"})
    assert used.config["from_weight"] == f"models:/{name}/1"
    for missing in (f"models:/{name}@none", f"models:/{name}/2"):
        assert platform.check("pretrain", VALUES | {"from_weight": missing}).problems[0].field == "from_weight"
    with pytest.raises(NotFoundError):
        platform.version_files(name, 2)


@pytest.mark.parametrize("inside", ["/etc", "../../..", "checkpoints/../../../../../../etc", "checkpoints/leak"])
@pytest.mark.fault("malicious path")
def test_a_version_cannot_lead_out_of_its_run(platform, monkeypatch, inside):
    task = platform.submit("pretrain", VALUES)
    folder = platform.settings.task_dir(task.id) / "checkpoints"
    folder.mkdir()
    (folder / "leak").symlink_to("/etc")
    version = {"model_version": {"source": f"runs:/{task.id}/{inside}"}}
    monkeypatch.setattr(platform._tracking, "get", lambda *_, **__: version)
    with pytest.raises(NotFoundError):
        platform.version_files("m", 1)


def test_the_link_leads_to_the_charts_of_the_run(platform):
    task = platform.submit("pretrain", VALUES)
    expected = f"/mlflow/#/experiments/{task.experiment_id}/runs/{task.id}/model-metrics?workflowType=machine_learning"
    assert platform.run_link(task.id) == expected


@pytest.mark.parametrize("hangs", [False, True])
def test_a_tracking_server_that_is_away_is_an_error_within_three_seconds(tmp_path, free_port, hangs):
    import socket

    port = free_port()
    (tmp_path / "dataset").mkdir()
    (tmp_path / "dataset" / "p.jsonl").write_text('{"text": "x"}\n')
    platform = Platform(Settings(home=tmp_path, tracking_port=port))
    silent = socket.create_server(("127.0.0.1", port)) if hangs else None
    for ask in (lambda: platform.submit("pretrain", VALUES), platform.models):
        began = time.monotonic()
        with pytest.raises(TrackingUnavailableError):
            ask()
        assert time.monotonic() - began < 3
    assert platform.tracking_alive() is False
    assert platform.tasks().total == 0
    assert not platform.settings.out_dir.exists()
    if silent:
        silent.close()


def test_many_threads_may_use_one_platform(platform):
    task = platform.submit("pretrain", VALUES)
    errors = []

    def use():
        try:
            for _ in range(5):
                platform.tasks()
                platform.series(task.id, [Metric.LOSS])
                platform.tracking_alive()
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


def test_a_task_and_a_run_of_others_are_found_by_name_and_compared(platform, mlflow):
    task = platform.submit("pretrain", VALUES, name="side by side")
    place = mlflow("experiments/create", {"name": "others"})["experiment_id"]
    run_id = mlflow("runs/create", {"experiment_id": place, "run_name": "by the SIDE, 'theirs'"})["run"]["info"][
        "run_id"
    ]
    mlflow("runs/log-parameter", {"run_id": run_id, "key": "hidden_size", "value": "32"})
    rows = [{"key": Metric.LOSS, "value": 1 / n, "step": n, "timestamp": n} for n in range(1, 900)]
    mlflow("runs/log-batch", {"run_id": run_id, "metrics": rows})
    found = platform.comparisons.find("side")
    assert [(run.id, run.is_task) for run in found] == [(task.id, True), (run_id, False)]
    assert [run.id for run in platform.comparisons.find("'theirs' by")] == [run_id]
    compared = platform.comparisons.of([task.id, run_id, "f" * 32])
    assert [run.facts.params["hidden_size"] for run in compared.runs] == ["64", "32"]
    assert [run.state for run in compared.runs] == ["QUEUED", "RUNNING"] and compared.missing == ["f" * 32]
    assert run_id in compared.link and place in compared.link
    curve = platform.comparisons.curves([task.id, run_id], [Metric.LOSS])[run_id].parts[Metric.LOSS]
    assert (curve.width, len(curve.steps), curve.low[-1]) == (1, 899, 1 / 899)
