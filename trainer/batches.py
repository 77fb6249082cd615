"""From rows to batches: the order of an epoch, the rows of each step, and the tensors of a forward pass.

    plan = StepPlan(rows=len(rows), batch_size=32, accumulation=8, epochs=2, seed=42, max_steps=0)
    for micro_batches in (plan.step_rows(step) for step in range(plan.total_steps)): ...

Packed or padded, a batch holds the same rows, and a step weighs every labelled token the same; so packing and the
batch size within a step change the speed and not the loss.
"""

import math
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from trainer.data import Rows

IGNORE = -100
"""Label of a position without loss."""


@dataclass(frozen=True)
class StepPlan:
    """Which rows each optimizer step uses. A function of its fields alone, so that a resume needs only the step."""

    rows: int
    batch_size: int
    accumulation: int
    epochs: int
    seed: int
    max_steps: int = 0
    at_once: int = 0
    """Rows of a forward pass where memory does not suffice for batch_size; 0 for all of them. The rows of a step and
    the clock of the learning rate are those of batch_size."""

    @property
    def batches_per_epoch(self) -> int:
        """Forward passes an epoch; the last may be smaller."""
        return math.ceil(self.rows / self.batch_size)

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps an epoch; the last may have fewer batches (contract section 8, defect 3)."""
        return math.ceil(self.batches_per_epoch / self.accumulation)

    @property
    def total_steps(self) -> int:
        """Optimizer steps of the whole run."""
        planned = self.steps_per_epoch * self.epochs
        return min(planned, self.max_steps) if self.max_steps else planned

    def epoch_of(self, step: int) -> int:
        """Epoch, from 0, that step `step` (from 0) belongs to."""
        return step // self.steps_per_epoch

    def batches_done(self, step: int) -> int:
        """Forward passes done when `step` steps are done: MiniMind's clock for the learning rate."""
        epoch, within = divmod(step, self.steps_per_epoch)
        return epoch * self.batches_per_epoch + min(within * self.accumulation, self.batches_per_epoch)

    def step_rows(self, step: int) -> list[np.ndarray]:
        """Row numbers of each forward pass of step `step` (from 0)."""
        size = self.at_once or self.batch_size
        return [rows[i : i + size] for rows in self._batches(step) for i in range(0, len(rows), size)]

    def parts(self, step: int) -> list[int]:
        """In how many forward passes each batch of step `step` is done."""
        size = self.at_once or self.batch_size
        return [math.ceil(len(rows) / size) for rows in self._batches(step)]

    def _batches(self, step: int) -> list[np.ndarray]:
        epoch, within = divmod(step, self.steps_per_epoch)
        order = self._order(epoch)
        first = within * self.accumulation
        last = min(first + self.accumulation, self.batches_per_epoch)
        return [order[b * self.batch_size : (b + 1) * self.batch_size] for b in range(first, last)]

    def _order(self, epoch: int) -> np.ndarray:
        if epoch not in self._orders:
            self._orders.clear()
            self._orders[epoch] = np.random.default_rng([self.seed, epoch]).permutation(self.rows)
        return self._orders[epoch]

    @cached_property
    def _orders(self) -> dict[int, np.ndarray]:
        return {}


@dataclass(frozen=True)
class Batch:
    """The tensors of one forward pass."""

    input_ids: torch.Tensor
    """[1, tokens] packed, or [rows, longest] padded on the right."""
    position_ids: torch.Tensor
    """Same shape; counts from 0 in each row."""
    predict_at: torch.Tensor
    """[targets] places in the flattened input whose next token carries loss."""
    targets: torch.Tensor
    """[targets] those next tokens."""
    bounds: torch.Tensor
    """[rows + 1] cumulated lengths of the rows, int32."""
    longest: int
    """Tokens of the longest row."""
    tokens: int
    """Tokens that are not padding."""
    packed: bool
    weights: torch.Tensor | None = None
    """[targets] float32 weight of each target in the loss; None where all weigh the same."""
    count: int = 0
    """What a loss is averaged over: labelled tokens, or the pairs or sequences of types that compare whole answers."""
    extras: dict[str, torch.Tensor] = field(default_factory=dict)
    """What else the loss of a training type needs, by name."""

    def empty(self) -> "Batch":
        """The same without labels: it counts for nothing, but a process that has no rows can compute along."""
        weights = None if self.weights is None else self.weights[:0]
        nothing = {name: tensor[:0] for name, tensor in self.extras.items()}
        return replace(
            self,
            predict_at=self.predict_at[:0],
            targets=self.targets[:0],
            tokens=0,
            weights=weights,
            count=0,
            extras=nothing,
        )

    def to(self, device: torch.device) -> "Batch":
        """A copy on the device; a no-op on the CPU."""
        if device.type == "cpu":
            return self
        names = ("input_ids", "position_ids", "predict_at", "targets", "bounds")
        moved = {name: _moved(getattr(self, name), device) for name in names}
        weights = None if self.weights is None else _moved(self.weights, device)
        extras = {name: _moved(tensor, device) for name, tensor in self.extras.items()}
        return replace(self, **moved, weights=weights, extras=extras)


def _moved(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    return tensor.pin_memory().to(device, non_blocking=True)


def make_batch(
    rows: "Rows", indices: np.ndarray, epoch: int | None, packed: bool, pad_id: int, pad_to: int = 0
) -> Batch:
    """Put rows together.

    Args:
        rows: the data.
        indices: which rows.
        epoch: for the random draws of a row; None for evaluation.
        packed: one behind the other without padding, or padded on the right.
        pad_id: token to pad with.
        pad_to: pad at least to this length; 0 for the longest row of the batch.
    """
    pairs = [rows.get(int(i), epoch) for i in indices]
    lengths = [len(ids) for ids, _ in pairs]
    width = 0 if packed else max(pad_to, *lengths)
    starts = np.cumsum([0, *lengths[:-1]]) if packed else np.arange(len(pairs)) * width
    places, targets, weights = [], [], []
    for start, (ids, labels) in zip(starts, pairs, strict=True):
        labelled = np.flatnonzero(labels[1:] != IGNORE)
        places.append(start + labelled)
        targets.append(ids[1:][labelled])
        if rows.weigh is not None:
            weights.append(rows.weigh(ids, labels)[1:][labelled])
    if packed:
        input_ids = np.concatenate([ids for ids, _ in pairs])[None]
        positions = np.concatenate([np.arange(n) for n in lengths])[None]
    else:
        input_ids = np.full((len(pairs), width), pad_id, dtype=np.int64)
        for line, (ids, _) in zip(input_ids, pairs, strict=True):
            line[: len(ids)] = ids
        positions = np.broadcast_to(np.arange(width), input_ids.shape).copy()
    return Batch(
        torch.from_numpy(input_ids),
        torch.from_numpy(positions),
        torch.from_numpy(np.concatenate(places)),
        torch.from_numpy(np.concatenate(targets)),
        torch.from_numpy(np.cumsum([0, *lengths], dtype=np.int32)),
        max(lengths),
        sum(lengths),
        packed,
        torch.from_numpy(np.concatenate(weights)) if weights else None,
        sum(len(part) for part in targets),
    )
