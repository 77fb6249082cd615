"""Stands in for the trainer where only the curve counts: same files, same signals, tenths of seconds.

The evaluation loss of a learning rate is best at 1e-3. A weight decay of 0.5 makes it fail, one of 0.6 never evaluates,
one of 0.7 is NaN; a gradient clip of 7 has it killed by the system, the first time.
"""

import math
import os
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from stand_in import StandIn

trainer = StandIn()
config = trainer.config
steps, seconds = config["max_steps"], config["grad_clip"] / 100
(trainer.folder / "result.json").unlink(missing_ok=True)
if config["weight_decay"] == 0.5:
    trainer.end("failed", 1, error="The loss of step 1 is not finite.", error_class="diverged", hint="Lower it.")
trainer.begin(steps)
while trainer.step < steps:
    time.sleep(seconds)
    if trainer.stopping:
        trainer.end("stopped", 143)
    if config["grad_clip"] == 7 and trainer.attempts <= 5:  # 3 restarts of the queue, and one repetition by the sweep
        os.kill(os.getpid(), signal.SIGKILL)
    trainer.step += 1
    values = {"train/loss": 9.0 - trainer.step / steps, "system/memory_mb": 100.0}
    trainer.record(kind="metrics", step=trainer.step, values=values)
    if config["weight_decay"] != 0.6:
        distance = (math.log10(config["learning_rate"]) + 3) ** 2
        loss = None if config["weight_decay"] == 0.7 else distance + 1 / trainer.step
        trainer.record(kind="metrics", step=trainer.step, values={"eval/loss": loss})
trainer.end("finished", 0)
