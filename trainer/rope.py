"""Rotary positions of MiniMind: plain ones, and its YaRN for longer texts. Light: no torch.

config["rope_parameters"] = rope_parameters(yarn=True)
"""

from typing import Any

ROPE_THETA = 1_000_000.0
YARN: dict[str, Any] = {
    "rope_type": "yarn",
    "factor": 16.0,
    "original_max_position_embeddings": 2048,
    "beta_fast": 32.0,
    "beta_slow": 1.0,
    "attention_factor": 1.0,
}
"""MiniMind's `inference_rope_scaling` (contract section 1) in transformers' words (arXiv:2309.00071)."""


def rope_parameters(yarn: bool) -> dict[str, Any]:
    """transformers' `rope_parameters` of a MiniMind model."""
    return {"rope_theta": ROPE_THETA} | (YARN if yarn else {"rope_type": "default"})


def is_yarn(config: dict[str, Any]) -> bool:
    """Whether a model's `config.json`, of any version of transformers, has MiniMind's YaRN."""
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    return all(rope.get(name) == value for name, value in YARN.items())
