"""What a person decides about a sweep, read and checked."""

from typing import Any

import pytest

from minimind_platform.errors import SettingsError
from minimind_platform.sweeps.spec import SweepSpec, extended, option_fields, read_objectives, read_spec


def read(
    options: Any = None, objectives: Any = (), search: Any = ("learning_rate",), type_name: str = "sft"
) -> SweepSpec:
    return read_spec(type_name, {"data_path": "x.jsonl"}, search, options, objectives)


def problems(*args: Any, **kwargs: Any) -> dict[str, str]:
    with pytest.raises(SettingsError) as caught:
        read(*args, **kwargs)
    return {problem.field: problem.code for problem in caught.value.problems}


def test_what_is_left_out_is_usual() -> None:
    spec = read()
    assert (spec.sampler, spec.pruner, spec.n_trials, spec.parallel, spec.function) == ("tpe", "asha", 20, 1, False)
    assert [(o.metric, o.direction, o.taken) for o in spec.objectives] == [("eval/loss", "minimize", "best")]
    assert read(type_name="grpo").objectives[0].metric == "eval/reward"
    assert read(type_name="full_sft").type == "sft"


def test_options_are_read_from_texts() -> None:
    spec = read({"n_trials": "5", "hours": "1.5", "parallel": 2, "sampler": "random"})
    assert (spec.n_trials, spec.hours, spec.parallel, spec.sampler) == (5, 1.5, 2, "random")
    assert spec.options["n_trials"] == 5 and "type" not in spec.options


def test_it_survives_being_stored() -> None:
    search = {
        "learning_rate": None,
        "batch_size": {"low": 8, "high": 64, "step": 8},
        "use_moe": [False, True],
        "num_experts": {"low": 2, "high": 8, "when": {"use_moe": True}},
    }
    spec = read({"n_trials": 7, "pruner": "none"}, ["eval/loss", "perf/tokens_per_second"], search)
    stored = SweepSpec.model_validate_json(spec.model_dump_json())
    assert stored == spec
    assert [type(param.low) for param in stored.params] == [type(param.low) for param in spec.params]
    assert read_spec("sft", stored.values, stored.search, stored.options, stored.objectives) == spec


@pytest.mark.parametrize(
    ("options", "objectives", "field", "code"),
    [
        ({"n_trials": 0}, (), "n_trials", "greater_than_equal"),
        ({"n_trials": "many"}, (), "n_trials", "int_parsing"),
        ({"hours": float("inf")}, (), "hours", "finite_number"),
        ({"sampler": "luck"}, (), "sampler", "literal_error"),
        ({"trials": 5}, (), "trials", "extra_forbidden"),
        ({}, [""], "metric", "string_too_short"),
        ({}, [{"metric": "eval/loss", "direction": "up"}], "metric", "literal_error"),
        ({"pruner": "none"}, ["eval/loss", "eval/loss"], "metric", "same_metric"),
        ({"pruner": "asha"}, ["eval/loss", "perf/mfu"], "pruner", "pruner_of_several"),
        ({"pruner": "none", "sampler": "cmaes"}, ["eval/loss", "perf/mfu"], "sampler", "cmaes_of_several"),
        ({"sampler": "grid"}, (), "sampler", "endless_grid"),
    ],
)
def test_what_is_wrong_is_told_at_the_option(options: Any, objectives: Any, field: str, code: str) -> None:
    assert problems(options, objectives) == {field: code}


def test_a_grid_larger_than_the_budget_is_refused() -> None:
    search = {"epochs": [1, 2, 3], "hidden_size": {"low": 128, "high": 512, "step": 64}}
    assert problems({"sampler": "grid", "n_trials": 20}, search=search) == {"n_trials": "grid_too_large"}
    spec = read({"sampler": "grid", "n_trials": 21}, search=search)
    assert spec.combinations == 21
    with pytest.raises(SettingsError, match="21 combinations, but only 5"):
        extended(spec, n_trials=5)
    assert extended(spec, n_trials=30).n_trials == 30


def test_a_function_needs_no_space_but_another_sampler_than_grid() -> None:
    assert read(search=None).function and read(search=None).params == ()
    assert problems({"sampler": "grid"}, search=None) == {"sampler": "grid_of_function"}


def test_problems_of_space_and_options_are_told_together() -> None:
    assert problems({"n_trials": 0}, search={"learning_rate": (1, 0)}) == {
        "search.learning_rate": "low_above_high",
        "n_trials": "greater_than_equal",
    }


def test_a_searched_setting_is_not_fixed_too() -> None:
    spec = read_spec("sft", {"data_path": "x", "learning_rate": 1, "compile": True}, ["learning_rate"])
    assert spec.values == {"data_path": "x", "compile": True}
    assert spec.fixed["keep_checkpoints"] == 1 and spec.fixed["compile"] is True and spec.fixed["epochs"] == 2


@pytest.mark.parametrize(
    ("metric", "direction", "taken"),
    [
        ("eval/loss", "minimize", "best"),
        ("eval/reward", "maximize", "best"),
        ("eval/accuracy", "maximize", "best"),
        ("eval/rejected_reward", "minimize", "best"),
        ("dpo/margin", "maximize", "last"),
        ("train/loss", "minimize", "last"),
        ("train/reward", "maximize", "last"),
        ("reward/answer", "maximize", "last"),
        ("perf/tokens_per_second", "maximize", "mean"),
        ("perf/step_seconds", "minimize", "mean"),
        ("system/gpu_memory_mb", "minimize", "last"),
    ],
)
def test_the_usual_meaning_of_a_metric(metric: str, direction: str, taken: str) -> None:
    assert read_objectives("sft", metric) == [{"metric": metric, "direction": direction, "taken": taken}]
    other = read_objectives("sft", {"metric": metric, "direction": "maximize", "taken": ""})
    assert other == [{"metric": metric, "direction": "maximize", "taken": taken}]


def test_every_option_has_a_help_text() -> None:
    fields = option_fields()
    assert [field.name for field in fields][:3] == ["sampler", "seed", "startup_trials"]
    assert all(field.help.endswith(".") and field.default is not None for field in fields)
