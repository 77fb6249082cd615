"""Stands in for the trainer where only the curve counts: same files, same signals, tenths of seconds.

The evaluation loss of a learning rate is best at 1e-3. A weight decay of 0.5 makes it fail, one of 0.6 never evaluates,
one of 0.7 is NaN; a gradient clip of 7 has it killed by the system, the first time.
"""

import json
import math
import os
import signal
import sys
import time
from pathlib import Path

folder = Path(os.environ["MINIMIND_TASK_DIR"])
config = json.loads((folder / "config.json").read_text())["config"]
steps, seconds = config["max_steps"], config["grad_clip"] / 100
spool = folder / "metrics.jsonl"
stopping = []


def record(**values):
    with spool.open("a") as file:
        file.write(json.dumps({"t": int(time.time() * 1000), **values}) + "\n")


def end(outcome, code, **values):
    record(kind="end", outcome=outcome, step=step)
    (folder / "result.json").write_text(json.dumps({"outcome": outcome, "step": step, **values}))
    sys.exit(code)


signal.signal(signal.SIGTERM, lambda *_: stopping.append(1))
(folder / "result.json").unlink(missing_ok=True)
done = [json.loads(line) for line in spool.read_text().splitlines()] if spool.exists() else []
step = max((r["step"] for r in done if r["kind"] == "metrics"), default=0)
attempts = 1 + sum(r["kind"] == "begin" for r in done)
if config["weight_decay"] == 0.5:
    end("failed", 1, error="The loss of step 1 is not finite.", error_class="diverged", hint="Lower it.")
record(kind="begin", attempt=attempts, step=step, total_steps=steps, epochs=1)
while step < steps:
    time.sleep(seconds)
    if stopping:
        end("stopped", 143)
    if config["grad_clip"] == 7 and attempts <= 5:  # 3 restarts of the queue, and one repetition by the sweep
        os.kill(os.getpid(), signal.SIGKILL)
    step += 1
    record(kind="metrics", step=step, values={"train/loss": 9.0 - step / steps, "system/memory_mb": 100.0})
    if config["weight_decay"] != 0.6:
        distance = (math.log10(config["learning_rate"]) + 3) ** 2
        loss = None if config["weight_decay"] == 0.7 else distance + 1 / step
        record(kind="metrics", step=step, values={"eval/loss": loss})
end("finished", 0)
