"""Sizes that base weights tell without being loaded: from the `config.json` of a Hugging Face folder, or from the file
that we write beside each MiniMind weight. Light: no torch.

    values = base_sizes(Path("out/ab12/checkpoints/step_000100")) | typed_values
"""

import json
from pathlib import Path
from typing import Any

from trainer.errors import Problem
from trainer.rope import is_yarn

ADAPTER_CONFIG = "adapter_config.json"
"""The file that tells a folder of adapters (PEFT's layout) from one of whole weights."""
_ARCHITECTURES = {"qwen3": "v3", "qwen3_moe": "v3", "llama": "v2"}
_NAMES = ("hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "intermediate_size")


def base_sizes(base: Path) -> dict[str, Any]:
    """Model fields of base weights, by the names of our config; empty where they do not tell.

    Args:
        base: a Hugging Face folder, or a MiniMind `.pth` file with our description beside it.
    """
    if base.is_dir():
        return _of_folder(_read(base / "config.json"))
    return _read(sidecar(base)).get("sizes", {})


def size_problems(values: dict[str, Any], base: Path) -> list[Problem]:
    """Settings that contradict the base weights, each at its field."""
    problems = []
    for name, has in base_sizes(base).items():
        wants = values.get(name, has)
        free = name == "inference_rope_scaling" or (name == "intermediate_size" and wants == 0)
        if wants != has and not free:
            text = (
                f"{wants} contradicts the base weights {base}, which have {has}. Leave it out, or choose another base."
            )
            problems.append(Problem(name, "base_size", text, {"value": wants, "has": has, "base": str(base)}))
    return problems


def sidecar(weight: Path) -> Path:
    """The description beside a MiniMind weight file: `out/pretrain_768.json`."""
    return weight.with_suffix(".json")


def tokenizer_of(weight: Path) -> str:
    """Hash of the tokenizer that a MiniMind weight file was trained with; "" if nobody has noted it."""
    return _read(sidecar(weight)).get("tokenizer", "")


def is_adapter(base: Path) -> bool:
    """Whether base weights are adapters, which are nothing without the base that they were trained on."""
    if base.is_dir():
        return (base / ADAPTER_CONFIG).is_file()
    return "adapter_of" in _read(sidecar(base))


def adapter_record(weight: Path) -> dict[str, Any]:
    """What the description beside a MiniMind LoRA file notes of its base; empty if there is none."""
    return _read(sidecar(weight)).get("adapter_of", {})


def _of_folder(config: dict[str, Any]) -> dict[str, Any]:
    sizes = {name: config[name] for name in _NAMES if isinstance(config.get(name), int)}
    model_type = config.get("model_type", "")
    if model_type in _ARCHITECTURES:
        sizes["architecture"] = _ARCHITECTURES[model_type]
        sizes["use_moe"] = model_type == "qwen3_moe"
        if is_yarn(config):
            sizes["inference_rope_scaling"] = True
    if model_type == "qwen3_moe":
        sizes["num_experts"] = config.get("num_local_experts", config.get("num_experts"))
        sizes["num_experts_per_tok"] = config["num_experts_per_tok"]
        sizes["intermediate_size"] = config["moe_intermediate_size"]
    return sizes


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
