"""A home with long runs and many tasks, and the servers over it, for bench/web.py; a home alone, for bench/load.py.

with site(steps=1_000_000, tasks=10_000) as found:
    found.web.restart()
with home(cpu_slots=2) as (settings, web): ...
"""

import contextlib
import json
import os
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from minimind_platform import Platform, Settings
from minimind_platform.home import prepare
from minimind_platform.rows import NewTask, new_row
from minimind_platform.schema import task as task_table
from minimind_platform.servers import Server, answers
from minimind_platform.supervisor import Supervisor
from trainer.configs import parse_config

KEYS = ("train/loss",)
POINTS = """
WITH RECURSIVE n(step) AS (SELECT 1 UNION ALL SELECT step + 1 FROM n WHERE step < :steps)
INSERT INTO metrics (key, value, timestamp, run_uuid, step, is_nan)
SELECT :key, 2 + 8.0 / (1 + step / 1000.0) + (step * 7919 % 1000) / 5000.0 + (step % 49999 = 0) * 20,
       :now - (:steps - step) * 40, :run, step, 0 FROM n
"""


@dataclass
class Site:
    """What the measurements need."""

    settings: Settings
    web: Server
    long_run: str
    """Task whose metrics somebody else has logged."""
    their_run: str
    """The same metrics in a run that is no task."""
    live_run: str
    """Task that is being trained; its record is written by the bench."""
    ended_run: str

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.settings.port}"

    def restart_web(self) -> None:
        """A web app that remembers nothing."""
        if self.web.process is not None:
            self.web.ask_to_stop()
            self.web.wait(time.monotonic() + 10)
            self.web.process = None
        self.web.start()
        wait_for(f"{self.url}/healthz")

    def web_cpu(self) -> float:
        """Processor seconds that the web app has used."""
        assert self.web.process is not None
        times = psutil.Process(self.web.process.pid).cpu_times()
        return times.user + times.system


def wait_for(url: str) -> None:
    deadline = time.monotonic() + 90
    while not answers(url):
        if time.monotonic() > deadline:
            raise SystemExit(f"{url} does not answer")
        time.sleep(0.1)


@contextlib.contextmanager
def home(**chosen: Any) -> Iterator[tuple[Settings, Server]]:
    """A new home in /tmp with its tracking server, and a web app that is not started yet."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        port, tracking_port = _free_ports(2)
        settings = Settings(home=Path(folder), port=port, tracking_port=tracking_port, **chosen)
        prepare(settings)
        supervisor = Supervisor(settings)
        tracking, web = supervisor._tracking(), supervisor._web()
        tracking.start()
        try:
            wait_for(f"{settings.tracking}/health")
            yield settings, web
        finally:
            for server in (web, tracking):
                server.ask_to_stop()
                server.wait(time.monotonic() + 5)


@contextlib.contextmanager
def site(steps: int, tasks: int) -> Iterator[Site]:
    """Servers over a new home in /tmp."""
    with home() as (settings, web):
        runs = [_run(settings, name) for name in ("long", "theirs", "live", "ended")]
        for run, count in zip(runs, (steps, steps, 0, 5_000), strict=True):
            _add_points(settings, run, count)
        long, _, live, ended = runs
        _add_tasks(settings, [long, live, ended], tasks)
        found = Site(settings, web, *runs)
        found.restart_web()
        yield found


def machine() -> str:
    """What it was measured on."""
    model = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line), "")
    cores = psutil.cpu_count()
    return f"{model.partition(':')[2].strip()}, {cores} cores, load {os.getloadavg()[0]:.1f} at the begin"


def beside(*arguments: str) -> subprocess.Popen[str]:
    """A part of the bench in a process of its own, so that it does not slow down what measures."""
    return subprocess.Popen([sys.executable, *arguments], stdout=subprocess.PIPE, text=True)


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def _run(settings: Settings, name: str) -> str:
    body = json.dumps({"experiment_id": "0", "run_name": name, "start_time": int(time.time() * 1000)}).encode()
    url = f"{settings.tracking}/api/2.0/mlflow/runs/create"
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)["run"]["info"]["run_id"]


def _add_points(settings: Settings, run: str, steps: int) -> None:
    """As MLflow writes them, without the hour that its server would take."""
    if not steps:
        return
    place = {"run": run, "steps": steps, "now": int(time.time() * 1000)}
    with contextlib.closing(sqlite3.connect(settings.mlruns_dir / "tracking.db", timeout=60)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        for key in KEYS:
            connection.execute(POINTS, place | {"key": key})
            connection.execute(
                "INSERT INTO latest_metrics SELECT key, value, timestamp, step, is_nan, run_uuid FROM metrics "
                "WHERE run_uuid = :run AND key = :key AND step = :steps",
                place | {"key": key},
            )
        connection.commit()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _add_tasks(settings: Settings, runs: list[str], count: int) -> None:
    """The three runs as tasks, and many that have ended."""
    platform = Platform(settings)  # makes the database
    config = parse_config("sft", {"data_path": "dataset/samples/sft.jsonl", "from_weight": "none"}).model_dump()
    now = time.time()
    progress = json.dumps({"step": 400, "total_steps": 400, "loss": 2.31, "trend": [3.0, 2.7, 2.5, 2.4, 2.31]})
    rows = []
    for number, (run, state) in enumerate(
        [*zip(runs, ("RUNNING", "RUNNING", "FINISHED"), strict=True)]
        + [(f"{number:032x}", "FINISHED") for number in range(count - len(runs))]
    ):
        row = new_row(NewTask(run, "", "sft", f"task-{number}", "minimind", "0", config))
        row |= {"created_at": now - number * 60, "started_at": now - number * 60, "attempt": 1}
        row |= {"ended_at": now - number * 60 + 50 if state == "FINISHED" else None, "progress": progress}
        rows.append(row | {"fraction": 1.0, "loss": 2.31, "mirrored_version": 3, "device": "cpu:0"})
    move = task_table.update().values(version=task_table.c.version + 1)
    with platform._store._write() as connection:
        connection.execute(task_table.insert(), rows)
        connection.execute(move.values(state="STARTING"))
        connection.execute(move.values(state="RUNNING"))
        connection.execute(move.values(state="FINISHED").where(task_table.c.ended_at.is_not(None)))
    for run in runs[1:]:
        settings.task_dir(run).mkdir(parents=True, exist_ok=True)
