"""Settings that an attempt has instead of those that the person chose, because an attempt before it failed by them.

    overrides = Overrides.of_this_attempt(config)
    config = overrides.applied(config)

The platform decides what is changed and leaves it in the folder of the attempt; the settings of the task and the
parameters of its run stay as they were chosen.
"""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trainer.configs import TrainConfig, parse_config
from trainer.names import Env, TaskFile

REASONS = {
    "batch_size": "for lack of memory, with the same rows in each step",
    "learning_rate": "because the loss became NaN or infinite before",
}
"""Why a setting was changed."""


@dataclass(frozen=True)
class Overrides:
    """The changed settings, and what they were."""

    values: dict[str, Any] = field(default_factory=dict)
    chosen: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of_this_attempt(cls, config: TrainConfig) -> "Overrides":
        """Those in the folder of this attempt, if it has one."""
        attempt = os.environ.get(Env.ATTEMPT)
        path = Path(attempt) / TaskFile.OVERRIDES if attempt else None
        if path is None or not path.exists():
            return cls()
        values = json.loads(path.read_text(encoding="utf-8"))
        return cls(values, {name: getattr(config, name) for name in values})

    def applied(self, config: TrainConfig) -> TrainConfig:
        """The settings to train with."""
        return parse_config(config.type, config.model_dump() | self.values) if self.values else config

    def sentence(self) -> str:
        """What was changed, and why, for a person."""
        told = [f"{name} is {value:g} instead of {self.chosen[name]:g}" for name, value in self.values.items()]
        reasons = [reason for name, reason in REASONS.items() if name in self.values]
        return f"In this attempt {', '.join(told)}: {'; and '.join(reasons)}."
