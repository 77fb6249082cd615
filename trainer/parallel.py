"""How a model lies on the processes that train it: alone, as a replica in each (DistributedDataParallel), or in shards
(FSDP2), for models that do not fit one GPU.

Whatever it is, a run can go on with any number of processes, as replicas or in shards: the first process writes all
weights, as a model that can be used, and of shards each process writes its part of the optimizer's state.
"""

import contextlib
import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn.parallel import DistributedDataParallel
from transformers import PreTrainedModel

from trainer.batches import Batch
from trainer.configs import TrainConfig
from trainer.losses import BatchLoss, Objective
from trainer.model_files import ModelFiles
from trainer.ranks import Ranks
from trainer.shards import Shards, has_shards, without_shards, write_shard


class Parallel:
    """A model on its device, ready to train. Every method must be called by all processes."""

    def __init__(
        self, model: PreTrainedModel, objective: Objective, config: TrainConfig, ranks: Ranks, device: torch.device
    ) -> None:
        self.model, self._ranks = model, ranks
        self._shards = ranks.count > 1 and config.sharded
        if self._shards:
            self._hollow = _hollow(model)
            _shard(model, device, ranks.count)
        model.to(device)  # type: ignore[arg-type]
        loss = _Loss(model, objective)
        self._replica: DistributedDataParallel | None = None
        if ranks.count > 1 and not self._shards:
            if config.compile:  # in one piece, loss included
                torch._dynamo.config.optimize_ddp = False
            self._replica = DistributedDataParallel(loss, forward_sync_buffers=False, gradient_as_bucket_view=True)
        self.loss: Callable[[Batch], BatchLoss] = self._replica or loss
        """The loss of a batch in training, to be followed by its backward pass."""

    @property
    def scale(self) -> int:
        """What a loss must be multiplied with before its backward pass: gradients are averaged over the processes, but
        each process's loss is its share of the whole."""
        return self._ranks.count

    def adding_up(self, last: bool) -> contextlib.AbstractContextManager[Any]:
        """Around a forward and backward pass. Replicas exchange gradients with the last of a step only; shards with
        each, because whole gradients would need the memory that sharding saves."""
        return self._replica.no_sync() if self._replica and not last else contextlib.nullcontext()

    def clip(self, limit: float) -> torch.Tensor:
        """Scale the gradients down to a norm over all weights; the norm before."""
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), limit)
        return norm.full_tensor() if isinstance(norm, DTensor) else norm

    def whole(self) -> PreTrainedModel:
        """The model with all of its weights, to be written. Of shards it is a copy on the CPU, of the first process
        only; the others get one without weights."""
        if not self._shards:
            return self.model
        weights = {name: self._gathered(value) for name, value in self.model.state_dict().items()}
        found = copy.deepcopy(self._hollow)
        if self._ranks.first:
            found.load_state_dict(weights, assign=True)
            found.tie_weights()
        return found

    def load(self, files: ModelFiles, folder: Path) -> None:
        """Put the weights of a checkpoint back."""
        if not self._shards:
            files.load(self.model, folder)
            return
        found = copy.deepcopy(self._hollow).to_empty(device="cpu")
        found.tie_weights()
        files.load(found, folder)
        weights = found.state_dict()
        with torch.no_grad():
            for name, value in self.model.state_dict().items():
                value.copy_(_scattered(weights[name], value))

    def optimizer_state(self, optimizer: torch.optim.Optimizer, shards: Path) -> dict[str, Any]:
        """The state of the optimizer. What lies in shards is left out and written to the folder `shards`, the part of
        each process by itself, so that no process needs memory for the whole."""
        if not self._shards:
            return optimizer.state_dict()
        write_shard(optimizer, shards, self._ranks.rank)
        self._ranks.all(True)  # the first process moves the parts, and they must all be there
        return without_shards(optimizer.state_dict())

    def load_optimizer(self, optimizer: torch.optim.Optimizer, state: dict[str, Any], checkpoint: Path) -> None:
        """Put back what `optimizer_state` gave, with what it wrote, now in the folder `checkpoint`."""
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        if has_shards(checkpoint):
            shards = Shards(checkpoint)
            for number, key in shards.names():
                state["state"][number][key] = _scattered(shards.tensor(number, key), parameters[number])
        elif self._shards:
            values = {i: {k: _scattered(v, parameters[i]) for k, v in of.items()} for i, of in state["state"].items()}
            state = {"state": values, "param_groups": state["param_groups"]}
        optimizer.load_state_dict(state)

    def _gathered(self, value: Any) -> Any:
        if not isinstance(value, DTensor):
            return value
        full = value.full_tensor()
        return full.cpu() if self._ranks.first else full.new_empty(0)


class _Loss(torch.nn.Module):
    """Model and objective as one, so that DistributedDataParallel can be around both."""

    def __init__(self, model: PreTrainedModel, objective: Objective) -> None:
        super().__init__()
        self.model, self.objective = model, objective

    def forward(self, batch: Batch) -> BatchLoss:
        return self.objective(self.model, batch)


def _shard(model: PreTrainedModel, device: torch.device, count: int) -> None:
    """Shard each layer, then the rest: only one layer is ever whole on a GPU."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh(device.type, (count,))
    layers = set(model._no_split_modules or ())
    for module in list(model.modules()):
        if type(module).__name__ in layers:
            fully_shard(module, mesh=mesh)
    fully_shard(model, mesh=mesh)


def _hollow(model: PreTrainedModel) -> PreTrainedModel:
    """A copy without memory for its weights; tied weights stay tied."""
    memo: dict[int, Any] = {}
    for tensor in (*model.parameters(), *model.buffers()):
        empty = torch.empty_like(tensor, device="meta")
        is_weight = isinstance(tensor, torch.nn.Parameter)
        memo[id(tensor)] = torch.nn.Parameter(empty, requires_grad=tensor.requires_grad) if is_weight else empty
    return copy.deepcopy(model, memo)


def _scattered(value: Any, like: Any) -> Any:
    """This process's shard of a whole tensor, laid out like another; what is no such tensor stays as it is."""
    if not isinstance(like, DTensor) or value.shape != like.shape:
        return value
    whole = value.to(like.to_local().device)
    shard = distribute_tensor(whole, like.device_mesh, like.placements, src_data_rank=None).to_local().clone()
    return DTensor.from_local(shard, like.device_mesh, like.placements, shape=whole.shape, stride=whole.stride())
