"""Stands in for the trainer: same files, same signals, milliseconds instead of hours.

Does what `do` in its config says: "finish", "settings", "raise", "segfault", "die" (at `at`, once or `always`), "hang".
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

folder = Path(os.environ["MINIMIND_TASK_DIR"])
config = json.loads((folder / "config.json").read_text())["config"]
do, at, steps = config.get("do", "finish"), config.get("at", 3), config.get("steps", 5)
spool = folder / "metrics.jsonl"
stopping = []


def record(**values):
    with spool.open("a") as file:
        file.write(json.dumps({"t": int(time.time() * 1000), **values}) + "\n")


def end(outcome, code, **values):
    record(kind="end", outcome=outcome, step=step)
    (folder / "result.json").write_text(json.dumps({"outcome": outcome, "step": step, **values}))
    sys.exit(code)


signal.signal(signal.SIGTERM, (lambda *_: None) if do == "hang" else (lambda *_: stopping.append(1)))
done = [json.loads(line) for line in spool.read_text().splitlines()] if spool.exists() else []
step = max((r["step"] for r in done if r["kind"] == "metrics"), default=0)
attempts = 1 + sum(r["kind"] == "begin" for r in done)
print(f"attempt {attempts} begins at step {step}", flush=True)
if do == "settings":
    end("failed", 2, error="--epochs: too few", error_class="settings", hint="Use more.")
record(kind="begin", attempt=attempts, step=step, total_steps=steps, epochs=1)
while step < steps:
    time.sleep(config.get("step_seconds", 0.02))
    if stopping:
        end("stopped", 143)
    if step + 1 >= at and (attempts == 1 or config.get("always")):
        if do == "raise":
            raise RuntimeError("the tokenizer\x1b[0m is missing")
        if do in ("die", "segfault"):
            os.kill(os.getpid(), signal.SIGKILL if do == "die" else signal.SIGSEGV)
    step += 1
    record(kind="metrics", step=step, values={"train/loss": 9.0 - step, "train/epoch": step / steps})
end("finished", 0)
