"""From the spool to a real tracking server: everything, once."""

import json
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from minimind_platform import Settings, State, Task
from minimind_platform.replay import send_files
from minimind_platform.tracking_client import TrackingClient
from trainer.checkpoints import Checkpoints
from trainer.spool import Spool
from trainer.uploads import FILES, Uploader

Mlflow = Callable[..., dict[str, Any]]


@pytest.fixture
def run(mlflow: Mlflow, tmp_path: Path) -> dict[str, Any]:
    """A run, and a task directory with a spool."""
    experiment = mlflow("experiments/create", {"name": f"uploads {tmp_path}"})["experiment_id"]
    made = mlflow("runs/create", {"experiment_id": experiment, "start_time": 1})["run"]["info"]
    folder = tmp_path / made["run_id"]
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "log.txt").write_text("a line\n")
    return {"id": made["run_id"], "experiment": experiment, "folder": folder, "model": f"model-{made['run_id'][:8]}"}


def uploader(run: dict[str, Any], settings: Any, linked: bool = True) -> Uploader:
    artifacts = settings.artifacts_dir if linked else None
    return Uploader.for_task(run["folder"], run["id"], settings.tracking, artifacts, run["model"], run["experiment"])


def history(mlflow: Mlflow, run: dict[str, Any], key: str) -> list[tuple[int, Any]]:
    answer = mlflow("metrics/get-history", run_id=run["id"], metric_key=key, max_results=20_000)
    return sorted((int(m.get("step", 0)), m["value"]) for m in answer.get("metrics", []))


def versions(mlflow: Mlflow, run: dict[str, Any]) -> list[dict[str, Any]]:
    answer = mlflow("model-versions/search", filter=f"run_id='{run['id']}'".replace("'", "%27"))
    return answer.get("model_versions", [])


@pytest.mark.fault("tracking server down for a while")
def test_every_record_arrives_once_however_often_it_is_sent(tracking: Any, mlflow: Mlflow, run: dict[str, Any]) -> None:
    spool = Spool(run["folder"])
    for step in range(1, 2001):
        spool.metrics(step, {"train/loss": 1 / step, "train/learning_rate": 0.1})
    assert uploader(run, tracking).send() == spool.path.stat().st_size
    (run["folder"] / "spool.offset").write_text("0")  # as if the acknowledgement had been lost
    uploader(run, tracking).send()
    assert history(mlflow, run, "train/loss") == [(step, pytest.approx(1 / step)) for step in range(1, 2001)]
    assert uploader(run, tracking).send() == 0


def test_nan_arrives_as_nan(tracking: Any, mlflow: Mlflow, run: dict[str, Any]) -> None:
    Spool(run["folder"]).metrics(1, {"train/loss": float("inf")})
    uploader(run, tracking).send()
    assert history(mlflow, run, "train/loss") == [(1, "NaN")]


@pytest.mark.parametrize("linked", [True, False])
def test_a_checkpoint_becomes_a_version_and_goes_again(
    tracking: Any, mlflow: Mlflow, run: dict[str, Any], linked: bool
) -> None:
    spool, checkpoints = Spool(run["folder"]), Checkpoints(run["folder"], 1)
    saved = []
    for step, best in ((10, True), (20, False)):
        checkpoint = checkpoints.save(step, lambda f: (f / "model.safetensors").write_bytes(b"weights"), {})
        spool.write("checkpoint", step=step, path=checkpoint.relative, tags={"minimind.loss": "2.5"}, best=best)
        saved.append(checkpoint)
    send = uploader(run, tracking, linked)
    send.send()
    (run["folder"] / "spool.offset").write_text("0")
    send.send()
    found = sorted(versions(mlflow, run), key=lambda v: int(v["version"]))
    assert [v["source"] for v in found] == [f"runs:/{run['id']}/checkpoints/step_0000{step}" for step in (10, 20)]
    tags = {t["key"]: t["value"] for t in found[0]["tags"]}
    assert tags["minimind.step"] == "10" and tags["minimind.loss"] == "2.5"
    model = mlflow("registered-models/get", name=run["model"])["registered_model"]
    assert {a["alias"]: a["version"] for a in model["aliases"]} == {"best": "1", "last": "2"}
    listed = mlflow("artifacts/list", run_id=run["id"], path="checkpoints/step_000010")
    assert {Path(f["path"]).name for f in listed["files"]} == {"model.safetensors", "manifest.json"}
    if linked:
        stored = tracking.artifacts_dir / run["experiment"] / run["id"] / "artifacts/checkpoints/step_000010"
        assert (stored / "model.safetensors").samefile(saved[0].path / "model.safetensors")

    checkpoints.remove(saved[0])
    spool.write("checkpoint_removed", step=10, path=saved[0].relative)
    send.send()
    assert [v["version"] for v in versions(mlflow, run)] == ["2"]
    assert not mlflow("artifacts/list", run_id=run["id"], path="checkpoints/step_000010").get("files")


def test_the_files_of_a_task_are_kept_with_the_run(tracking: Any, mlflow: Mlflow, run: dict[str, Any]) -> None:
    Spool(run["folder"]).metrics(1, {"train/loss": 1.0})
    uploader(run, tracking).finish()
    names = {f["path"] for f in mlflow("artifacts/list", run_id=run["id"])["files"]}
    assert names == {"config.json", "log.txt", "metrics.jsonl"}


@pytest.mark.fault("tracking server down for a while")
def test_a_server_that_is_away_loses_nothing(tracking: Any, mlflow: Mlflow, run: dict[str, Any], free_port: Any):
    Spool(run["folder"]).metrics(1, {"train/loss": 1.0})
    away = Uploader.for_task(run["folder"], run["id"], f"http://127.0.0.1:{free_port()}", None, run["model"], "0")
    with pytest.raises(Exception, match=r"(?i)connection|retries"):
        away.send()
    assert uploader(run, tracking).send() > 0
    assert json.loads((run["folder"] / "spool.offset").read_text()) > 0
    assert history(mlflow, run, "train/loss") == [(1, 1)]


@pytest.mark.fault("database locked")
def test_a_locked_database_of_the_tracking_server_loses_nothing(tracking: Any, mlflow: Mlflow, run: dict[str, Any]):
    spool = Spool(run["folder"])
    for step in range(1, 101):
        spool.metrics(step, {"train/loss": 1 / step})
    with ThreadPoolExecutor(1) as pool:
        with closing(sqlite3.connect(tracking.mlruns_dir / "tracking.db", isolation_level=None)) as holder:
            holder.execute("BEGIN EXCLUSIVE")
            sending = pool.submit(uploader(run, tracking).send)
            wait([sending], timeout=1)
            assert not sending.done()  # it cannot, and it does not say that it had
            spool.metrics(101, {"train/loss": 0.0})  # the training goes on
            holder.execute("ROLLBACK")
        with suppress(Exception):  # whether it had the patience or not
            sending.result(60)
    uploader(run, tracking).send()
    assert [step for step, _ in history(mlflow, run, "train/loss")] == list(range(1, 102))


def test_the_files_of_a_task_that_has_sent_all_else_need_no_mlflow_client(
    tracking: Any, mlflow: Mlflow, run: dict[str, Any], tmp_path: Path
) -> None:
    settings = Settings(home=tmp_path, tracking_port=tracking.tracking_port)
    folder = settings.task_dir(run["id"])
    folder.parent.mkdir()
    run["folder"].rename(folder)
    run["folder"] = folder
    task = Task(run["id"], "one", "sft", State.FINISHED, {}, 0.0)
    uri = mlflow("runs/get", run_id=run["id"])["run"]["info"]["artifact_uri"]
    client = TrackingClient(tracking.tracking)
    assert send_files(task, settings, client, uri)  # nothing was recorded
    Spool(folder).metrics(1, {"train/loss": 1.0})
    assert not send_files(task, settings, client, uri)  # a record is missing there
    uploader(run, tracking).send()
    assert send_files(task, settings, client, uri)
    files = {f["path"]: int(f["file_size"]) for f in mlflow("artifacts/list", run_id=run["id"])["files"]}
    assert files == {path.name: path.stat().st_size for path in folder.iterdir() if path.name in FILES}
    assert len(files) == 3 and not send_files(task, settings, client, "s3://elsewhere")
