"""Starts the processes of one training, watches them, and tells how they ended. `python -m trainer` does this instead
of training when num_processes is above 1, whoever started it.

    code, status = Launcher(config, session).run()

It is its own supervisor, not torchrun: a process that dies ends the others within a second instead of thirty, a stop
may take as long as saving takes, and the record of the failure is in `result.json`. It loads no torch.
"""

import contextlib
import ctypes
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from trainer.configs import TrainConfig
from trainer.errors import Problem, SettingsError
from trainer.names import BAD_INPUT, Env, ErrorClass, ExitCode, Outcome, RunStatus, TaskFile
from trainer.problems import cores, more_than_cores
from trainer.session import Session, write_json
from trainer.spool import read_records

log = logging.getLogger("trainer")
POLL_SECONDS = 0.1
SETTLE_SECONDS = 0.3
"""After the first death: the cause and what follows from it come almost together."""
FROM_OUTSIDE = (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Failure:
    """Why a process could not go on."""

    message: str
    hint: str
    error_class: str
    details: str
    """For the log: the traceback of what was not foreseen."""
    t: float

    @classmethod
    def now(cls, message: str, hint: str, error_class: ErrorClass, details: str) -> "Failure":
        return cls(message, hint, str(error_class), details, time.time())

    @property
    def everywhere(self) -> bool:
        """Whether it is about the training, and not about one of its processes."""
        return self.error_class not in (ErrorClass.INTERNAL, ErrorClass.OUT_OF_MEMORY, ErrorClass.KILLED)


class Launcher:
    """The processes of one attempt."""

    def __init__(self, config: TrainConfig, session: Session) -> None:
        self._config, self._session = config, session
        self._count = config.num_processes
        self._processes: list[subprocess.Popen[bytes]] = []

    def run(self) -> tuple[int, RunStatus]:
        """Start them, and stay until the last has ended. Returns the exit code and the status of the run."""
        folder = self._session.task_dir
        for rank in range(self._count):
            _failure_file(folder, rank).unlink(missing_ok=True)
        self._start()
        told = False
        while self._alive() and not self._failed():
            if self._session.stop_requested and not told:
                self._signal(signal.SIGTERM)
                told = True
            time.sleep(POLL_SECONDS)
        if self._failed():
            time.sleep(SETTLE_SECONDS)
        dead = [process.poll() for process in self._processes]
        self._signal(signal.SIGKILL)
        for process in self._processes:
            process.wait()
        outcome = _outcome(folder)
        if outcome is None:
            return self._tell(self._cause(dead))
        stopped = outcome is Outcome.STOPPED
        return (ExitCode.STOPPED, RunStatus.KILLED) if stopped else (ExitCode.FINISHED, RunStatus.FINISHED)

    def _start(self) -> None:
        command = [sys.executable, "-m", "trainer", self._config.type, "--config"]
        command.append(str(self._session.task_dir / TaskFile.CONFIG))
        # A stop that comes before a process can take note of it waits until it can.
        signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT))
        try:
            with socket.create_server(("127.0.0.1", 0), backlog=self._count) as server:
                for rank in range(self._count):
                    held = (server.fileno(),) if rank == 0 else ()
                    environment = self._environment(rank, server)
                    self._processes.append(subprocess.Popen(command, env=environment, pass_fds=held))
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM, signal.SIGINT))

    def _environment(self, rank: int, server: socket.socket) -> dict[str, str]:
        session = self._session
        values = dict(os.environ) | {
            Env.TASK_DIR: str(session.task_dir),
            Env.RUN_ID: session.run_id,
            Env.HOME: str(session.home),
            Env.RANK: str(rank),
            Env.RANKS: str(self._count),
            Env.STORE_PORT: str(server.getsockname()[1]),
            Env.STORE_SOCKET: str(server.fileno()),
            Env.LAUNCHER: str(os.getpid()),
        }
        values.setdefault("OMP_NUM_THREADS", str(max(1, cores() // self._count)))
        if sys.platform == "linux":  # all on this machine: no need to find out which network leads to it
            values.setdefault("GLOO_SOCKET_IFNAME", "lo")
            values.setdefault("NCCL_SOCKET_IFNAME", "lo")
        if not session.tracked:
            values.pop(Env.TRACKING_URI, None)
        return values

    def _alive(self) -> bool:
        return any(process.poll() is None for process in self._processes)

    def _failed(self) -> bool:
        good = (None, ExitCode.FINISHED, ExitCode.STOPPED)
        return any(process.poll() not in good for process in self._processes)

    def _signal(self, number: signal.Signals) -> None:
        for process in self._processes:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(number)

    def _cause(self, codes: list[int | None]) -> Failure:
        """What went wrong first: the others only lost their partner."""
        for rank, code in enumerate(codes):
            if code is not None and code < 0:
                return _by_signal(rank, self._count, signal.Signals(-code))
        told = {rank: found for rank in range(self._count) if (found := _read(self._session.task_dir, rank))}
        if not told:
            codes_text = ", ".join(str(code) for code in codes)
            text = f"The processes ended without a word (exit codes {codes_text})."
            return Failure.now(text, "The log has the details.", ErrorClass.INTERNAL, text)
        rank, failure = min(told.items(), key=lambda item: item[1].t)
        if failure.everywhere:
            return failure
        message = f"Rank {rank} of {self._count}: {failure.message}"
        return Failure(message, failure.hint, failure.error_class, f"Rank {rank}: {failure.details}", failure.t)

    def _tell(self, failure: Failure) -> tuple[int, RunStatus]:
        """Do what the first process would have done at the end."""
        log.error("%s", failure.details)
        session = self._session
        session.reopen()
        for record, _ in read_records(session.spool.path):
            session.total_steps = record.get("total_steps", session.total_steps)
        session.step = session.spool.last_step
        session.feed()
        session.end(Outcome.FAILED, failure.message, failure.hint, failure.error_class)
        for rank in range(self._count):
            _failure_file(session.task_dir, rank).unlink(missing_ok=True)
        return ExitCode.BAD_INPUT if failure.error_class in BAD_INPUT else ExitCode.FAILED, RunStatus.FAILED


def check_count(config: TrainConfig) -> None:
    """Refuse more processes than this machine can run.

    Raises:
        SettingsError: there are more processes than cores. GPUs are counted by the processes themselves.
    """
    if problem := more_than_cores(config.num_processes):
        raise SettingsError([problem])
    if os.environ.get("TORCHELASTIC_RUN_ID") and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        text = "Do not start it with torchrun: python -m trainer starts its processes itself. Set num_processes."
        raise SettingsError([Problem("num_processes", "torchrun", text)])


def follow_launcher() -> None:
    """Have this process stop when its launcher is gone."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
    if os.getppid() != int(os.environ[Env.LAUNCHER]):  # it died before the line above
        os.kill(os.getpid(), signal.SIGTERM)


def give_up(task_dir: Path, rank: int, failure: Failure) -> None:
    """Tell the launcher why this process cannot go on, and end it at once: taking leave could wait for the others."""
    write_json(_failure_file(task_dir, rank), asdict(failure))
    sys.stdout.flush()
    os._exit(ExitCode.FAILED)


def _failure_file(task_dir: Path, rank: int) -> Path:
    return task_dir / f".rank-{rank}.json"


def _read(task_dir: Path, rank: int) -> Failure | None:
    try:
        return Failure(**json.loads(_failure_file(task_dir, rank).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _outcome(task_dir: Path) -> Outcome | None:
    """What the first process wrote at its end; None if it did not get there."""
    try:
        return Outcome(json.loads((task_dir / TaskFile.RESULT).read_text(encoding="utf-8"))["outcome"])
    except (OSError, ValueError, KeyError):
        return None


def _by_signal(rank: int, count: int, number: signal.Signals) -> Failure:
    if number in FROM_OUTSIDE:
        why = ", perhaps for lack of memory" if number is signal.SIGKILL else ""
        text = f"Rank {rank} of {count} was killed ({number.name}){why}."
        return Failure.now(text, "Resume it when the cause is gone.", ErrorClass.KILLED, text)
    text = f"Rank {rank} of {count} crashed ({number.name})."
    return Failure.now(text, "The log has the details.", ErrorClass.INTERNAL, text)
