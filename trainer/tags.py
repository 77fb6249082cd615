"""Where the tags of reasoning data stand among the tokens of a row, and what those tokens weigh in the loss.

    weigh = TagWeights(tokenizer, weight=10, weighting="sequences")
    weigh(ids, labels)                   # 1 or 10 for each token

A tag is one token in some vocabularies and several in others, and where it has several, the last may reach into the
text after it (`>\\n`). So tags are looked for in the text that the labelled tokens spell, not among token sequences.
"""

import re
from collections.abc import Iterator
from typing import Literal

import numpy as np

from trainer.batches import IGNORE
from trainer.tokenization import ChatTokenizer, encode

TAGS = ("<think>", "</think>", "<answer>", "</answer>")
_TAG = re.compile("|".join(TAGS))
_EMPTY = re.compile(r"<think>\s*</think>")
REACH = max(len(tag) for tag in TAGS)
"""Tokens that a tag stands in at most."""
_GAP = "\0"
"""Stands for a token without loss, so that no tag reaches over it."""


class TagWeights:
    """The weight of each token of a row."""

    def __init__(
        self, tokenizer: ChatTokenizer, weight: float, weighting: Literal["sequences", "token_ids"] = "sequences"
    ) -> None:
        """`sequences`: the tokens that a whole tag stands in. `token_ids`: every token that also occurs in a tag, as
        MiniMind v2 has it (contract section 5)."""
        self._weight = weight
        # Half a character becomes U+FFFD here, which does no harm: tags are ASCII.
        decode = tokenizer.backend_tokenizer.decode_batch
        self._texts = decode([[i] for i in range(len(tokenizer))], skip_special_tokens=False)
        self._opens = np.array(["<" in text for text in self._texts])
        pieces = sorted({i for ids in encode(tokenizer, list(TAGS)) for i in ids})
        self._pieces = np.array(pieces) if weighting == "token_ids" else None

    def __call__(self, ids: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """[tokens] float32: the weight where a labelled token is part of a tag, 1 elsewhere."""
        labelled = labels != IGNORE
        if self._pieces is not None:
            tagged = labelled & np.isin(ids, self._pieces)
        else:
            tagged = self._tagged(ids, labelled)
        return np.where(tagged, self._weight, 1.0).astype(np.float32)

    def has_tags(self, ids: np.ndarray, labels: np.ndarray) -> bool:
        """Whether what is learnt of a row has any tag. The empty thoughts that chat templates add do not count."""
        labelled = labels != IGNORE
        tags = {tag for _, _, tag in self._found(ids, labelled)}
        if not tags <= set(TAGS[:2]):
            return True
        return bool(tags) and bool(_TAG.search(_EMPTY.sub("", self._spell(ids, labelled))))

    def _tagged(self, ids: np.ndarray, labelled: np.ndarray) -> np.ndarray:
        tagged = np.zeros(len(ids), dtype=bool)
        for first, last, _ in self._found(ids, labelled):
            tagged[first : last + 1] = True
        return tagged

    def _found(self, ids: np.ndarray, labelled: np.ndarray) -> Iterator[tuple[int, int, str]]:
        """Each tag: its first token, its last, and its text. Spells only what stands after a `<`, for speed."""
        for begin in np.flatnonzero(self._opens[ids] & labelled).tolist():
            part = slice(begin, begin + REACH)
            texts = self._texts_of(ids[part], labelled[part])
            for match in _TAG.finditer("".join(texts)):
                if match.start() >= len(texts[0]):
                    break  # this one is found at its own first token
                last, length = 0, len(texts[0])
                while length < match.end():
                    last += 1
                    length += len(texts[last])
                yield begin, begin + last, match.group()

    def _spell(self, ids: np.ndarray, labelled: np.ndarray) -> str:
        return "".join(self._texts_of(ids, labelled))

    def _texts_of(self, ids: np.ndarray, labelled: np.ndarray) -> list[str]:
        return [self._texts[i] if on else _GAP for i, on in zip(ids.tolist(), labelled.tolist(), strict=True)]
