"""Everything that a person decides about a sweep: what is trained, what is searched, how, and how long.

    spec = read_spec("sft", {"data_path": "sft.jsonl"}, ["learning_rate"], {"n_trials": 20, "parallel": 2})

Problems name the option, or `search.<setting>`, or the setting itself.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, TypedDict

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from minimind_platform.errors import Problem, SettingsError
from minimind_platform.sweeps.space import Param, read_space
from trainer.configs import config_class, own_names
from trainer.errors import FieldError
from trainer.fields import ConfigField, config_fields, described
from trainer.names import HIGHER_IS_BETTER, Metric
from trainer.shared_config import Setting

Direction = Literal["minimize", "maximize"]
Taken = Literal["best", "last", "mean"]
REWARDED = ("grpo", "spo", "ppo")
"""Training types whose best checkpoint is that of the highest reward."""
FOR_TRIALS = {"keep_checkpoints": 1, "save_weight": ""}
"""Settings that a trial has unless a person says else: many trials must neither fill the disk nor write one file."""


class Objective(BaseModel):
    """What a sweep makes small or large."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)
    metric: Annotated[str, Field(min_length=1, max_length=200)]
    """A series of the trainings, such as eval/loss."""
    direction: Direction = "minimize"
    taken: Taken = "last"
    """Which of its points counts for a trial: the best, the last, or the mean of all."""

    @property
    def sign(self) -> int:
        """1 if small is good, -1 if large is."""
        return 1 if self.direction == "minimize" else -1


class Options(BaseModel):
    """How a sweep searches. A docstring under an option is its help everywhere."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)

    sampler: Literal["tpe", "random", "grid", "cmaes", "qmc"] = "tpe"
    """How settings are chosen: tpe learns from the trials so far; random; grid, every combination; cmaes, evolution of
    numbers; qmc, random but evenly spread."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 42
    """Seed of the sampler. The seed of the trainings is a setting of theirs."""
    startup_trials: Annotated[int, Field(ge=1, le=1000)] = 10
    """First trials that are chosen at random, before tpe and cmaes begin to learn."""
    pruner: Literal["none", "median", "asha", "hyperband"] = "asha"
    """Which trials are ended early: none; median, those worse than half of the others; asha, all but the best at each
    of a few stages; hyperband, asha with several first stages."""
    first_stage: Annotated[int, Field(ge=1, le=99)] = 10
    """Percent of a training before which it is not ended early."""
    reduction: Annotated[int, Field(ge=2, le=20)] = 3
    """With asha and hyperband: one of so many trials passes a stage, and the next stage is so many times later."""
    n_trials: Annotated[int, Field(ge=1, le=10_000)] = 20
    """Trials to make."""
    hours: Annotated[float, Field(ge=0, le=10_000)] = 0
    """Hours after which no new trial begins. 0: no limit."""
    device_hours: Annotated[float, Field(ge=0, le=100_000)] = 0
    """Hours that the trainings may take on their devices, added up. 0: no limit."""
    patience: Annotated[int, Field(ge=0, le=10_000)] = 0
    """End when so many trials in a row were no better than the best before. 0: do not."""
    parallel: Annotated[int, Field(ge=1, le=1000)] = 1
    """Trials at the same time at most. Each takes a device; it waits for a free one like every task."""
    priority: Annotated[int, Field(ge=-1000, le=1000)] = 0
    """Of its tasks; higher goes first."""
    max_memory_mb: Annotated[float, Field(ge=0)] = 0
    """Memory that a trial may take, of the GPU if it uses one; one that takes more is no solution. 0: no limit."""
    max_minutes: Annotated[float, Field(ge=0)] = 0
    """Time that a trial may take on its device; one that takes longer is ended and is no solution. 0: no limit."""


class SweepOptions(TypedDict, total=False):
    """The options as a program gives them, so that its editor knows their names and kinds."""

    sampler: Literal["tpe", "random", "grid", "cmaes", "qmc"]
    seed: int
    startup_trials: int
    pruner: Literal["none", "median", "asha", "hyperband"]
    first_stage: int
    reduction: int
    n_trials: int
    hours: float
    device_hours: float
    patience: int
    parallel: int
    priority: int
    max_memory_mb: float
    max_minutes: float


class SweepSpec(Options):
    """A sweep as it is stored."""

    type: str
    values: dict[str, Any]
    """Settings that are the same in all trials."""
    params: tuple[Param, ...]
    """Empty if a function in somebody's program chooses the settings."""
    objectives: Annotated[tuple[Objective, ...], Field(min_length=1, max_length=4)]
    function: bool = False
    """Whether a function in a Python program chooses the settings; new trials begin only while that program runs."""

    @property
    def options(self) -> dict[str, Any]:
        """The options only."""
        return self.model_dump(include=set(Options.model_fields))

    @property
    def search(self) -> dict[str, Any]:
        """The search space as `read_space` takes it."""
        return {param.name: param.as_dict() for param in self.params}

    @property
    def fixed(self) -> dict[str, Any]:
        """Settings without those that a trial chooses: conditions ask them too."""
        defaults = {f.name: f.default for f in config_fields(config_class(self.type))}
        return defaults | FOR_TRIALS | self.values

    @property
    def combinations(self) -> int | None:
        """How many there are, if every setting has a fixed number of values. Conditions are not counted."""
        total = 1
        for param in self.params:
            if param.count is None:
                return None
            total *= param.count
        return total

    @model_validator(mode="after")
    def _check_together(self) -> "SweepSpec":
        if self.function and self.sampler == "grid":
            raise FieldError("sampler", "grid_of_function", "A grid needs a search space, not a function.")
        if len(self.objectives) > 1 and self.pruner != "none":
            text = "Trials cannot be ended early with several objectives. Set pruner to none."
            raise FieldError("pruner", "pruner_of_several", text)
        if len(self.objectives) > 1 and self.sampler == "cmaes":
            text = "cmaes works for one objective only. Choose tpe, random, grid or qmc."
            raise FieldError("sampler", "cmaes_of_several", text)
        if len({o.metric for o in self.objectives}) < len(self.objectives):
            raise FieldError("metric", "same_metric", "Each objective needs a metric of its own.")
        if self.sampler == "grid" and not self.function:
            self._check_grid()
        return self

    def _check_grid(self) -> None:
        endless = [param.name for param in self.params if param.count is None]
        if endless:
            text = f"A grid needs a fixed number of values; give {', '.join(endless)} choices or a step."
            raise FieldError("sampler", "endless_grid", text, names=", ".join(endless))
        count = self.combinations or 0
        if count > self.n_trials:
            text = f"The grid has {count} combinations, but only {self.n_trials} trials are allowed. Raise n_trials."
            raise FieldError("n_trials", "grid_too_large", text, combinations=count, n_trials=self.n_trials)


def read_spec(
    type_name: str,
    values: Mapping[str, Any],
    search: Sequence[str] | Mapping[str, Any] | None,
    options: Mapping[str, Any] | None = None,
    objectives: Sequence[Any] = (),
) -> SweepSpec:
    """Read what a person wants.

    Args:
        type_name: the training type.
        values: settings that are the same in all trials.
        search: as `read_space` takes it; None if a function chooses the settings.
        options: those of `Options`.
        objectives: metrics: a name, or a dict with `metric`, `direction` and `taken`; none for the usual one.

    Raises:
        SettingsError: with everything that is wrong.
    """
    cls = config_class(type_name)  # raises by itself: without a type nothing else makes sense
    given = own_names(cls, dict(values))
    problems: list[Problem] = []
    params: list[Param] = []
    try:
        params = [] if search is None else read_space(cls.type, search)
    except SettingsError as error:
        problems += error.problems
    whole = {
        **(options or {}),
        "type": cls.type,
        "values": {name: value for name, value in given.items() if name not in {p.name for p in params}},
        "params": tuple(params),
        "function": search is None,
        "objectives": tuple(read_objectives(cls.type, objectives)),
    }
    try:
        spec = SweepSpec.model_validate(whole)
    except ValidationError as error:
        raise SettingsError(problems + _problems(error)) from None
    if problems:
        raise SettingsError(problems)
    return spec


def read_objectives(type_name: str, given: Sequence[Any] | Mapping[str, Any]) -> list[dict[str, Any]]:
    """Objectives, complete: what is left out is what people usually mean by that metric."""
    usual = Metric.EVAL_REWARD if type_name in REWARDED else Metric.EVAL_LOSS
    whole = []
    for one in [given] if isinstance(given, str | Mapping) and given else given or [usual]:
        parts = (
            one.model_dump() if isinstance(one, Objective) else {"metric": one} if isinstance(one, str) else dict(one)
        )
        filled = usual_objective(str(parts.get("metric", "")).strip())
        whole.append(filled | {name: value for name, value in parts.items() if value != "" and name != "metric"})
    return whole


def usual_objective(metric: str) -> dict[str, str]:
    """Direction, and which point counts, that people usually mean by a metric."""
    large = metric in HIGHER_IS_BETTER or metric.startswith(("reward/", "perf/tokens", "perf/mfu", "rollout/tokens"))
    large = large or (
        metric.startswith(("eval/", "dpo/", "train/")) and metric.endswith(("reward", "accuracy", "margin"))
    )
    large = large and not metric.endswith("rejected_reward")
    taken: Taken = "best" if metric.startswith("eval/") else "mean" if metric.startswith("perf/") else "last"
    return {"metric": metric, "direction": "maximize" if large else "minimize", "taken": taken}


def metrics_of(type_name: str) -> list[str]:
    """Metrics that trainings of a type record, the usual objective first."""
    common = [Metric.EVAL_LOSS, Metric.LOSS, Metric.TOKENS_PER_SECOND, Metric.STEP_SECONDS, Metric.MEMORY_MB]
    found = common
    if type_name in REWARDED:
        found = [Metric.EVAL_REWARD, Metric.REWARD, Metric.KL, Metric.ANSWER_LENGTH, *common[2:]]
    if type_name == "dpo":
        found = [Metric.EVAL_LOSS, Metric.EVAL_ACCURACY, Metric.EVAL_MARGIN, *common[1:]]
    return [str(metric) for metric in found]


def option_fields() -> list[ConfigField]:
    """The options as a form and the command line meet them."""
    return [described(name, info, Setting("training")) for name, info in Options.model_fields.items()]


def extended(spec: SweepSpec, **options: Any) -> SweepSpec:
    """The same sweep with other options.

    Raises:
        SettingsError: with everything that is wrong.
    """
    try:
        return SweepSpec.model_validate(spec.model_dump() | options)
    except ValidationError as error:
        raise SettingsError(_problems(error)) from None


def _problems(error: ValidationError) -> list[Problem]:
    problems = []
    places = [item["loc"] for item in error.errors()]
    for item in error.errors():
        if any(len(place) > len(item["loc"]) and place[: len(item["loc"])] == item["loc"] != () for place in places):
            continue  # a list that is too short only because what is in it is wrong
        context = item.get("ctx", {})
        if isinstance(cause := context.get("error"), FieldError):
            problems.append(cause.problem)
            continue
        where = [str(part) for part in item["loc"]]
        name = "metric" if where[:1] == ["objectives"] else where[0] if where else ""
        limits = {key: value for key, value in context.items() if isinstance(value, str | int | float)}
        if item["type"] == "extra_forbidden":
            text = f"There is no option {name!r} of a sweep."
        else:
            text = f"{item['msg']}, got {item['input']!r}."
        problems.append(Problem(name, item["type"], text, limits | {"value": item["input"]}))
    return problems
