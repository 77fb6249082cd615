"""What a task may change by itself after an attempt that failed, so that the next one gets further.

    remedies = remedies_of(task)
    remedies[ErrorClass.OUT_OF_MEMORY].overrides      # {"batch_size": 16, "accumulation_steps": 2}

Pure decisions. What is not in the answer is not tried again: settings, data, base weights and rewards that are wrong
stay wrong.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from minimind_platform.tasks import Task
from trainer.names import ErrorClass


@dataclass(frozen=True)
class Remedy:
    """Why the next attempt may get further."""

    reason: str = ""
    """For the history; "" where nothing but time helps, so that the attempt counts as one that was lost."""
    overrides: dict[str, Any] = field(default_factory=dict)
    """All settings that the next attempt has instead of those that the person chose."""


def remedies_of(task: Task) -> dict[str, Remedy]:
    """What can be done about which failure of this task's current attempt, as its settings allow."""
    config, now = task.config, task.config | task.overrides
    found: dict[str, Remedy] = {}
    if config.get("retry_lost", True):
        found[ErrorClass.DISK] = Remedy()
    smaller = _smaller_batches(now)
    if smaller and config.get("retry_out_of_memory", True):
        reason = "to be resumed with batch_size {batch_size} and accumulation_steps {accumulation_steps}: "
        reason = (reason + "less memory, the same rows in each step").format_map(smaller)
        found[ErrorClass.OUT_OF_MEMORY] = Remedy(reason, task.overrides | smaller)
    chosen = config.get("learning_rate")
    if chosen and now["learning_rate"] == chosen and not task.sweep_id and config.get("retry_diverged", True):
        reason = f"to be resumed from the last good checkpoint with learning_rate {chosen / 2:g}, half of it"
        found[ErrorClass.DIVERGED] = Remedy(reason, task.overrides | {"learning_rate": chosen / 2})
    return found


def _smaller_batches(config: Mapping[str, Any]) -> dict[str, int]:
    """Fewer rows at once and as many a step: half of them, or the next smaller part of an odd number; {} if there are
    no fewer, each process having one already."""
    rows, batches = config.get("batch_size", 1), config.get("accumulation_steps", 1)
    for parts in range(2, rows + 1):
        if rows % parts == 0 and rows // parts >= config.get("num_processes", 1):
            return {"batch_size": rows // parts, "accumulation_steps": batches * parts}
    return {}
