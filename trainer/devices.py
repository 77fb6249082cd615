"""The device of a training, and the precision of its forward pass."""

import contextlib
import time

import torch

from trainer.errors import Problem, SettingsError
from trainer.ranks import Ranks


def pick_device(name: str, ranks: Ranks | None = None) -> torch.device:
    """The device that `device` names; `auto` is the first GPU, else the CPU. Of several processes each has its GPU.

    Raises:
        SettingsError: a GPU is asked for that this machine does not have.
    """
    count = torch.cuda.device_count()
    if name == "cpu" or (name == "auto" and count == 0):
        return torch.device("cpu")
    if ranks and ranks.count > 1 and count:
        if ranks.count > count:
            text = f"{ranks.count} processes need {ranks.count} GPUs, and PyTorch can use {count}. "
            text += f"Set num_processes to {count}, or device to cpu."
            values = {"processes": ranks.count, "gpus": count}
            raise SettingsError([Problem("num_processes", "more_than_gpus", text, values)])
        return torch.device("cuda", ranks.rank)
    # The scheduler shows a task its own GPU only, so that any cuda name means the first that is visible.
    index = int(name.partition(":")[2] or 0) if count > 1 else 0
    if index >= count:
        text = f"There is no {name}: this machine has {count} GPU(s) that PyTorch can use. Set device to cpu or auto."
        raise SettingsError([Problem("device", "no_such_device", text, {"device": name, "count": count})])
    return torch.device("cuda", index)


PEAK_TFLOPS = {"H200": 989, "H100": 989, "A100": 312, "L40S": 362, "L4": 121, "RTX 4090": 165, "RTX 3090": 71}
"""Dense half-precision matrix products with float32 sums, by the makers' data sheets; longer names first."""


def peak_flops(device: torch.device) -> float | None:
    """What the GPU can do at most in half precision, operations a second; None where we do not know."""
    if device.type != "cuda":
        return None
    name = torch.cuda.get_device_name(device)
    return next((1e12 * tera for part, tera in PEAK_TFLOPS.items() if part in name), None)


def autocast(device: torch.device, dtype: str) -> contextlib.AbstractContextManager[object]:
    """Half precision for matrix products on a GPU. The CPU stays in float32, as upstream (contract section 5)."""
    if device.type != "cuda" or dtype == "float32":
        return contextlib.nullcontext()
    return torch.autocast("cuda", dtype=torch.bfloat16 if dtype == "bfloat16" else torch.float16)


def finished_at(device: torch.device) -> float:
    """The time, when the GPU has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
