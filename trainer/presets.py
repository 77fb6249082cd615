"""Named model sizes: starting values for the model fields, to be changed at will.

Sizes of the MiniMind family as in contract section 1. A preset is no setting of its own: it fills in the fields of
group `model`, and what a person sets beside it wins.
"""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Preset:
    """A named model size."""

    name: str
    parameters: str
    """Rounded count, for people."""
    values: dict[str, Any]


def _sizes(architecture: str, hidden: int, layers: int, kv_heads: int, moe: bool = False) -> dict[str, Any]:
    return {
        "architecture": architecture,
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": 8,
        "num_key_value_heads": kv_heads,
        "intermediate_size": 0,
        "use_moe": moe,
    }


PRESETS: dict[str, Preset] = {
    p.name: p
    for p in (
        Preset("tiny", "1.3M", _sizes("v3", 128, 2, 4)),
        Preset("minimind-3", "64M", _sizes("v3", 768, 8, 4)),
        Preset("minimind-3-moe", "198M", _sizes("v3", 768, 8, 4, moe=True)),
        Preset("minimind2-small", "26M", _sizes("v2", 512, 8, 2)),
        Preset("minimind2", "104M", _sizes("v2", 768, 16, 2)),
    )
}
DEFAULT_PRESET = "minimind-3"


def matching_preset(values: dict[str, Any]) -> str:
    """The name of the preset that these settings equal, or "" for free sizes."""
    for preset in PRESETS.values():
        if all(values.get(name) == value for name, value in preset.values.items()):
            return preset.name
    return ""
