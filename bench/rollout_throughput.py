"""Rollout speed: the engine of reinforcement learning against transformers' `generate`, in the same run.

    python bench/rollout_throughput.py [--preset minimind-3] [--sequences 12 128] [--new 256] [--prompt 64]

Generated tokens a second with random weights, temperature 1. Every sequence gets all its tokens, because nothing ends
it; in the rows "early ends" sequences end by chance, at a third of the length on average, and only tokens up to the end
count. Each way does the same work once before it is timed; that first call, compiling and capturing included, is told.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

from trainer.configs import parse_config
from trainer.devices import finished_at, pick_device
from trainer.models import model_config, new_model
from trainer.presets import PRESETS
from trainer.rollouts import RolloutEngine
from trainer.sampling import Sampling, draws

VOCABULARY = 6400
REPEATS = 5


def measure(name: str, work: Callable[[], int], device: torch.device, repeats: int = REPEATS) -> None:
    """Print the speed of `work`, which gives the tokens that it made."""
    began = finished_at(device)
    work()
    first = finished_at(device) - began
    speeds, seconds = [], []
    for _ in range(repeats):
        began = finished_at(device)
        tokens = work()
        seconds.append(finished_at(device) - began)
        speeds.append(tokens / seconds[-1])
    middle, low, high = statistics.median(speeds), min(speeds), max(speeds)
    took = statistics.median(seconds)
    print(
        f"{name:40} {middle:9,.0f} ({low:,.0f} - {high:,.0f}) tokens/s, {took:.3f} s; first call {first:.2f} s",
        flush=True,
    )


def plain(model: PreTrainedModel, prompts: list[np.ndarray], new: int, half: bool) -> int:
    """transformers' own generation of all tokens."""
    ids = torch.from_numpy(np.stack(prompts)).to(model.device)
    with torch.autocast("cuda", dtype=torch.bfloat16, enabled=half):
        out = model.generate(  # pyright: ignore
            ids, attention_mask=torch.ones_like(ids), do_sample=True, top_k=0, max_new_tokens=new, eos_token_id=None
        )
    return out[:, ids.shape[1] :].numel()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="minimind-3", choices=list(PRESETS))
    parser.add_argument("--sequences", type=int, nargs="+", default=[12, 128])
    parser.add_argument("--new", type=int, default=256)
    parser.add_argument("--prompt", type=int, default=64)
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--skip-plain", action="store_true", help="do not run transformers' generate")
    options = parser.parse_args()
    device = pick_device("auto")
    torch.manual_seed(0)
    config = parse_config("pretrain", {"data_path": "-", **PRESETS[options.preset].values})
    model: Any = new_model(model_config(config, VOCABULARY))
    model.to(device).eval()
    print(
        torch.cuda.get_device_name() if device.type == "cuda" else "CPU", "PyTorch", torch.__version__, options.preset
    )
    random, new = np.random.default_rng(0), options.new
    ends = random.choice(VOCABULARY, size=VOCABULARY * 3 // new, replace=False).tolist()
    began = time.perf_counter()
    engine = RolloutEngine(model, [], 0, device, options.dtype)
    ending = RolloutEngine(model, ends, 0, device, options.dtype)
    print(f"two engines made in {finished_at(device) - began:.2f} s")
    for count in options.sequences:
        prompts = [random.integers(3, VOCABULARY, size=options.prompt) for _ in range(count)]
        noise = draws(0, 0, 0, count, new)

        def ours(engine: RolloutEngine, prompts: list[np.ndarray] = prompts, noise: np.ndarray = noise) -> int:
            return sum(len(completion.ids) for completion in engine.generate(prompts, Sampling(new), noise))

        print(f"{count} sequences, {options.prompt} + {new} tokens")
        if not options.skip_plain:
            half = options.dtype == "bfloat16" and device.type == "cuda"
            measure("transformers generate", lambda p=prompts, h=half: plain(model, p, new, h), device, 2)
        measure("ours", lambda f=ours: f(engine), device)
        measure("ours, early ends", lambda f=ours: f(ending), device)
    if device.type == "cuda":
        began = finished_at(device)
        engine.refresh()
        print(
            f"refresh {1e3 * (finished_at(device) - began):.2f} ms, {torch.cuda.max_memory_allocated() / 2**30:.2f} GiB"
        )


if __name__ == "__main__":
    main()
