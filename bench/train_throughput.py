"""Training speed: the product's own loop against a padded, eager loop as MiniMind's scripts have it, in the same run.

    python bench/train_throughput.py [--data FILE] [--sft FILE] [--models minimind-3 minimind-3-moe] [--steps 30]

Both train the same model on the same rows, 256 a step: MiniMind's way in batches of 32 rows that are padded to
max_seq_len, ours in one packed batch, compiled where there is a GPU. Tokens that are padding do not count. On the CPU
the model is small, and batches are of 32 rows on both sides. Without FILE the rows are generated.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from trainer.bases import Base, build_model
from trainer.batches import IGNORE
from trainer.configs import TrainConfig, parse_config
from trainer.data import Rows, load_rows
from trainer.devices import autocast, peak_flops, pick_device
from trainer.loop import Loop
from trainer.presets import PRESETS
from trainer.samples import generate
from trainer.session import Session
from trainer.sizes import flops_per_token, sizes_of_folder
from trainer.tokenization import load_tokenizer

CPU_SIZES = {"hidden_size": 128, "num_hidden_layers": 2}
WARM_STEPS = 4


@dataclass
class Result:
    """What one way of training one model reached."""

    seconds: list[float]
    """Of each measured step."""
    tokens: int
    """Useful ones, in all measured steps."""
    loss: float
    """Of the last step."""
    first_seconds: float
    """The steps before the measured ones, compiling included."""
    memory_gib: float

    @property
    def speed(self) -> float:
        """Useful tokens a second."""
        return self.tokens / sum(self.seconds)


def measure(step: Callable[[], tuple[torch.Tensor, int]], steps: int, device: torch.device) -> Result:
    """Time steps. `step` trains one and gives its mean loss and its useful tokens."""
    began = time.perf_counter()
    for _ in range(WARM_STEPS):
        loss, _ = step()
    float(loss)  # waits for the device
    first = time.perf_counter() - began
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    marks, tokens = [_mark(device)], 0
    for _ in range(steps):
        loss, count = step()
        tokens += count
        marks.append(_mark(device))
    last = float(loss)
    memory = torch.cuda.max_memory_allocated() / 2**30 if device.type == "cuda" else float("nan")
    return Result([_between(a, b) for a, b in pairwise(marks)], tokens, last, first, memory)


def _mark(device: torch.device) -> Any:
    if device.type != "cuda":
        return time.perf_counter()
    event = torch.cuda.Event(enable_timing=True)
    event.record()
    return event


def _between(a: Any, b: Any) -> float:
    return b - a if isinstance(a, float) else a.elapsed_time(b) / 1000


def minimind_way(config: TrainConfig, model: Any, rows: Rows, device: torch.device) -> Callable[[], Any]:
    """A step as in MiniMind's scripts: every row padded to max_seq_len, logits of every position, nothing compiled.
    Its rows are tokenised ahead here, which MiniMind's are not."""
    model.set_attn_implementation("sdpa")
    if config.use_moe:
        model.set_experts_implementation("eager")
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    order = np.random.default_rng(0).permutation(len(rows))
    place = 0

    def step() -> tuple[torch.Tensor, int]:
        nonlocal place
        total, tokens = torch.zeros((), device=device), 0
        for _ in range(config.accumulation_steps):
            indices = [order[(place + i) % len(order)] for i in range(config.batch_size)]
            place += config.batch_size
            ids = torch.zeros(config.batch_size, config.max_seq_len, dtype=torch.long)
            labels = torch.full_like(ids, IGNORE)
            for line, index in enumerate(indices):
                row, wanted = rows.get(int(index), 0)
                ids[line, : len(row)], labels[line, : len(row)] = torch.from_numpy(row), torch.from_numpy(wanted)
                tokens += len(row)
            ids, labels = ids.to(device), labels.to(device)
            with autocast(device, config.dtype):
                logits = model(input_ids=ids, use_cache=False).logits
                loss = F.cross_entropy(logits[:, :-1].flatten(0, 1).float(), labels[:, 1:].flatten())
                loss = loss / config.accumulation_steps
            loss.backward()
            total += loss.detach()
        torch.nn.utils.clip_grad_norm_(model.parameters(), config.grad_clip)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return total, tokens

    return step


def our_way(config: TrainConfig, model: Any, rows: Rows, tokenizer: Any, home: Path) -> Callable[[], Any]:
    """A step of the product's loop."""
    session = Session.open(config, Path(tempfile.mkdtemp(dir=home)), home, "bench", tracked=False)
    return one_step(Loop(config, session, model, tokenizer, rows, None))


def one_step(loop: Loop) -> Callable[[], Any]:
    """Does a step as the loop does it, without records and checkpoints."""
    loop.model.train()

    def step() -> tuple[torch.Tensor, int]:
        batches = loop._batches()
        targets, tokens = sum(len(b.targets) for b in batches), sum(b.tokens for b in batches)
        result = loop._update(batches, targets, tokens)
        loop.step += 1
        return result.loss, result.tokens

    return step


def run(preset: str, type_name: str, data: str, steps: int, home: Path) -> None:
    device = pick_device("auto")
    cuda = device.type == "cuda"
    sizes = PRESETS[preset].values | ({} if cuda else CPU_SIZES)
    common = sizes | {"data_path": data, "from_weight": "none", "epochs": 10_000, "max_seq_len": 340, "seed": 1}
    common |= {"learning_rate": 5e-4, "max_seq_len": 340 if type_name == "pretrain" else 768}
    theirs = parse_config(type_name, common | {"batch_size": 32, "accumulation_steps": 8 if cuda else 1})
    ours = parse_config(
        type_name, common | {"batch_size": 256 if cuda else 32, "accumulation_steps": 1, "compile": cuda}
    )
    tokenizer = load_tokenizer(None)
    rows = load_rows(data, ours, tokenizer, home / "cache")
    mean = float(rows.lengths.mean())
    print(
        f"{preset}, {type_name}: {len(rows)} rows of {mean:.0f} tokens, {1 - mean / ours.max_seq_len:.0%} padding at "
        f"{ours.max_seq_len}, {theirs.batch_size * theirs.accumulation_steps} rows a step"
    )
    results = {}
    for name in ("as MiniMind", "ours"):
        model: Any = build_model(ours, tokenizer, Base("none")).to(device)  # type: ignore[arg-type]
        if name == "ours":
            way = our_way(ours, model, rows, tokenizer, home)
        else:
            way = minimind_way(theirs, model, rows, device)
        results[name] = measure(way, steps, device)
        flops = flops_per_token(sizes_of_folder(model.config.to_dict()), round(mean))
        _print(name, results[name], flops, peak_flops(device))
        del model, way
        if cuda:
            torch.cuda.empty_cache()
    print(f"  {results['ours'].speed / results['as MiniMind'].speed:.2f} times as fast", flush=True)


def _print(name: str, result: Result, flops: float, peak: float | None) -> None:
    cuts = statistics.quantiles(result.seconds, n=10)
    parts = [f"{result.speed:>11,.0f} tokens/s"]
    if peak:
        parts += [f"MFU {result.speed * flops / peak:.1%}", f"{result.memory_gib:.1f} GiB"]
    parts.append(f"step {1e3 * statistics.median(result.seconds):.1f} ms ({1e3 * cuts[0]:.1f} – {1e3 * cuts[-1]:.1f})")
    parts += [f"first {WARM_STEPS} steps {result.first_seconds:.0f} s", f"last loss {result.loss:.3f}"]
    print(f"  {name:12} " + ", ".join(parts), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="pretraining rows (default: generated)")
    parser.add_argument("--sft", help="conversations (default: generated)")
    parser.add_argument("--models", nargs="+", choices=list(PRESETS), default=["minimind-3", "minimind-3-moe"])
    parser.add_argument("--types", nargs="+", choices=["pretrain", "sft"], default=["pretrain", "sft"])
    parser.add_argument("--steps", type=int, default=30)
    options = parser.parse_args()
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        generate(home)
        files = {"pretrain": options.data or f"{home}/pretrain.jsonl", "sft": options.sft or f"{home}/sft.jsonl"}
        print(torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU", "PyTorch", torch.__version__)
        for preset in options.models:
            for type_name in options.types:
                run(preset, type_name, files[type_name], options.steps, home)


if __name__ == "__main__":
    main()
