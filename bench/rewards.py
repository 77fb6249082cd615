"""Whether models learn from rewards: right answers to held-out sums by type and seed, from one small SFT model.

    python bench/rewards.py [--types grpo spo ppo] [--seeds 1 2 3] [--steps 150]

The sums are the generated ones (`trainer/samples.py`); the only reward is a right answer. One thread.
"""

import argparse
import json
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from trainer.names import Metric, TaskFile
from trainer.samples import generate
from trainer.spool import read_records

POINTS = 10
BASE = {"preset": "tiny", "from_weight": "none", "data_path": "samples/arithmetic_sft.jsonl", "save_weight": "sums"}
BASE |= {"epochs": 12, "batch_size": 32, "learning_rate": 2e-3, "max_seq_len": 64, "system_prompt_ratio": 0}
COMMON = {"preset": "tiny", "from_weight": "sums", "data_path": "samples/arithmetic_rlaif.jsonl", "eval_fraction": 0.1}
COMMON |= {"max_gen_len": 8, "thinking_ratio": 0, "system_prompt_ratio": 0, "rollout_temperature": 1.0, "epochs": 100}
COMMON |= {"rewards": json.dumps([{"kind": "answer"}]), "learning_rate": 1e-4, "warmup_steps": 8}
OWN = {
    "grpo": {"batch_size": 16, "num_generations": 8, "beta": 0.01},
    "spo": {"batch_size": 128, "accumulation_steps": 1, "beta": 0.01},
    "ppo": {"batch_size": 128, "mini_batch_size": 64, "kl_coef": 0.01, "critic_learning_rate": 5e-4},
}


def train(kind: str, settings: dict[str, object], home: Path) -> Path:
    """Run the trainer; the task directory."""
    options = [part for name, value in settings.items() for part in (f"--{name}", str(value))]
    environment = {**os.environ, "MINIMIND_HOME": str(home), "OMP_NUM_THREADS": "1"}
    before = set((home / "out").glob("*/"))
    command = [sys.executable, "-m", "trainer", kind, "--device", "cpu", *options]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stdout[-2000:])
    return next(p for p in (home / "out").glob("*/") if p not in before and (p / TaskFile.METRICS).exists())


def curve(task: Path, key: str) -> dict[int, float]:
    """A series of a run."""
    found = {}
    for record, _ in read_records(task / TaskFile.METRICS):
        if record["kind"] == "metrics" and key in record["values"]:
            found[record["step"]] = record["values"][key]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--types", nargs="+", default=list(OWN), choices=list(OWN))
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--steps", type=int, default=150)
    options = parser.parse_args()
    logging.disable(logging.INFO)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        generate(home / "samples")
        train("sft", BASE, home)
        for kind in options.types:
            curves, seconds = [], []
            for seed in options.seeds:
                began = time.monotonic()
                steps = {"max_steps": options.steps, "eval_interval": options.steps // POINTS, "seed": seed}
                task = train(kind, COMMON | OWN[kind] | steps, home)
                seconds.append(time.monotonic() - began)
                curves.append(curve(task, Metric.EVAL_REWARD))
            _report(kind, curves, seconds)


def _report(kind: str, curves: list[dict[int, float]], seconds: list[float]) -> None:
    steps = sorted(set.intersection(*(set(c) for c in curves)))
    shown = [s for s in steps if s == 0 or s % max(steps[-1] // POINTS, 1) == 0]
    print(f"\n{kind}: {statistics.mean(seconds):.0f} s a run")
    print("| step | " + " | ".join(f"{s}" for s in shown) + " |")
    print("|---" * (len(shown) + 1) + "|")
    for number, values in enumerate(curves, 1):
        print(f"| seed {number} | " + " | ".join(f"{values[s]:.2f}" for s in shown) + " |", flush=True)


if __name__ == "__main__":
    main()
