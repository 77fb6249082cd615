"""What a stand-in for the trainer has of one: its files, its wish to stop, and how it goes on where it was.

trainer = StandIn()
trainer.begin(total_steps=10)
trainer.record(kind="metrics", step=1, values={"train/loss": 9.0})
"""

import json
import os
import signal
import sys
import time
from pathlib import Path


class StandIn:
    """One attempt of a task."""

    def __init__(self):
        self.folder = Path(os.environ["MINIMIND_TASK_DIR"])
        self.config = json.loads((self.folder / "config.json").read_text())["config"]
        self.spool = self.folder / "metrics.jsonl"
        self.stopping = []
        lines = self.spool.read_text().splitlines() if self.spool.exists() else []
        done = [json.loads(line) for line in lines]
        self.step = max((r["step"] for r in done if r["kind"] == "metrics"), default=0)
        self.attempts = 1 + sum(r["kind"] == "begin" for r in done)
        signal.signal(signal.SIGTERM, lambda *_: self.stopping.append(1))

    def record(self, **values):
        with self.spool.open("a") as file:
            file.write(json.dumps({"t": int(time.time() * 1000), **values}) + "\n")

    def begin(self, total_steps):
        self.record(kind="begin", attempt=self.attempts, step=self.step, total_steps=total_steps, epochs=1)

    def end(self, outcome, code, **values):
        self.record(kind="end", outcome=outcome, step=self.step)
        (self.folder / "result.json").write_text(json.dumps({"outcome": outcome, "step": self.step, **values}))
        sys.exit(code)
