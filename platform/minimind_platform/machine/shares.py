"""What processes take: those of each running task, and those of the platform itself.

shares = Shares(settings)
shares.task(task)
"""

import json
import os
from contextlib import suppress
from pathlib import Path

import psutil

from minimind_platform import runner
from minimind_platform.home import LOCK_FILE
from minimind_platform.local_executor import lock_is_free, read_json
from minimind_platform.machine.views import PlatformProcess, TaskShare
from minimind_platform.settings import Settings
from minimind_platform.tasks import Task

SERVERS = {"tracking": "mlflow", "scheduler": "minimind_platform.scheduler", "web": "dash_app"}
"""How the command lines of the supervisor's children are told apart."""


class Shares:
    """Remembers processes between two looks: one is asked for the CPU time since it was asked last."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._known: dict[int, psutil.Process] = {}
        self._seen: set[int] = set()
        self._asked: set[int] = set()

    def task(self, task: Task, gpu_memory: dict[int, int]) -> TaskShare:
        """A running task; `gpu_memory` by process number."""
        folder = self._settings.task_dir(task.id) / f"attempt-{task.attempt}"
        proc = read_json(folder / "proc.json") or {}
        tree = []
        if proc and not lock_is_free(folder) and runner.ticks(proc["runner"]) == proc["runner_ticks"]:
            tree = self._tree(proc["runner"])
        cpu, memory = self._sum(tree)
        held = [gpu_memory[process.pid] for process in tree if process.pid in gpu_memory]
        facts = (task.id, task.name, task.type, task.device, len(tree))
        return TaskShare(*facts, cpu, memory, sum(held) if held else None)

    def platform(self, tracking_alive: bool, scheduler_alive: bool) -> list[PlatformProcess]:
        """The supervisor and its three servers. One that somebody else started has no number."""
        holder = _holder(self._settings.mlruns_dir / LOCK_FILE)
        children = {}
        with suppress(psutil.Error):
            if holder:
                children = {_name(child): child.pid for child in psutil.Process(holder).children()}
        scheduler = _holder(self._settings.mlruns_dir / "scheduler.json") if scheduler_alive else None
        # Trainings and background jobs are children of those that started them; MLflow's server is two processes.
        return [
            self._process("supervisor", holder, alive=holder is not None),
            self._process("tracking", children.get("tracking"), alive=tracking_alive, whole=True),
            self._process("scheduler", children.get("scheduler") or scheduler, alive=scheduler_alive),
            self._process("web", children.get("web"), alive=True),
        ]

    def settle(self) -> None:
        """Forget the processes that nobody asked for since the last call."""
        self._known = {pid: process for pid, process in self._known.items() if pid in self._seen}
        self._asked &= self._seen
        self._seen = set()

    def _process(self, name: str, pid: int | None, *, alive: bool, whole: bool = False) -> PlatformProcess:
        if pid is None or not alive:
            return PlatformProcess(name, alive)
        cpu, memory = self._sum(self._tree(pid, whole))
        return PlatformProcess(name, alive, pid, cpu, memory)

    def _tree(self, pid: int, whole: bool = True) -> list[psutil.Process]:
        """A process with all below it: the same objects as the last time."""
        try:
            trunk = psutil.Process(pid)
            found = [trunk, *(trunk.children(recursive=True) if whole else [])]
        except psutil.Error:
            return []
        tree = []
        for process in found:
            known = self._known.get(process.pid)
            if known is None or known != process:  # the same number may be another one
                self._known[process.pid] = process
                self._asked.discard(process.pid)
            self._seen.add(process.pid)
            tree.append(self._known[process.pid])
        return tree

    def _sum(self, tree: list[psutil.Process]) -> tuple[float | None, int]:
        cpu, memory, asked_before = 0.0, 0, False
        for process in tree:
            with suppress(psutil.Error):
                asked_before = asked_before or process.pid in self._asked
                self._asked.add(process.pid)
                cpu += process.cpu_percent()
                memory += process.memory_info().rss
        return (cpu if asked_before else None), memory


def _holder(path: Path) -> int | None:
    """The living process that a file names."""
    try:
        pid = int(json.loads(path.read_text(encoding="utf-8"))["pid"])
        os.kill(pid, 0)
    except PermissionError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return pid


def _name(process: psutil.Process) -> str:
    with suppress(psutil.Error):
        words = process.cmdline()
        return next((name for name, word in SERVERS.items() if word in words), "")
    return ""
