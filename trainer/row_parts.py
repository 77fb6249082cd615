"""What a training sees of a row, whole: for statistics and for people to look at.

parts = RowParts(data, "dpo", tokenizer)
for row, found in parts.of(batch): ...          # found: a list of parts, or the error of that row
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from trainer.chat import chat_marks, conversation
from trainer.errors import DataError
from trainer.row_tokens import PAIR, arrays, one_side, rendered, sft_tokens, text_edges, text_tokens
from trainer.rows import Row
from trainer.sources import DataSet
from trainer.tokenization import ChatTokenizer


@dataclass(frozen=True)
class Part:
    """Tokens that go through a model together: a text, a conversation, one of a pair of answers, or a prompt."""

    name: str
    """text, conversation, chosen, rejected or prompt."""
    ids: np.ndarray
    loss: np.ndarray
    """True where a token carries loss."""
    tail: int = 0
    """Tokens at the end that stay when the part is cut."""

    def kept(self, limit: int) -> np.ndarray:
        """Which tokens are left at a length; bool."""
        kept = np.ones(len(self.ids), dtype=bool)
        if len(self.ids) > limit:
            kept[limit - self.tail : len(self.ids) - self.tail] = False
        return kept


class RowParts:
    """Makes the parts of rows of one format, without any random variation."""

    def __init__(self, data: DataSet, format: str, tokenizer: ChatTokenizer) -> None:  # noqa: A002
        self._data, self._format, self._tokenizer = data, format, tokenizer
        self._marks = None if format == "pretrain" else chat_marks(tokenizer)

    def of(self, batch: list[Row]) -> Iterator[tuple[Row, "list[Part] | DataError"]]:
        """The parts of each row, or why the tokenizer's template refuses it."""
        try:
            found: list[Any] = self._parts(batch)
        except DataError:  # of one of them
            found = [self._parts_of_one(row) for row in batch]
        yield from zip(batch, found, strict=True)

    def _parts_of_one(self, row: Row) -> "list[Part] | DataError":
        try:
            return self._parts([row])[0]
        except DataError as error:
            return error

    def _parts(self, batch: list[Row]) -> list[list[Part]]:
        if self._format == "pretrain":
            begin, end = text_edges(self._tokenizer)
            return [[_text(begin, row.parts[0], end)] for row in text_tokens(batch, self._tokenizer)]
        if self._format == "rlaif":
            return [[part] for part in self._prompts(batch)]
        if self._format == "sft":
            return [[part] for part in self._answers(batch, "conversation")]
        chosen, rejected = (self._answers(one_side(batch, key), key) for key in PAIR)
        return [list(pair) for pair in zip(chosen, rejected, strict=True)]

    def _answers(self, batch: list[Row], name: str) -> list[Part]:
        assert self._marks is not None
        tokens = sft_tokens(batch, self._data, self._tokenizer, self._marks)
        return [Part(name, row.parts[0], row.masks[0]) for row in tokens]

    def _prompts(self, batch: list[Row]) -> list[Part]:
        texts = []
        for row in batch:
            messages, tools = conversation(row.value)
            if messages[-1]["role"] == "assistant":  # its place is the model's
                messages = messages[:-1]
            texts.append(rendered(self._tokenizer, messages, tools, self._data, row.place, prompt=True))
        return [Part("prompt", ids, np.zeros(len(ids), dtype=bool)) for ids in arrays(self._tokenizer, texts)]


def _text(begin: np.ndarray, ids: np.ndarray, end: np.ndarray) -> Part:
    """A text with its begin and end tokens. Each token is foretold from those before it, so the first has no loss."""
    whole = np.concatenate([begin, ids, end])
    loss = np.full(len(whole), len(ids) > 0)
    loss[0] = False
    return Part("text", whole, loss, tail=len(end))
