"""What the kernels of decoding read and write beside weights, keys and values."""

import numpy as np
import torch

from trainer.decoder_weights import DecoderWeights
from trainer.sampling import Sampling


class DecodingState:
    """What the kernels read and write beside weights, keys and values; it stays where it is, as graphs need."""

    def __init__(self, weights: DecoderWeights, rows: int, limit: int) -> None:
        self.rows, self.limit = rows, limit
        device, half = weights.device, weights.dtype
        attention = (weights.heads + 2 * weights.kv_heads, weights.heads)
        down = weights.layers[0].down
        inner = down.shape[-1] * (len(down) if down.ndim == 3 else 1)
        self.x = torch.zeros((rows, weights.embedding.shape[1]), device=device)
        self.qkv, self.mixed = (
            torch.zeros((rows, n * weights.head_size), dtype=half, device=device) for n in attention
        )
        self.inner = torch.zeros((rows, inner), dtype=half, device=device)
        self.weighed = torch.zeros(self.x.shape, dtype=half, device=device)
        """The residual times the weight of the norm that comes next, and sums of its squares."""
        self.squares = torch.zeros(self.x.shape, device=device)
        self.logits = torch.zeros((rows, len(weights.head)), device=device)
        self.next_ids = torch.zeros(rows, dtype=torch.int64, device=device)
        self.done = torch.zeros(rows, dtype=torch.int32, device=device)
        self.starts = torch.zeros(rows, dtype=torch.int32, device=device)
        self.which = torch.zeros(rows, dtype=torch.int32, device=device)
        """Row of the batch as it began; rows that stand for none share the last."""
        self.clock = torch.zeros(2, dtype=torch.int32, device=device)
        """Slot of the token that is read, and place of the token that is drawn."""
        self.settings = torch.zeros(3, device=device)
        self.noise = torch.zeros((rows + 1, limit), dtype=torch.float64, device=device)
        self.ids = torch.zeros((rows + 1, limit), dtype=torch.int64, device=device)
        self.logps = torch.zeros((rows + 1, limit), device=device)

    def begin(
        self, logits: torch.Tensor, starts: torch.Tensor, filled: int, noise: np.ndarray, sampling: Sampling
    ) -> None:
        """After prompts with these logits [prompts, vocabulary], which fill so many slots."""
        count, limit = noise.shape
        device = self.x.device
        self.logits[:count] = logits
        self.noise[:count, :limit] = torch.from_numpy(noise).to(device)
        self.done.zero_()
        self.which.fill_(self.rows)
        self.which[:count] = torch.arange(count, device=device)
        self.starts.fill_(2**30)  # rows that stand for none begin after everything: they read nothing
        self.starts[:count] = starts
        self.clock.copy_(torch.tensor([filled - 1, 0], device=device))
        self.settings.copy_(torch.tensor([sampling.temperature, sampling.top_k, sampling.top_p], device=device))

    def keep(self, kept: torch.Tensor, rows: int) -> None:
        """Go on with these rows only, in this order, of now `rows`."""
        count = len(kept)
        for tensor, void in ((self.next_ids, 0), (self.done, 0), (self.starts, 2**30), (self.which, self.rows)):
            tensor[:count] = tensor[kept]
            tensor[count:rows] = void
