"""Sends what MLflow does not have yet of a task that has ended: metrics, checkpoints, log.

    python -m minimind_platform.replay TASK_DIR RUN_ID TRACKING_URI ARTIFACTS_DIR MODEL_NAME EXPERIMENT_ID

A process of its own, because MLflow's client takes 100 MB and seconds to load, and a scheduler that runs for months
should carry neither. ARTIFACTS_DIR is "" if the artifacts are on another machine.
"""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

from minimind_platform.errors import PlatformError
from minimind_platform.settings import Settings
from minimind_platform.tasks import Task
from minimind_platform.tracking_client import TrackingClient
from trainer.configs import config_class
from trainer.names import TaskFile
from trainer.uploads import FILES

TIMEOUT_SECONDS = 1800
NICE = 10


def send_files(task: Task, settings: Settings, tracking: TrackingClient, artifact_uri: str) -> bool:
    """Send the files of a task whose trainer has sent everything else, which is the usual case: it needs no process.

    Returns:
        False if there is more to send, or another way is needed.
    """
    folder = settings.task_dir(task.id)
    spool, offset = folder / TaskFile.METRICS, folder / TaskFile.OFFSET
    recorded, sent = spool.stat().st_size if spool.exists() else 0, int(offset.read_text()) if offset.exists() else 0
    if recorded != sent:  # both are 0 of a training that ended before its first record
        return False
    for name in FILES:
        path = folder / name
        if path.exists():
            with path.open("rb") as file:
                if not tracking.put_artifact(artifact_uri, name, file):
                    return False
    return True


def replay(task: Task, settings: Settings) -> None:
    """Run it and wait.

    Raises:
        PlatformError: not everything could be sent; doing it again goes on where it stopped.
    """
    folder = settings.task_dir(task.id)
    if not folder.is_dir():  # removed by hand: nothing is left to send
        return
    artifacts = "" if settings.tracking_uri else str(settings.artifacts_dir)
    name = config_class(task.type).model_validate(task.config).registered_name
    arguments = [str(folder), task.id, settings.tracking, artifacts, name, task.experiment_id]
    command = [sys.executable, "-m", "minimind_platform.replay", *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        raise PlatformError(f"Sending to MLflow took more than {TIMEOUT_SECONDS} seconds.") from None
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise PlatformError(f"Sending to MLflow failed: {lines[-1]}")


def main(folder: str, run_id: str, uri: str, artifacts: str, name: str, experiment_id: str) -> None:
    os.nice(NICE)  # trainings come first
    with (Path(folder) / ".replay.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.exit("Another process sends it at this moment.")  # perhaps one that a killed scheduler started
        from trainer.uploads import Uploader

        artifacts_dir = Path(artifacts) if artifacts else None
        Uploader.for_task(Path(folder), run_id, uri, artifacts_dir, name, experiment_id).finish()


if __name__ == "__main__":
    main(*sys.argv[1:])
