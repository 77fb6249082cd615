"""Keys and values of the sequences that are being written, in one allocation that no step changes.

All sequences end at the same slot: slots in front of a short prompt are empty and hidden.
"""

import torch

from trainer.decoder_weights import DecoderWeights


class KVCache:
    """Room for the keys and values of every layer. It is kept between batches, and replaced where it is too small."""

    def __init__(self, weights: DecoderWeights) -> None:
        self._weights = weights
        self.room = torch.empty((0,) * 6)
        """[layers, 2, rows, key-value heads, slots, head size]; what a batch uses is its beginning."""
        self._layers: list[torch.Tensor] = []
        self.starts = torch.empty(0)
        """Slot of the first token of each sequence [rows]."""
        self.filled = 0
        """Slots that are in use; the next token goes there."""
        self._bias: torch.Tensor | None = None

    def begin(self, lengths: list[int], rows: int, more: int) -> None:
        """Make room for `rows` sequences, prompts of these lengths among them, and `more` tokens each."""
        weights, longest = self._weights, max(lengths)
        slots = longest + more
        if self.room.shape[2] < rows or self.room.shape[4] < slots:
            rows, slots = max(rows, self.room.shape[2]), max(-(-slots // 64) * 64, self.room.shape[4])
            size = (len(weights.layers), 2, rows, weights.kv_heads, slots, weights.head_size)
            self.room = torch.empty(0)  # frees the old one first
            # Zeros, because what is hidden weighs nothing, and nothing times NaN is NaN
            self.room = torch.zeros(size, dtype=weights.dtype, device=weights.device)
        self._layers = list(self.room[:, :, : len(lengths)])
        self.starts = longest - torch.tensor(lengths, device=weights.device)
        self.filled = longest
        self._bias = None
        if min(lengths) < longest:
            empty = torch.arange(longest + more, device=weights.device) < self.starts[:, None]
            bias = torch.zeros(empty.shape, dtype=weights.dtype, device=weights.device)
            self._bias = bias.masked_fill_(empty, -torch.inf)[:, None, None]

    def fill(
        self, layer: int, rows: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, which: torch.Tensor
    ) -> None:
        """Store prompts [prompts, key-value heads, length, head size] that end where all do: prompt `which[i]` in row
        `rows[i]`."""
        length = keys.shape[2]
        for kept, new in zip(self._layers[layer], (keys, values), strict=True):
            kept[rows, :, self.filled - length : self.filled] = new[which]

    def append(self, layer: int, keys: torch.Tensor, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Store one token [rows, key-value heads, head size] of each sequence. `filled` is to be raised after the last
        layer.

        Returns:
            All keys and values so far, each [rows, key-value heads, slots, head size].
        """
        kept_keys, kept_values = self._layers[layer]
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
        for layer, kept in enumerate(self._layers):
            kept[:, : len(rows), :, : self.filled] = kept[:, rows, :, : self.filled]
            self._layers[layer] = kept[:, : len(rows)]
        self.starts = self.starts[rows]
        if self._bias is not None:
            self._bias = self._bias[rows]
