"""Optuna's samplers and pruners, as a sweep's options mean them. A grid is not here: `points.grid` counts it out.

A sampler is made anew for every trial, with a seed from the sweep's seed and the number of trials before: so a restart
of the process changes nothing, and repeats no draw.
"""

import copy
import math
import warnings

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.pruners import BasePruner, HyperbandPruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, CmaEsSampler, QMCSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

from minimind_platform.sweeps.space import Param
from minimind_platform.sweeps.spec import SweepSpec

Space = dict[str, BaseDistribution]
COMPLETE_BEFORE_MEDIAN = 3
"""Trials that must be complete before others are compared with them."""


def distribution(param: Param) -> BaseDistribution:
    """A searched setting as Optuna has it."""
    if param.kind == "choice":
        return CategoricalDistribution(param.choices)
    if param.kind == "int":
        return IntDistribution(int(param.low), int(param.top), log=param.log, step=int(param.step or 1))
    return FloatDistribution(param.low, param.top, log=param.log, step=param.step or None)


def sampler(spec: SweepSpec, before: int, again: bool = False) -> BaseSampler:
    """What chooses the settings of a trial.

    Args:
        before: trials that were asked for before it.
        again: it was asked for, but not to the end: what is drawn now must not be what the first setting was drawn by.
    """
    seed = int(np.random.SeedSequence([spec.seed, before, again]).generate_state(1)[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        if spec.sampler == "tpe":
            return TPESampler(n_startup_trials=spec.startup_trials, multivariate=True, group=True, seed=seed)
        if spec.sampler == "cmaes":
            return _Evolution(spec, seed)
        if spec.sampler == "qmc":
            return _Spread(spec, seed)
        return RandomSampler(seed=seed)


def pruner(spec: SweepSpec) -> BasePruner:
    """What tells which trials are ended early; steps are percent of a training."""
    if spec.pruner == "median":
        return _Median(spec.first_stage)
    if spec.pruner == "asha":
        return SuccessiveHalvingPruner(min_resource=spec.first_stage, reduction_factor=spec.reduction)
    if spec.pruner == "hyperband":
        return HyperbandPruner(min_resource=spec.first_stage, max_resource=100, reduction_factor=spec.reduction)
    return NopPruner()


class _Evolution(CmaEsSampler):
    """CMA-ES over the numbers without a condition. The rest, which it cannot draw, is left to TPE.

    Optuna's own takes those numbers that all trials so far have: that changes as conditions are met, and from then on
    it draws at random. It knows no constraints either: here a trial that breaks one is as bad as any can be.
    """

    def __init__(self, spec: SweepSpec, seed: int) -> None:
        startup = spec.startup_trials
        super().__init__(
            n_startup_trials=startup,
            independent_sampler=TPESampler(n_startup_trials=startup, multivariate=False, seed=seed),
            warn_independent_sampling=False,
            consider_pruned_trials=True,
            seed=seed,
        )
        numbers = {
            param.name: distribution(param) for param in spec.params if param.kind != "choice" and not param.when
        }
        self._space = {name: one for name, one in numbers.items() if not one.single()}

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> Space:
        return self._space or super().infer_relative_search_space(study, trial)

    def _get_trials(self, study: optuna.Study) -> list[FrozenTrial]:
        trials = []
        for trial in super()._get_trials(study):
            if trial.value is None or math.isnan(trial.value) or not self._space.keys() <= trial.params.keys():
                continue
            if any(excess > 0 for excess in trial.constraints.values()):
                trial = copy.deepcopy(trial)  # it belongs to the storage
                trial.value = math.inf if study.direction == optuna.study.StudyDirection.MINIMIZE else -math.inf
            trials.append(trial)
        return trials


class _Spread(QMCSampler):
    """An evenly spread sequence over all settings. Optuna's own takes those of the first trial that has ended."""

    def __init__(self, spec: SweepSpec, seed: int) -> None:
        # All trials share the sequence of the sweep's seed; how far it is used is kept with the study.
        super().__init__(
            scramble=True,
            seed=spec.seed,
            independent_sampler=RandomSampler(seed=seed),
            warn_independent_sampling=False,
        )
        self._space = {param.name: distribution(param) for param in spec.params}

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> Space:
        return self._space or super().infer_relative_search_space(study, trial)


class _Median(BasePruner):
    """Ends a trial whose best value so far is worse than the median of the others at that point.

    Optuna's own compares only values at the very same step. Trainings of different lengths are evaluated at different
    percents, so each trial counts here with the last value that it had until then.
    """

    def __init__(self, first_stage: int) -> None:
        self._first_stage = first_stage

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        percent = trial.last_step
        if percent is None or percent < self._first_stage:
            return False
        ended = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        others = [value for one in ended if (value := _until(one, percent)) is not None]
        if len(others) < COMPLETE_BEFORE_MEDIAN:
            return False
        own = [value for value in trial.intermediate_values.values() if not math.isnan(value)]
        median = float(np.median(others))
        if study.direction == optuna.study.StudyDirection.MINIMIZE:
            return not own or min(own) > median
        return not own or max(own) < median


def _until(trial: FrozenTrial, percent: int) -> float | None:
    """The last number that a trial had reported at that percent, or None."""
    known = {p: v for p, v in trial.intermediate_values.items() if p <= percent and not math.isnan(v)}
    return known[max(known)] if known else None
