"""Named points at which tests have a process fail, between two lines that no signal from outside would hit.

    environment = fault_points.environment(folder)      # for the processes that are to fail
    fault_points.arm(folder, "saver.before_rename", "kill", at=2)

A point is a call of `reach`. Without the variables it returns at once. With them, the passes of each point are counted
over all processes, and the first pass from the planned one on fails, once: by a kill (`kill`), by standing still until
somebody sends SIGCONT (`stop`), or by a disk without room (`full`).
"""

import errno
import json
import os
import signal
import time
from pathlib import Path
from typing import Any

FOLDER = "MINIMIND_FAULTS"
CODE = "MINIMIND_FAULT_CODE"
"""This file, for the runner, which knows no packages."""
POINTS = {
    "store.before_commit": "a change of the queue is made and not committed",
    "store.after_commit": "a change of the queue is committed, and its maker does not know",
    "submit.before_store": "the run is made in MLflow, and the task is not in the queue yet",
    "scheduler.before_start": "a task is claimed, and its runner is not started",
    "scheduler.after_start": "the runner is started, and nobody has written so",
    "scheduler.before_settle": "an attempt is over, and its end is not in the queue yet",
    "runner.before_lock": "the runner lives and holds nothing",
    "runner.before_start": "the runner holds its lock, and the training is not started",
    "runner.before_proc": "the training is started, and `proc.json` is not written",
    "runner.before_exit": "the training is over, and `exit.json` is not written",
    "runner.after_exit": "`exit.json` is written, and the runner still holds its lock",
    "saver.before_manifest": "the files of a checkpoint are written, and its manifest is not",
    "saver.before_rename": "a checkpoint is whole under its temporary name",
    "saver.set_aside": "a checkpoint of this step was there, and neither has the name now",
    "saver.after_rename": "a checkpoint has its name, and nobody was told",
    "saver.half_removed": "the manifest of an old checkpoint is gone, and its files are not",
    "spool.before_record": "a step is done and not on record",
    "spool.after_record": "a step is on record",
    "uploader.before_send": "a batch of metrics is read and not sent",
    "uploader.after_send": "the server has a batch, and the offset is not written",
    "uploader.before_version": "the files of a checkpoint are stored, and it is not registered",
    "uploader.after_version": "a checkpoint is registered and has no alias yet",
}
ACTIONS = ("kill", "stop", "full")


def reach(point: str) -> None:
    """Pass a point.

    Raises:
        OSError: of a full disk, where a test wants it.
    """
    if _folder:
        _pass(Path(_folder), point)


def environment(folder: Path) -> dict[str, str]:
    """Variables for processes whose points are to work."""
    return {FOLDER: str(folder), CODE: str(Path(__file__).resolve())}


def arm(folder: Path, point: str, action: str, at: int = 0) -> None:
    """Plan a failure: at the `at`th pass of a point, from 1, or at the next one after what was passed by then."""
    if point not in POINTS or action not in ACTIONS:
        raise ValueError(f"There is no {action} at {point}.")
    part = folder / f".{point}.plan"
    part.write_text(json.dumps({"action": action, "at": at}), encoding="utf-8")
    (folder / f"{point}.fired").unlink(missing_ok=True)
    part.replace(folder / f"{point}.plan")


def fired(folder: Path) -> list[dict[str, Any]]:
    """What has failed so far: `point`, `action`, `pid`, `t` in seconds since 1970, in the order of time."""
    path = folder / "fired.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def _pass(folder: Path, point: str) -> None:
    passes = _append(folder / f"{point}.passes", b".")
    try:
        plan = json.loads((folder / f"{point}.plan").read_text(encoding="utf-8"))
        if passes < plan["at"]:
            return
        (folder / f"{point}.fired").touch(exist_ok=False)
    except (FileNotFoundError, FileExistsError):
        return
    told = {"point": point, "action": plan["action"], "pid": os.getpid(), "t": time.time()}
    _append(folder / "fired.jsonl", json.dumps(told).encode() + b"\n")
    if plan["action"] == "full":
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    os.kill(os.getpid(), signal.SIGKILL if plan["action"] == "kill" else signal.SIGSTOP)


def _append(path: Path, content: bytes) -> int:
    """Append at once, whoever else does; how long the file was right after."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(descriptor, content)
        return os.lseek(descriptor, 0, os.SEEK_CUR)
    finally:
        os.close(descriptor)


_folder = os.environ.get(FOLDER, "")
