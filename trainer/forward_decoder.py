"""Writing texts with the forward pass of the model itself, for the models that `trainer.decoder` does not compute."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from transformers import DynamicCache, PreTrainedModel

from trainer.attention import PACKED
from trainer.devices import autocast


class ForwardDecoder:
    """Reads prompts and writes one token of each at a time, with transformers' cache."""

    def __init__(self, model: PreTrainedModel, pad_id: int, device: torch.device, dtype: str) -> None:
        self._model: Any = model
        self._pad_id = pad_id
        self._device, self._dtype = device, dtype
        self._cache: Any = None
        self._mask = torch.empty(0)

    def refresh(self) -> None:
        """Nothing to do: the model itself is asked."""

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Around a text: without dropout, and with attention that knows of pads; afterwards the model is as it was."""
        model = self._model
        training = [module for module in model.modules() if module.training]
        attention = model.config._attn_implementation
        try:
            for module in training:
                module.training = False
            if attention == PACKED:
                model.set_attn_implementation("sdpa")
            yield
        finally:
            for module in training:
                module.training = True
            if attention == PACKED:
                model.set_attn_implementation(attention)

    def begin(self, prompts: Sequence[np.ndarray], more: int) -> torch.Tensor:
        """Read prompts; the logits [prompts, vocabulary] of what follows."""
        length = max(map(len, prompts))
        ids = np.full((len(prompts), length), self._pad_id, dtype=np.int64)
        mask = np.zeros((len(prompts), length + more), dtype=np.int64)
        for row, prompt in enumerate(prompts):
            ids[row, length - len(prompt) :] = prompt
            mask[row, length - len(prompt) :] = 1
        self._mask = torch.from_numpy(mask).to(self._device)
        self._cache = DynamicCache(config=self._model.config)
        return self._forward(torch.from_numpy(ids).to(self._device))

    def step(self, ids: torch.Tensor) -> torch.Tensor:
        """Append one token [rows] to each sequence; the logits [rows, vocabulary] of what follows."""
        return self._forward(ids[:, None])

    def keep(self, rows: torch.Tensor) -> None:
        """Go on with these rows only, in this order."""
        self._cache.batch_select_indices(rows)
        self._mask = self._mask[rows]

    def _forward(self, ids: torch.Tensor) -> torch.Tensor:
        past = self._cache.get_seq_length()
        mask = self._mask[:, : past + ids.shape[1]]
        positions = (mask.cumsum(-1) - 1).clamp_min(0)[:, past:]
        with autocast(self._device, self._dtype):
            output = self._model(
                input_ids=ids,
                attention_mask=mask,
                position_ids=positions,
                past_key_values=self._cache,
                use_cache=True,
                logits_to_keep=1,
            )
        return output.logits[:, -1]
