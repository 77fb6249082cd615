"""Devices of this machine and the slots that tasks hold on them.

    slots(cpu_slots=1)      # {"cpu": ["cpu:0"], "cuda": ["cuda:0", "cuda:1"]}

A slot is one place to train: a GPU has one, the CPU as many as the settings say. GPUs are found with `nvidia-smi`, so
that the platform never has to load torch.
"""

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

QUERY = "index,uuid,name,memory.total,memory.used"
TIMEOUT_SECONDS = 5
RETRY_SECONDS = 60
"""Pause before nvidia-smi is asked again after it has not answered."""


@dataclass(frozen=True)
class Gpu:
    """One NVIDIA GPU."""

    index: int
    """Its place in the order of the PCI bus, as `nvidia-smi` counts."""
    uuid: str
    name: str
    memory_mb: int
    memory_used_mb: int
    """When it was asked."""

    @property
    def slot(self) -> str:
        return f"cuda:{self.index}"


class _Memory:
    """What nvidia-smi has answered, and when to ask it again if it has not."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.found: tuple[Gpu, ...] | None = None
        self.again_at = 0.0


_memory = _Memory()


def gpus() -> tuple[Gpu, ...]:
    """GPUs that this process may use. Asked until it is answered: a machine does not get new ones while it runs."""
    with _memory.lock:
        if _memory.found is None and time.monotonic() >= _memory.again_at:
            _memory.found = _ask()
            _memory.again_at = time.monotonic() + RETRY_SECONDS
        return _memory.found or ()


def _ask() -> tuple[Gpu, ...] | None:
    """The answer of nvidia-smi; None if there is none."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    command = [program, f"--query-gpu={QUERY}", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):  # a driver that is broken or hangs: train on the CPU
        return None
    return visible(parse(answer.stdout), os.environ.get("CUDA_VISIBLE_DEVICES"))


def parse(table: str) -> list[Gpu]:
    """Read what nvidia-smi printed. A GPU whose memory is not known counts as empty."""
    found = []
    for line in table.splitlines():
        cells = [cell.strip() for cell in line.split(",")]
        if len(cells) == 5 and cells[0].isdigit():
            total, used = (int(cell) if cell.isdigit() else 0 for cell in cells[3:])
            found.append(Gpu(int(cells[0]), cells[1], cells[2], total, used))
    return found


def visible(found: list[Gpu], allowed: str | None) -> tuple[Gpu, ...]:
    """Those that CUDA_VISIBLE_DEVICES of this process leaves; None means that it is not set."""
    if allowed is None:
        return tuple(found)
    names = [name.strip() for name in allowed.split(",") if name.strip()]
    return tuple(g for g in found if str(g.index) in names or any(g.uuid.startswith(name) for name in names))


def slots(cpu_slots: int) -> dict[str, list[str]]:
    """All slots of this machine by kind of device; a kind that it does not have is missing."""
    found = {"cpu": [f"cpu:{number}" for number in range(cpu_slots)], "cuda": [gpu.slot for gpu in gpus()]}
    return {kind: names for kind, names in found.items() if names}


def join_slots(slots: Sequence[str]) -> str:
    """Slots of one kind as one word: cuda:0, cuda:0,1."""
    kind = slots[0].partition(":")[0]
    return f"{kind}:{','.join(slot.partition(':')[2] for slot in slots)}"


def visible_devices(device: str) -> str:
    """Value of CUDA_VISIBLE_DEVICES for a task on this device, one or several slots: its own GPUs only, or none."""
    kind, _, numbers = device.partition(":")
    held = {f"{kind}:{number}" for number in numbers.split(",")}
    return ",".join(gpu.uuid for gpu in gpus() if gpu.slot in held)
