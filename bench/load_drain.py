"""A thousand tasks of one step, queued and worked off while people look, for bench/load.py.

    with home(cpu_slots=2) as (settings, web):
        drain = Drain(settings, web, store, tasks=1_000, noop=True)
        drain.submit()
        with drain.scheduler(): ...

What is told of claims and starts comes from the database and from the scheduler itself.
"""

import contextlib
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import func, select
from web_site import wait_for

from minimind_platform.database import transaction
from minimind_platform.listing import AGEING_SECONDS, chunks
from minimind_platform.schema import task, task_event
from minimind_platform.servers import Server
from minimind_platform.settings import Settings
from minimind_platform.store import Store
from minimind_platform.tasks import ENDED, State
from trainer.samples import generate

AT_ONCE = 4
"""Submits at the same time."""
AT_A_TIME = 500
"""Ids in one statement."""
GIVE_UP_SECONDS = 3_600.0
SEEN_SECONDS = 0.5
"""A task that was queued so shortly before a claim may not have been there yet."""
VALUES = {
    "data_path": "dataset/samples/pretrain.jsonl",
    "hidden_size": 64,
    "num_hidden_layers": 1,
    "max_steps": 1,
    "device": "cpu",
}
VALUES |= {"batch_size": 4, "accumulation_steps": 1, "max_seq_len": 128, "compile": False}


@dataclass
class Drain:
    """One queue that is filled and worked off."""

    settings: Settings
    web: Server
    store: Store
    tasks: int
    noop: bool
    ids: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.settings.port}"

    def submit(self) -> list[float]:
        """Queue all tasks over REST, some at the same time; seconds that each took."""
        generate(self.settings.data_dir / "samples")
        with environment(self.settings):
            self.web.start()
        wait_for(f"{self.url}/healthz")
        with httpx.Client(timeout=60) as http, ThreadPoolExecutor(AT_ONCE) as pool:
            return sorted(pool.map(lambda number: self._submit(http, f"load {number}", number % 3), range(self.tasks)))

    def _submit(self, http: httpx.Client, name: str, priority: int) -> float:
        began = time.perf_counter()
        body = {"type": "pretrain", "values": VALUES, "name": name, "priority": priority, "key": name}
        answer = http.post(f"{self.url}/api/tasks", json=body)
        answer.raise_for_status()
        self.ids.append(answer.json()["id"])
        return time.perf_counter() - began

    def intrude(self, count: int) -> None:
        """Queue some more with a high priority, one a second: they go first, and nobody else waits for ever."""
        with httpx.Client(timeout=60) as http:
            for number in range(count):
                self._submit(http, f"urgent {number}", 5)
                time.sleep(1)

    @contextlib.contextmanager
    def scheduler(self) -> Iterator[None]:
        """A scheduler for as long as the block."""
        command = [sys.executable, "bench/load_scheduler.py", str(self._notes), *["noop"] * self.noop]
        with environment(self.settings), (self.settings.home / "scheduler.log").open("ab") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            yield
        finally:
            process.terminate()
            process.wait(30)

    def wait(self) -> None:
        """Until no task waits or runs."""
        deadline = time.monotonic() + GIVE_UP_SECONDS
        while self.store.waiting() or self.store.active():
            if time.monotonic() > deadline:
                raise SystemExit(f"{len(self.store.waiting())} tasks still wait after {GIVE_UP_SECONDS:.0f} s")
            time.sleep(0.5)

    def wait_for_mlflow(self) -> None:
        """Until MLflow knows all of it."""
        while self.store.unmirrored():
            time.sleep(0.5)

    # what there is to tell

    @property
    def _notes(self) -> Path:
        return self.settings.home / "notes.txt"

    def timed(self, what: str) -> list[float]:
        """Seconds of each claim, or of each round, as the scheduler has measured them; in order."""
        lines = (line.split() for line in self._notes.read_text().splitlines())
        return sorted(float(seconds) for name, seconds in lines if name == what)

    def story(self) -> "Story":
        """What the database says of them."""
        c, e = task.c, task_event.c
        columns = (c.id, c.state, c.created_at, c.queued_at, c.priority, c.started_at, c.ended_at, c.device)
        starts = select(func.count()).where(e.after == State.STARTING.value)
        story = Story([], 0)
        with transaction(self.store.engine) as connection:
            for part in chunks(self.ids, AT_A_TIME):
                story.rows += connection.execute(select(*columns).where(c.id.in_(part)))
                story.starts += connection.scalar(starts.where(e.task_id.in_(part))) or 0
        return story


@dataclass
class Story:
    """Tasks as rows, and how often any was started."""

    rows: list[Any]
    starts: int

    @property
    def finished(self) -> int:
        return sum(row.state == State.FINISHED for row in self.rows)

    @property
    def seconds(self) -> float:
        """From the first start to the last end."""
        assert all(row.state in ENDED for row in self.rows)
        return max(row.ended_at for row in self.rows) - min(row.started_at for row in self.rows)

    def gaps(self) -> list[float]:
        """Seconds from the end of a task to the claim of the next one for its slot, in order."""
        found = []
        for slot in {row.device for row in self.rows}:
            held = sorted((row for row in self.rows if row.device == slot), key=lambda row: row.started_at)
            found += [after.started_at - before.ended_at for before, after in pairwise(held)]
        return sorted(found)

    def held(self) -> float:
        """Seconds from claim to end, median."""
        return statistics.median(row.ended_at - row.started_at for row in self.rows)

    def out_of_turn(self) -> int:
        """Starts of a task while another one, whose turn was before, waited."""
        turn = {row.id: row.queued_at - row.priority * AGEING_SECONDS for row in self.rows}
        return sum(
            any(
                other.created_at < row.started_at - SEEN_SECONDS < other.started_at - SEEN_SECONDS
                and turn[other.id] < turn[row.id]
                for other in self.rows
            )
            for row in self.rows
        )

    def longest_wait(self) -> float:
        return max(row.started_at - row.created_at for row in self.rows)


@contextlib.contextmanager
def environment(settings: Settings) -> Iterator[None]:
    """Processes that are started in the block work for this home and its database."""
    values = {"MINIMIND_HOME": settings.home, "MINIMIND_TRACKING_PORT": settings.tracking_port}
    values |= {"MINIMIND_CPU_SLOTS": settings.cpu_slots, "MINIMIND_PORT": settings.port}
    values |= {"MINIMIND_DATABASE_URL": settings.database_url} if settings.database_url else {}
    before = dict(os.environ)
    os.environ.update({name: str(value) for name, value in values.items()})
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
