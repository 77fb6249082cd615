"""Answers that the model wrote, and the batches in which it learns from them.

batch = answer_batch(answers, {"advantage": advantages}, packed=True, pad_id=0)
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from trainer.batches import IGNORE, Batch, make_batch
from trainer.prompts import Prompt
from trainer.rollouts import Completion


@dataclass
class Answer:
    """An answer, and how it was judged."""

    place: int
    """Its number in the step, the same whatever the number of processes."""
    prompt: Prompt
    completion: Completion
    text: str = ""
    scores: dict[str, float] | None = None
    """Of each reward, without weights."""
    reward: float = 0.0
    """Their weighted sum; NaN if a reward could not be computed."""
    problem: str = ""
    advantage: float = 0.0
    """Mean over its tokens."""

    def __len__(self) -> int:
        return len(self.completion.ids)


class _Rows:
    """Prompt and answer as a row whose answer is labelled, for `make_batch`."""

    weigh = None

    def __init__(self, answers: Sequence[Answer]) -> None:
        self._answers = answers

    def get(self, index: int, _epoch: int | None) -> tuple[np.ndarray, np.ndarray]:
        answer = self._answers[index]
        before = np.full(len(answer.prompt.ids), IGNORE)
        ids = np.concatenate([answer.prompt.ids, answer.completion.ids])
        return ids, np.concatenate([before, answer.completion.ids])


def answer_batch(
    answers: Sequence[Answer],
    columns: Mapping[str, Sequence[np.ndarray]],
    packed: bool,
    pad_id: int,
) -> Batch:
    """The tensors of one forward pass over some answers. Its targets are their tokens; it counts answers.

    Args:
        answers: one at least.
        columns: more numbers for each token, an array an answer; they become extras in float32.
        packed: as for `make_batch`.
        pad_id: as for `make_batch`.

    Returns:
        A batch with the extras `answer` [tokens] which answer a token belongs to, `share` [tokens] 1 / length of that
        answer, `behaviour` [tokens] the log-probabilities that they were drawn with, and the columns.
    """
    batch = make_batch(_Rows(answers), np.arange(len(answers)), None, packed, pad_id)  # type: ignore[arg-type]
    lengths = np.array([len(a) for a in answers])
    given = {
        "share": [np.full(n, 1 / n) for n in lengths],
        "behaviour": [a.completion.logps for a in answers],
        **columns,
    }
    extras = {name: torch.from_numpy(np.concatenate(each).astype(np.float32)) for name, each in given.items()}
    extras["answer"] = torch.from_numpy(np.repeat(np.arange(len(answers)), lengths))
    return replace(batch, count=len(answers), extras=extras)
