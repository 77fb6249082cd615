"""Pairs of answers as the tensors of one forward pass: all chosen answers, then all rejected ones, as in MiniMind."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from trainer.batches import Batch, make_batch

if TYPE_CHECKING:
    from trainer.pair_rows import PairRows


@dataclass(frozen=True)
class _Answers:
    """Both answers of pairs as rows of their own: row 2 · pair + side."""

    rows: "PairRows"
    weigh = None

    def get(self, index: int, epoch: int | None) -> tuple[np.ndarray, np.ndarray]:  # noqa: ARG002
        return self.rows.answer(index // 2, index % 2)


def make_pair_batch(rows: "PairRows", indices: np.ndarray, packed: bool, pad_id: int) -> Batch:
    """Put pairs together.

    Args:
        rows: the data.
        indices: which pairs.
        packed: one sequence behind the other without padding, or padded on the right.
        pad_id: token to pad with.

    Returns:
        A batch of 2 · pairs sequences that counts pairs. Its extras are `answer_of` [targets], which sequence each
        target belongs to; `labels` [2 · pairs] float32, labelled tokens of each sequence; and `reference` [2 · pairs]
        float32, what the reference gives to them together (0 where that is not worked out yet).
    """
    sequences = np.concatenate([2 * indices, 2 * indices + 1])
    batch = make_batch(_Answers(rows), sequences, None, packed, pad_id)  # type: ignore[arg-type]
    if packed:
        answer_of = torch.bucketize(batch.predict_at, batch.bounds[1:].long(), right=True)
    else:
        answer_of = batch.predict_at // batch.input_ids.shape[1]
    reference = np.zeros((len(indices), 2), np.float32) if rows.reference is None else rows.reference[indices]
    extras = {
        "answer_of": answer_of,
        "labels": torch.bincount(answer_of, minlength=len(sequences)).float(),
        "reference": torch.from_numpy(reference.T.reshape(-1).copy()),
    }
    return replace(batch, count=len(indices), extras=extras)
