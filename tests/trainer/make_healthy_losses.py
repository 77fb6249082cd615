"""Makes `healthy_losses.json`: the loss curves of 20 short trainings in which nothing is wrong.

python tests/trainer/make_healthy_losses.py ../shared/data
"""

import json
import sys
import tempfile
from pathlib import Path

from trainer.cli import run
from trainer.configs import parse_config
from trainer.spool import read_records

STEPS = 150
SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}
RUNS = [
    (kind, {"seed": seed, "batch_size": size, "learning_rate": rate, "warmup_steps": warmup})
    for kind in ("pretrain", "sft")
    for seed, size, rate, warmup in (
        (1, 1, 1e-3, 0), (2, 2, 5e-3, 20), (3, 2, 2e-2, 0), (4, 4, 5e-4, 0), (5, 4, 5e-3, 0),
        (6, 4, 1e-2, 30), (7, 1, 5e-3, 0), (8, 2, 1e-3, 0), (9, 1, 1e-2, 10), (10, 8, 2e-2, 0),
    )
]  # fmt: skip


def main() -> None:
    data, found = Path(sys.argv[1]).resolve(), []
    with tempfile.TemporaryDirectory() as folder:
        for number, (kind, values) in enumerate(RUNS):
            fixed = {
                "data_path": str(data / f"{kind}_real.jsonl"),
                "max_seq_len": 64,
                "max_steps": STEPS,
                "device": "cpu",
            }
            more = {"from_weight": "none", "save_weight": "", "log_interval": 1, "eval_fraction": 0.01}
            config = parse_config(kind, SIZES | fixed | more | values)
            task = Path(folder) / "out" / str(number)
            run(config, task, task.name, Path(folder), tracked=False)
            records = (r for r, _ in read_records(task / "metrics.jsonl") if r["kind"] == "metrics")
            losses = [round(r["values"]["train/loss"], 4) for r in records if "train/loss" in r["values"]]
            found.append({"type": kind, **values, "losses": losses})
            print(kind, values, losses[0], losses[-1], flush=True)
    lines = ",\n".join(json.dumps(each) for each in found)
    Path(__file__).with_name("healthy_losses.json").write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
