"""From the spool to the tracking server: metrics, tags, checkpoints as model versions, and the files of a task.

Used by the trainer's background thread while it runs and by the scheduler after it is gone. Sending is idempotent: the
server drops a metric that it has, a model version is looked up before it is made, and the acknowledged offset is
stored after the server has answered.

    uploader = Uploader.for_task(task_dir, run_id, tracking_uri, artifacts_dir, "minimind-sft", "1")
    uploader.send()      # what is there now
    uploader.finish()    # everything, and the files; raises while the server is away
"""

import contextlib
import fcntl
import os
import shutil
from pathlib import Path
from typing import Any

from trainer.fault_points import reach
from trainer.names import Alias, Tag, TaskFile
from trainer.spool import read_records

MAX_BATCH = 900
"""Metrics a request; the server takes 1,000."""
REQUEST_SECONDS = "10"
FILES = (TaskFile.CONFIG, TaskFile.LOG, TaskFile.METRICS, TaskFile.RESULT)
"""Files of a task that become artifacts of its run, at its end."""


class Uploader:
    """Sends one task's records. Not thread-safe: one caller at a time."""

    def __init__(
        self, task_dir: Path, run_id: str, tracking_uri: str, artifacts_dir: Path | None, registered_name: str
    ) -> None:
        # Read by MLflow's HTTP client at each request: fail fast, because we try again ourselves.
        os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"
        os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] = REQUEST_SECONDS
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        from mlflow import MlflowClient

        self.task_dir, self.run_id, self.registered_name = task_dir, run_id, registered_name
        self._client = MlflowClient(tracking_uri)
        self._artifacts_dir = artifacts_dir
        self._experiment_id = ""

    @classmethod
    def for_task(
        cls,
        task_dir: Path,
        run_id: str,
        tracking_uri: str,
        artifacts_dir: Path | None,
        registered_name: str,
        experiment_id: str,
    ) -> "Uploader":
        """An uploader for a task whose experiment is known."""
        uploader = cls(task_dir, run_id, tracking_uri, artifacts_dir, registered_name)
        uploader._experiment_id = experiment_id
        return uploader

    def send(self) -> int:
        """Send the records that the server does not have yet.

        Returns:
            Bytes that were acknowledged.

        Raises:
            Exception: of MLflow's client, when the server is away or refuses; the rest stays for the next call.
        """
        with (self.task_dir / ".upload.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # a trainer that has just begun, and the replay of its last attempt
            return self._send()

    def _send(self) -> int:
        begin = offset = self._acknowledged()
        metrics: list[Any] = []
        for record, end in read_records(self.task_dir / TaskFile.METRICS, offset):
            if record["kind"] == "metrics":
                metrics += self._metrics(record)
                if len(metrics) < MAX_BATCH:
                    offset = end
                    continue
            self._send_metrics(metrics)
            metrics = []
            self._send_other(record)
            offset = end
            self._acknowledge(offset)
        self._send_metrics(metrics)
        if offset != begin:
            self._acknowledge(offset)
        return offset - begin

    def finish(self) -> None:
        """Send everything that is left, then the files of the task.

        Raises:
            Exception: of MLflow's client, when the server is away or refuses. Call again later.
        """
        self.send()
        for name in FILES:
            path = self.task_dir / name
            if path.exists():
                self._client.log_artifact(self.run_id, str(path))

    def send_config(self) -> None:
        """Keep the complete settings with the run: MLflow cuts long params."""
        self._client.log_artifact(self.run_id, str(self.task_dir / TaskFile.CONFIG))

    def _metrics(self, record: dict[str, Any]) -> list[Any]:
        from mlflow.entities import Metric as MlflowMetric

        return [
            MlflowMetric(key, float("nan") if value is None else value, record["t"], record["step"])
            for key, value in record["values"].items()
        ]

    def _send_metrics(self, metrics: list[Any]) -> None:
        for begin in range(0, len(metrics), MAX_BATCH):
            reach("uploader.before_send")
            self._client.log_batch(self.run_id, metrics=metrics[begin : begin + MAX_BATCH])
            reach("uploader.after_send")

    def _send_other(self, record: dict[str, Any]) -> None:
        if record["kind"] == "tags":
            for key, value in record["values"].items():
                self._client.set_tag(self.run_id, key, value)
        elif record["kind"] == "checkpoint":
            self._register(record)
        elif record["kind"] == "checkpoint_removed":
            self._unregister(record["path"])

    # Checkpoints ----------------------------------------------------------------------------------------------------

    def _register(self, record: dict[str, Any]) -> None:
        folder = self.task_dir / record["path"]
        if not folder.is_dir():
            return  # removed again before the server came back; its removal follows in the spool
        from mlflow.exceptions import MlflowException

        with contextlib.suppress(MlflowException):  # it exists
            self._client.create_registered_model(self.registered_name)
        source = f"runs:/{self.run_id}/{record['path']}"
        version = self._version_of(record["path"])
        if version is None:
            self._store_files(folder, record["path"])
            reach("uploader.before_version")
            tags = {**record["tags"], Tag.STEP: str(record["step"])}
            made = self._client.create_model_version(
                self.registered_name, source, self.run_id, tags=tags, await_creation_for=0
            )
            version = made.version
            reach("uploader.after_version")
        self._client.set_registered_model_alias(self.registered_name, Alias.LAST, str(version))
        if record.get("best"):
            self._client.set_registered_model_alias(self.registered_name, Alias.BEST, str(version))

    def _version_of(self, path: str) -> Any:
        found = self._client.search_model_versions(f"run_id='{self.run_id}'")
        ours = (v for v in found if v.name == self.registered_name)  # people may register it under more names
        return next((v.version for v in ours if (v.source or "").rstrip("/").endswith(path)), None)

    def _store_files(self, folder: Path, path: str) -> None:
        """Weights, config and tokenizer become artifacts: as hard links where the store is on this disk, else sent."""
        files = [f for f in sorted(folder.iterdir()) if f.is_file()]
        target = self._local_artifacts()
        if target is not None and self._link(files, target / path):
            return
        for file in files:
            self._client.log_artifact(self.run_id, str(file), path)

    def _local_artifacts(self) -> Path | None:
        if self._artifacts_dir is None or not self._artifacts_dir.is_dir():
            return None
        experiment = self._experiment_id or self._client.get_run(self.run_id).info.experiment_id
        return self._artifacts_dir / experiment / self.run_id / "artifacts"

    def _link(self, files: list[Path], target: Path) -> bool:
        try:
            target.mkdir(parents=True, exist_ok=True)
            for file in files:
                with contextlib.suppress(FileExistsError):
                    os.link(file, target / file.name)
        except OSError:  # another file system, or one without hard links
            shutil.rmtree(target, ignore_errors=True)
            return False
        return True

    def _unregister(self, path: str) -> None:
        version = self._version_of(path)
        if version is not None:
            self._client.delete_model_version(self.registered_name, str(version))
        target = self._local_artifacts()
        if target is not None:
            shutil.rmtree(target / path, ignore_errors=True)
            return
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        uri = self._client.get_run(self.run_id).info.artifact_uri or ""
        get_artifact_repository(uri, tracking_uri=self._client.tracking_uri).delete_artifacts(path)

    # The acknowledged offset ----------------------------------------------------------------------------------------

    def _acknowledged(self) -> int:
        path = self.task_dir / TaskFile.OFFSET
        return int(path.read_text()) if path.exists() else 0

    def _acknowledge(self, offset: int) -> None:
        path = self.task_dir / TaskFile.OFFSET
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        temporary.write_text(str(offset))
        temporary.replace(path)
