"""The window of steps between two records: numbers stay on the device until it closes, so that no step waits."""

import time
from dataclasses import dataclass, field, replace

import torch

from trainer.names import Metric
from trainer.ranks import Ranks


@dataclass
class StepResult:
    """What one optimizer step leaves behind, still on the device."""

    step: int
    loss: torch.Tensor
    """Mean over the step: this process's share of it, all of it once the window is closed."""
    grad_norm: torch.Tensor
    count: int
    """What the means are over: labelled tokens, pairs or sequences."""
    tokens: int
    parts: dict[Metric, torch.Tensor] = field(default_factory=dict)
    """Means that the training type records beside the loss."""


@dataclass
class Closed:
    """A closed window: its record, and the first step that went wrong."""

    values: dict[str, float]
    bad: StepResult | None


class Window:
    """Collects steps until it is closed."""

    def __init__(self, overflows: bool = False) -> None:
        """`overflows`: float16 training, where a gradient that overflows is normal and its step is left out."""
        self._overflows = overflows
        self._results: list[StepResult] = []
        self._began = time.perf_counter()

    def __len__(self) -> int:
        return len(self._results)

    def add(self, result: StepResult) -> None:
        """Take in one step. Costs a list append."""
        self._results.append(result)

    def restart_clock(self) -> None:
        """Begin to count now."""
        self._began = time.perf_counter()

    def leave_out(self, seconds: float) -> None:
        """Leave out time that was spent on something else than steps."""
        self._began += seconds

    def close(self, ranks: Ranks) -> Closed:
        """The record of the window: weighted mean, least and largest loss, mean norm, speed. Waits for the
        device and the other processes, once."""
        results, seconds = self._results, time.perf_counter() - self._began
        losses = ranks.total(torch.stack([r.loss for r in results]).double().cpu())
        norms = torch.stack([r.grad_norm for r in results]).double().cpu()
        seconds = max(seconds, time.perf_counter() - self._began)  # includes what the device still had to do
        weights = torch.tensor([r.count for r in results], dtype=torch.float64)
        good_norms = torch.isfinite(norms)
        finite = torch.isfinite(losses) & (good_norms | self._overflows)
        values = {
            Metric.LOSS: float((losses * weights).sum() / weights.sum()),
            Metric.LOSS_MIN: float(losses.min()),
            Metric.LOSS_MAX: float(losses.max()),
            Metric.GRAD_NORM: float((norms[good_norms] if self._overflows and good_norms.any() else norms).mean()),
            Metric.TOKENS_PER_SECOND: sum(r.tokens for r in results) / seconds,
            Metric.STEP_SECONDS: seconds / len(results),
        }
        for name in results[0].parts:
            means = ranks.total(torch.stack([r.parts[name] for r in results]).double().cpu())
            values[name] = float((means * weights).sum() / weights.sum())
        seen = (replace(r, loss=loss) for r, loss in zip(results, losses, strict=True))
        bad = next((r for r, ok in zip(seen, finite.tolist(), strict=True) if not ok), None)
        self._results, self._began = [], time.perf_counter()
        return Closed({str(name): value for name, value in values.items()}, bad)
