"""Scores of the model's answers: every reward of a list on every answer, and their weighted sum.

rewards = Rewards(config.rewards, home, device, config.dtype)
table = rewards(samples)
table.scores["answer"], table.total
"""

import importlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import torch

from trainer.errors import RewardError
from trainer.reward_model import RewardModel
from trainer.reward_rules import Rule, Sample, rule_of, split_thought
from trainer.reward_specs import FunctionReward, ModelReward, Reward

__all__ = ["RewardTable", "Rewards", "Sample"]

HINT = "Correct it, or set reward_errors to skip to leave such answers out."
Scored = tuple[np.ndarray, dict[int, str]]
"""Scores, float64 [n], NaN where there is none; and the causes of those, by index."""


class Scorer(Protocol):
    """One reward at work."""

    def __call__(self, samples: list[Sample]) -> Scored:
        """A score for each sample."""
        ...


@dataclass(frozen=True)
class RewardTable:
    """The rewards of some samples."""

    scores: dict[str, np.ndarray]
    """By name, without weights: float64 [n], NaN where the reward failed."""
    total: np.ndarray
    """Weighted sum: float64 [n], NaN where one that counts failed."""
    problems: list[str]
    """Each failure: reward, number of the sample from 1, cause."""


class Rewards:
    """A list of rewards, ready to score.

    Args:
        specs: what is rewarded.
        home: folder that relative paths start from.
        device: of reward models.
        dtype: their precision on a GPU.
        policy: what happens where a reward fails: stop, or skip the sample, whose total is NaN then.

    Raises:
        RewardError: a reward model or a function that cannot be loaded.
    """

    def __init__(
        self,
        specs: Sequence[Reward],
        home: Path,
        device: torch.device,
        dtype: str,
        policy: Literal["stop", "skip"] = "stop",
    ) -> None:
        self._policy = policy
        self._weights = {spec.key: spec.weight for spec in specs}
        self._scorers = {spec.key: _scorer(spec, home, device, dtype) for spec in specs}

    def __call__(self, samples: list[Sample]) -> RewardTable:
        """Score some samples.

        Raises:
            RewardError: with policy stop, the first reward that failed.
        """
        scores: dict[str, np.ndarray] = {}
        total, problems = np.zeros(len(samples)), []
        for name, scorer in self._scorers.items():
            scores[name], causes = scorer(samples)
            told = [f"Reward {name!r} failed for sample {i + 1} of {len(samples)}: {c}." for i, c in causes.items()]
            if told and self._policy == "stop":
                raise RewardError(told[0], HINT)
            problems += told
            if self._weights[name]:
                total += self._weights[name] * scores[name]
        return RewardTable(scores, total, problems)


def _scorer(spec: Reward, home: Path, device: torch.device, dtype: str) -> Scorer:
    if isinstance(spec, ModelReward):
        path = Path(spec.path).expanduser()
        return _ByModel(RewardModel(path if path.is_absolute() else home / path, device, dtype))
    if isinstance(spec, FunctionReward):
        return _ByFunction(spec)
    rule = rule_of(spec)
    assert rule is not None  # all other kinds are rules
    return _ByRule(rule)


class _ByRule:
    def __init__(self, rule: Rule) -> None:
        self._rule = rule

    def __call__(self, samples: list[Sample]) -> Scored:
        scores, causes = np.full(len(samples), np.nan), {}
        for index, sample in enumerate(samples):
            try:
                scores[index] = self._rule(sample)
            except ValueError as error:
                causes[index] = str(error)
        return scores, causes


class _ByModel:
    """The model judges the answer after the thought, as in MiniMind."""

    def __init__(self, model: RewardModel) -> None:
        self._model = model

    def __call__(self, samples: list[Sample]) -> Scored:
        scores, causes = self._model.score(
            [[*s.messages, {"role": "assistant", "content": split_thought(s.completion)[1]}] for s in samples]
        )
        bad = {index: f"the reward model gave {value}" for index, value in enumerate(scores) if math.isnan(value)}
        return scores, bad | causes


class _ByFunction:
    """A function of the user's: whatever it does, the failure has its name."""

    def __init__(self, spec: FunctionReward) -> None:
        module, _, name = spec.function.partition(":")
        self._name = spec.function
        try:
            self._function = getattr(importlib.import_module(module), name)
        except Exception as error:  # a module may raise anything when it is imported
            text = f"Reward {spec.key!r}: {spec.function} cannot be loaded: {_told(error)}."
            raise RewardError(text, "Put its folder on PYTHONPATH, and see that the module imports.") from error

    def __call__(self, samples: list[Sample]) -> Scored:
        scores = np.full(len(samples), np.nan)
        try:
            given = list(self._function(samples))
        except Exception as error:  # and so may a function
            return scores, dict.fromkeys(range(len(samples)), f"{self._name} raised {_told(error)}")
        if len(given) != len(samples):
            cause = f"{self._name} returned {len(given)} numbers for {len(samples)} samples"
            return scores, dict.fromkeys(range(len(samples)), cause)
        causes: dict[int, str] = {}
        for index, value in enumerate(given):
            number = float(value) if isinstance(value, int | float | np.number | np.bool_) else math.nan
            if math.isfinite(number):
                scores[index] = number
            else:
                causes[index] = f"{self._name} returned {value!r}"
        return scores, causes


def _told(error: Exception) -> str:
    first = (str(error).strip().splitlines() or [""])[0][:200]
    return f"{type(error).__name__}: {first}" if first else type(error).__name__
