"""What a person can do with sweeps, from Python, the command line and the pages.

    sweep = platform.sweeps.create("sft", {"data_path": "sft.jsonl"}, ["learning_rate"], options={"n_trials": 20})
    platform.sweeps.stop(sweep.id)

Nothing here starts a training: that is the scheduler's part.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from minimind_platform.errors import ConflictError, NotFoundError, PlatformError, Problem, SettingsError
from minimind_platform.moves import BY_PERSON
from minimind_platform.submits import Submits, label_problems
from minimind_platform.sweeps.drafts import Drafts
from minimind_platform.sweeps.parent_run import ParentRuns
from minimind_platform.sweeps.points import read_point
from minimind_platform.sweeps.promotion import changed_settings, checkpoint_of
from minimind_platform.sweeps.spec import FOR_TRIALS, SweepSpec, extended, option_fields
from minimind_platform.sweeps.views import Sweep, SweepPage, SweepState, Trial, TrialState
from minimind_platform.tasks import Task
from minimind_platform.tracking_client import TrackingClient

if TYPE_CHECKING:
    from minimind_platform.service import Platform
    from minimind_platform.store import Store
    from minimind_platform.sweeps.study import SweepStudy

SHORTEST_ID = 4
ADDED = ("n_trials", "hours", "device_hours")
"""What an extension adds to; other options it sets."""


class Sweeps(Drafts):
    """All sweeps of an installation."""

    def __init__(self, platform: "Platform", store: "Store", submits: Submits, tracking: TrackingClient) -> None:
        from minimind_platform.sweeps.store import SweepStore

        super().__init__(platform, SweepStore(store.engine))
        self._tasks = store
        self._submits = submits
        self._runs = ParentRuns(tracking)
        self._opened: Any = None

    def create(
        self,
        type: str,  # noqa: A002
        values: Mapping[str, Any],
        search: Sequence[str] | Mapping[str, Any] | None,
        *,
        name: str = "",
        options: Mapping[str, Any] | None = None,
        objectives: Sequence[Any] = (),
        key: str = "",
    ) -> Sweep:
        """Begin a sweep.

        Args:
            type: training type.
            values: settings that are the same in all trials.
            search: as `space.read_space` takes it; None if a function in this program chooses the settings.
            name: shown in lists, one of a kind; "" for one made of type and id.
            options: those of `spec.Options`.
            objectives: what is made small or large; none for the usual of that type.
            key: chosen by the caller; the same key gives the same sweep, however often it is sent.

        Raises:
            SettingsError: with all problems.
            TrackingUnavailableError: the tracking server does not answer; nothing was made.
        """
        if sweep := self._store.by_key(key):
            return sweep
        checked, spec = self._draft(type, values, search, options, objectives, name)
        problems = checked.problems + label_problems("", 0, key)
        if problems or spec is None:
            raise SettingsError(problems)
        return self._make(spec, name.strip(), key)

    def _make(self, spec: SweepSpec, name: str, key: str) -> Sweep:
        from minimind_platform.sweeps.store import NewSweep

        experiment_id = self._submits.experiment()
        run_id, artifacts = self._runs.create(experiment_id, name, spec)
        name = name or f"{spec.type}-{run_id[:6]}"
        settled = {"model_name": f"sweep-{run_id[:8]}", **FOR_TRIALS} | spec.values
        searched = {param.name for param in spec.params}
        spec = extended(spec, values={key: value for key, value in settled.items() if key not in searched})
        try:
            self._runs.describe(run_id, artifacts, name, spec)
            sweep, added = self._store.add(NewSweep(run_id, key, name, experiment_id, spec))
        except BaseException:
            self._runs.discard(run_id)
            raise
        if not added:
            self._runs.discard(run_id)
        return sweep

    # looking

    def page(
        self,
        *,
        words: str = "",
        states: Sequence[str] = (),
        deleted: bool = False,
        limit: int = 50,
        offset: int = 0,
    ) -> SweepPage:
        """One page of sweeps, newest first. All words must be part of name, id or type."""
        wanted = [SweepState(state) for state in states]
        return self._store.page(words=words, states=wanted, deleted=deleted, limit=limit, offset=offset)

    def get(self, id: str) -> Sweep:  # noqa: A002
        """A sweep by its id, the begin of it, or its name."""
        if found := self._store.get(id) or self._store.by_name(id):
            return found
        ids = self._store.find(id) if len(id) >= SHORTEST_ID else []
        if len(ids) > 1:
            raise NotFoundError(f"{len(ids)} sweeps begin with {id!r}; give more of the id.")
        found = self._store.get(ids[0]) if ids else None
        if found is None:
            raise NotFoundError(f"There is no sweep {id!r}.")
        return found

    def trials(self, id: str) -> list[Trial]:  # noqa: A002
        """Its trials, by number."""
        from minimind_platform.sweeps.summary import trial_views

        sweep = self.get(id)
        return trial_views(self.study(sweep).trials(), self._tasks.trials(sweep.id))

    def importance(self, id: str, objective: int = 0) -> dict[str, float]:  # noqa: A002
        """How much of the differences each setting explains, largest first; empty while too few trials tell."""
        return self.study(self.get(id)).importance(objective)

    def run_link(self, id: str) -> str:  # noqa: A002
        """Path to the parent run in MLflow's own pages."""
        sweep = self.get(id)
        return f"/mlflow/#/experiments/{sweep.experiment_id}/runs/{sweep.id}?workflowType=machine_learning"

    def study(self, sweep: Sweep) -> "SweepStudy":
        """What Optuna knows of it."""
        from minimind_platform.sweeps.study import Studies

        if self._opened is None:
            self._opened = Studies(self._platform.settings.studies)
        return self._opened.open(sweep.id, sweep.spec)

    # changing its course

    def stop(self, id: str) -> Sweep:  # noqa: A002
        """Start no more trials, and stop those that run once they have saved a checkpoint."""

        def change(sweep: Sweep) -> Sweep:
            if sweep.state in (SweepState.STOPPED, SweepState.FINISHED):
                raise ConflictError(f"Sweep {sweep.name!r} has ended already: it is {sweep.state.lower()}.")
            return self._store.move(sweep, SweepState.STOPPED, BY_PERSON)

        return self._changed(id, change)

    def resume(self, id: str) -> Sweep:  # noqa: A002
        """Go on: trials that were stopped with it from their checkpoints, then new ones."""

        def change(sweep: Sweep) -> Sweep:
            self._not_deleted(sweep)
            if sweep.state is SweepState.RUNNING:
                return sweep
            if sweep.state is SweepState.FINISHED:
                raise ConflictError(f"Sweep {sweep.name!r} is finished; extend it to make more trials.")
            return self._store.move(sweep, SweepState.RUNNING, "")

        return self._changed(id, change)

    def extend(self, id: str, **more: Any) -> Sweep:  # noqa: A002
        """Let it make more trials; one that has finished goes on.

        Args:
            id: the sweep.
            more: options; those of `ADDED` are added to what it has, others, such as `parallel`, are set.

        Raises:
            SettingsError: with all problems.
        """

        def change(sweep: Sweep) -> Sweep:
            self._not_deleted(sweep)
            has = sweep.spec.options
            spec = extended(sweep.spec, **{k: _sum(has[k], v) if k in ADDED else v for k, v in more.items()})
            if sweep.state is SweepState.FINISHED:
                return self._store.move(sweep, SweepState.RUNNING, "", spec)
            return self._store.set_spec(sweep, spec)

        unknown = [name for name in more if name not in {field.name for field in option_fields()}]
        if unknown:
            text = f"There is no option {unknown[0]!r} of a sweep."
            raise SettingsError([Problem(unknown[0], "extra_forbidden", text, {"value": unknown[0]})])
        return self._changed(id, change)

    def delete(self, id: str) -> Sweep:  # noqa: A002
        """Hide a sweep with its trials; those that run are stopped. Files stay, and `restore` brings it back."""

        def change(sweep: Sweep) -> Sweep:
            if sweep.state in (SweepState.RUNNING, SweepState.PAUSED):
                sweep = self._store.move(sweep, SweepState.STOPPED, "stopped, because it was deleted")
            return self._store.set_deleted(sweep, sweep.deleted_at or time.time())

        sweep = self._changed(id, change)
        with suppress(PlatformError):  # it is hidden here, which is what counts
            self._runs.discard(sweep.id)
        return sweep

    def restore(self, id: str) -> Sweep:  # noqa: A002
        """Bring a deleted sweep back, with its trials."""

        def change(sweep: Sweep) -> Sweep:
            if sweep.purging_at:
                raise ConflictError(f"Sweep {sweep.name!r} is being removed for good.")
            return self._store.set_deleted(sweep, None)

        sweep = self._changed(id, change)
        self._runs.restore(sweep.id)
        for task in self._tasks.trials(sweep.id):
            if task.deleted_at is not None:
                self._platform.restore(task.id)
        return sweep

    # its trials

    def exclude(self, id: str, number: int, excluded: bool = True) -> Trial:  # noqa: A002
        """Let a trial count neither for the best nor for what is chosen next; or count again."""
        sweep = self.get(id)
        trial = self._trial(sweep, number)
        if trial.state in (TrialState.RUNNING, TrialState.WAITING):
            raise ConflictError(f"Trial {number} has not ended yet; stop its task, or wait for its end.")
        self.study(sweep).exclude(number, excluded)
        self._summarise(sweep.id)
        return self._trial(sweep, number)

    def add_trial(self, id: str, params: Mapping[str, Any]) -> Trial:  # noqa: A002
        """Have a trial made with these settings, one more than planned. One that has finished goes on for it.

        Raises:
            SettingsError: with all problems.
        """
        sweep = self.get(id)
        self._not_deleted(sweep)
        if sweep.spec.function:
            raise ConflictError(
                "A function in a program chooses the settings of this sweep; it has no space to add to."
            )
        chosen = read_point(sweep.spec, params)
        found = self._platform.check(sweep.type, sweep.spec.values | chosen)
        if found.problems:
            raise SettingsError(found.problems)
        trial = self.study(sweep).enqueue(chosen)
        self.extend(sweep.id, n_trials=1)
        return self._trial(sweep, trial.number)

    def promote(
        self,
        id: str,  # noqa: A002
        number: int | None = None,
        values: Mapping[str, Any] | None = None,
        *,
        name: str = "",
        key: str = "",
    ) -> Task:
        """Train with the settings of a trial once more, as a task of its own.

        Args:
            id: the sweep.
            number: of the trial; None for the best.
            values: settings to change. If only the length of the training changes, it goes on from the trial's last
                checkpoint.
            name: of the task; "" for one made of sweep and trial.
            key: as in `Platform.submit`.
        """
        sweep = self.get(id)
        if number is None:
            if not sweep.best:
                raise ConflictError(f"Sweep {sweep.name!r} has no best trial yet; say which one.")
            number = sweep.best[0]
        trial = self._trial(sweep, number)
        if not trial.task_id:
            gone = trial.state not in (TrialState.WAITING, TrialState.RUNNING)
            raise ConflictError(
                f"The task of trial {number} was removed for good." if gone else f"Trial {number} has not begun yet.",
                "Begin a task with its settings instead." if gone else "",
            )
        task = self._platform.task(trial.task_id)
        changed = changed_settings(task, values or {})
        name = name.strip() or f"{sweep.name} #{number} in full"
        config = self._platform.ready(task.type, task.config | changed, label_problems(name, 0, key))
        folder = self._platform.settings.task_dir(task.id)
        begin_with = checkpoint_of(task, config, folder)
        return self._submits.make(config, name=name, priority=0, key=key, parent_id=task.id, begin_with=begin_with)

    def _trial(self, sweep: Sweep, number: int) -> Trial:
        found = next((trial for trial in self.trials(sweep.id) if trial.number == number), None)
        if found is None:
            raise NotFoundError(f"Sweep {sweep.name!r} has no trial {number}.")
        return found

    def _summarise(self, sweep_id: str) -> None:
        from minimind_platform.sweeps.summary import summarise

        def change(sweep: Sweep) -> Sweep:
            study = self.study(sweep)
            trials = study.trials()
            found = summarise(trials, study.best(trials), self._tasks.trials(sweep.id))
            return self._store.set_summary(sweep, found)

        self._changed(sweep_id, change)

    def _changed(self, id: str, change: Callable[[Sweep], Sweep]) -> Sweep:  # noqa: A002
        """Change a sweep; again if the scheduler changed it in between."""
        for left in (4, 3, 2, 1, 0):
            sweep = self.get(id)
            try:
                return change(sweep)
            except ConflictError:
                now = self._store.get(sweep.id)
                if not left or (now and now.version == sweep.version):
                    raise
        raise AssertionError("unreachable")

    def _not_deleted(self, sweep: Sweep) -> None:
        if sweep.deleted_at is not None:
            raise ConflictError(f"Sweep {sweep.name!r} is deleted; restore it first.")


def _sum(has: float, more: Any) -> Any:
    """Both together, or what was given if it is no number, so that the check says so."""
    try:
        return has + type(has)(more)
    except (TypeError, ValueError):
        return more
