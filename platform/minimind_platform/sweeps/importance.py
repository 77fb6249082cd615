"""Which searched settings make trials good: PED-ANOVA (Watanabe et al., IJCAI 2023, https://arxiv.org/abs/2304.10255).

A setting is important if the best tenth of the trials has other values of it than all trials have. The figures are
those of Optuna's `PedAnovaImportanceEvaluator`. This is not that one, because to import it brings scikit-learn and
pandas into the web process: 1.5 s and 160 MB.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial

BEST_SHARE = 0.1
STEPS = 50
"""Parts that a range is looked at in, at most."""
FEWEST = 5
"""Complete trials below which nothing can be said."""
_mass_below = np.vectorize(lambda x: 0.5 * math.erfc(-x / math.sqrt(2)), otypes=[float])
"""Of the normal distribution."""


def importances(trials: Sequence[FrozenTrial], cost: Callable[[FrozenTrial], float]) -> dict[str, float]:
    """Share of each setting, largest first; {} while too little is known.

    Args:
        trials: complete ones.
        cost: of a trial; small is good.
    """
    known = [trial for trial in trials if math.isfinite(cost(trial))]
    costs = sorted(map(cost, known))
    if len(known) < FEWEST or costs[0] == costs[-1]:
        return {}
    limit = costs[math.ceil(BEST_SHARE * len(costs)) - 1]
    best = {trial.number for trial in known if cost(trial) <= limit}
    shares = {name: _importance(name, known, best) for name in {name for trial in known for name in trial.params}}
    total = sum(shares.values())
    ordered = sorted(shares.items(), key=lambda item: (-item[1], item[0]))
    return {name: share / total if total else 1 / len(shares) for name, share in ordered}


def _importance(name: str, trials: Sequence[FrozenTrial], best: set[int]) -> float:
    # Trials that do not have the setting, because of a condition, are a group of their own.
    groups: dict[BaseDistribution | None, list[FrozenTrial]] = defaultdict(list)
    for trial in trials:
        groups[trial.distributions.get(name)].append(trial)
    total = 0.0
    for searched, group in groups.items():
        good = [trial for trial in group if trial.number in best]
        if searched is None or searched.single() or len(group) < 2 or not good:
            continue
        of_best, of_all = len(good) / len(best), len(group) / len(trials)
        total += of_best**2 / of_all * _divergence(searched, _values(name, good), _values(name, group))
    return total


def _values(name: str, trials: Sequence[FrozenTrial]) -> list[Any]:
    return [trial.params[name] for trial in trials]


def _divergence(searched: BaseDistribution, good: list[Any], all_of_them: list[Any]) -> float:
    """How much the density of the good values differs from that of all (Pearson)."""
    density_good, density = _density(searched, good) + 1e-12, _density(searched, all_of_them) + 1e-12
    return float(density @ (density_good / density - 1) ** 2)


def _density(searched: BaseDistribution, values: list[Any]) -> np.ndarray:
    """Probability of each choice, or of each part of a range: a kernel for each value that is there, and a flat one."""
    if isinstance(searched, CategoricalDistribution):
        counts = np.bincount([int(searched.to_internal_repr(v)) for v in values], minlength=len(searched.choices))
    else:
        counts = _counts(searched, values)
    there = np.flatnonzero(counts)
    weights = np.append(counts[there], 1.0)
    kernels = _choice_kernels if isinstance(searched, CategoricalDistribution) else _range_kernels
    return weights / weights.sum() @ kernels(there, counts)


def _counts(searched: BaseDistribution, values: list[Any]) -> np.ndarray:
    """Values in each part of the range."""
    assert isinstance(searched, FloatDistribution | IntDistribution)
    low, high, parts = float(searched.low), float(searched.high), STEPS
    if isinstance(searched, IntDistribution) and searched.log:
        parts = min(math.ceil(math.log2(high - low + 1)) + 1, STEPS)
    elif searched.step:
        parts = min(round((high - low) / searched.step) + 1, STEPS)
    at = np.asarray(values, dtype=float)
    if searched.log:
        low, high, at = math.log(low), math.log(high), np.log(at)
    places = np.ceil((at - low) / ((high - low) / (parts - 1)) - 0.5).astype(int)
    return np.bincount(np.clip(places, 0, parts - 1), minlength=parts)


def _choice_kernels(there: np.ndarray, counts: np.ndarray) -> np.ndarray:
    kernels = np.full((len(there) + 1, len(counts)), 1 / (len(there) + 1))
    kernels[np.arange(len(there)), there] += 1
    return kernels / kernels.sum(axis=1, keepdims=True)


def _range_kernels(there: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Normal distributions cut at the ends of the range, as wide as Scott's rule says."""
    weights, most = counts[there], len(counts) - 1
    total, cumulated = weights.sum(), np.cumsum(weights)
    mean = there @ weights / total
    spread = math.sqrt((there - mean) ** 2 @ weights / max(1, total - 1))
    first = np.searchsorted(cumulated, total // 4, side="left")
    third = min(len(there) - 1, int(np.searchsorted(cumulated, total * 3 // 4, side="right")))
    width = 1.059 * min((there[third] - there[first]) / 1.34, spread) * total**-0.2
    widths = np.append(np.full(len(there), max(width, 0.5 / 1.64)), most + 1)[:, None]
    middles = np.append(there, most / 2)[:, None]
    edges = _mass_below((np.arange(len(counts) + 1) - 0.5 - middles) / widths)
    return np.diff(edges, axis=1) / (edges[:, -1:] - edges[:, :1])
