"""From rows to tokens: what a row of each format becomes before it is cut, and which of its tokens carry loss.

batch: list[Row]
for tokens in sft_tokens(batch, data, tokenizer, marks): tokens.parts[0], tokens.masks[0]
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jinja2 import TemplateError

from trainer.chat import (
    EMPTY_THINK,
    ChatMarks,
    answer_mask,
    conversation,
    drop_empty_thinks,
    render,
    render_prompt,
    takes_system_prompt,
    without_empty_thinks,
)
from trainer.errors import DataError
from trainer.pair_flaws import Flaw, pair_flaw
from trainer.rows import Row
from trainer.sources import DataSet, Place
from trainer.tokenization import ChatTokenizer, encode

PAIR = ("chosen", "rejected")


@dataclass(frozen=True)
class RowTokens:
    """The tokens of a row: as it stands, and without empty thoughts if that differs."""

    parts: list[np.ndarray]
    masks: list[np.ndarray]
    """True where a token carries loss, for each part; empty where all do."""
    takes_system: bool = False
    flaw: Flaw = Flaw.NONE
    """Of one of a pair of answers: why the pair teaches nothing."""


def text_edges(tokenizer: ChatTokenizer) -> tuple[np.ndarray, np.ndarray]:
    """Tokens put before and after every text of pretraining: begin, if the tokenizer has one, and end."""
    begin = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
    last = tokenizer.pad_token_id if tokenizer.eos_token_id is None else tokenizer.eos_token_id
    return np.array(begin, dtype=np.int64), np.array([last], dtype=np.int64)


def text_tokens(batch: list[Row], tokenizer: ChatTokenizer, limit: int | None = None) -> Iterator[RowTokens]:
    """The tokens of pretraining rows, without begin and end; no more than `limit` of each."""
    for ids in arrays(tokenizer, [row.value["text"] for row in batch]):
        yield RowTokens([ids[:limit]], [])


def sft_tokens(
    batch: list[Row], data: DataSet, tokenizer: ChatTokenizer, marks: ChatMarks, limit: int | None = None
) -> Iterator[RowTokens]:
    """The tokens of conversations, no more than `limit` of each."""
    texts, takes_system = [], []
    for row in batch:
        messages, tools = conversation(row.value)
        texts.append(rendered(tokenizer, messages, tools, data, row.place))
        takes_system.append(takes_system_prompt(messages, tools))
    for text, ids, may in zip(texts, arrays(tokenizer, texts), takes_system, strict=True):
        parts = [ids]
        if EMPTY_THINK in text:
            bare = drop_empty_thinks(text, ids, marks)
            parts += arrays(tokenizer, [without_empty_thinks(text)]) if bare is None else [bare]
        parts = [part[:limit] for part in parts]
        yield RowTokens(parts, [answer_mask(part, marks) for part in parts], may)


def pair_tokens(
    batch: list[Row], data: DataSet, tokenizer: ChatTokenizer, marks: ChatMarks, limit: int | None = None
) -> Iterator[RowTokens]:
    """The tokens of pairs, no more than `limit` of each answer: for each row those of chosen, then of rejected."""
    chosen, rejected = (sft_tokens(one_side(batch, key), data, tokenizer, marks, limit) for key in PAIR)
    for row, better, worse in zip(batch, chosen, rejected, strict=True):
        flaw = pair_flaw(row.value)
        yield replace(better, flaw=flaw)
        yield replace(worse, flaw=flaw)


def one_side(batch: list[Row], key: str) -> list[Row]:
    """Pairs as the conversations that `key`, chosen or rejected, holds."""
    return [row._replace(value=row.value | {"conversations": row.value[key]}) for row in batch]


def rendered(
    tokenizer: ChatTokenizer,
    messages: list[dict[str, Any]],
    tools: Any,
    data: DataSet,
    place: Place,
    prompt: bool = False,
    thinking: bool = False,
) -> str:
    """A conversation through the chat template; `prompt`: up to where the model goes on, `thinking`: thoughts first.

    Raises:
        DataError: the template refuses it, with its place.
    """
    try:
        return render_prompt(tokenizer, messages, tools, thinking) if prompt else render(tokenizer, messages, tools)
    except (TemplateError, TypeError) as error:
        raise DataError(f"{data.located(place)}: the tokenizer's chat template refuses it ({error}).") from error


def arrays(tokenizer: ChatTokenizer, texts: list[str]) -> list[np.ndarray]:
    """Token ids of many texts, each int64."""
    return [np.array(ids, dtype=np.int64) for ids in encode(tokenizer, texts)]
