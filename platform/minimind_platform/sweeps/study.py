"""The Optuna study behind a sweep: its trials, their settings and values. Nothing of tasks, MLflow or processes.

    study = Studies("sqlite:////data/minimind/mlruns/optuna.db").open(sweep_id, spec)
    trial = study.ask()                       # trial.settings to train with
    study.report(trial.number, 10, 3.2)
    if study.should_prune(trial.number): study.prune(trial.number, "…")
    study.complete(trial.number, [2.9])

Every call is written before it returns, and a process may die between any two. Any number of processes may read and
tell; one at a time asks. Importing this module imports Optuna, about 0.3 s.
"""

import json
import math
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import optuna
from optuna.exceptions import DuplicatedStudyError, UpdateFinishedTrialError
from optuna.pruners import NopPruner
from optuna.samplers import RandomSampler
from optuna.storages import RDBStorage
from optuna.study import StudyDirection
from optuna.study._constrained_optimization import _CONSTRAINTS_KEY
from optuna.trial import FrozenTrial, create_trial
from optuna.trial import TrialState as Stage

from minimind_platform.errors import NotFoundError, Problem, SettingsError
from minimind_platform.sweeps.importance import importances
from minimind_platform.sweeps.points import grid, read_point
from minimind_platform.sweeps.samplers import distribution, pruner, sampler
from minimind_platform.sweeps.space import Param, holds
from minimind_platform.sweeps.spec import SweepSpec
from minimind_platform.sweeps.study_storage import CountedStorage, open_storage, told
from minimind_platform.sweeps.study_trials import Note, StudyTrial, clean, front, half_asked, params_of, shown
from minimind_platform.sweeps.views import TrialState

Function = Callable[[optuna.Trial], Mapping[str, Any]]
REMEMBERED = 16
"""Studies whose ended trials a process remembers, those that were looked at last."""


class Studies:
    """The studies of all sweeps, in one database, which is opened when it is first needed."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._storage: RDBStorage | None = None
        self._known: dict[str, tuple[int, CountedStorage]] = {}
        self._lock = threading.Lock()

    @told
    def open(self, sweep_id: str, spec: SweepSpec) -> "SweepStudy":
        """The study of a sweep; a new one if it has none.

        Raises:
            PlatformError: the database cannot be opened; DatabaseUnavailableError: it does not answer now.
        """
        storage = self._opened()
        directions = [StudyDirection[one.direction.upper()] for one in spec.objectives]
        try:
            study_id = storage.get_study_id_from_name(sweep_id)
        except KeyError:
            with suppress(DuplicatedStudyError):  # another process may be faster
                storage.create_new_study(directions, sweep_id)
            study_id = storage.get_study_id_from_name(sweep_id)
        return SweepStudy(self._remembering(sweep_id, study_id, storage), sweep_id, spec)

    @told
    def delete(self, sweep_id: str) -> None:
        """Forget a study with all of its trials. One that is not there is no error."""
        storage = self._opened()
        self._known.pop(sweep_id, None)
        try:
            storage.delete_study(storage.get_study_id_from_name(sweep_id))
        except KeyError:
            return

    def _remembering(self, sweep_id: str, study_id: int, storage: RDBStorage) -> CountedStorage:
        """What remembers the trials of a study that have ended. One for each study: SQLite gives the row number of a
        deleted study to the next one."""
        with self._lock:
            known = self._known.pop(sweep_id, None)
            if known is None or known[0] != study_id:
                known = study_id, CountedStorage(storage)
            self._known[sweep_id] = known
            for oldest in list(self._known)[:-REMEMBERED]:
                del self._known[oldest]
            return known[1]

    def _opened(self) -> RDBStorage:
        with self._lock:
            if self._storage is None:
                self._storage = open_storage(self._url)
            return self._storage


class SweepStudy:
    """One study. A number of no trial gives a NotFoundError, a database that does not answer a
    DatabaseUnavailableError."""

    def __init__(self, storage: CountedStorage, name: str, spec: SweepSpec) -> None:
        self._storage = storage
        self._study = self._as_study(RandomSampler(seed=0), name)
        self._id = self._study._study_id
        self._spec = spec

    # asking

    @told
    def ask(self, function: Function | None = None) -> StudyTrial | None:
        """The next trial, which runs from now on: one that was asked for, but not to the end; else one that was added
        by hand; else a new one.

        Args:
            function: chooses the settings, of a sweep without a search space; what it returns is kept as `settings`.

        Returns:
            None when nothing of a grid is left.

        Raises:
            SettingsError: the function returned no settings. What it raises is passed on. The trial has failed then.
        """
        trials = self._storage.every_trial(self._id)
        excluded = self._storage.excluded(self._id)
        half = next((trial for trial in trials if half_asked(trial)), None)
        waits = any(trial.state == Stage.WAITING and trial.number not in excluded for trial in trials)
        if self._spec.sampler == "grid" and not half and not waits:
            return self._next_of_grid(trials)
        # Each one that was asked for is one more, so no seed comes twice.
        before = sum(trial.state != Stage.WAITING for trial in trials)
        study = self._as_study(sampler(self._spec, before, again=half is not None), self._study.study_name)
        trial = optuna.Trial(study, half._trial_id) if half else study.ask()
        settings = self._called(trial, function) if function else _draw(trial, self._spec)
        trial.set_user_attr(Note.SETTINGS, settings)
        return self.trial(trial.number)

    @told
    def enqueue(self, params: Mapping[str, Any]) -> StudyTrial:
        """Add a trial that a person chose. It waits until it is asked for.

        Raises:
            SettingsError: what does not fit into the search space.
        """
        chosen = _plain(params) if self._spec.function else read_point(self._spec, params)
        wanted = create_trial(
            state=Stage.WAITING, system_attrs={"fixed_params": chosen}, user_attrs={Note.BY_HAND: True}
        )
        return self._created(wanted)

    # telling

    @told
    def report(self, number: int, percent: int, value: float) -> None:
        """Note the first objective at a percent of the training. What is there already stays, and so does a trial that
        has ended."""
        trial = self._frozen(number)
        if trial.state == Stage.RUNNING and percent not in trial.intermediate_values:
            with suppress(UpdateFinishedTrialError):
                self._storage.set_trial_intermediate_value(trial._trial_id, percent, float(value))

    @told
    def should_prune(self, number: int) -> bool:
        """Whether a running trial is to be ended early, by its newest report. Ask once after each report, and note the
        answer by `decide`: the stages that a trial has passed are noted too, and not asked about again."""
        trial = self._frozen(number)
        if self._spec.pruner == "none" or trial.last_step is None or trial.state != Stage.RUNNING:
            return False
        if math.isnan(trial.intermediate_values[trial.last_step]):
            return True
        if trial.last_step >= 100:  # nothing is saved any more
            return False
        return pruner(self._spec).prune(self._study, trial)

    @told
    def decide(self, number: int, reason: str) -> None:
        """Note that a running trial is to be pruned, before its task is stopped."""
        with suppress(UpdateFinishedTrialError):
            self._storage.set_trial_user_attr(self._frozen(number)._trial_id, Note.DECIDED, reason)

    @told
    def complete(self, number: int, values: Sequence[float], excess: Mapping[str, float] | None = None) -> None:
        """A trial has ended with a value for each objective. One that has ended already stays as it is.

        Args:
            values: one that is not a number makes it a failed trial.
            excess: by what a limit was passed, by the limit's name; with one above 0 the trial is no solution.
        """
        if any(math.isnan(value) for value in values):
            self._end(number, Stage.FAIL, reason="The value is not a number.")
        else:
            self._end(number, Stage.COMPLETE, list(values), excess=excess)

    @told
    def prune(self, number: int, reason: str, excess: Mapping[str, float] | None = None) -> None:
        """A trial was ended early; its newest report is its value. With several objectives there is no such value: it
        counts as failed, unless a limit was passed."""
        several = len(self._spec.objectives) > 1
        solution = all(value <= 0 for value in (excess or {}).values())
        self._end(number, Stage.FAIL if several and solution else Stage.PRUNED, reason=reason, excess=excess)

    @told
    def fail(self, number: int, reason: str) -> None:
        """A trial has failed by itself: samplers leave it out."""
        self._end(number, Stage.FAIL, reason=reason)

    @told
    def exclude(self, number: int, excluded: bool) -> None:
        """Say whether a trial does not count: for the best, the sampler and the pruner. One that waits is not begun."""
        self._frozen(number)
        self._storage.exclude(self._id, number, excluded)

    # looking

    @told
    def trials(self) -> list[StudyTrial]:
        """All trials, by number."""
        excluded = self._storage.excluded(self._id)
        return [shown(trial, excluded) for trial in self._storage.every_trial(self._id)]

    @told
    def trial(self, number: int) -> StudyTrial:
        """One trial."""
        return shown(self._frozen(number), self._storage.excluded(self._id))

    def best(self, trials: Sequence[StudyTrial] | None = None) -> list[int]:
        """Numbers of the best trials that are complete, feasible and count: with one objective one or none, with
        several all that no other one beats in everything.

        Args:
            trials: all of them, where they were read already.
        """
        signs = [objective.sign for objective in self._spec.objectives]
        costs = {
            trial.number: tuple(sign * value for sign, value in zip(signs, trial.values, strict=True))
            for trial in (self.trials() if trials is None else trials)
            if trial.state is TrialState.COMPLETE and trial.feasible and not trial.excluded
        }
        return front(costs) if len(signs) > 1 else sorted(costs, key=lambda number: (costs[number], number))[:1]

    @told
    def importance(self, objective: int = 0) -> dict[str, float]:
        """Share of each searched setting in what makes trials good, largest first; {} while too few trials tell."""
        sign = self._spec.objectives[objective].sign
        complete = self._study.get_trials(deepcopy=False, states=(Stage.COMPLETE,))
        return importances(complete, lambda trial: sign * trial.values[objective])

    # parts

    def _as_study(self, chosen_by: optuna.samplers.BaseSampler, name: str) -> optuna.Study:
        # Without a pruner: Optuna asks it about studies by stages when it samples, for nothing.
        return optuna.Study(name, self._storage, chosen_by, NopPruner())

    def _next_of_grid(self, trials: Sequence[FrozenTrial]) -> StudyTrial | None:
        there = {json.dumps(params_of(trial), sort_keys=True) for trial in trials}
        point = next((p for p in grid(self._spec) if json.dumps(p, sort_keys=True) not in there), None)
        if point is None:
            return None
        distributions = {param.name: distribution(param) for param in self._spec.params if param.name in point}
        return self._created(
            create_trial(
                state=Stage.RUNNING, params=point, distributions=distributions, user_attrs={Note.SETTINGS: point}
            )
        )

    def _created(self, template: FrozenTrial) -> StudyTrial:
        trial = self._storage.get_trial(self._storage.create_new_trial(self._id, template))
        return shown(trial, excluded=())

    def _called(self, trial: optuna.Trial, function: Function) -> dict[str, Any]:
        """What a person's function returns."""
        try:
            return _plain(function(trial))
        except Exception as error:
            self.fail(trial.number, f"{type(error).__name__}: {error}")
            raise

    def _end(
        self,
        number: int,
        stage: Stage,
        values: list[float] | None = None,
        reason: str = "",
        excess: Mapping[str, float] | None = None,
    ) -> None:
        """What `Study.tell` and `Trial.set_constraint` do, for a trial that another process may have asked for."""
        trial = self._frozen(number)
        if stage == Stage.PRUNED and trial.last_step is not None and len(self._spec.objectives) == 1:
            newest = trial.intermediate_values[trial.last_step]
            values = None if math.isnan(newest) else [newest]
        with suppress(UpdateFinishedTrialError):
            for name, value in (excess or {}).items():
                self._storage.set_trial_system_attr(trial._trial_id, f"{_CONSTRAINTS_KEY}:{name}", float(value))
            if reason:
                self._storage.set_trial_user_attr(trial._trial_id, Note.REASON, reason)
            self._storage.set_trial_state_values(trial._trial_id, stage, values)

    def _frozen(self, number: int) -> FrozenTrial:
        try:
            trial_id = self._storage.get_trial_id_from_study_id_trial_number(self._id, number)
        except KeyError:
            raise NotFoundError(f"The sweep has no trial {number}.") from None
        return self._storage.get_trial(trial_id)


def _draw(trial: optuna.Trial, spec: SweepSpec) -> dict[str, Any]:
    fixed = spec.fixed
    chosen: dict[str, Any] = {}
    for param in spec.params:
        if holds(param, fixed | chosen):
            chosen[param.name] = clean(_suggest(trial, param), trial.distributions[param.name])
    return chosen


def _suggest(trial: optuna.Trial, param: Param) -> Any:
    if param.kind == "choice":
        return trial.suggest_categorical(param.name, param.choices)
    if param.kind == "int":
        step = int(param.step or 1)
        return trial.suggest_int(param.name, int(param.low), int(param.top), step=step, log=param.log)
    return trial.suggest_float(param.name, param.low, param.top, step=param.step or None, log=param.log)


def _plain(settings: Any) -> dict[str, Any]:
    if not isinstance(settings, Mapping):
        text = f"The function must return the settings as a dict, got {type(settings).__name__}."
        raise SettingsError([Problem("search", "no_settings", text)])
    try:
        return json.loads(json.dumps(dict(settings)))
    except (TypeError, ValueError) as error:
        text = f"Settings must be plain values, such as numbers and texts: {error}."
        raise SettingsError([Problem("search", "no_plain_settings", text)]) from None
