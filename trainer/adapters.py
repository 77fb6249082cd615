"""Low-rank adapters (LoRA, arXiv:2106.09685) by PEFT: into a model, into checkpoints, and merged into the weights.

add_adapters(model, config)                 # only the adapters are trained from here on
Loop(..., files=AdapterFiles(config, record))
model = merge_adapters(model, folder)       # W + scale · B · A
"""

import json
import warnings
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model_state_dict, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.pytorch_utils import Conv1D

from trainer.adapter_bases import ADAPTER_WEIGHTS, BaseRecord, record_difference, write_record
from trainer.base_sizes import ADAPTER_CONFIG
from trainer.configs import LoRAConfig
from trainer.errors import BaseModelError, SettingsError
from trainer.models import trainable_count
from trainer.names import Tag

NAME = "default"
"""PEFT's name of the only adapter of a model; it is not part of the stored keys."""
_PREFIX = "base_model.model."
_DEVIATION = 0.02
"""Of the first A, as in MiniMind; B is 0, so that training begins with the base's own answers (contract section 2)."""

State = dict[str, torch.Tensor]


def linear_layers(model: PreTrainedModel) -> dict[str, torch.nn.Module]:
    """Layers that can have an adapter, by name: all linear ones but the output layer."""
    output = model.get_output_embeddings()
    found = (torch.nn.Linear, Conv1D)
    return {name: m for name, m in model.named_modules() if isinstance(m, found) and m is not output}


def square_layers(model: PreTrainedModel) -> dict[str, int]:
    """The layers that MiniMind puts adapters beside, by its own names, and their size (contract section 2)."""
    plain = {name: m for name, m in linear_layers(model).items() if isinstance(m, torch.nn.Linear)}
    return {name: m.in_features for name, m in plain.items() if m.in_features == m.out_features}


def target_modules(model: PreTrainedModel, config: LoRAConfig) -> list[str]:
    """The ends of the names of the layers that the settings choose.

    Raises:
        SettingsError: names that no linear layer has; the message lists those that there are.
    """
    layers = linear_layers(model)
    problem = config.unknown_targets(layers)
    if problem:
        raise SettingsError([problem])
    return config.lora_targets or sorted({name.rpartition(".")[2] for name in layers})


def add_adapters(model: PreTrainedModel, config: LoRAConfig) -> None:
    """Put adapters beside the chosen layers, drawn by the seed; every other weight is frozen. The model stays an object
    of its own class, so that attention backends, compilation and generation go on as without adapters.

    Raises:
        SettingsError: see `target_modules`.
    """
    inject_adapter_in_model(peft_config(config, target_modules(model, config)), model, NAME)
    torch.manual_seed(config.seed)  # of the adapters, and of their dropout after it
    with torch.no_grad():
        for layer in lora_layers(model).values():
            layer.lora_A[NAME].weight.normal_(std=_DEVIATION)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(".lora_" in name)


def peft_config(config: LoRAConfig, targets: list[str]) -> LoraConfig:
    """The settings as PEFT has them."""
    alpha = config.lora_alpha or config.lora_rank
    return LoraConfig(
        r=config.lora_rank,
        lora_alpha=int(alpha) if alpha == int(alpha) else alpha,  # type: ignore[arg-type]
        lora_dropout=config.lora_dropout,
        target_modules=targets,
        task_type="CAUSAL_LM",
    )


def lora_layers(model: torch.nn.Module) -> dict[str, Any]:
    """The layers with an adapter, by the names that they have in the model without adapters."""
    return {name: module for name, module in model.named_modules() if isinstance(module, LoraLayer)}


def adapter_state(model: torch.nn.Module) -> State:
    """The adapters under PEFT's keys, on the CPU."""
    return {
        _PREFIX + name.replace(f".{NAME}.weight", ".weight"): parameter.detach().cpu().contiguous()
        for name, parameter in model.named_parameters()
        if ".lora_" in name
    }


class AdapterFiles:
    """A checkpoint that holds adapters only, in PEFT's layout, with the base's `config.json` and a note on which base
    it was. `PeftModel.from_pretrained(base, folder)` loads it."""

    def __init__(self, config: LoRAConfig, record: BaseRecord) -> None:
        self._config, self._record = config, record

    def tags(self, model: PreTrainedModel) -> dict[Tag, str]:
        """What a registered version tells of them."""
        count, rank = str(trainable_count(model)), str(self._config.lora_rank)
        return {Tag.TRAINABLE: count, Tag.LORA_RANK: rank, Tag.BASE_SHA256: self._record.sha256}

    def save(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
        """Write adapters, their settings, tokenizer, and the base's sizes and fingerprint."""
        folder.mkdir(parents=True, exist_ok=True)
        save_file(adapter_state(model), folder / ADAPTER_WEIGHTS, metadata={"format": "pt"})
        about = peft_config(self._config, self._targets(model))
        about.base_model_name_or_path = self._record.path
        about.inference_mode = True
        about.save_pretrained(str(folder))
        model.config.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        write_record(self._record, folder)

    def _targets(self, model: PreTrainedModel) -> list[str]:
        return self._config.lora_targets or sorted({name.rpartition(".")[2] for name in lora_layers(model)})

    def load(self, model: PreTrainedModel, folder: Path) -> None:
        """Put the adapters of a checkpoint into a model that has such adapters."""
        different = record_difference(folder, self._record)
        if different:
            raise BaseModelError(different, "Put the old base back, or start a new task.")
        state = read_adapters(folder)
        own = {name: p for name, p in model.named_parameters() if ".lora_" in name}
        keys = {name: _PREFIX + name.replace(f".{NAME}.weight", ".weight") for name in own}
        if set(keys.values()) != state.keys() or any(own[n].shape != state[k].shape for n, k in keys.items()):
            raise BaseModelError(
                f"The adapters in {folder} are of another rank or in other layers than the settings say.",
                "Resume with the same lora_rank and lora_target_modules.",
            )
        with torch.no_grad():
            for name, parameter in own.items():
                parameter.copy_(state[keys[name]])


def read_adapters(folder: Path) -> State:
    """The tensors of an adapter folder.

    Raises:
        BaseModelError: it has none, or they cannot be read.
    """
    try:
        return load_file(folder / ADAPTER_WEIGHTS)
    except (OSError, SafetensorError) as error:
        raise BaseModelError(f"{folder / ADAPTER_WEIGHTS} cannot be read: {str(error).splitlines()[0][:200]}") from None


def merge_adapters(model: PreTrainedModel, folder: Path) -> PreTrainedModel:
    """A model with the adapters of a PEFT folder added to its weights, in float32.

    Raises:
        BaseModelError: they do not fit this model.
    """
    try:
        about = json.loads((folder / ADAPTER_CONFIG).read_text(encoding="utf-8"))
        if about.get("peft_type") != "LORA":
            raise BaseModelError(f"{folder} holds adapters of type {about.get('peft_type')}; only LoRA can be merged.")
        stored = {key for key in read_adapters(folder) if ".lora_" in key}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # PEFT's use of transformers is none of ours
            warnings.filterwarnings("ignore", "Found missing adapter keys")  # told as an error below
            both = PeftModel.from_pretrained(model, str(folder), local_files_only=True)
        wrong = stored ^ {
            key for key in get_peft_model_state_dict(both, save_embedding_layers=False) if ".lora_" in key
        }
        if wrong:
            raise ValueError(f"{min(wrong)} has no counterpart ({len(wrong)} such tensors).")
        merged: Any = both.merge_and_unload(safe_merge=True)  # type: ignore[operator]
        return merged.requires_grad_(True)  # PEFT has frozen what is now a model like any other
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
        raise BaseModelError(
            f"The adapters in {folder} do not fit this model: {reason}", "Name the base they belong to."
        ) from error
