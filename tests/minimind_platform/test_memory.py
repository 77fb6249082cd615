"""The estimate of memory against what the benchmark measured on an H100 (docs/performance.md), and what changes it."""

import pytest

from minimind_platform.memory import Beside, memory_bytes
from trainer.configs import parse_config
from trainer.presets import PRESETS
from trainer.sizes import parameters, sizes_of_config

GIB = 1 << 30


def needed(type_name="pretrain", preset="minimind-3", tokens=10_000, beside=None, **values):
    values = {"data_path": "x", "device": "cuda", "from_weight": "models:/a/1"} | PRESETS[preset].values | values
    config = parse_config(type_name, values)
    return memory_bytes(config, sizes_of_config(config), tokens, beside or Beside())


@pytest.mark.parametrize(
    ("preset", "compiled", "tokens", "measured"),
    [
        ("minimind-3", False, 32 * 340, 6.3),
        ("minimind-3", True, 256 * 221, 15.4),
        ("minimind-3", False, 32 * 768, 12.7),
        ("minimind-3", True, 256 * 261, 18.6),
        ("minimind-3-moe", False, 32 * 340, 9.0),
        ("minimind-3-moe", True, 256 * 221, 19.3),
        ("minimind-3-moe", False, 32 * 768, 15.9),
        ("minimind-3-moe", True, 256 * 261, 22.8),
    ],
)
def test_the_estimate_is_near_to_what_was_measured(preset, compiled, tokens, measured):
    assert needed(preset=preset, tokens=tokens, compile=compiled) / GIB == pytest.approx(measured, rel=0.11)


def test_what_takes_less_memory_is_told_to_take_less():
    whole = needed("sft")
    config = parse_config("sft", {"data_path": "x"} | PRESETS["minimind-3"].values)
    count = parameters(sizes_of_config(config))
    assert needed("sft", gradient_checkpointing=True) < whole / 2
    assert needed("sft", dtype="float32") > whole
    assert whole - needed("lora") == pytest.approx(12 * count, rel=0.05)
    assert needed("sft", tokens=0) == 18 * count


def test_other_models_and_answers_count():
    sizes = sizes_of_config(parse_config("sft", {"data_path": "x"} | PRESETS["tiny"].values))
    alone = needed("sft")
    assert needed("sft", beside=Beside(teacher=sizes)) > alone + 6 * parameters(sizes)
    few, many = (needed("grpo", tokens=100, beside=Beside(answers=n, answer_tokens=1000)) for n in (1, 1000))
    assert many - few > 10 * GIB
    assert needed("ppo") - needed("grpo") == needed("sft", tokens=0)
