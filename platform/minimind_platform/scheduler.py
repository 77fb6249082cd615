"""The process around the scheduler: only one a home folder, its log, its heartbeat, its end.

with only_one(settings.mlruns_dir): run_forever(settings)
"""

import fcntl
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

import psutil

from minimind_platform import runner
from minimind_platform.dispatcher import Dispatcher
from minimind_platform.errors import DatabaseUnavailableError, PlatformError
from minimind_platform.executors import Executor
from minimind_platform.local_executor import LocalExecutor
from minimind_platform.reconciler import Mirror, MlflowMirror, Reconciler
from minimind_platform.service import Platform
from minimind_platform.settings import Settings
from minimind_platform.store import Store
from minimind_platform.sweeps.loop import SweepLoop
from minimind_platform.sweeps.mirror import SweepMirror
from minimind_platform.tracking_client import TrackingClient
from minimind_platform.trash.keeper import TrashKeeper
from minimind_platform.turns import Turn

log = logging.getLogger(__name__)

GLANCE_SECONDS, BUSY_SECONDS, IDLE_SECONDS = 0.1, 0.25, 1.0
BEAT_SECONDS = 3.0
ERROR_PAUSE_SECONDS = 5.0
HOLDER_SECONDS = 2.0


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stdout, force=True)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        settings = Settings.load()
        with only_one(settings.mlruns_dir):
            run_forever(settings, LocalExecutor(settings), MlflowMirror(settings), with_sweeps=True)
    except PlatformError as error:
        print(error, file=sys.stderr)
        sys.exit(1)


def run_forever(
    settings: Settings, executor: Executor, mirror: Mirror, pause_seconds: float = 15.0, *, with_sweeps: bool = False
) -> None:
    """Schedule until SIGTERM or SIGINT. Trainings that run are left alone."""
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    executor.check()
    store = Store(settings.database)
    turn = Turn(store.engine, f"{socket.gethostname()}: process {os.getpid()}")
    turn.keep()
    sweeps = None
    reconciler = Reconciler(store, mirror)
    if with_sweeps:
        platform = Platform(settings)
        sweeps = SweepLoop(platform, store)
        TrashKeeper(platform.trash, settings.trash_days).start()
        reconciler = Reconciler(store, mirror, sweeps=SweepMirror(store, TrackingClient(settings.tracking)).round)

    def moved() -> None:
        reconciler.poke()
        if sweeps:
            sweeps.poke()

    dispatcher = Dispatcher(settings, store, executor, pause_seconds=pause_seconds, moved=moved)
    reconciler.start()
    if sweeps:
        sweeps.start()
    _beat(settings)
    last_beat = time.monotonic()
    log.info("The scheduler is ready: %s.", ", ".join(slot for kind in executor.slots().values() for slot in kind))
    while not ended.is_set():
        if time.monotonic() - last_beat >= BEAT_SECONDS:
            _beat(settings)
            last_beat = time.monotonic()
        if _rest(_tick(dispatcher) if _ours(turn) else ERROR_PAUSE_SECONDS, ended, store) and sweeps:
            sweeps.poke()
    log.info("The scheduler ends; trainings go on without it.")


def _beat(settings: Settings) -> None:
    """Say for other processes that this one works. A full disk must not end it."""
    with suppress(OSError):
        runner.write(settings.mlruns_dir / "scheduler.json", {"pid": os.getpid(), "t": time.time()})


def _ours(turn: Turn) -> bool:
    """Whether to schedule; not while the database is away.

    Raises:
        PlatformError: another scheduler was faster after it had been away.
    """
    try:
        turn.keep()
    except DatabaseUnavailableError as error:
        log.error("%s", error)
        return False
    return True


def _tick(dispatcher: Dispatcher) -> float:
    """One round, and how long to wait for the next. No error may end the scheduler: nobody else would do its work."""
    try:
        return BUSY_SECONDS if dispatcher.tick() else IDLE_SECONDS
    except PlatformError as error:
        log.error("%s", error)
    except Exception:
        log.exception("A round of the scheduler failed; the next one is in %.0f s.", ERROR_PAUSE_SECONDS)
    return ERROR_PAUSE_SECONDS


def _rest(seconds: float, ended: threading.Event, store: Store) -> bool:
    """Wait for the next round: less when somebody has submitted or stopped something, which is the answer."""
    until = time.monotonic() + seconds
    while not ended.wait(GLANCE_SECONDS) and time.monotonic() < until:
        if seconds < ERROR_PAUSE_SECONDS and store.changed():
            return True
    return False


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Be the only scheduler here.

    Raises:
        PlatformError: another one is; names its process.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "scheduler.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PlatformError(
                f"A scheduler works in {folder.parent} already: process {_holder(lock)}. "
                "One is enough; it serves all tasks."
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        try:
            yield
        finally:
            lock.truncate(0)


def _holder(lock: TextIO) -> str:
    """The process that holds the lock. One that has just taken it writes its number a moment later."""
    give_up = time.monotonic() + HOLDER_SECONDS
    while True:
        lock.seek(0)
        pid = lock.read().strip()
        if (pid.isdigit() and psutil.pid_exists(int(pid))) or time.monotonic() > give_up:
            return pid or "unknown"
        time.sleep(0.01)


if __name__ == "__main__":
    main()
