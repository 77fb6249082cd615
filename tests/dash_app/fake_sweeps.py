# ruff: noqa: A002 - the parameters have the names of the platform's own
"""Sweeps in memory: the space and the options are read by the platform's own code, the trials are made up.

sweeps = FakeSweeps(platform)
sweeps.by_name("lr-and-batch")
"""

import math
import random
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fake_data import HTML

from minimind_platform.errors import ConflictError, NotFoundError, Problem, SettingsError
from minimind_platform.sweeps.points import read_point
from minimind_platform.sweeps.space import Param, proposal, searchable
from minimind_platform.sweeps.space_checks import combination_problems
from minimind_platform.sweeps.spec import SweepSpec, extended, option_fields, read_spec
from minimind_platform.sweeps.store import name_taken
from minimind_platform.sweeps.views import Sweep, SweepCheck, SweepPage, SweepState, Trial, TrialState
from minimind_platform.tasks import State, Task
from trainer.fields import ConfigField

if TYPE_CHECKING:
    from fake_platform import FakePlatform

DATA = "dataset/samples/sft.jsonl"
SPACE: dict[str, Any] = {
    "learning_rate": {"low": 1e-5, "high": 1e-3, "log": True},
    "batch_size": {"choices": [8, 16, 32, 64]},
    "warmup_steps": {"low": 0, "high": 200, "step": 20},
    "packing": {"choices": [True, False]},
}


class FakeSweeps:
    """Answers as `Platform.sweeps` does."""

    def __init__(self, platform: "FakePlatform") -> None:
        self.platform = platform
        self.all: dict[str, Sweep] = {}
        self.made: dict[str, list[Trial]] = {}
        self.keys: dict[str, str] = {}

    def fill(self) -> None:
        """Sweeps in every state."""
        now = time.time()
        options = {"n_trials": 40, "parallel": 2, "max_minutes": 30}
        first = self.add("51", "lr-and-batch", now - 7_000, SweepState.RUNNING, SPACE, options)
        self.add_trials(first, 30)
        paused = self.add("52", "paused-one", now - 90_000, SweepState.PAUSED, SPACE, {"pruner": "none"})
        for _ in range(3):
            self.add_trial_as(paused, TrialState.FAILED, reason=f"The loss became NaN at step 3 {HTML}")
        reason = f"3 trials in a row failed before they reached anything; The loss became NaN at step 3 {HTML}"
        self.all[paused] = replace(self.all[paused], reason=reason, ended_at=now - 89_000)
        both = [{"metric": "eval/loss"}, {"metric": "perf/tokens_per_second"}]
        several = {"pruner": "none", "n_trials": 24}
        front = self.add("53", "loss-and-speed", now - 200_000, SweepState.FINISHED, SPACE, several, both)
        self.add_trials(front, 24)
        self.all[front] = replace(self.all[front], reason="24 trials were made", ended_at=now - 190_000)
        self.add("54", "just-begun", now - 20, SweepState.RUNNING, ["learning_rate"], {})

    def add(
        self,
        start: str,
        name: str,
        at: float,
        state: SweepState,
        search: Any,
        options: Mapping[str, Any],
        objectives: Sequence[Any] = (),
    ) -> str:
        spec = read_spec("sft", {"data_path": DATA, "hidden_size": 128}, search, options, objectives)
        id_ = (start + uuid.uuid5(uuid.NAMESPACE_OID, name).hex)[:32]
        self.all[id_] = Sweep(id_, name, state, spec, at, experiment_id="1", spent_seconds=5_000, device_seconds=8_200)
        self.made[id_] = []
        return id_

    def by_name(self, name: str) -> str:
        return next(id_ for id_, sweep in self.all.items() if sweep.name == name)

    def add_trials(self, id: str, count: int) -> None:
        """Trials as a sweep with pruning makes them; the last two run."""
        running = self.all[id].state is SweepState.RUNNING
        several = len(self.all[id].spec.objectives) > 1
        for number in range(count):
            state = TrialState.COMPLETE
            if running and number >= count - 2:
                state = TrialState.RUNNING
            elif number % 9 == 5:
                state = TrialState.FAILED
            elif number % 3 == 2 and not several:
                state = TrialState.PRUNED
            self.add_trial_as(id, state, feasible=number != 7, excluded=number == 10)

    def add_trial_as(
        self, id: str, state: TrialState, *, feasible: bool = True, excluded: bool = False, reason: str = ""
    ) -> Trial:
        """One more trial, with values that follow from its settings."""
        sweep, number = self.all[id], len(self.made[id])
        draw = random.Random(f"{sweep.name} {number}")
        params = {param.name: _drawn(param, draw) for param in sweep.spec.params}
        best = _best(params, draw)
        reach = {TrialState.COMPLETE: 100, TrialState.PRUNED: 30, TrialState.FAILED: 12, TrialState.RUNNING: 54}
        done = reach.get(state, 0)
        points = {percent: best + 4 * math.exp(-percent / 16) for percent in range(2, done + 1, 2)}
        speed = 20_000.0 + 900 * float(params.get("batch_size", 16))
        ended = state not in (TrialState.RUNNING, TrialState.WAITING)
        values: tuple[float, ...] = ()
        if state is TrialState.COMPLETE:
            values = (best, speed)[: len(sweep.spec.objectives)]
        elif state is TrialState.PRUNED:
            values = (points[done],)
        began = sweep.created_at + 210 * (number // 2) + 8
        said = {
            TrialState.PRUNED: "others were better at this point",
            TrialState.FAILED: "The loss became NaN at step 48.",
        }.get(state, "")
        trial = Trial(
            number,
            state,
            params,
            values,
            points,
            task_id="" if state is TrialState.WAITING else f"{number:02x}{sweep.id[:30]}",
            task_state=State.FINISHED if ended else State.RUNNING,
            started_at=None if state is TrialState.WAITING else began,
            ended_at=began + 190 * max(done, 3) / 100 if ended else None,
            device="" if state is TrialState.WAITING else f"cuda:{number % 2}",
            step=4 * done,
            total_steps=400,
            reason=reason or said or ("" if feasible else "Took longer than 30 minutes."),
            excluded=excluded,
            feasible=feasible,
        )
        self.made[id].append(trial)
        self._count(id)
        return trial

    def _count(self, id: str) -> None:
        sweep, trials = self.all[id], self.made[id]
        counts: dict[str, int] = {}
        for trial in trials:
            counts[trial.state] = counts.get(trial.state, 0) + 1
        good = [t for t in trials if t.state is TrialState.COMPLETE and t.feasible and not t.excluded]
        signs = [objective.sign for objective in sweep.spec.objectives]
        scored = [(tuple(s * v for s, v in zip(signs, t.values, strict=True)), t) for t in good]
        front = [t for s, t in scored if not any(_beats(other, s) for other, _ in scored)]
        front = front[:1] if len(signs) == 1 else front
        best, values = tuple(t.number for t in front), tuple(t.values for t in front)
        self.all[sweep.id] = replace(sweep, counts=counts, best=best, best_values=values, version=sweep.version + 1)

    # as the platform answers

    def check(
        self,
        type: str,
        values: Mapping[str, Any],
        search: Any,
        options: Mapping[str, Any] | None = None,
        objectives: Sequence[Any] = (),
        name: str = "",
    ) -> SweepCheck:
        taken = [name_taken(name)] if name and any(sweep.name == name for sweep in self.all.values()) else []
        try:
            spec = read_spec(type, values, search, options, objectives)
        except SettingsError as error:
            middle = {name: value for name, value in values.items() if name not in dict.fromkeys(search or ())}
            return SweepCheck([*taken, *error.problems, *self.platform.check(type, middle).problems])
        middle = {**spec.values, **{param.name: _middle(param) for param in spec.params}}
        check = self.platform.check(type, middle)
        told = {problem.field for problem in check.problems}
        problems = [p for p in combination_problems(spec) if p.field.removeprefix("search.") not in told]
        return SweepCheck([*taken, *check.problems, *problems], list(spec.params), spec.combinations, check.preflight)

    def create(
        self,
        type: str,
        values: Mapping[str, Any],
        search: Any,
        *,
        name: str = "",
        options: Mapping[str, Any] | None = None,
        objectives: Sequence[Any] = (),
        key: str = "",
    ) -> Sweep:
        if key in self.keys:
            return self.all[self.keys[key]]
        if problems := self.check(type, values, search, options, objectives, name).problems:
            raise SettingsError(problems)
        spec = read_spec(type, values, search, options, objectives)
        id_ = f"00{uuid.uuid4().hex[2:]}"  # none of those that tests name by their begin
        self.all[id_] = Sweep(id_, name or f"sweep-{type}", SweepState.RUNNING, spec, time.time(), experiment_id="1")
        self.made[id_] = []
        self.keys |= {key: id_} if key else {}
        return self.all[id_]

    def page(
        self, *, words: str = "", states: Sequence[Any] = (), deleted: bool = False, limit: int = 50, offset: int = 0
    ) -> SweepPage:
        found = [s for s in self.all.values() if (s.deleted_at is not None) == deleted]
        found = [s for s in found if not states or s.state in states]
        found = [s for s in found if all(word in s.name.lower() for word in words.lower().split())]
        found.sort(key=lambda s: -s.created_at)
        return SweepPage(found[offset : offset + limit], len(found))

    def get(self, id: str) -> Sweep:
        matches = [s for key, s in self.all.items() if key.startswith(id) or s.name == id]
        if len(matches) != 1:
            raise NotFoundError(f"There is no sweep {id!r}.")
        return matches[0]

    def trials(self, id: str) -> list[Trial]:
        return list(self.made[self.get(id).id])

    def importance(self, id: str, objective: int = 0) -> dict[str, float]:
        sweep = self.get(id)
        if sweep.counts.get(TrialState.COMPLETE, 0) < 4:
            return {}
        shares = (0.62, 0.21, 0.12, 0.05)
        return {param.name: share for param, share in zip(sweep.spec.params, shares, strict=False)}

    def stop(self, id: str) -> Sweep:
        return self._move(id, (SweepState.RUNNING, SweepState.PAUSED), SweepState.STOPPED, "stopped by a person")

    def resume(self, id: str) -> Sweep:
        return self._move(id, (SweepState.PAUSED, SweepState.STOPPED), SweepState.RUNNING, "")

    def _move(self, id: str, allowed: Sequence[SweepState], state: SweepState, reason: str) -> Sweep:
        sweep = self.get(id)
        if sweep.state not in allowed:
            raise ConflictError(f"{sweep.name} is {sweep.state.lower()}.", "Nothing is left to do.")
        ended = None if state is SweepState.RUNNING else time.time()
        version = sweep.version + 1
        self.all[sweep.id] = replace(sweep, state=state, reason=reason, ended_at=ended, version=version)
        return self.all[sweep.id]

    def extend(self, id: str, **more: Any) -> Sweep:
        sweep = self.get(id)
        if more.get("n_trials", 1) < 1:
            problem = Problem("n_trials", "greater_than_equal", "Too few.", {"ge": 1, "value": more["n_trials"]})
            raise SettingsError([problem])
        more["n_trials"] = sweep.spec.n_trials + more.get("n_trials", 0)
        self.all[sweep.id] = replace(sweep, spec=extended(sweep.spec, **more), state=SweepState.RUNNING, reason="")
        return self.all[sweep.id]

    def delete(self, id: str) -> Sweep:
        sweep = self.get(id)
        self.all[sweep.id] = replace(sweep, deleted_at=time.time())
        return self.all[sweep.id]

    def restore(self, id: str) -> Sweep:
        sweep = self.get(id)
        self.all[sweep.id] = replace(sweep, deleted_at=None)
        return self.all[sweep.id]

    def exclude(self, id: str, number: int, excluded: bool = True) -> Trial:
        sweep = self.get(id)
        trial = replace(self._trial(sweep.id, number), excluded=excluded)
        self.made[sweep.id][number] = trial
        self._count(sweep.id)
        return trial

    def add_trial(self, id: str, params: Mapping[str, Any]) -> Trial:
        sweep = self.get(id)
        chosen = read_point(sweep.spec, params)
        trial = Trial(len(self.made[sweep.id]), TrialState.WAITING, chosen, by_hand=True)
        self.made[sweep.id].append(trial)
        self._count(sweep.id)
        return trial

    def promote(
        self,
        id: str,
        number: int | None = None,
        values: Mapping[str, Any] | None = None,
        *,
        name: str = "",
        key: str = "",
    ) -> Task:
        sweep = self.get(id)
        if number is None:
            if not sweep.best:
                raise ConflictError(f"{sweep.name} has no best trial yet.", "Wait until a trial has finished.")
            number = sweep.best[0]
        settings = {**sweep.spec.values, **self._trial(sweep.id, number).params, **(values or {})}
        return self.platform.submit(sweep.type, settings, name=name or f"{sweep.name}-best", key=key)

    def _trial(self, id: str, number: int) -> Trial:
        if not 0 <= number < len(self.made[id]):
            raise NotFoundError(f"There is no trial {number}.")
        return self.made[id][number]

    def run_link(self, id: str) -> str:
        return f"/mlflow/#/experiments/1/runs/{self.get(id).id}"

    def options(self) -> list[ConfigField]:
        return option_fields()

    def proposals(self, type: str) -> dict[str, Param | None]:
        return {field.name: proposal(field) for field in searchable(type)}

    def metrics(self, type: str) -> list[str]:
        return ["eval/loss", "train/loss", "perf/tokens_per_second", "system/memory_mb"]

    def spec(self, id: str) -> SweepSpec:
        return self.get(id).spec


def _drawn(param: Param, draw: random.Random) -> Any:
    if param.kind == "choice":
        return draw.choice(param.choices)
    if param.log:
        value = math.exp(draw.uniform(math.log(param.low), math.log(param.high)))
        return round(value) if param.kind == "int" else value
    value = draw.uniform(param.low, param.high)
    if param.step:
        value = param.low + round((value - param.low) / param.step) * param.step
    return round(value) if param.kind == "int" else value


def _middle(param: Param) -> Any:
    if param.kind == "choice":
        return param.choices[len(param.choices) // 2]
    middle = math.sqrt(param.low * param.high) if param.log else (param.low + param.high) / 2
    return round(middle) if param.kind == "int" else middle


def _best(params: Mapping[str, Any], draw: random.Random) -> float:
    """The loss at the end of a trial: best near a learning rate of 1e-4."""
    far = abs(math.log10(float(params.get("learning_rate", 1e-4))) + 4)
    return 2.0 + 0.7 * far**2 + 0.0015 * float(params.get("batch_size", 16)) + 0.03 * draw.random()


def _beats(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))
