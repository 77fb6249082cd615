"""What a checkpoint holds of a model, and how it comes back: all of its weights, in Hugging Face's layout."""

from pathlib import Path
from typing import Protocol

from safetensors.torch import load_file
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from trainer.errors import BaseModelError
from trainer.minimind_files import to_transformers
from trainer.models import save_folder
from trainer.names import Tag


class ModelFiles(Protocol):
    """The part of a checkpoint that a training type writes of its model."""

    def tags(self, model: PreTrainedModel) -> dict[Tag, str]:
        """What a registered version tells of it, beside what all versions tell."""
        ...

    def save(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
        """Write it into a checkpoint folder."""
        ...

    def load(self, model: PreTrainedModel, folder: Path) -> None:
        """Put what was written back into a model of the same settings, bit for bit.

        Raises:
            BaseModelError: it does not fit.
        """
        ...


class WholeModel:
    """All weights: the checkpoint can be used as a model by itself."""

    def tags(self, model: PreTrainedModel) -> dict[Tag, str]:  # noqa: ARG002 - part of the interface
        """Nothing more."""
        return {}

    def save(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
        """Write a Hugging Face folder."""
        save_folder(model, tokenizer, folder)

    def load(self, model: PreTrainedModel, folder: Path) -> None:
        """Read `model.safetensors` of a Hugging Face folder."""
        weights = load_file(folder / "model.safetensors")
        if getattr(model.config, "model_type", "") == "qwen3_moe":
            weights = to_transformers(weights)  # transformers writes a mixture of experts expert by expert
        result = model.load_state_dict(weights, strict=False)
        tied = set(model.all_tied_weights_keys)
        wrong = [name for name in result.missing_keys if name not in tied] + list(result.unexpected_keys)
        if wrong:
            raise BaseModelError(f"Checkpoint {folder} does not fit the model: {', '.join(wrong[:5])}.")
