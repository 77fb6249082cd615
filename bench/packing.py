"""Useful tokens a second of pretraining on the CPU: rows joined without padding, against padded rows as in MiniMind.

    python bench/packing.py [DATA.jsonl] [--steps 40] [--rounds 3] [--equal]

Both train the same model on the same rows in the same order, so their losses must agree. The rounds alternate, so that
a machine that gets slower slows both. Without DATA it uses generated sample data. With --equal only rows that fill
max_seq_len are used, where packing has nothing to save and must not cost.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModelForCausalLM

from trainer.attention import PACKED
from trainer.batches import StepPlan, make_batch
from trainer.configs import parse_config
from trainer.data import Rows, load_rows
from trainer.losses import next_token_loss
from trainer.models import model_config
from trainer.samples import generate
from trainer.tokenization import load_tokenizer

SIZES = {"hidden_size": 128, "num_hidden_layers": 2, "max_seq_len": 340, "batch_size": 16}


def train(rows: Rows, config: object, way: str, steps: int) -> tuple[float, float]:
    """Useful tokens a second, and the last loss."""
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(model_config(config, 6400), dtype=torch.float32)  # type: ignore[arg-type]
    model.set_attn_implementation(PACKED if way == "packed" else "sdpa")
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    plan = StepPlan(len(rows), SIZES["batch_size"], 1, 100, seed=0)
    width = SIZES["max_seq_len"] if way == "padded to max_seq_len" else 0
    tokens, value, began = 0, 0.0, 0.0
    for step in range(steps + 3):
        if step == 3:  # the first steps set things up
            tokens, began = 0, time.perf_counter()
        batch = make_batch(rows, plan.step_rows(step)[0], 0, way == "packed", 0, pad_to=width)
        loss = next_token_loss(model, batch).total
        (loss / len(batch.targets)).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        tokens += batch.tokens
        value = float(loss.detach()) / len(batch.targets)
    return tokens / (time.perf_counter() - began), value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", nargs="?")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--equal", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if not options.data:
            generate(Path(folder))
        data = options.data or f"{folder}/pretrain.jsonl"
        config = parse_config("pretrain", {"data_path": data, **SIZES})
        rows = load_rows(data, config, load_tokenizer(None), Path(folder) / "cache")
        if options.equal:
            rows = rows.subset(np.flatnonzero(rows.lengths == rows.lengths.max()))
        filled = float(np.mean(rows.lengths)) / SIZES["max_seq_len"]
        print(f"{data}: {len(rows)} rows, {100 * (1 - filled):.0f} % padding at {SIZES['max_seq_len']}")
        ways = ("packed", "padded to longest", "padded to max_seq_len")
        found: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
        for _ in range(options.rounds):
            for way in ways:
                found[way].append(train(rows, config, way, options.steps))
    base = statistics.median(speed for speed, _ in found[ways[-1]])
    for way, results in found.items():
        speeds = [speed for speed, _ in results]
        speed = statistics.median(speeds)
        spread = f"{min(speeds):,.0f} – {max(speeds):,.0f}"
        print(f"{way:24} {speed:8,.0f} tokens/s ({spread})  {speed / base:.2f}x  last loss {results[0][1]:.4f}")


if __name__ == "__main__":
    main()
