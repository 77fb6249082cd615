"""Reward models: what a frozen sequence classification model thinks of an answer.

model = RewardModel(Path("dataset/reward-model"), torch.device("cuda"), "bfloat16")
scores, causes = model.score(conversations)
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jinja2 import TemplateError

from trainer.chat import render
from trainer.devices import autocast
from trainer.errors import RewardError, TrainerError
from trainer.tokenization import encode, load_tokenizer

LIMIT = 3.0
"""Scores are clipped to ± this, as in MiniMind (contract section 5)."""
TOKENS_A_BATCH = 16_384
"""Padding counted."""
NEEDED = "A reward model is a folder in Hugging Face format of a sequence classification model with one output."


class RewardModel:
    """A reward model with its own tokenizer, in evaluation mode and without gradients.

    Raises:
        RewardError: the folder holds no such model.
    """

    def __init__(self, folder: Path, device: torch.device, dtype: str) -> None:
        self._device, self._dtype = device, dtype
        self._model = _load(folder, device, dtype)
        try:
            self._tokenizer = load_tokenizer(str(folder))
        except TrainerError as error:
            raise RewardError(error.message, NEEDED) from error
        if not self._tokenizer.chat_template:
            raise RewardError(f"The tokenizer of the reward model {folder} has no chat template.", NEEDED)
        config = self._model.config.get_text_config()
        if config.pad_token_id is None:  # it finds the last token of a row by what is not padding
            config.pad_token_id = self._tokenizer.pad_token_id
        self._pad: Any = config.pad_token_id
        self._longest: int = getattr(config, "max_position_embeddings", 0) or 1 << 30

    def score(self, conversations: Sequence[list[dict[str, Any]]]) -> tuple[np.ndarray, dict[int, str]]:
        """Scores of conversations that end with an answer.

        Returns:
            float64 [n] within ±3, NaN where a conversation cannot be judged; and the causes, by index.
        """
        texts, causes = self._texts(conversations)
        ids = encode(self._tokenizer, texts)
        for index, row in enumerate(ids):
            if len(row) > self._longest:
                causes[index] = f"its {len(row)} tokens are more than the {self._longest} that the reward model reads"
            elif not row and index not in causes:
                causes[index] = "the reward model's chat template makes no text of it"
        scores = np.full(len(ids), np.nan)
        todo = sorted((index for index in range(len(ids)) if index not in causes), key=lambda index: len(ids[index]))
        for batch in _batches([len(row) for row in ids], todo, alone=self._pad is None):
            scores[batch] = self._forward([ids[index] for index in batch])
        return np.clip(scores, -LIMIT, LIMIT), causes

    def _texts(self, conversations: Sequence[list[dict[str, Any]]]) -> tuple[list[str], dict[int, str]]:
        """Conversations as text, "" where the template refuses one; and why, by index."""
        texts, causes = [], {}
        for index, messages in enumerate(conversations):
            try:
                texts.append(render(self._tokenizer, messages))
            except (TemplateError, TypeError) as error:
                texts.append("")
                causes[index] = f"the reward model's chat template refuses it ({error})"
        return texts, causes

    @torch.inference_mode()
    def _forward(self, rows: list[list[int]]) -> np.ndarray:
        width = max(len(row) for row in rows)
        padded = torch.full((len(rows), width), self._pad or 0, dtype=torch.long)
        mask = torch.zeros_like(padded)
        for place, row in enumerate(rows):
            padded[place, : len(row)] = torch.tensor(row)
            mask[place, : len(row)] = 1
        with autocast(self._device, self._dtype):
            output = self._model(input_ids=padded.to(self._device), attention_mask=mask.to(self._device))
        return output.logits[:, 0].double().cpu().numpy()


def _batches(lengths: list[int], order: list[int], alone: bool) -> list[list[int]]:
    """Indices in groups of at most TOKENS_A_BATCH tokens, shorter rows first."""
    batches: list[list[int]] = []
    for index in order:
        if not alone and batches and lengths[index] * (len(batches[-1]) + 1) <= TOKENS_A_BATCH:
            batches[-1].append(index)
        else:
            batches.append([index])
    return batches


def _load(folder: Path, device: torch.device, dtype: str) -> Any:
    from transformers import AutoModelForSequenceClassification

    if not (folder / "config.json").is_file():
        raise RewardError(f"There is no reward model at {folder}: no config.json is there.", NEEDED)
    try:
        told = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        half = device.type == "cuda" and dtype != "float32"
        model, info = AutoModelForSequenceClassification.from_pretrained(
            folder,
            dtype=getattr(torch, dtype) if half else torch.float32,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
        raise RewardError(f"The reward model {folder} cannot be loaded: {reason}", NEEDED) from error
    if info["missing_keys"]:
        kinds = ", ".join(told.get("architectures") or ["an unknown model"])
        raise RewardError(
            f"{folder} is no reward model: it holds {kinds}, without {', '.join(sorted(info['missing_keys'])[:3])}.",
            NEEDED,
        )
    if model.config.num_labels != 1:
        raise RewardError(f"The reward model {folder} has {model.config.num_labels} outputs, not one.", NEEDED)
    return model.eval().requires_grad_(False).to(device)
