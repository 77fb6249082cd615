"""What tests of checks have in common: the problems of settings, and models that are files only."""

import json

from minimind_platform.preflight import SHIPPED_TOKENIZER
from trainer.presets import PRESETS

TINY = PRESETS["tiny"].values
ROWS = 300
CLOSED_PORT = 1
SHIPPED = SHIPPED_TOKENIZER.parent


def problems(platform, type_name, values):
    return {problem.field: problem for problem in platform.check(type_name, values).problems}


def write_model(folder, **sizes):
    folder.mkdir(parents=True)
    config = {"model_type": "qwen3", "vocab_size": 6400, "intermediate_size": 2432, "tie_word_embeddings": True}
    heads = {"num_attention_heads": 8, "num_key_value_heads": 4, "num_hidden_layers": 8}
    (folder / "config.json").write_text(json.dumps(config | heads | sizes))
