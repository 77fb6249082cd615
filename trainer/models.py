"""Models, all of transformers' own classes: MiniMind v3 is Qwen3, its mixture of experts Qwen3-MoE, v2 is Llama.

model = new_model(model_config(config, 6400))
model = load_pth(Path("out/full_sft_768.pth"))
"""

import json
from pathlib import Path
from typing import Any

import torch
from transformers import LlamaConfig, PreTrainedModel, PreTrainedTokenizerBase, Qwen3Config, Qwen3MoeConfig
from transformers.utils import logging as transformers_logging

from trainer.configs import MAX_POSITIONS, TrainConfig
from trainer.errors import BaseModelError
from trainer.lora_files import is_lora
from trainer.minimind_files import Sizes, State, infer_sizes, read_pth, to_transformers
from trainer.rope import ROPE_THETA, is_yarn, rope_parameters

transformers_logging.disable_progress_bar()  # a bar has no place in a log file

ROUTER_AUX_LOSS_COEF = 5e-4
"""Weight of the load-balancing loss of v3's mixture of experts (contract section 1)."""


def model_config(config: TrainConfig, vocab_size: int, tokenizer: PreTrainedTokenizerBase | None = None) -> Any:
    """The transformers config of a MiniMind model of these sizes (contract section 1)."""
    sizes = Sizes(
        architecture=config.architecture,
        vocab_size=vocab_size,
        hidden_size=config.hidden_size,
        num_hidden_layers=config.num_hidden_layers,
        num_attention_heads=config.num_attention_heads,
        num_key_value_heads=config.num_key_value_heads,
        head_dim=config.head_dim,
        intermediate_size=config.feed_forward_size,
        num_experts=config.num_experts if config.use_moe else 0,
    )
    return _config_of(sizes, config.num_experts_per_tok, tokenizer, config.inference_rope_scaling)


def _config_of(
    sizes: Sizes, experts_per_token: int, tokenizer: PreTrainedTokenizerBase | None, yarn: bool = False
) -> Any:
    common: dict[str, Any] = {
        "vocab_size": sizes.vocab_size,
        "hidden_size": sizes.hidden_size,
        "num_hidden_layers": sizes.num_hidden_layers,
        "num_attention_heads": sizes.num_attention_heads,
        "num_key_value_heads": sizes.num_key_value_heads,
        "head_dim": sizes.head_dim,
        "intermediate_size": sizes.intermediate_size,
        "max_position_embeddings": MAX_POSITIONS,
        "rope_parameters": rope_parameters(yarn),
        "tie_word_embeddings": True,
        "attention_bias": False,
        "bos_token_id": tokenizer.bos_token_id if tokenizer else 1,
        "eos_token_id": tokenizer.eos_token_id if tokenizer else 2,
        "pad_token_id": tokenizer.pad_token_id if tokenizer else 0,
    }
    if sizes.architecture == "v2":
        return LlamaConfig(**common, rms_norm_eps=1e-5, mlp_bias=False)
    if sizes.num_experts:
        return Qwen3MoeConfig(
            **common,
            rms_norm_eps=1e-6,
            num_experts=sizes.num_experts,
            num_experts_per_tok=experts_per_token,
            moe_intermediate_size=sizes.intermediate_size,
            norm_topk_prob=True,
            router_aux_loss_coef=ROUTER_AUX_LOSS_COEF,
        )
    return Qwen3Config(**common, rms_norm_eps=1e-6)


def load_folder(path: Path, yarn: bool | None = None) -> PreTrainedModel:
    """A causal language model from a Hugging Face folder, in float32. Never runs code from the folder.

    Args:
        path: the folder.
        yarn: with or without MiniMind's YaRN; None: as the folder says.

    Raises:
        BaseModelError: it cannot be loaded, or YaRN is wanted of another kind of model.
    """
    from transformers import AutoConfig, AutoModelForCausalLM

    safe: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        config = AutoConfig.from_pretrained(path, **safe)
        if yarn is not None:
            _set_yarn(config, yarn, path)
        return AutoModelForCausalLM.from_pretrained(path, config=config, dtype=torch.float32, **safe)
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
        raise BaseModelError(f"{path} cannot be loaded as a causal language model: {reason}") from error


def _set_yarn(config: Any, yarn: bool, path: Path) -> None:
    if is_yarn(config.to_dict()) == yarn:
        return
    if not is_minimind(config):
        raise BaseModelError(
            f"inference_rope_scaling is made for MiniMind models, and {path} is none ({config.model_type}).",
            "Set it to false.",
        )
    config.rope_parameters = rope_parameters(yarn)


def load_pth(
    path: Path,
    heads: int = 8,
    experts_per_token: int = 1,
    yarn: bool = False,
    tokenizer: PreTrainedTokenizerBase | None = None,
) -> PreTrainedModel:
    """A model from a MiniMind weight file; the sizes come from its shapes, `heads` only matters for v2.

    Raises:
        BaseModelError: it cannot be read, or holds adapters, which are no model by themselves.
    """
    return model_of(read_pth(path), path, heads, experts_per_token, yarn, tokenizer)


def model_of(
    state: State,
    path: Path,
    heads: int,
    experts_per_token: int,
    yarn: bool,
    tokenizer: PreTrainedTokenizerBase | None,
) -> PreTrainedModel:
    """As `load_pth`, of a file that is read already; `path` is for messages."""
    if is_lora(state):
        raise BaseModelError(
            f"{path} is a MiniMind LoRA file, which is nothing without its base.",
            f"Merge it into that first: minimind merge --base BASE --lora {path} --out FOLDER.",
        )
    sizes = infer_sizes(state, heads)
    model = new_model(_config_of(sizes, experts_per_token, tokenizer, yarn))
    _load_state(model, to_transformers(state), path)
    return model


def new_model(config: Any) -> PreTrainedModel:
    """A model with random weights, in float32."""
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_config(config, dtype=torch.float32)


def _load_state(model: PreTrainedModel, state: State, path: Path) -> None:
    embedding, head = state["model.embed_tokens.weight"], state.pop("lm_head.weight", None)
    if head is not None and not torch.equal(embedding, head):
        raise BaseModelError(f"{path} has an output layer of its own; MiniMind ties it to the embedding.")
    try:
        result = model.load_state_dict(state, strict=False)
    except RuntimeError as error:
        raise BaseModelError(f"{path} does not fit the model: {str(error).splitlines()[-1].strip()}") from None
    missing = [name for name in result.missing_keys if name != "lm_head.weight"]
    if missing or result.unexpected_keys:
        names = ", ".join([*missing, *result.unexpected_keys][:5])
        raise BaseModelError(f"{path} does not fit the model; missing or unknown: {names}.")
    model.tie_weights()


def is_minimind(config: Any) -> bool:
    """Whether a model can be written as a MiniMind file, from which only sizes are read back: all else must be as
    MiniMind has it (contract section 1)."""
    epsilon = {"qwen3": 1e-6, "qwen3_moe": 1e-6, "llama": 1e-5}.get(config.model_type)
    rope = getattr(config, "rope_parameters", None) or {}
    return (
        epsilon is not None
        and config.rms_norm_eps == epsilon
        and rope.get("rope_theta") == ROPE_THETA
        and (rope.get("rope_type", "default") == "default" or is_yarn({"rope_parameters": rope}))
        and bool(config.tie_word_embeddings)
        and not config.attention_bias
        and not getattr(config, "mlp_bias", False)
    )


def parameter_count(model: torch.nn.Module) -> int:
    """Number of weights; tied ones count once."""
    return sum(p.numel() for p in {id(p): p for p in model.parameters()}.values())


def trainable_count(model: torch.nn.Module) -> int:
    """Number of the weights that training changes."""
    return sum(p.numel() for p in {id(p): p for p in model.parameters() if p.requires_grad}.values())


def save_folder(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Write a Hugging Face folder that transformers loads as it is, older versions included.

    `rope_theta` and `rope_scaling` are written beside `rope_parameters`: transformers before 5 only reads the former
    two and would take 10,000 and no scaling in silence. The generation config gets the end of the assistant's turn, so
    that generation stops by itself.
    """
    model.save_pretrained(folder, safe_serialization=True, max_shard_size="100GB")
    tokenizer.save_pretrained(folder)
    _amend(folder / "config.json", _older_keys(model.config.to_dict()))
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    _amend(folder / "generation_config.json", ends)


def _older_keys(config: dict[str, Any]) -> dict[str, Any]:
    added: dict[str, Any] = {}
    rope = config.get("rope_parameters") or {}
    if isinstance(rope, dict) and "rope_theta" in rope:
        added["rope_theta"] = rope["rope_theta"]
        if rope.get("rope_type", "default") != "default":
            added["rope_scaling"] = {name: value for name, value in rope.items() if name != "rope_theta"}
    if "num_local_experts" in config and config.get("model_type") == "qwen3_moe":
        added["num_experts"] = config["num_local_experts"]
    return added


def _amend(path: Path, more: dict[str, Any]) -> None:
    content = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    content |= more
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
