"""Keys and values of the sequences that are being written, in one allocation that no step changes.

All sequences end at the same slot: slots in front of a short prompt are empty and hidden.
"""

import torch

from trainer.decoder_weights import DecoderWeights


class KVCache:
    """Room for the keys and values of every layer."""

    def __init__(self, weights: DecoderWeights, device: torch.device) -> None:
        self.device = device
        self._weights = weights
        self._room = torch.empty(0)
        self._store: list[torch.Tensor] = []
        """Of each layer [2, rows, key-value heads, slots, head size]."""
        self.starts = torch.empty(0)
        """Slot of the first token of each sequence [rows]."""
        self.filled = 0
        """Slots that are in use; the next token goes there."""
        self._bias: torch.Tensor | None = None

    def begin(self, lengths: torch.Tensor, longest: int, more: int) -> None:
        """Make room for prompts of these lengths [rows], of which the longest is given, and `more` tokens."""
        weights, rows = self._weights, len(lengths)
        size = (len(weights.layers), 2, rows, weights.kv_heads, longest + more, weights.head_size)
        # Zeros, because what is hidden weighs nothing, and nothing times NaN is NaN
        self._store = list(torch.zeros(size, dtype=weights.dtype, device=self.device))
        self.starts = (longest - lengths).to(self.device)
        self.filled = longest
        self._bias = None
        if int(lengths.min()) < longest:
            empty = torch.arange(longest + more, device=self.device) < self.starts[:, None]
            bias = torch.zeros(empty.shape, dtype=weights.dtype, device=self.device)
            self._bias = bias.masked_fill_(empty, -torch.inf)[:, None, None]

    def fill(
        self, layer: int, rows: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, which: torch.Tensor
    ) -> None:
        """Store prompts [prompts, key-value heads, length, head size] that end where all do: prompt `which[i]` in row
        `rows[i]`."""
        length = keys.shape[2]
        for kept, new in zip(self._store[layer], (keys, values), strict=True):
            kept[rows, :, self.filled - length : self.filled] = new[which]

    def append(self, layer: int, keys: torch.Tensor, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Store one token [rows, key-value heads, head size] of each sequence. `filled` is to be raised after the last
        layer.

        Returns:
            All keys and values so far, each [rows, key-value heads, slots, head size].
        """
        kept_keys, kept_values = self._store[layer]
        kept_keys[:, :, self.filled] = keys
        kept_values[:, :, self.filled] = values
        return kept_keys[:, :, : self.filled + 1], kept_values[:, :, : self.filled + 1]

    def positions(self) -> torch.Tensor:
        """Position [rows] in its own text that the next token of each sequence has."""
        return self.filled - self.starts

    def hidden_slots(self) -> torch.Tensor | None:
        """What is added to the scores of a step [rows, 1, 1, slots]; None where every slot is seen."""
        return None if self._bias is None else self._bias[..., : self.filled + 1]

    def keep(self, rows: torch.Tensor) -> None:
        """Go on with these rows only, in this order."""
        for layer, kept in enumerate(self._store):
            kept[:, : len(rows), :, : self.filled] = kept[:, rows, :, : self.filled]
            self._store[layer] = kept[:, : len(rows)]
        self.starts = self.starts[rows]
        if self._bias is not None:
            self._bias = self._bias[rows]
