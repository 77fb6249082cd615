"""Background jobs: statistics, downloads, emptying the trash. They take minutes and outlive browser tab and web app.

jobs = Jobs(settings)
job = jobs.start("fetch", "dpo", [sys.executable, "-m", "trainer.data_cli", "fetch", "dpo", "--json"], key="fetch dpo")
jobs.get(job.id).state

Each job is one command beside a runner (see `runner.py`), in a folder `out/.jobs/ID/` that tells everything: `job.json`
(what it is), `lock` (held while it lives), `log.txt` (all that it printed), `exit.json` (how it ended). Nothing is kept
in memory, so every process sees the same jobs. The command prints lines {"done", "total"} and, at its end, its result
as one line of JSON.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from minimind_platform import runner
from minimind_platform.errors import ConflictError, NotFoundError
from minimind_platform.local_executor import SECRET, last_words, lock_is_free, read_json
from minimind_platform.settings import Settings
from minimind_platform.views import Job, JobState

FOLDER = ".jobs"
MOST_AT_ONCE = 4
MOST_KEPT = 200
KEPT_SECONDS = 30 * 86_400
START_SECONDS = 10
"""A job whose runner has not begun after so long never will."""
GRACE_SECONDS = 10
NICE = 10
LOG_LIMIT_MB = 64
TAIL = 4_096
LONGEST_RESULT = 4 << 20
PROGRESS = '{"done"'
"""How a line begins that tells how far a job is."""


class Jobs:
    """The jobs of one home folder."""

    def __init__(self, settings: Settings) -> None:
        self._home = settings.home
        self._root = settings.out_dir / FOLDER
        self._children: list[subprocess.Popen[bytes]] = []

    def start(self, kind: str, label: str, command: list[str], key: str, *, with_database: bool = False) -> Job:
        """Run a command in the background, or find it: the same key is the same job.

        One that runs or is done is given back as it is; one that failed or was cancelled begins anew.

        Args:
            kind: `stats`, `fetch` or `purge`.
            label: what it works on, for lists.
            command: program and arguments.
            key: all that the result depends on.
            with_database: let the command know the address of the queue's database, should the environment name it.

        Raises:
            ConflictError: as many as may run at once do so already.
        """
        folder = self._root / hashlib.sha256(key.encode()).hexdigest()[:16]
        with self._alone():
            known = self._read(folder)
            if known and known.state in (JobState.RUNNING, JobState.DONE):
                return known
            running = [job for job in self._all() if job.state is JobState.RUNNING]
            if len(running) >= MOST_AT_ONCE:
                names = ", ".join(job.label for job in running)
                raise ConflictError(f"{len(running)} jobs run already: {names}.", "Wait for one, or cancel it.")
            self._remove_old()
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            what = {"kind": kind, "label": label, "key": key, "command": command, "created_at": time.time()}
            runner.write(folder / "job.json", what)
            self._launch(folder, command, with_database)
        return self.get(folder.name)

    def find(self, key: str) -> Job | None:
        """The job of this key, if there is one."""
        return self._read(self._root / hashlib.sha256(key.encode()).hexdigest()[:16])

    def get(self, id: str) -> Job:  # noqa: A002 - the name that callers use
        """One job.

        Raises:
            NotFoundError: there is none.
        """
        job = self._read(self._folder(id))
        if job is None:
            raise NotFoundError(f"There is no job {id!r}.")
        return job

    def all(self, kind: str = "") -> list[Job]:
        """Jobs, newest first, without their results."""
        self._children = [child for child in self._children if child.poll() is None]
        found = sorted(self._all(), key=lambda job: -job.created_at)
        return [job for job in found if not kind or job.kind == kind]

    def cancel(self, id: str) -> Job:  # noqa: A002
        """Ask a job to end. What a download has brought so far stays; one that has ended is left alone."""
        folder = self._folder(id)
        self.get(id)
        give_up = time.monotonic() + START_SECONDS
        while self.get(id).state is JobState.RUNNING and time.monotonic() < give_up:
            proc = read_json(folder / "proc.json")
            if proc and runner.ticks(proc["runner"]) == proc["runner_ticks"]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(proc["runner"], signal.SIGTERM)
                break
            time.sleep(0.05)  # its runner is about to begin
        return self.get(id)

    def remove(self, id: str) -> None:  # noqa: A002
        """Forget a job that has ended; its result is worked out anew when it is wanted again.

        Raises:
            ConflictError: it runs.
        """
        with self._alone():
            if self.get(id).state is JobState.RUNNING:
                raise ConflictError("This job runs; cancel it first.")
            shutil.rmtree(self._folder(id), ignore_errors=True)

    def _launch(self, folder: Path, command: list[str], with_database: bool) -> None:
        log = str(folder / "log.txt")
        # Trainings come first: a job takes what they leave of the processor.
        begin = [
            "nice",
            "-n",
            str(NICE),
            sys.executable,
            "-S",
            "-E",
            runner.__file__,
            str(folder),
            str(GRACE_SECONDS),
            log,
            str(LOG_LIMIT_MB),
        ]
        environment = {name: value for name, value in os.environ.items() if with_database or name not in SECRET}
        with (folder / "runner.log").open("ab") as errors:
            child = subprocess.Popen(
                [*begin, "--", *command],
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
                cwd=self._home,
                env=environment | {"MINIMIND_HOME": str(self._home), "PYTHONUNBUFFERED": "1"},
                start_new_session=True,
            )
        self._children.append(child)

    def _folder(self, id: str) -> Path:  # noqa: A002
        if not id.isalnum():
            raise NotFoundError(f"There is no job {id!r}.")
        return self._root / id

    def _all(self) -> list[Job]:
        folders = self._root.iterdir() if self._root.is_dir() else ()
        return [job for folder in folders if (job := self._read(folder, with_result=False))]

    def _read(self, folder: Path, with_result: bool = True) -> Job | None:
        what = read_json(folder / "job.json")
        if not what:
            return None
        ended = read_json(folder / "exit.json")
        state = _state(folder, what, ended)
        done, total = _progress(folder / "log.txt")
        job = Job(folder.name, what["kind"], what["label"], state, what["created_at"], done=done, total=total)
        if state is JobState.DONE and with_result:
            job.result = _result(folder / "log.txt")
        elif state is JobState.FAILED:
            words = last_words(folder / "log.txt")
            job.error = words if words and not words.startswith(PROGRESS) else "It was interrupted."
        job.ended_at = ended["t"] / 1000 if ended and ended.get("t") else None
        return job

    def _remove_old(self) -> None:
        ended = [job for job in self.all() if job.state is not JobState.RUNNING]
        for place, job in enumerate(ended):
            if place >= MOST_KEPT or time.time() - job.created_at > KEPT_SECONDS:
                shutil.rmtree(self._root / job.id, ignore_errors=True)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """One process at a time starts or removes jobs."""
        self._root.mkdir(parents=True, exist_ok=True)
        with (self._root / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _state(folder: Path, what: dict[str, Any], ended: dict[str, Any] | None) -> JobState:
    if ended:
        if ended.get("stopped"):
            return JobState.CANCELLED
        return JobState.DONE if ended.get("rc") == 0 else JobState.FAILED
    if (folder / "proc.json").exists():
        # The lock is left alone before: looking at it would get in the way of a runner that takes it.
        alive = not lock_is_free(folder)
        return JobState.RUNNING if alive else _late(folder)
    return JobState.RUNNING if time.time() - what["created_at"] < START_SECONDS else JobState.FAILED


def _late(folder: Path) -> JobState:
    """The runner ended between two looks, or was killed with its machine."""
    ended = read_json(folder / "exit.json")
    return _state(folder, {}, ended) if ended else JobState.FAILED


def _progress(log: Path) -> tuple[int, int]:
    """The last {"done", "total"} that was printed; zeros if there is none yet."""
    for line in reversed(_tail(log, TAIL)):
        if line.startswith(PROGRESS):
            with contextlib.suppress(ValueError, KeyError, TypeError):
                told = json.loads(line)
                return int(told["done"]), int(told["total"])
    return 0, 0


def _result(log: Path) -> Any:
    """The last line, as JSON."""
    lines = _tail(log, LONGEST_RESULT)
    try:
        return json.loads(lines[-1])
    except (IndexError, ValueError):
        return None


def _tail(path: Path, size: int) -> list[str]:
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - size))
            return file.read().decode("utf-8", errors="replace").splitlines()
    except OSError:
        return []
