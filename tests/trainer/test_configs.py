"""Settings are checked all at once, and say what to do."""

import pytest

from trainer.configs import TRAINING_TYPES, parse_config
from trainer.errors import SettingsError
from trainer.fields import config_fields
from trainer.presets import PRESETS, matching_preset
from trainer.starts import starts_of


def problems(type_name: str, **values: object) -> dict[str, str]:
    with pytest.raises(SettingsError) as caught:
        parse_config(type_name, {"data_path": "x.jsonl", **values})
    return {p.field: p.code for p in caught.value.problems}


@pytest.mark.parametrize("type_name", TRAINING_TYPES)
def test_text_from_a_form_becomes_numbers(type_name: str) -> None:
    config = parse_config(type_name, {"data_path": "x", "epochs": "3", "learning_rate": "1e-4", "use_moe": "0"})
    assert (config.epochs, config.learning_rate, config.use_moe) == (3, 1e-4, False)


def test_all_problems_come_at_once_even_across_fields() -> None:
    found = problems("sft", epochs="0", hidden_size="100", device="tpu", learning_rate="fast", unknown="1")
    assert found == {
        "epochs": "greater_than_equal",
        "device": "string_pattern_mismatch",
        "learning_rate": "float_parsing",
        "unknown": "extra_forbidden",
        "hidden_size": "hidden_not_multiple",
    }


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"hidden_size": 100}, "hidden_size"),
        ({"hidden_size": 24, "num_attention_heads": 8}, "hidden_size"),
        ({"num_key_value_heads": 3}, "num_key_value_heads"),
        ({"architecture": "v2", "use_moe": True}, "use_moe"),
        ({"use_moe": True, "num_experts": 2, "num_experts_per_tok": 3}, "num_experts_per_tok"),
        ({"learning_rate": "nan"}, "learning_rate"),
        ({"learning_rate": "inf"}, "learning_rate"),
        ({"seed": -1}, "seed"),
        ({"save_weight": "../evil"}, "save_weight"),
        ({"model_name": "-rf"}, "model_name"),
    ],
)
def test_what_cannot_work_is_refused_at_its_field(values: dict[str, object], field: str) -> None:
    assert list(problems("pretrain", **values)) == [field]


@pytest.mark.parametrize(
    ("type_name", "values", "field"),
    [
        ("distill", {"from_teacher_weight": "none"}, "from_teacher_weight"),
        ("distill", {"alpha": 1.5}, "alpha"),
        ("distill", {"temperature": 0}, "temperature"),
        ("reason", {"tag_weight": 0}, "tag_weight"),
        ("reason", {"tag_weighting": "words"}, "tag_weighting"),
    ],
)
def test_own_settings_of_a_type_are_checked(type_name: str, values: dict[str, object], field: str) -> None:
    assert list(problems(type_name, **values)) == [field]


@pytest.mark.parametrize("nothing", ["none", "", " "])
def test_adapters_need_a_base(nothing: str) -> None:
    assert problems("lora", from_weight=nothing) == {"from_weight": "lora_needs_base"}


def test_minimind_s_name_of_the_adapters_is_the_prefix_of_their_file() -> None:
    config = parse_config("lora", {"data_path": "x", "lora_name": "lora_medical"})
    assert (config.save_weight, config.epochs, config.batch_size, config.max_seq_len) == ("lora_medical", 10, 32, 340)


def test_missing_data_path_is_named() -> None:
    with pytest.raises(SettingsError, match="data_path: Required"):
        parse_config("pretrain", {})


def test_unknown_type_lists_the_known_ones() -> None:
    with pytest.raises(SettingsError, match=r"kt0.*pretrain, sft"):
        parse_config("kt0", {})


def test_minimind_names_are_understood() -> None:
    assert parse_config("full_sft", {"data_path": "x", "use_compile": "1"}).compile is True
    theirs = {"student_hidden_size": 512, "student_num_layers": 4, "student_use_moe": 1, "from_student_weight": "none"}
    config = parse_config("distillation", {"data_path": "x", **theirs})
    assert (config.hidden_size, config.num_hidden_layers, config.use_moe, config.from_weight) == (512, 4, True, "none")


@pytest.mark.parametrize(
    ("type_name", "expected"),
    [
        ("pretrain", ("pretrain", 2, 32, 5e-4, 8, 340, "none")),
        ("sft", ("full_sft", 2, 16, 1e-5, 1, 768, "pretrain")),
        ("reason", ("reason", 1, 8, 1e-6, 1, 720, "full_sft")),
        ("distill", ("full_dist", 6, 32, 5e-6, 1, 340, "full_sft")),
    ],
)
def test_defaults_are_those_of_minimind(type_name: str, expected: tuple[object, ...]) -> None:
    """Contract section 5; v2 reasoning starts from DPO weights instead."""
    c = parse_config(type_name, {"data_path": "x"})
    found = (c.save_weight, c.epochs, c.batch_size, c.learning_rate, c.accumulation_steps, c.max_seq_len, c.from_weight)
    assert found == expected


def test_feed_forward_sizes_follow_minimind() -> None:
    sizes = {(c, h): parse_config("pretrain", {"data_path": "x", "architecture": c, "hidden_size": h}).feed_forward_size
             for c, h in (("v3", 768), ("v2", 512), ("v2", 768), ("v2", 640))}  # fmt: skip
    assert sizes == {("v3", 768): 2432, ("v2", 512): 1408, ("v2", 768): 2048, ("v2", 640): 1728}


@pytest.mark.parametrize("type_name", TRAINING_TYPES)
def test_every_field_has_a_help_and_a_group(type_name: str) -> None:
    for field in config_fields(TRAINING_TYPES[type_name]):
        assert field.help.endswith("."), field.name
        assert field.group in ("data", "model", "rollout", "rewards", "training", "runtime", "care", "output")


@pytest.mark.parametrize("type_name", TRAINING_TYPES)
def test_values_to_begin_with_are_valid_and_complete(type_name: str) -> None:
    starts = starts_of(type_name)
    for start in starts.values():
        config = parse_config(type_name, {"data_path": "x", **start.values})
        assert {name: config.model_dump(mode="json")[name] for name in start.values} == start.values
        assert set(start.values) == set(next(iter(starts.values())).values)
    if starts:
        assert parse_config(type_name, {"data_path": "x", **starts["minimind"].values}) == parse_config(
            type_name, {"data_path": "x"}
        )


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("type_name", TRAINING_TYPES)
def test_presets_validate_and_are_recognised(name: str, type_name: str) -> None:
    config = parse_config(type_name, {"data_path": "x", **PRESETS[name].values})
    assert matching_preset(config.model_dump()) == name
