"""The scheduler's part of sweeps: asks for trials, queues them, ends the hopeless early, and tells how they ended.

    SweepLoop(platform, store).start()

It may be killed at any moment. What is decided is written down before it is done, and what has been done is looked up
again: a trial that was asked for has its place in the study, its task carries the trial's number in its key, and a task
that has ended waits until its trial was told.
"""

import logging
import math
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from minimind_platform.errors import ConflictError, SettingsError, TrackingUnavailableError
from minimind_platform.moves import BY_PERSON, on_the_way_out
from minimind_platform.settings import Settings
from minimind_platform.store import Store
from minimind_platform.sweeps.budget import end_reason, pause_reason
from minimind_platform.sweeps.measure import Measure
from minimind_platform.sweeps.spec import SweepSpec
from minimind_platform.sweeps.store import Summary, SweepStore
from minimind_platform.sweeps.summary import device_seconds, summarise
from minimind_platform.sweeps.views import OVER, Sweep, SweepState, TrialState
from minimind_platform.tasks import State, Task
from trainer.names import ErrorClass

if TYPE_CHECKING:
    from minimind_platform.sweeps.study import StudyTrial, SweepStudy

log = logging.getLogger(__name__)

EVERY_SECONDS = 1.0
ERROR_PAUSE_SECONDS = 5.0
PRUNED = "ended early by its sweep"
WITH_SWEEP = "stopped with its sweep"
AGAIN = "repeated by its sweep, because it failed for reasons outside of it"
OUTSIDE = (ErrorClass.LOST, ErrorClass.KILLED, ErrorClass.DISK)
"""Failures that say nothing about the settings of a trial."""
REPEATS = 2
"""How often a trial is repeated after such a failure."""


class Trials(Protocol):
    """What the loop needs of the platform."""

    settings: Settings

    def submit_trial(self, sweep: Sweep, number: int, settings: dict[str, object]) -> Task: ...
    def discard_unqueued(self, sweep: Sweep) -> None: ...
    def delete(self, id: str) -> Task: ...  # noqa: A002


class SweepLoop(threading.Thread):
    """Attends to every sweep, again and again."""

    def __init__(self, trials: Trials, store: Store) -> None:
        super().__init__(name="sweeps", daemon=True)
        self._trials = trials
        self._settings = trials.settings
        self._store = store
        self._sweeps = SweepStore(store.engine)
        self._studies: Any = None
        self._wake = threading.Event()
        self._open: dict[str, tuple[SweepSpec, SweepStudy]] = {}
        self._measures: dict[str, Measure] = {}
        self._cleared: set[str] = set()  # sweeps of which nothing half-made is left from a scheduler before this one
        self._resting: dict[str, float] = {}  # sweeps that raised something, and until when

    def poke(self) -> None:
        """A task has moved; do not wait for the next round."""
        self._wake.set()

    def run(self) -> None:
        while True:
            self._wake.wait(EVERY_SECONDS)
            self._wake.clear()
            try:
                self.round()
            except Exception:  # the thread must live as long as the scheduler
                log.exception("A round of the sweeps failed; the next one is in %.0f s.", ERROR_PAUSE_SECONDS)
                time.sleep(ERROR_PAUSE_SECONDS)

    def round(self) -> None:
        """Attend to each sweep once. Trouble with one must not keep the others waiting."""
        for sweep in self._sweeps.to_attend():
            if self._resting.get(sweep.id, 0.0) > time.monotonic():
                continue
            try:
                self._attend(sweep)
            except ConflictError:  # a person or the scheduler moved something in this moment; the next round sees it
                self._wake.set()
            except TrackingUnavailableError as error:
                self._rest(sweep, f"{error} Its next trial is queued later.")
            except Exception:
                log.exception("Sweep %s cannot be looked after.", sweep.name)
                self._rest(sweep, "next try in a moment.")

    def _rest(self, sweep: Sweep, why: str) -> None:
        log.warning("Sweep %s: %s", sweep.name, why)
        self._resting[sweep.id] = time.monotonic() + ERROR_PAUSE_SECONDS

    def _attend(self, sweep: Sweep) -> None:
        tasks = {task.trial: task for task in self._store.trials(sweep.id)}
        if sweep.deleted_at is not None:
            self._clear_away(tasks)
            return
        study = self._study(sweep)
        for trial in study.trials():
            task = tasks.get(trial.number)
            if trial.state is TrialState.RUNNING and task is not None:
                self._follow(sweep, study, trial, task)
            elif trial.state in OVER and task and not task.trial_state:
                self._store.set_trial_state(task, trial.state)
        sweep, trials, tasks = self._summarised(sweep, study)
        spent = device_seconds(tasks.values()) if sweep.spec.device_hours else 0.0
        sweep = self._judge(sweep, trials, spent)
        if sweep.state is SweepState.RUNNING and self._fill(sweep, study, trials, tasks, spent):
            self._summarised(sweep, study)

    def _study(self, sweep: Sweep) -> "SweepStudy":
        spec, study = self._open.get(sweep.id, (None, None))
        if study is None or spec != sweep.spec:
            from minimind_platform.sweeps.study import Studies  # here: a scheduler without sweeps needs no Optuna

            self._studies = self._studies or Studies(self._settings.studies)
            study = self._studies.open(sweep.id, sweep.spec)
            self._open[sweep.id] = (sweep.spec, study)
        return study

    # one trial

    def _follow(self, sweep: Sweep, study: "SweepStudy", trial: "StudyTrial", task: Task) -> None:
        """Report what is new of a trial, and act on it."""
        measure = self._measures.setdefault(task.id, Measure(self._settings.task_dir(task.id), sweep.spec.objectives))
        measure.read()
        news = [percent for percent in measure.reports if percent not in trial.intermediate]
        for percent in news:
            study.report(trial.number, percent, measure.reports[percent])
        if task.ended:
            self._tell(sweep, study, trial, task, measure)
        elif sweep.state is SweepState.STOPPED:
            self._stop(task, WITH_SWEEP)
        elif task.state is State.RUNNING and (reason := self._hopeless(sweep, study, trial, task, bool(news))):
            study.decide(trial.number, reason)
            self._stop(task, f"{PRUNED}: {reason}")

    def _hopeless(self, sweep: Sweep, study: "SweepStudy", trial: "StudyTrial", task: Task, news: bool) -> str:
        """Why a trial shall not go on; "" if it may."""
        limit = sweep.spec.max_minutes
        if limit and task.started_at and time.time() - task.started_at > limit * 60:
            return f"it took more than {limit:g} minutes"
        if trial.reason:  # decided before a crash
            return trial.reason
        return "others were better at this point" if news and study.should_prune(trial.number) else ""

    def _stop(self, task: Task, reason: str) -> None:
        if task.state is not State.STOPPING:
            self._store.move(task, on_the_way_out(task), reason)

    def _tell(self, sweep: Sweep, study: "SweepStudy", trial: "StudyTrial", task: Task, measure: Measure) -> None:
        """The task is over: say in the study how the trial ended, or let it go on."""
        excess = _excess(sweep.spec, task, measure)
        if task.state is State.FINISHED:
            self._tell_finished(study, trial, measure, excess)
        elif task.state is State.FAILED:
            if task.error_class in OUTSIDE and self._repeats(task) < REPEATS:
                if sweep.state is SweepState.RUNNING:
                    self._store.move(task, State.QUEUED, AGAIN)
                return
            study.fail(trial.number, task.error)
        elif trial.reason:
            study.prune(trial.number, trial.reason, excess)
        elif self._stopped_with_sweep(task):
            if sweep.state is SweepState.RUNNING:
                self._store.move(task, State.QUEUED, "resumed with its sweep")
            return
        else:
            study.fail(trial.number, BY_PERSON)
        self._measures.pop(task.id, None)
        state = study.trial(trial.number).state
        self._store.set_trial_state(task, state)
        log.info("Trial %d of sweep %s: %s.", trial.number, sweep.name, state.lower())

    def _tell_finished(
        self, study: "SweepStudy", trial: "StudyTrial", measure: Measure, excess: dict[str, float]
    ) -> None:
        if missing := measure.missing():
            known = ", ".join(sorted(measure.metrics)) or "nothing"
            study.fail(trial.number, f"It recorded no {' and no '.join(missing)}. It recorded {known}.")
        elif not all(math.isfinite(value) for value in measure.values()):
            told = ", ".join(f"{value:g}" for value in measure.values())
            study.fail(trial.number, f"What it reached is not a number: {told}.")
        else:
            study.complete(trial.number, measure.values(), excess)

    def _repeats(self, task: Task) -> int:
        return sum(event.reason == AGAIN for event in self._store.events(task.id))

    def _stopped_with_sweep(self, task: Task) -> bool:
        """Whether its last stop was that of its sweep."""
        stops = [e for e in self._store.events(task.id) if e.after in (State.STOPPING, State.STOPPED)]
        asked = [e for e in stops if e.before != State.STOPPING]
        return bool(asked) and asked[-1].reason == WITH_SWEEP

    def _clear_away(self, tasks: dict[int, Task]) -> None:
        """A deleted sweep takes its tasks with it."""
        for task in tasks.values():
            if not task.ended:
                self._stop(task, WITH_SWEEP)
                continue
            if not task.trial_state:
                self._store.set_trial_state(task, TrialState.FAILED)
            if task.deleted_at is None:
                self._trials.delete(task.id)

    # the sweep

    def _summarised(self, sweep: Sweep, study: "SweepStudy") -> tuple[Sweep, list["StudyTrial"], dict[int, Task]]:
        """Its trials and their tasks as they are now, and the sweep, which says so to lists and MLflow."""
        trials, tasks = study.trials(), self._store.trials(sweep.id)
        found = summarise(trials, study.best(trials), tasks)
        sweep = sweep if found == Summary.of(sweep) else self._sweeps.set_summary(sweep, found)
        return sweep, trials, {task.trial: task for task in tasks}

    def _judge(self, sweep: Sweep, trials: Sequence["StudyTrial"], spent: float) -> Sweep:
        """Pause a sweep that goes wrong, and end one that is done; `spent` are seconds on devices."""
        if sweep.state is not SweepState.RUNNING:
            return sweep
        since = self._sweeps.running_since(sweep.id)
        if reason := pause_reason(trials, since):
            return self._sweeps.move(sweep, SweepState.PAUSED, reason)
        reason = end_reason(sweep, trials, spent)
        if reason and not _open(trials):
            return self._sweeps.move(sweep, SweepState.FINISHED, reason)
        return sweep

    def _fill(
        self,
        sweep: Sweep,
        study: "SweepStudy",
        trials: Sequence["StudyTrial"],
        tasks: dict[int, Task],
        spent: float,
    ) -> bool:
        """Queue what was asked for and has no task yet, and ask for more while there is room.

        Returns:
            Whether a trial was begun.
        """
        if sweep.id not in self._cleared and not sweep.spec.function:  # those queue from their own programs
            self._trials.discard_unqueued(sweep)
            self._cleared.add(sweep.id)
        begun = False
        for trial in _open(trials):
            if trial.number not in tasks and not self._submit(sweep, study, trial):
                return True
        while not sweep.spec.function and len(_open(trials)) < sweep.spec.parallel:
            if end_reason(sweep, trials, spent):
                break
            trial = study.ask()
            if trial is None:
                if not _open(trials):
                    self._sweeps.move(sweep, SweepState.FINISHED, "every combination was tried")
                break
            begun = True
            if not self._submit(sweep, study, trial):
                break
            trials = study.trials()
        return begun

    def _submit(self, sweep: Sweep, study: "SweepStudy", trial: "StudyTrial") -> bool:
        """Queue a trial; False if its settings cannot be trained, in which case it has failed."""
        try:
            self._trials.submit_trial(sweep, trial.number, trial.settings)
            return True
        except SettingsError as error:
            study.fail(trial.number, error.message)
            self._wake.set()  # look at once whether that happens again and again
            return False


def _open(trials: Sequence["StudyTrial"]) -> list["StudyTrial"]:
    return [trial for trial in trials if trial.state is TrialState.RUNNING]


def _excess(spec: SweepSpec, task: Task, measure: Measure) -> dict[str, float]:
    """By how much a trial was above the limits of its sweep; at most 0 if it kept them."""
    excess = {}
    if spec.max_memory_mb:
        excess["memory_mb"] = measure.memory_mb - spec.max_memory_mb
    if spec.max_minutes and task.started_at and task.ended_at:
        excess["minutes"] = (task.ended_at - task.started_at) / 60 - spec.max_minutes
    return excess
