"""A sweep in a Python program: begin it, wait or look on, take the best model.

    sweep = platform.sweep("sft", {"data_path": "sft.jsonl"}, search=["learning_rate", "batch_size"], n_trials=20)
    sweep.wait()
    print(sweep.best_trial.params)
    sweep.best_model.export("out/best")

The scheduler makes the trials. The program may end, and open the sweep again: platform.open_sweep(name).
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Unpack

from minimind_platform.errors import NotFoundError, PlatformError
from minimind_platform.exports import Model
from minimind_platform.patience import POLL_SECONDS, Watch, left_running
from minimind_platform.sweeps.asking import Asking, Function
from minimind_platform.sweeps.spec import SweepOptions
from minimind_platform.sweeps.views import OVER, Sweep, SweepState, Trial
from minimind_platform.tasks import Task

if TYPE_CHECKING:
    import optuna
    import pandas as pd

    from minimind_platform.service import Platform


class SweepPausedError(PlatformError):
    """The sweep starts no more trials, because something is wrong."""


class SweepHandle:
    """One sweep. Everything is read when it is asked for; nothing is remembered but its id."""

    def __init__(self, platform: "Platform", id: str, function: Function | None = None) -> None:  # noqa: A002
        self._platform = platform
        self._sweeps = platform.sweeps
        self.id: str = id
        """That of its parent run in MLflow."""
        self._asking = Asking(platform.sweeps, id, function)

    def __repr__(self) -> str:
        sweep = self.info
        best = f", best {', '.join(f'{value:.4g}' for value in sweep.best_values[0])}" if sweep.best_values else ""
        return f"<Sweep {sweep.name!r} {sweep.state}: {sweep.done} of {sweep.spec.n_trials} trials{best}>"

    # looking

    @property
    def info(self) -> Sweep:
        """Everything about it as it is now."""
        return self._sweeps.get(self.id)

    @property
    def name(self) -> str:
        return self.info.name

    @property
    def state(self) -> SweepState:
        return self.info.state

    @property
    def trials(self) -> list[Trial]:
        """By number."""
        return self._sweeps.trials(self.id)

    @property
    def best_trial(self) -> Trial:
        """The best one; with several objectives the first of `best_trials`.

        Raises:
            NotFoundError: none is complete yet.
        """
        best = self.best_trials
        if not best:
            raise NotFoundError(f"No trial of sweep {self.name!r} is complete yet.")
        return best[0]

    @property
    def best_trials(self) -> list[Trial]:
        """With one objective the best trial, with several all that no other one beats in everything."""
        numbers = self._sweeps.study(self.info).best()
        by_number = {trial.number: trial for trial in self.trials}
        return [by_number[number] for number in numbers]

    @property
    def best_model(self) -> Model:
        """The best checkpoint of the best trial.

        Raises:
            NotFoundError: no trial is complete yet.
            TimeoutError: as of `Platform.best_model`.
        """
        return self._platform.best_model(self.best_trial.task_id)

    @property
    def study(self) -> "optuna.Study":
        """Optuna's own study, to look at and to draw. Changing it is left to the scheduler."""
        import optuna

        return optuna.load_study(study_name=self.id, storage=self._platform.settings.studies)

    def dataframe(self) -> "pd.DataFrame":
        """One row a trial, by number: state, values, searched settings, task, time and reason.

        Columns are named as in `Platform.dataframe`: settings are `params.learning_rate`, values `metrics.eval/loss`.
        """
        import pandas as pd

        metrics = [objective.metric for objective in self.info.spec.objectives]
        trials = self.trials
        rows = [
            {"state": str(trial.state)}
            | {f"metrics.{key}": value for key, value in zip(metrics, trial.values, strict=False)}
            | {f"params.{name}": value for name, value in trial.params.items()}
            | {"task_id": trial.task_id, "device": trial.device, "seconds": trial.seconds, "step": trial.step}
            | {"feasible": trial.feasible, "excluded": trial.excluded, "reason": trial.reason}
            for trial in trials
        ]
        names = [name for row in rows for name in row if name.startswith("params.")]
        known = ["state", *(f"metrics.{key}" for key in metrics), *dict.fromkeys(names)]
        columns = [*known, "task_id", "device", "seconds", "step", "feasible", "excluded", "reason"]
        return pd.DataFrame(rows, index=pd.Index([trial.number for trial in trials], name="number"), columns=columns)

    # waiting

    def wait(self, timeout: float | None = None, poll: float = POLL_SECONDS) -> "SweepHandle":
        """Wait until it has finished or a person has stopped it. Ctrl-C and the end of this program do not stop it.

        Where a function of this program chooses the settings, it is called here.

        Raises:
            SweepPausedError: something is wrong, and a person must decide; says what.
            TimeoutError: it has not ended, and goes on.
        """
        watch = Watch(self._platform, timeout, poll)
        with left_running(self._goes_on()):
            while True:
                sweep = watch.ask(self._look)
                if sweep and self._is_over(sweep):
                    return self
                watch.pause(f"Not ended yet: {self!r}")

    def follow(self, poll: float = POLL_SECONDS) -> Iterator[Trial]:
        """Trials as they end, those that have ended before first, until the sweep ends; errors as in `wait`."""
        watch = Watch(self._platform, poll=poll)
        told: set[int] = set()
        with left_running(self._goes_on()):
            while True:
                sweep = watch.ask(self._look)  # asked before the trials, so that the last ones are not missed
                trials = watch.ask(lambda: self.trials) if sweep else None
                new = [trial for trial in trials or [] if trial.state in OVER and trial.number not in told]
                for trial in sorted(new, key=lambda trial: (trial.ended_at or 0.0, trial.number)):
                    told.add(trial.number)
                    yield trial
                if sweep and trials is not None and not new and self._is_over(sweep):
                    return
                if not new:
                    watch.pause("The sweep has not ended")

    def run(self, function: Function, timeout: float | None = None, poll: float = POLL_SECONDS) -> "SweepHandle":
        """Go on with a sweep whose settings a function chooses, as after the end of the program that began it.

        Args:
            function: takes an Optuna trial, returns settings.
            timeout: as in `wait`.
            poll: as in `wait`.
        """
        self._asking = Asking(self._sweeps, self.id, function)
        return self.wait(timeout, poll)

    # changing its course

    def stop(self) -> Sweep:
        """Start no more trials, and stop those that run once they have saved a checkpoint."""
        return self._sweeps.stop(self.id)

    def resume(self) -> Sweep:
        """Go on after a stop or a pause."""
        return self._sweeps.resume(self.id)

    def extend(self, **more: Unpack[SweepOptions]) -> Sweep:
        """Make more trials: `n_trials`, `hours` and `device_hours` are added, other options set."""
        return self._sweeps.extend(self.id, **more)

    def exclude(self, number: int, excluded: bool = True) -> Trial:
        """Let a trial count neither for the best nor for what is chosen next; or count again."""
        return self._sweeps.exclude(self.id, number, excluded)

    def add_trial(self, params: Mapping[str, Any]) -> Trial:
        """Have a trial made with these settings."""
        return self._sweeps.add_trial(self.id, params)

    def promote(
        self, number: int | None = None, values: Mapping[str, Any] | None = None, *, name: str = "", key: str = ""
    ) -> Task:
        """Train with the settings of a trial, the best unless another is named, as a task of its own."""
        return self._sweeps.promote(self.id, number, values, name=name, key=key)

    def _look(self) -> Sweep:
        sweep = self.info
        self._asking.fill(sweep)
        return sweep

    def _is_over(self, sweep: Sweep) -> bool:
        if sweep.state is SweepState.PAUSED:
            hint = "Set right what is wrong and resume it, or stop it."
            raise SweepPausedError(f"Sweep {sweep.name!r} is paused: {sweep.reason}.".replace("..", "."), hint)
        return sweep.ended or sweep.deleted_at is not None

    def _goes_on(self) -> str:
        if self._asking.function:
            return f"Trials of sweep {self.name!r} that run go on; new ones begin when it is waited for again."
        return f"Sweep {self.name!r} goes on; stop() would end it."
