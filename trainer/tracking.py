"""Feeds the tracking server while a training runs, off its path: a thread sends the spool every two seconds, waits
longer while the server is away, and never holds up a step.

    tracking = Tracking(task_dir, run_id, "minimind-sft")
    tracking.start(); ...; tracking.drain()
"""

import logging
import os
import threading
import time
from pathlib import Path
from typing import Any

from trainer.configs import TrainConfig
from trainer.fields import params_of
from trainer.names import Env, RunStatus, Tag

log = logging.getLogger("trainer")
INTERVAL_SECONDS = 2.0
FIRST_SECONDS = 1.0
"""Before MLflow's client is imported, which takes a second of the interpreter: the first steps come first."""
LONGEST_PAUSE_SECONDS = 30.0
DRAIN_SECONDS = 30.0
AWAY_SECONDS = 2.0


class Tracking:
    """The background sender of one attempt."""

    def __init__(self, task_dir: Path, run_id: str, registered_name: str) -> None:
        self._task_dir, self._run_id, self._registered_name = task_dir, run_id, registered_name
        self._wake = threading.Event()
        self._draining = False
        self._away = False
        self._thread = threading.Thread(target=self._work, name="tracking", daemon=True)

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def drain(self) -> None:
        """Send what is left, but do not wait long, least of all for a server that is away: the device is needed by
        the next task, and the scheduler sends the rest later."""
        self._draining = True
        self._wake.set()
        self._thread.join(AWAY_SECONDS if self._away else DRAIN_SECONDS)
        if self._thread.is_alive():
            log.warning("The tracking server did not take everything; the rest is in the spool.")

    def _work(self) -> None:
        uploader: Any = None
        pause = INTERVAL_SECONDS
        self._pause(FIRST_SECONDS)
        while True:
            last_round = self._draining
            try:
                uploader = uploader or self._connect()
                uploader.send()
                pause = INTERVAL_SECONDS
                if self._away:
                    log.info("The tracking server is back.")
                self._away = False
                if last_round:
                    return
            except Exception as error:  # whatever the client raises, training goes on and the spool keeps everything
                if not self._away:
                    log.warning("The tracking server is away (%s); metrics wait in the spool.", _short(error))
                self._away, pause = True, min(2 * pause, LONGEST_PAUSE_SECONDS)
                if last_round:
                    pause = 1.0
            self._pause(pause)

    def _pause(self, seconds: float) -> None:
        if self._draining:
            time.sleep(min(seconds, 1.0))
        else:
            self._wake.wait(seconds)

    def _connect(self) -> Any:
        from trainer.uploads import Uploader

        artifacts = os.environ.get(Env.ARTIFACTS_DIR)
        uploader = Uploader(
            self._task_dir,
            self._run_id,
            os.environ[Env.TRACKING_URI],
            Path(artifacts) if artifacts else None,
            self._registered_name,
        )
        uploader.send_config()
        return uploader


def open_run(config: TrainConfig, project: str = "minimind") -> str | None:
    """A run of its own for a training started by hand; None if the tracking server does not answer."""
    from mlflow import MlflowClient
    from mlflow.entities import Param

    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    try:
        client = MlflowClient(os.environ[Env.TRACKING_URI])
        experiment = client.get_experiment_by_name(project)
        experiment_id = experiment.experiment_id if experiment else client.create_experiment(project)
        tags: dict[str, Any] = {Tag.KIND: "train", Tag.TYPE: config.type}
        run = client.create_run(experiment_id, run_name=f"{config.type}-{config.hidden_size}d", tags=tags)
        params = [Param(name, text) for name, text in params_of(config).items()]
        client.log_batch(run.info.run_id, params=params)
    except Exception as error:  # by hand, a missing server must not stop the training
        log.warning("No tracking: %s does not answer (%s).", os.environ[Env.TRACKING_URI], _short(error))
        return None
    return run.info.run_id


def knows(run_id: str) -> bool:
    """Whether the tracking server has this run. False also if it does not answer."""
    from mlflow import MlflowClient

    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    try:
        MlflowClient(os.environ[Env.TRACKING_URI]).get_run(run_id)
    except Exception:  # whatever the client raises, there is nothing to feed
        return False
    return True


def close_run(run_id: str, status: RunStatus) -> None:
    """Set the end status of a run that `open_run` made."""
    from mlflow import MlflowClient

    try:
        MlflowClient(os.environ[Env.TRACKING_URI]).set_terminated(run_id, status)
    except Exception as error:  # the training itself is done and safe
        log.warning("The end of run %s could not be told to the tracking server (%s).", run_id, _short(error))


def _short(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:120]
