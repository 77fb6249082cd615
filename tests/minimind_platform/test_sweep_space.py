"""Search spaces: what people write, what is wrong with it, what the fields propose, and whether trainings accept it."""

from typing import Any

import pytest

from minimind_platform.errors import Problem, SettingsError
from minimind_platform.sweeps.points import grid
from minimind_platform.sweeps.space import Param, proposal, read_space, searchable
from minimind_platform.sweeps.space_checks import combination_problems
from minimind_platform.sweeps.spec import SweepSpec, read_spec
from trainer.configs import TRAINING_TYPES


def read(search: Any, type_name: str = "sft") -> dict[str, Param]:
    return {param.name: param for param in read_space(type_name, search)}


def problems(search: Any, type_name: str = "sft") -> dict[str, str]:
    with pytest.raises(SettingsError) as caught:
        read_space(type_name, search)
    return {problem.field: problem.code for problem in caught.value.problems}


def refused(search: Any, type_name: str = "pretrain", **values: Any) -> list[Problem]:
    return combination_problems(read_spec(type_name, {"data_path": "x.jsonl"} | values, search))


def test_a_name_alone_takes_the_range_that_the_field_proposes() -> None:
    found = read(["learning_rate", "batch_size", "dtype", "packing"])
    assert (found["learning_rate"].low, found["learning_rate"].high, found["learning_rate"].log) == (1e-6, 5e-3, True)
    assert found["batch_size"].kind == "int" and found["batch_size"].text == "8 – 128, log"
    assert found["dtype"].choices == ("bfloat16", "float16", "float32")
    assert found["packing"].choices == (False, True)
    assert read("learning_rate") == read({"learning_rate": None})


def test_ranges_and_choices_in_every_spelling_mean_the_same() -> None:
    pair = read({"learning_rate": (1e-5, "1e-3")})["learning_rate"]
    assert pair == read({"learning_rate": {"low": "1e-5", "high": 1e-3, "log": "true"}})["learning_rate"]
    assert (
        pair
        == read({"learning_rate": pair})["learning_rate"]
        == read({"learning_rate": pair.as_dict()})["learning_rate"]
    )
    assert read({"batch_size": ["8", 16, 8]})["batch_size"].choices == (8, 16)
    assert read({"packing": ["true", False]})["packing"].choices == (True, False)
    assert read({"from_weight": "none"})["from_weight"].choices == ("none",)
    stepped = read({"hidden_size": {"low": 128, "high": 300, "step": 64}})["hidden_size"]
    assert stepped.values == (128, 192, 256) and stepped.count == 3 and stepped.top == 256
    assert read({"weight_decay": {"low": 0, "high": 0.3, "step": 0.1}})["weight_decay"].values == (0, 0.1, 0.2, 0.3)
    assert read({"student_hidden_size": [256, 512]}, "distill")["hidden_size"].choices == (256, 512)


def test_only_a_condition_is_added_to_the_proposed_range() -> None:
    found = read({"epochs": {"when": {"dtype": "float32"}}, "dtype": None})
    assert list(found) == ["dtype", "epochs"]  # what others depend on comes first
    assert found["epochs"].when == {"dtype": ("float32",)} and found["epochs"].high == 4
    assert found["epochs"].text == "1 – 4 if dtype = float32"


@pytest.mark.parametrize(
    ("search", "field", "code"),
    [
        ({}, "search", "empty_space"),
        ([], "search", "empty_space"),
        ({"learning_rat": None}, "search.learning_rat", "unknown_setting"),
        ({"rewards": ["a"]}, "search.rewards", "unknown_setting"),
        ({"data_path": None}, "search.data_path", "no_proposal"),
        ({"tokenizer_path": ["a", "b"]}, "search.tokenizer_path", "not_searchable"),
        ({"learning_rate": (1e-3, 1e-5)}, "search.learning_rate", "low_above_high"),
        ({"learning_rate": {"low": 0, "high": 1e-3, "log": True}}, "search.learning_rate", "log_of_zero"),
        ({"learning_rate": {"low": 1e-5}}, "search.learning_rate", ""),
        ({"seed": {"low": 1}}, "search.seed", "no_range"),
        ({"learning_rate": ("a", 1)}, "search.learning_rate", "not_a_number"),
        ({"learning_rate": (float("nan"), 1)}, "search.learning_rate", "not_a_number"),
        ({"batch_size": (8, 16.5)}, "search.batch_size", "not_a_number"),
        ({"batch_size": [True]}, "search.batch_size", "not_a_number"),
        ({"batch_size": []}, "search.batch_size", "no_choices"),
        ({"seed": list(range(101))}, "search.seed", "too_many_choices"),
        ({"weight_decay": {"low": 0, "high": 0.1, "step": -0.1}}, "search.weight_decay", "bad_step"),
        ({"batch_size": {"low": 8, "high": 16, "log": True, "step": 2}}, "search.batch_size", "bad_step"),
        ({"dtype": {"low": 0, "high": 1}}, "search.dtype", "not_a_number"),
        ({"packing": ["perhaps"]}, "search.packing", "not_true_or_false"),
        ({"epochs": {"low": 1, "high": 4, "steps": 2}}, "search.epochs", "unknown_part"),
        ({"epochs": {"when": "dtype"}}, "search.epochs", "bad_condition"),
        ({"epochs": {"when": {"dtipe": "float32"}}}, "search.epochs", "unknown_condition"),
        ({"epochs": {"when": {"epochs": 1}}}, "search.epochs", "unknown_condition"),
        ({"epochs": {"when": {"dtype": []}}}, "search.epochs", "empty_condition"),
    ],
)
def test_what_cannot_be_searched_is_told_at_its_setting(search: Any, field: str, code: str) -> None:
    if code:
        assert problems(search) == {field: code}
    else:  # the other end is the proposed one
        assert read(search)["learning_rate"].high == 5e-3


def test_conditions_in_a_circle_are_refused() -> None:
    search = {"epochs": {"when": {"dtype": "float32"}}, "dtype": {"when": {"packing": True}}}
    assert [param.name for param in read_space("sft", search | {"packing": None})] == ["packing", "dtype", "epochs"]
    circle = search | {"packing": {"when": {"epochs": 1}}}
    assert problems(circle) == dict.fromkeys(("search.epochs", "search.dtype", "search.packing"), "circular_condition")


def test_all_that_is_wrong_is_told_at_once() -> None:
    search = {"learning_rate": (1, 0), "nothing": None, "epochs": {"when": {"nobody": 1}}}
    assert problems(search) == {
        "search.learning_rate": "low_above_high",
        "search.nothing": "unknown_setting",
        "search.epochs": "unknown_condition",
    }


@pytest.mark.parametrize("type_name", TRAINING_TYPES)
def test_all_proposals_of_a_type_together_are_accepted(type_name: str) -> None:
    names = [field.name for field in searchable(type_name) if proposal(field)]
    assert {"learning_rate", "batch_size", "hidden_size", "use_moe", "warmup_steps"} <= set(names)
    assert refused(names, type_name) == []
    for field in searchable(type_name):
        found = proposal(field)
        if found and found.kind != "choice":  # the range lies in what the field allows
            assert field.minimum is None or found.low >= field.minimum
            assert field.maximum is None or found.high <= field.maximum


def test_a_combination_that_a_training_refuses_is_named_before_the_first_trial() -> None:
    search = {"hidden_size": [256, 200], "num_attention_heads": [4, 8], "learning_rate": None, "packing": None}
    (problem,) = refused(search)
    assert (problem.field, problem.code) == ("search.hidden_size", "bad_combination")
    assert problem.message == (
        "hidden_size=200, num_attention_heads=8: 200 / 8 heads gives head size 25; rotary positions need an even one."
    )
    assert problem.values["combination"] == "hidden_size=200, num_attention_heads=8"
    assert problem.values["problem"] == "head_size_odd"


def test_a_bad_value_between_good_ends_is_found() -> None:
    assert {problem.values["problem"] for problem in refused({"hidden_size": (128, 1024)})} == {
        "hidden_not_multiple",
        "head_size_odd",
    }
    assert refused({"hidden_size": {"low": 128, "high": 1024, "step": 16}}) == []


def test_a_rare_combination_of_many_settings_is_found() -> None:
    many = dict.fromkeys(("learning_rate", "batch_size", "weight_decay", "warmup_steps", "epochs", "packing", "dtype"))
    search = many | {"use_moe": [False, True], "num_experts": list(range(2, 9)), "num_experts_per_tok": [1, 2, 8]}
    (problem,) = refused(search)
    assert problem.field == "search.num_experts_per_tok"
    assert "num_experts_per_tok=8" in problem.message and "learning_rate" not in problem.message


def test_where_no_value_is_good_the_searched_setting_is_named() -> None:
    (problem,) = refused({"num_attention_heads": [5, 7], "learning_rate": None})
    assert problem.field == "search.num_attention_heads"
    assert problem.message.startswith("num_attention_heads=5: 768 is not a multiple")
    (problem,) = refused({"learning_rate": (2, 3)})
    assert problem.field == "search.learning_rate" and problem.values["problem"] == "less_than"
    (problem,) = refused({"dtype": ["bfloat16", "int8"]})
    assert problem.message.startswith("dtype=int8: ")


def test_a_condition_keeps_bad_combinations_away() -> None:
    search = {"use_moe": [False, True], "architecture": ["v3", "v2"]}
    assert [problem.values["problem"] for problem in refused(search)] == ["moe_needs_v3"]
    assert refused(search | {"use_moe": {"choices": [False, True], "when": {"architecture": "v3"}}}) == []


def test_fixed_settings_that_are_wrong_are_told_as_in_a_single_training() -> None:
    found = refused(["learning_rate"], data_path="", hidden_size=100)
    assert {problem.field: problem.code for problem in found} == {
        "data_path": "string_too_short",
        "hidden_size": "hidden_not_multiple",
    }


def test_a_setting_whose_condition_never_holds_is_told() -> None:
    search = {"num_experts": {"low": 2, "high": 8, "when": {"use_moe": True}}}
    (problem,) = refused(search | {"learning_rate": None})
    assert (problem.field, problem.code) == ("search.num_experts", "never_searched")
    assert refused(search, use_moe="true") == []


def spec_of(search: Any) -> SweepSpec:
    return read_spec("pretrain", {"data_path": "x"}, search, {"sampler": "grid", "n_trials": 1000})


def test_a_grid_has_each_combination_once_in_the_order_of_the_settings() -> None:
    assert list(grid(spec_of({"epochs": [1, 2], "hidden_size": {"low": 128, "high": 256, "step": 128}}))) == [
        {"epochs": 1, "hidden_size": 128},
        {"epochs": 1, "hidden_size": 256},
        {"epochs": 2, "hidden_size": 128},
        {"epochs": 2, "hidden_size": 256},
    ]
    conditional = {"use_moe": [False, True], "num_experts": {"low": 2, "high": 3, "when": {"use_moe": True}}}
    assert list(grid(spec_of(conditional))) == [
        {"use_moe": False},
        {"use_moe": True, "num_experts": 2},
        {"use_moe": True, "num_experts": 3},
    ]
