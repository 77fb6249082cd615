"""Stands in for the trainer: same files, same signals, milliseconds instead of hours.

Does what `do` in its config says: "finish", "settings", "raise", "segfault", "die" (at `at`, once or `always`), "hang",
"out_of_memory" (with more than `fits` rows at once).
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from stand_in import StandIn

trainer = StandIn()
config = trainer.config
do, at, steps = config.get("do", "finish"), config.get("at", 3), config.get("steps", 5)
if do == "hang":
    signal.signal(signal.SIGTERM, lambda *_: None)
print(f"attempt {trainer.attempts} begins at step {trainer.step}", flush=True)
if do == "settings":
    trainer.end("failed", 2, error="--epochs: too few", error_class="settings", hint="Use more.")
overrides = Path(os.environ["MINIMIND_ATTEMPT"], "overrides.json")
config |= json.loads(overrides.read_text()) if overrides.exists() else {}
trainer.begin(steps)
while trainer.step < steps:
    time.sleep(config.get("step_seconds", 0.02))
    if trainer.stopping:
        trainer.end("stopped", 143)
    if trainer.step + 1 >= at and (trainer.attempts == 1 or config.get("always")):
        if do == "raise":
            raise RuntimeError("the tokenizer\x1b[0m is missing")
        if do == "diverged":
            trainer.end("failed", 1, error="The loss of step 3 is not finite.", error_class="diverged", hint="")
        if do in ("die", "segfault"):
            os.kill(os.getpid(), signal.SIGKILL if do == "die" else signal.SIGSEGV)
    if do == "out_of_memory" and config["batch_size"] > config["fits"]:
        trainer.end("failed", 1, error="Out of memory on the GPU.", error_class="out_of_memory", hint="Lower it.")
    trainer.step += 1
    values = {"train/loss": 9.0 - trainer.step, "train/epoch": trainer.step / steps}
    trainer.record(kind="metrics", step=trainer.step, values=values)
trainer.end("finished", 0)
