"""What this machine can train on.

devices()      # ["auto", "cpu", "cuda", "cuda:0", "cuda:1"]
"""

import functools
import shutil
import subprocess


@functools.cache
def gpus() -> tuple[str, ...]:
    """Names of the NVIDIA GPUs, in their order; asked once a process."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return ()
    command = [tool, "--query-gpu=name", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return ()
    return tuple(line.strip() for line in done.stdout.splitlines() if line.strip())


def devices() -> list[str]:
    """Choices of the setting `device`."""
    found = gpus()
    return ["auto", "cpu", *(["cuda"] if found else []), *(f"cuda:{index}" for index in range(len(found)))]


def device_kind(device: str) -> str:
    """What a training with this setting, or in this slot, computes on: cpu or cuda."""
    if device == "auto":
        return "cuda" if gpus() else "cpu"
    return device.partition(":")[0]
