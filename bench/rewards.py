"""Whether models learn from rewards: right answers to held-out sums by type and seed, from one small SFT model.

    python bench/rewards.py [--types grpo spo ppo] [--seeds 1 2 3] [--steps 200]

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
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from trainer.names import Env, Metric, TaskFile
from trainer.samples import generate
from trainer.spool import read_records

POINTS = 10
"""Parts of a run that means are given of."""
BASE = {"preset": "tiny", "from_weight": "none", "data_path": "samples/arithmetic_sft.jsonl", "save_weight": "sums"}
BASE |= {"epochs": 5, "batch_size": 32, "learning_rate": 2e-3, "max_seq_len": 64, "system_prompt_ratio": 0}
COMMON = {"preset": "tiny", "from_weight": "sums", "data_path": "samples/arithmetic_rlaif.jsonl", "eval_fraction": 0.2}
COMMON |= {"max_gen_len": 8, "thinking_ratio": 0, "system_prompt_ratio": 0, "rollout_temperature": 1.0, "epochs": 1000}
COMMON |= {"rewards": json.dumps([{"kind": "answer"}]), "learning_rate": 2e-4, "warmup_steps": 20}
OWN = {
    "grpo": {"batch_size": 16, "num_generations": 8, "beta": 0.01},
    "spo": {"batch_size": 128, "accumulation_steps": 1, "beta": 0.01},
    "ppo": {"batch_size": 128, "mini_batch_size": 64, "kl_coef": 0.01, "critic_learning_rate": 1e-3},
}


def train(kind: str, settings: dict[str, object], home: Path) -> Path:
    """Run the trainer; the task directory."""
    task = home / "out" / f"{kind}-{settings.get('seed', 0)}"
    options = [part for name, value in settings.items() for part in (f"--{name}", str(value))]
    given = {Env.HOME: str(home), Env.TASK_DIR: str(task), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "trainer", kind, "--device", "cpu", *options]
    done = subprocess.run(command, env=os.environ | given, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stdout[-2000:])
    return task


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
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--parallel", type=int, default=2, help="trainings at a time, one thread each")
    options = parser.parse_args()
    logging.disable(logging.INFO)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        generate(home / "samples")
        train("sft", BASE, home)
        for kind in options.types:

            def one(seed: int, kind: str = kind) -> tuple[Path, float]:
                began = time.monotonic()
                steps = {"max_steps": options.steps, "eval_interval": options.steps, "seed": seed}
                return train(kind, COMMON | OWN[kind] | steps, home), time.monotonic() - began

            with ThreadPoolExecutor(options.parallel) as pool:
                _report(kind, options.seeds, list(pool.map(one, options.seeds)))


def _report(kind: str, seeds: list[int], runs: list[tuple[Path, float]]) -> None:
    print(f"\n{kind}: {statistics.mean(seconds for _, seconds in runs):.0f} s a run")
    for seed, (task, _) in zip(seeds, runs, strict=True):
        rewards, held = list(curve(task, Metric.REWARD).values()), list(curve(task, Metric.EVAL_REWARD).values())
        size = len(rewards) // POINTS
        means = [statistics.mean(rewards[i * size : (i + 1) * size]) for i in range(POINTS)]
        print(f"| {kind}, seed {seed} | " + " | ".join(f"{m:.2f}" for m in means), end=" | ")
        print(f"{held[0]:.2f} → {held[-1]:.2f} |", flush=True)


if __name__ == "__main__":
    main()
