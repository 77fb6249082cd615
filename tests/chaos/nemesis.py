"""Does harm: kills and pauses every role, locks the databases, fills the disk, and stops trainings as people do."""

import contextlib
import json
import os
import random
import signal
import sqlite3
import threading
import time
from collections import Counter
from pathlib import Path

from chaos.world import World
from minimind_platform.local_executor import strays
from minimind_platform.tasks import State
from trainer import fault_points
from trainer.names import Env

SHARES = {
    "kill trainer": 10,
    "pause trainer": 5,
    "kill rank": 6,
    "pause rank": 3,
    "kill runner": 8,
    "pause runner": 4,
    "kill scheduler": 6,
    "pause scheduler": 5,
    "kill web": 2,
    "pause web": 3,
    "kill tracking": 2,
    "pause tracking": 3,
    "lock queue": 5,
    "lock tracking": 5,
    "arm kill": 24,
    "arm stop": 8,
    "arm full": 5,
    "person stops": 5,
    "person resumes": 8,
}
"""Fault to how often it is chosen."""
FULL = ("saver.before_manifest", "saver.before_rename", "spool.before_record")
PAUSE_SECONDS = (0.5, 3.0)


class Nemesis:
    """Strikes by the dice of a seed."""

    def __init__(self, world: World, seed: int) -> None:
        self.counts: Counter[str] = Counter()
        self._world = world
        self._dice = random.Random(seed)
        self._asleep: list[tuple[int, float]] = []
        self._seen = 0
        self._locks: list[threading.Thread] = []

    def strike(self) -> None:
        """One fault. Not every one finds somebody to do it to; those are not counted."""
        fault = self._dice.choices(list(SHARES), list(SHARES.values()))[0]
        verb, role = fault.split()
        if self._do(verb, role):
            self.counts[fault] += 1

    def wake(self, *, everyone: bool = False) -> None:
        """Let go on what has been paused for long enough."""
        for one in fault_points.fired(self._world.faults)[self._seen :]:
            self._seen += 1
            self.counts[f"{one['action']} at {one['point']}"] += 1
            if one["action"] == "stop":
                self._asleep.append((one["pid"], time.monotonic() + self._seconds()))
        now = time.monotonic()
        for pid, until in list(self._asleep):
            if everyone or until <= now:
                self._asleep.remove((pid, until))
                _signal(pid, signal.SIGCONT)

    def cease(self) -> None:
        """No more harm from here: plans are withdrawn, locks are waited for, and all are awake."""
        for plan in self._world.faults.glob("*.plan"):
            plan.unlink()
        for lock in self._locks:
            lock.join()
        self.wake(everyone=True)

    def _do(self, verb: str, role: str) -> bool:
        if verb == "lock":
            return self._lock("app.db" if role == "queue" else "tracking.db")
        if verb == "arm":
            point = self._dice.choice(FULL if role == "full" else list(fault_points.POINTS))
            fault_points.arm(self._world.faults, point, role)
            return False  # counted when it fires
        if verb == "person":
            return self._person(role)
        pid = self._find(role)
        if pid is None:
            return False
        if verb == "pause":
            self._asleep.append((pid, time.monotonic() + self._seconds()))
        return _signal(pid, signal.SIGKILL if verb == "kill" else signal.SIGSTOP)

    def _find(self, role: str) -> int | None:
        servers = {server.name.split()[0]: server for server in self._world.servers}
        if role in servers:
            process = servers[role].process
            return process.pid if process is not None and process.poll() is None else None
        live = self._world.live()
        if not live:
            return None
        folder = self._dice.choice(live).folder
        if role == "rank":
            ranks = [process for process in strays(folder) if _is_rank(process)]
            return self._dice.choice(ranks).pid if ranks else None
        try:
            return int(json.loads((folder / "proc.json").read_text())["pid" if role == "trainer" else "runner"])
        except (OSError, ValueError):
            return None

    def _lock(self, name: str) -> bool:
        path, seconds = self._world.settings.mlruns_dir / name, self._dice.uniform(1.0, 5.0)
        self._locks.append(threading.Thread(target=_hold, args=(path, seconds), daemon=True))
        self._locks[-1].start()
        return True

    def _person(self, what: str) -> bool:
        tasks = [task for task in self._world.tasks() if not task.sweep_id]
        if what == "stops":
            there = [task for task in tasks if task.state in (State.QUEUED, State.STARTING, State.RUNNING)]
            action = "stop"
        else:
            there = [task for task in tasks if task.state in (State.STOPPED, State.FAILED)]
            action = "resume"
        return bool(there) and self._world.post(f"tasks/{self._dice.choice(there).id}/{action}") is not None

    def _seconds(self) -> float:
        return self._dice.uniform(*PAUSE_SECONDS)


def _is_rank(process: object) -> bool:
    with contextlib.suppress(Exception):  # it ended meanwhile
        return Env.RANK in process.environ()  # type: ignore[attr-defined]
    return False


def _signal(pid: int, number: int) -> bool:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def _hold(path: Path, seconds: float) -> None:
    connection = sqlite3.connect(path, timeout=10, isolation_level=None)
    busy = sqlite3.OperationalError  # somebody else has it all the time
    with contextlib.closing(connection), contextlib.suppress(busy):
        connection.execute("BEGIN EXCLUSIVE")
        time.sleep(seconds)
        connection.execute("ROLLBACK")
