"""An installation for the test: real servers, real trainings of a tiny model, and points at which they fail."""

import json
import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from minimind_platform import Platform, Settings
from minimind_platform.home import prepare
from minimind_platform.local_executor import lock_is_free
from minimind_platform.runner import COOKIE
from minimind_platform.servers import Server
from minimind_platform.store import Store
from minimind_platform.supervisor import Supervisor
from minimind_platform.tasks import Task
from trainer import fault_points

SLOTS = 3
SCHEDULER = """
from minimind_platform.local_executor import LocalExecutor
from minimind_platform.reconciler import MlflowMirror
from minimind_platform.scheduler import only_one, run_forever
from minimind_platform.settings import Settings
settings = Settings.load()
with only_one(settings.mlruns_dir):  # the usual one, with a shorter pause before a restart
    run_forever(settings, LocalExecutor(settings), MlflowMirror(settings), 0.002, with_sweeps=True)
"""
VALUES = {
    "data_path": "dataset/rows.jsonl",
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_seq_len": 32,
    "batch_size": 4,
    "accumulation_steps": 1,
    "epochs": 1000,
    "max_steps": 120,
    "log_interval": 1,
    "save_interval": 20,
    "keep_checkpoints": 2,
    "eval_fraction": 0.1,
    "save_weight": "",
    "device": "cpu",
}


@dataclass(frozen=True)
class Attempt:
    """An attempt whose runner lives."""

    task_id: str
    number: int
    folder: Path


class World:
    """The installation, its servers and its faults."""

    def __init__(self, folder: Path, port: int, tracking_port: int) -> None:
        self.settings = Settings(home=folder, port=port, tracking_port=tracking_port, cpu_slots=SLOTS)
        self.faults = folder / "faults"
        self.faults.mkdir()
        prepare(self.settings)
        rows = [json.dumps({"text": f"Row {n}: the sum of {n} and {n} is {2 * n}."}) + "\n" for n in range(40)]
        (folder / "dataset" / "rows.jsonl").write_text("".join(rows))
        supervisor = Supervisor(self.settings)
        self.tracking, self.scheduler, self.web = supervisor._tracking(), supervisor._scheduler(), supervisor._web()
        self.scheduler.command = [sys.executable, "-c", SCHEDULER]
        limits = {"CPU_SLOTS": SLOTS, "MAX_RESTARTS": 1000, "STOP_GRACE_SECONDS": 20}
        more = {f"MINIMIND_{name}": str(value) for name, value in limits.items()}
        for server in self.servers:
            server.env = {**server.env, **more, **fault_points.environment(self.faults), "OMP_NUM_THREADS": "1"}
        self.platform = Platform(self.settings)
        self.store = Store(self.settings.database)

    @property
    def servers(self) -> tuple[Server, ...]:
        return self.tracking, self.scheduler, self.web

    def keep_servers(self, *servers: Server) -> bool:
        """Start those of these, or of all, that are gone; whether they answer. Only for the main thread: they die with
        the one that starts them."""
        servers = servers or self.servers
        for server in servers:
            if server.process is None or server.process.poll() is not None:
                self.kill(server)
                server.start()
        return all(server.ready() for server in servers)

    def kill(self, server: Server) -> None:
        """All of it: MLflow's server is two processes."""
        if server.process is not None:
            server._signal_group(signal.SIGKILL)
            server.process.wait()

    def post(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any] | None:
        """Ask the web app for something; None if it does not answer or cannot do it now."""
        try:
            answer = httpx.post(f"http://127.0.0.1:{self.settings.port}/api/{path}", json=body or {}, timeout=40)
        except httpx.HTTPError:
            return None
        return answer.json() if answer.is_success else None

    def tasks(self) -> list[Task]:
        """All of them, trials too."""
        return self.platform.tasks(limit=1000, trials=True).tasks

    def live(self) -> list[Attempt]:
        """Attempts whose runner holds its lock."""
        return [one for one in self._attempts() if (one.folder / "proc.json").exists() and not lock_is_free(one.folder)]

    def _attempts(self) -> Iterator[Attempt]:
        for folder in self.settings.out_dir.glob("*/attempt-*"):
            if not (folder / "exit.json").exists():
                yield Attempt(folder.parent.name, int(folder.name.removeprefix("attempt-")), folder)

    def processes(self) -> dict[int, str]:
        """Everything that any attempt has started and that lives: process to the folder of its attempt."""
        found = {}
        for process in psutil.process_iter():
            try:
                folder = process.environ().get(COOKIE, "")
                if folder.startswith(str(self.settings.out_dir)) and process.status() != psutil.STATUS_ZOMBIE:
                    found[process.pid] = folder
            except psutil.Error:
                continue
        return found

    def history(self, task_id: str, key: str = "train/loss") -> list[tuple[int, float]]:
        """A series as MLflow has it."""
        answer = httpx.get(
            f"{self.settings.tracking}/api/2.0/mlflow/metrics/get-history",
            params={"run_id": task_id, "metric_key": key, "max_results": 25_000},
            timeout=40,
        ).json()
        return [(int(one.get("step", 0)), float(one["value"])) for one in answer.get("metrics", [])]

    def close(self) -> None:
        """Kill whatever is left."""
        for server in self.servers:
            self.kill(server)
        for pid in self.processes():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.store.close()
