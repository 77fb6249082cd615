"""Runs attempts as processes of this machine, each beside a runner of its own.

    executor = LocalExecutor(settings)
    executor.submit(LaunchSpec.of(task, settings.task_dir(task.id)))

It holds no state that matters: all is read from `out/<task>/attempt-N/`, so a scheduler that was started again sees
exactly what the one before it saw. A held `lock` means alive; nothing else does.
"""

import contextlib
import fcntl
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil

from minimind_platform import devices, runner
from minimind_platform.errors import PlatformError
from minimind_platform.executors import Ending, LaunchSpec, Seen
from minimind_platform.settings import Settings
from trainer.names import Env, Outcome, TaskFile

LOG_TAIL = 32_768
ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
PASSED_ON = {"PATH", "HOME", "USER", "LOGNAME", "TZ", "TMPDIR", "VIRTUAL_ENV", "PYTHONPATH", "LD_LIBRARY_PATH"}
PASSED_ON |= {"REQUESTS_CA_BUNDLE", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"}
PASSED_ON_PREFIXES = ("LANG", "LC_", "XDG_", "SSL_CERT_", "MINIMIND_", "MLFLOW_", "HF_", "TORCH", "PYTORCH_", "NCCL_")
PASSED_ON_PREFIXES += ("CUDA", "NVIDIA_", "OMP_", "MKL_", "OPENBLAS_")
SECRET = {"MINIMIND_DATABASE_URL", "MINIMIND_STUDY_URL", "MINIMIND_TRACKING_DATABASE_URL", "MLFLOW_BACKEND_STORE_URI"}
SECRET |= {"MINIMIND_DATABASE_PASSWORD_FILE", "MINIMIND_WEBHOOK_URL", "MLFLOW_FLASK_SERVER_SECRET_KEY"}
"""What stays with the platform: neither a trainer nor a background job talks to a database or sends notices."""
HUB_TOKENS = {"HF_TOKEN"}  # trainings never ask the hub


def trainer_command(spec: LaunchSpec) -> list[str]:
    """Command line of the trainer. What a user typed stands in the config file, never here."""
    return [sys.executable, "-m", "trainer", spec.type, "--config", str(spec.task_dir / TaskFile.CONFIG)]


class LocalExecutor:
    """See `executors.Executor` for what each call promises."""

    def __init__(self, settings: Settings, command: Callable[[LaunchSpec], list[str]] = trainer_command) -> None:
        self._settings = settings
        self._command = command
        self._runners: list[subprocess.Popen[bytes]] = []

    def check(self) -> None:
        probe = self._settings.out_dir / ".lock-probe"
        try:
            self._settings.out_dir.mkdir(parents=True, exist_ok=True)
            with probe.open("w") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            probe.unlink(missing_ok=True)
        except OSError as error:
            raise PlatformError(
                f"Tasks cannot be run in {self._settings.out_dir}: {error.strerror}. "
                "The home folder must be on a local disk that this user may write to."
            ) from error

    def slots(self) -> dict[str, list[str]]:
        return devices.slots(self._settings.cpu_slots)

    def submit(self, spec: LaunchSpec) -> None:
        folder = self._folder(spec.token)
        if (folder / "proc.json").exists() or (folder / "exit.json").exists():
            return
        # A rival that gets here at the same time is harmless: one of the two runners finds the lock held.
        folder.mkdir(parents=True, exist_ok=True)
        config = spec.task_dir / TaskFile.CONFIG
        if not config.exists():
            runner.write(config, {"type": spec.type, "config": spec.config})
        if spec.overrides:
            runner.write(folder / TaskFile.OVERRIDES, spec.overrides)
        grace, limit = str(self._settings.stop_grace_seconds), str(self._settings.log_limit_mb)
        command = [sys.executable, "-S", "-E", runner.__file__, str(folder), grace, str(spec.task_dir / TaskFile.LOG)]
        with (folder / "runner.log").open("ab") as log:
            process = subprocess.Popen(
                [*command, limit, "--", *self._command(spec)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._settings.home,
                env=self._environment(spec),
                start_new_session=True,
            )
        self._runners.append(process)

    def poll(self, tokens: Sequence[str]) -> dict[str, Seen]:
        self._runners = [process for process in self._runners if process.poll() is None]  # no zombies
        return {token: self._look(self._folder(token)) for token in tokens}

    def stop(self, token: str) -> None:
        folder = self._folder(token)
        proc = read_json(folder / "proc.json")
        # While the lock is held the process with this number is the runner; its start time is checked all the same.
        if proc and not lock_is_free(folder) and runner.ticks(proc["runner"]) == proc["runner_ticks"]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(proc["runner"], signal.SIGTERM)

    def cancel(self, token: str) -> bool:
        folder = self._folder(token)
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            if (folder / "proc.json").exists() or strays(folder):
                return False
            (folder.parent / TaskFile.RESULT).unlink(missing_ok=True)  # of the attempt before; this one has none
            runner.write(folder / "exit.json", {"rc": None})  # a runner that comes later sees it and refuses
            return True

    def sweep(self, token: str) -> None:
        for process in strays(self._folder(token)):
            with contextlib.suppress(psutil.Error):
                process.kill()

    def ending(self, token: str) -> Ending:
        folder = self._folder(token)
        exit_record = read_json(folder / "exit.json") or {}
        proc = read_json(folder / "proc.json") or {}
        result = read_json(folder.parent / TaskFile.RESULT) or {}
        outcome = result.get("outcome")
        return Ending(
            outcome=Outcome(outcome) if outcome in list(Outcome) else None,
            error=str(result.get("error", "")),
            error_class=str(result.get("error_class", "")),
            hint=str(result.get("hint", "")),
            rc=exit_record.get("rc"),
            signal=exit_record.get("signal"),
            killed=bool(exit_record.get("killed")),
            last_words=last_words(folder.parent / TaskFile.LOG),
            rebooted=bool(proc) and proc.get("boot_id") != runner.boot_id(),
        )

    def _look(self, folder: Path) -> Seen:
        # Without proc.json the lock is left alone: looking at it would get in the way of a runner that takes it now.
        if not (folder / "proc.json").exists():
            return Seen.ENDED if (folder / "exit.json").exists() else Seen.PENDING
        if not lock_is_free(folder):
            return Seen.RUNNING
        if strays(folder):
            return Seen.LEFTOVER
        return Seen.ENDED if (folder / "exit.json").exists() else Seen.GONE

    def _folder(self, token: str) -> Path:
        task_id, _, attempt = token.rpartition("/")
        return self._settings.task_dir(task_id) / f"attempt-{attempt}"

    def _environment(self, spec: LaunchSpec) -> dict[str, str]:
        kept = {
            name: value
            for name, value in os.environ.items()
            if (name.upper() in PASSED_ON or name.startswith(PASSED_ON_PREFIXES)) and name not in SECRET | HUB_TOKENS
        }
        # With a tracking server elsewhere our artifacts folder is not the one behind it.
        artifacts = "" if self._settings.tracking_uri else str(self._settings.artifacts_dir)
        return kept | {
            Env.TRACKING_URI: self._settings.tracking,
            Env.RUN_ID: spec.task_id,
            Env.TASK_DIR: str(spec.task_dir),
            Env.ARTIFACTS_DIR: artifacts,
            Env.HOME: str(self._settings.home),
            "CUDA_VISIBLE_DEVICES": devices.visible_devices(spec.device),
            "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_LOGGING_LEVEL": "WARNING",  # the log is about the training
            "PYTHONUNBUFFERED": "1",
        }


def lock_is_free(folder: Path) -> bool:
    """Whether no runner lives. Holds the lock for an instant if so."""
    try:
        with (folder / "lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except FileNotFoundError:
        return True
    return True


def strays(folder: Path) -> list[psutil.Process]:
    """Processes that carry the cookie of this attempt."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get(runner.COOKIE) == str(folder) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def last_words(log: Path) -> str:
    """Why a program says it ended: the exception of the last traceback in its log, else the last line; "" if none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - LOG_TAIL))
            text = file.read().decode("utf-8", errors="replace")
    except OSError:
        return ""
    _, traceback, after = ANSI.sub("", text).rpartition("Traceback (most recent call last):\n")
    lines = [line for line in after.splitlines() if line.strip()]
    exception = next((line for line in lines if not line.startswith(" ")), "") if traceback else ""
    return (exception or (lines[-1] if lines else "")).strip()[:500]


def read_json(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None
