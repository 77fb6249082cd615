"""The optimizer's state of a sharded training on the disk: each process writes what it holds, and any number of
processes reads it. Safetensors only, so that reading a checkpoint never runs code.

    write_shard(optimizer, folder, rank)
    move_shards(folder, checkpoint)
    Shards(checkpoint).tensor(3, "exp_avg")
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch.distributed.tensor import DTensor

from trainer.errors import DiskError

_NAME = "optimizer-{:05d}.safetensors"
_PATTERN = "optimizer-*.safetensors"


def write_shard(optimizer: torch.optim.Optimizer, folder: Path, rank: int) -> None:
    """Write this process's part of every sharded tensor of an optimizer.

    Raises:
        DiskError: the disk is full or refuses.
    """
    folder.mkdir(parents=True, exist_ok=True)
    parts = {f"{i}.{key}": value.to_local().cpu().contiguous() for i, key, value in _sharded(optimizer.state_dict())}
    try:
        save_file(parts, folder / _NAME.format(rank))
    except (OSError, SafetensorError) as error:
        text = f"The optimizer's part of process {rank} could not be written to {folder} ({str(error)[:150]})."
        raise DiskError(text, "Free some space, then resume: earlier checkpoints are intact.") from error


def without_shards(state: dict[str, Any]) -> dict[str, Any]:
    """What is left of an optimizer's state beside the sharded tensors: counts and settings."""
    values = {i: {k: v for k, v in of.items() if not isinstance(v, DTensor)} for i, of in state["state"].items()}
    return {"state": values, "param_groups": state["param_groups"]}


def move_shards(folder: Path, checkpoint: Path) -> None:
    """Bring the parts of all processes into a checkpoint."""
    for part in folder.glob(_PATTERN):
        part.rename(checkpoint / part.name)


def has_shards(checkpoint: Path) -> bool:
    """Whether the optimizer's state lies there in shards."""
    return any(checkpoint.glob(_PATTERN))


class Shards:
    """The parts of all processes, read tensor by tensor."""

    def __init__(self, checkpoint: Path) -> None:
        self._files = [safe_open(path, framework="pt") for path in sorted(checkpoint.glob(_PATTERN))]

    def names(self) -> Iterator[tuple[int, str]]:
        """Each tensor, as number of its parameter and key in the optimizer's state."""
        for name in self._files[0].keys():  # noqa: SIM118 - no dict
            number, _, key = name.partition(".")
            yield int(number), key

    def tensor(self, number: int, key: str) -> torch.Tensor:
        """One whole tensor. FSDP2 cuts along the first dimension, in the order of the processes."""
        return torch.cat([file.get_tensor(f"{number}.{key}") for file in self._files])


def _sharded(state: dict[str, Any]) -> Iterator[tuple[int, str, DTensor]]:
    for number, values in state["state"].items():
        for key, value in values.items():
            if isinstance(value, DTensor):
                yield number, key, value
