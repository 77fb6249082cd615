"""What one attempt of a task has around it: its directory, its spool, the wish to stop, and the way its end is told.

with Session.open(config, type_name) as session:
    recipe.train(config, session)
"""

import contextlib
import fcntl
import json
import logging
import os
import signal
import sys
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from trainer.configs import TrainConfig
from trainer.errors import BusyError
from trainer.names import HIGHER_IS_BETTER, Env, ErrorClass, Outcome, Rule, Tag, TaskFile
from trainer.overrides import Overrides
from trainer.ranks import Ranks
from trainer.spool import NoSpool, Spool

log = logging.getLogger("trainer")


@dataclass
class Best:
    """The best value seen, and where."""

    name: str = ""
    value: float | None = None
    step: int = 0

    def better(self, name: str, value: float, step: int) -> bool:
        """Take the value if it is the best so far: the lowest loss or the highest reward. NaN never is."""
        sign = -1 if name in HIGHER_IS_BETTER else 1
        if value != value or (self.value is not None and sign * value >= sign * self.value):
            return False
        self.name, self.value, self.step = name, value, step
        return True


@dataclass
class Session:
    """One attempt of a task."""

    task_dir: Path
    home: Path
    run_id: str
    config: TrainConfig
    attempt: int
    tracked: bool
    """Whether a tracking server is to be fed."""
    ranks: Ranks = field(default_factory=Ranks.from_environment)
    spool: Spool = field(init=False)
    stop_requested: bool = False
    stop_reason: str = ""
    """What the watchdog found, if the stop is its wish."""
    save_requested: bool = False
    """Whether a checkpoint is wanted after this step, by all processes alike."""
    step: int = 0
    total_steps: int = 0
    best: Best = field(default_factory=Best)
    overrides: Overrides = field(default_factory=Overrides)
    """What this attempt has instead of the settings that the person chose; `config` has it already."""
    _tracking: Any = None
    _lock: int | None = None

    @classmethod
    def open(
        cls,
        config: TrainConfig,
        task_dir: Path,
        home: Path,
        run_id: str,
        tracked: bool,
        overrides: Overrides | None = None,
    ) -> "Session":
        """Begin an attempt in a task directory, which is made if need be. Of several processes, the launcher holds the
        directory and the first one writes the spool.

        Raises:
            BusyError: another trainer is at work in it.
        """
        attempt = int(os.environ.get(Env.ATTEMPT, "attempt-1").rpartition("-")[2])
        session = cls(task_dir, home, run_id, config, attempt, tracked, overrides=overrides or Overrides())
        if session.ranks.count == 1:
            session._take()
        session.spool = Spool(task_dir) if session.ranks.first else NoSpool()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, session._ask_to_stop)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM, signal.SIGINT))  # the launcher holds them back
        return session

    def _take(self) -> None:
        self.task_dir.mkdir(parents=True, exist_ok=True)
        self._lock = lock_of(self.task_dir)
        if self._lock is None:
            raise BusyError(f"Another trainer is at work in {self.task_dir}.", "Wait for its end, or stop it.")
        (self.task_dir / TaskFile.RESULT).unlink(missing_ok=True)

    def reopen(self) -> None:
        """Take over the spool from a process that is gone."""
        self.spool.close()
        self.spool = Spool(self.task_dir)

    def __enter__(self) -> "Session":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.spool.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def begin(self, total_steps: int, epochs: int, parameters: int, device: str, step: int) -> None:
        """Record that training begins (or goes on at `step`), and start feeding the tracking server."""
        self.step, self.total_steps = step, total_steps
        self.spool.write(
            "begin",
            attempt=self.attempt,
            step=step,
            total_steps=total_steps,
            epochs=epochs,
            parameters=parameters,
            device=device,
        )
        if self.overrides.values:
            self.spool.write("tags", values={Tag.OVERRIDES: json.dumps(self.overrides.values)})
            self.event("settings_changed", self.overrides.sentence())
        self.feed()

    def feed(self) -> None:
        """Start feeding the tracking server, if there is one."""
        if self.tracked and self.ranks.first:
            from trainer.tracking import Tracking

            self._tracking = Tracking(self.task_dir, self.run_id, self.config.registered_name)
            self._tracking.start()

    @property
    def force(self) -> bool:
        """Whether a person wants to go on although the data has changed."""
        attempt = os.environ.get(Env.ATTEMPT)
        return os.environ.get(Env.FORCE) == "1" or bool(attempt and (Path(attempt) / TaskFile.FORCE).exists())

    def event(self, name: str, text: str, notify: bool = False) -> None:
        """Record something that a person should find in the history, and log it; `notify`: and be told of."""
        if self.ranks.first:
            log.warning(text)
        told = {"notify": True} if notify else {}
        self.spool.write("event", step=self.step, name=name, text=text, **told)

    def notifies(self, rule: Rule) -> bool:
        """Whether people are to be told of what this rule finds."""
        return getattr(self.config, f"watch_{rule}") not in ("off", "mark")

    def alarm(self, rule: Rule, text: str) -> None:
        """Something looks wrong: do what the settings say about this rule. From any thread."""
        action = getattr(self.config, f"watch_{rule}")
        if action == "off":
            return
        self.event(rule, text, notify=self.notifies(rule))
        self.save_requested |= action == "save"
        if action == "stop":
            self.stop_reason = self.stop_reason or text
            self.stop_requested = True

    def end(self, outcome: Outcome, error: str = "", hint: str = "", error_class: ErrorClass | str = "") -> None:
        """Record the end, let the tracking server catch up, and write `result.json` last."""
        if not self.ranks.first:
            return
        if outcome is Outcome.STOPPED and self.stop_reason:
            error, error_class = self.stop_reason, ErrorClass.WATCHDOG
        with contextlib.suppress(OSError):  # a full disk must not keep us from saying so in the result
            self.spool.write("end", outcome=outcome, step=self.step)
            self.spool.flush()
        if self._tracking is not None:
            self._tracking.drain()
        best = {"name": self.best.name, "value": self.best.value, "step": self.best.step} if self.best.name else None
        result = {
            "outcome": outcome,
            "step": self.step,
            "total_steps": self.total_steps,
            "error_class": str(error_class),
            "error": error,
            "hint": hint,
            "best_metric": best,
            "attempt": self.attempt,
            "t": int(time.time() * 1000),
        }
        write_json(self.task_dir / TaskFile.RESULT, result)

    def _ask_to_stop(self, number: int, _frame: Any) -> None:
        # Only a flag: the loop saves at the next step boundary. Saving in a handler could find the model half updated.
        if not self.stop_requested:
            self.stop_requested = True
            if self.ranks.count > 1:  # the launcher says it
                return
            with contextlib.suppress(Exception):
                os.write(sys.stdout.fileno(), f"Stop requested ({signal.Signals(number).name}).\n".encode())


def lock_of(task_dir: Path) -> int | None:
    """Take a task directory for one trainer: an open file that holds the lock, or None if another trainer has it.
    The kernel gives it back when the process ends, however it ends."""
    descriptor = os.open(task_dir / ".trainer.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def new_task_dir(config: TrainConfig, home: Path) -> tuple[Path, str]:
    """Where a training started by hand goes: `out/<id>/`, or the directory that the platform names."""
    given = os.environ.get(Env.TASK_DIR)
    if given:
        return Path(given), os.environ.get(Env.RUN_ID, Path(given).name)
    out = Path(config.save_dir)
    run_id = os.environ.get(Env.RUN_ID) or uuid.uuid4().hex
    return (out if out.is_absolute() else home / out) / run_id, run_id


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file as `write_bytes` does."""
    write_bytes(path, (json.dumps(content, ensure_ascii=False, indent=2) + "\n").encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file so that a reader sees the old content or the new, never half."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
