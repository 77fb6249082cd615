"""The arithmetic of model sizes, against counts that were taken from the real models."""

import pytest

from trainer.configs import parse_config
from trainer.presets import PRESETS
from trainer.sizes import (
    active_parameters,
    adapter_parameters,
    checkpoint_bytes,
    flops_per_token,
    parameters,
    sizes_of_config,
    sizes_of_folder,
)


def sizes(preset: str, **changes):
    return sizes_of_config(parse_config("pretrain", {"data_path": "x"} | PRESETS[preset].values | changes))


@pytest.mark.parametrize(
    ("preset", "millions"),
    [
        ("minimind-3", 63.912),
        ("minimind-3-moe", 198.417),
        ("minimind2-small", 25.830),
        ("minimind2", 104.031),
    ],
)
def test_presets_have_the_size_of_the_released_models(preset, millions):
    assert round(parameters(sizes(preset)) / 1e6, 3) == millions


def test_one_expert_a_token_is_as_active_as_the_dense_model():
    assert active_parameters(sizes("minimind-3-moe")) / 1e6 == pytest.approx(63.9, abs=0.1)
    assert active_parameters(sizes("minimind-3")) == parameters(sizes("minimind-3"))


def test_a_folder_with_the_same_sizes_counts_the_same():
    folder = {
        "model_type": "qwen3",
        "hidden_size": 768,
        "num_hidden_layers": 8,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "head_dim": 96,
        "intermediate_size": 2432,
        "vocab_size": 6400,
        "tie_word_embeddings": True,
    }
    assert sizes_of_folder(folder) == sizes("minimind-3")


def test_a_mixture_is_read_from_its_own_field():
    folder = {"hidden_size": 64, "num_hidden_layers": 1, "num_attention_heads": 4, "vocab_size": 100, "num_experts": 8}
    read = sizes_of_folder(folder | {"moe_intermediate_size": 32, "num_experts_per_tok": 2, "model_type": "qwen3_moe"})
    assert (read.experts, read.experts_per_token, read.intermediate_size) == (8, 2, 32)
    assert parameters(read) - active_parameters(read) == 6 * 3 * 64 * 32


def test_a_folder_of_another_kind_is_refused():
    with pytest.raises(KeyError):
        sizes_of_folder({"model_type": "bert"})


def test_longer_rows_cost_more_a_token():
    small = sizes("tiny")
    assert flops_per_token(small, 8) >= 6 * parameters(small)
    assert flops_per_token(small, 2048) > flops_per_token(small, 128)


def test_a_checkpoint_holds_weights_and_both_moments():
    assert checkpoint_bytes(64_000_000) == pytest.approx(768e6, rel=0.01)


@pytest.mark.parametrize("preset", ["minimind-3", "minimind-3-moe", "minimind2"])
@pytest.mark.parametrize("targets", [["q_proj", "o_proj"], ["v_proj"], []])
def test_adapters_are_counted_as_peft_makes_them(preset, targets):
    import torch
    from transformers import AutoModelForCausalLM

    from trainer.adapters import add_adapters
    from trainer.models import model_config, trainable_count

    names = ",".join(targets) or "all-linear"
    small = {"hidden_size": 64, "num_hidden_layers": 2, "lora_rank": 3, "lora_target_modules": names, "data_path": "x"}
    config = parse_config("lora", PRESETS[preset].values | small)
    with torch.device("cpu"):
        model = AutoModelForCausalLM.from_config(model_config(config, 6400))
    add_adapters(model, config)
    assert adapter_parameters(sizes_of_config(config), 3, config.lora_targets) == trainable_count(model)
