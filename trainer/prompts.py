"""Prompts that a model is to answer, with the right answers where the data has them.

prompts = load_prompts("dataset/rlaif.jsonl", config, tokenizer)
prompts.get(0, epoch=1).ids
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from trainer.chat import (
    NO_SYSTEM_PROMPTS,
    SYSTEM_PROMPTS,
    check_template,
    conversation,
    system_prefixes,
    takes_system_prompt,
)
from trainer.data import SHOWN_ROWS, DataReport
from trainer.errors import DataError
from trainer.reward_specs import GT_HINT, Reward, gt_fault, needs_gt
from trainer.rl_config import RolloutConfig
from trainer.row_tokens import rendered
from trainer.rows import RowReader, key_notices
from trainer.sources import DataSet, Place
from trainer.tokenization import ChatTokenizer, encode

Progress = Callable[[int, int], None]
_BATCH_ROWS = 1000


@dataclass(frozen=True)
class Prompt:
    """What a model goes on from."""

    ids: np.ndarray
    """Tokens [n], int64."""
    messages: list[dict[str, Any]]
    gt: tuple[str, ...]
    """The right answers, as far as the data tells them."""
    thinking: bool
    """Whether it ends inside of a thought, which not every template opens when it is asked to."""


@dataclass(frozen=True)
class _Row:
    place: Place
    messages: list[dict[str, Any]]
    tools: list[Any] | None
    gt: tuple[str, ...]


@dataclass(frozen=True)
class _Source:
    """What all views of a data set share. The rows are in memory: a model answers far fewer prompts than it reads
    texts."""

    data: DataSet
    rows: list[_Row]
    tokenizer: ChatTokenizer
    seed: int
    limit: int
    system_ratio: float
    thinking_ratio: float


class Prompts:
    """Prompts of a data set, or some of them."""

    lengths: np.ndarray
    """Tokens of each, without a random system prompt; int32."""
    report: DataReport

    def __init__(self, source: _Source, indices: np.ndarray, lengths: np.ndarray, report: DataReport) -> None:
        self._source, self._indices, self.lengths = source, indices, lengths
        self.report = replace(report, rows=len(indices), tokens=int(lengths.sum(dtype=np.int64)))

    def __len__(self) -> int:
        return len(self._indices)

    def places(self, indices: Sequence[int]) -> str:
        """Where prompts stand, for people: `line 3, 8 of rlaif.jsonl`."""
        source = self._source
        return f"{source.data.places(source.rows[int(self._indices[i])].place for i in indices)} of {source.data.path}"

    def subset(self, indices: np.ndarray) -> "Prompts":
        """Some of these prompts; the same one varies in the same way as here."""
        return Prompts(self._source, self._indices[indices], self.lengths[indices], self.report)

    def within(self, limit: int) -> "Prompts":
        """The same with random system prompts only where the prompt stays within so many tokens."""
        source = replace(self._source, limit=min(limit, self._source.limit))
        return Prompts(source, self._indices, self.lengths, self.report)

    def get(self, index: int, epoch: int | None) -> Prompt:
        """A prompt.

        Args:
            index: from 0.
            epoch: decides the random system prompt and whether a thought is asked for, together with the seed and the
                row; None, as in evaluation: no system prompt, and what most prompts have.

        Raises:
            DataError: the template refuses the prompt.
        """
        source, number = self._source, int(self._indices[index])
        row = source.rows[number]
        system, thinking = _draw(source, number, epoch)
        messages = row.messages
        if system and takes_system_prompt(messages, row.tools):
            messages = [{"role": "system", "content": system}, *messages]
        prompt = _prompt(source, row, messages, thinking)
        return prompt if len(prompt.ids) <= source.limit else _prompt(source, row, row.messages, thinking)


def _prompt(source: _Source, row: _Row, messages: list[dict[str, Any]], thinking: bool) -> Prompt:
    text = rendered(source.tokenizer, messages, row.tools, source.data, row.place, prompt=True, thinking=thinking)
    ids = np.array(encode(source.tokenizer, [text])[0], dtype=np.int64)
    return Prompt(ids, messages, row.gt, text.rstrip().endswith("<think>"))


def _draw(source: _Source, row: int, epoch: int | None) -> tuple[str, bool]:
    if epoch is None:
        return "", source.thinking_ratio >= 0.5
    draw = random.Random(f"{source.seed} {epoch} {row}")
    chance, choice, think = draw.random(), draw.random(), draw.random()
    system = SYSTEM_PROMPTS[int(choice * len(SYSTEM_PROMPTS))] if chance < source.system_ratio else ""
    return system, think < source.thinking_ratio


def load_prompts(
    path: str,
    config: RolloutConfig,
    tokenizer: ChatTokenizer,
    cache_dir: Path | None = None,  # noqa: ARG001 - part of the interface; prompts are few
    progress: Progress | None = None,
) -> Prompts:
    """Read and check a data set, and leave out the prompts that are too long.

    Args:
        path: the data set.
        config: the settings.
        tokenizer: of the model that will answer.
        cache_dir: not used.
        progress: called with (bytes done, bytes in all).

    Raises:
        BaseModelError: the tokenizer has no chat template.
        DataError: a row cannot be used, a right answer is missing that a reward needs, or no prompt is left.
    """
    check_template(tokenizer)
    reader = RowReader(path, "rlaif")
    rows, lengths = _read(reader, tokenizer, config, progress)
    notices = key_notices(reader.data, reader.ignored)
    if needs_gt(config.rewards):
        _check_gt(reader.data, rows, config.rewards)
    fits = lengths <= config.max_seq_len
    if not fits.all():
        notices.append(_too_long(reader.data, rows, fits, config))
    ratio = config.system_prompt_ratio
    if ratio and not system_prefixes(tokenizer):
        ratio = 0.0
        notices.append(NO_SYSTEM_PROMPTS)
    source = _Source(reader.data, rows, tokenizer, config.seed, config.max_seq_len, ratio, config.thinking_ratio)
    report = DataReport(path, reader.data.sha256(), 0, 0, 0, int((~fits).sum()), tuple(notices))
    return Prompts(source, np.flatnonzero(fits).astype(np.int32), lengths[fits], report)


def _read(
    reader: RowReader, tokenizer: ChatTokenizer, config: RolloutConfig, progress: Progress | None
) -> tuple[list[_Row], np.ndarray]:
    """The rows, and the tokens of each prompt in its longer form."""
    rows: list[_Row] = []
    lengths: list[int] = []
    texts: list[str] = []
    for row in reader.rows():
        messages, tools = conversation(row.value)
        if messages[-1]["role"] == "assistant":
            messages = messages[:-1]
        if not messages:
            where = reader.data.located(row.place)
            raise DataError(f"{where}: there is no prompt before the answer.", "Write a user message before it.")
        rows.append(_Row(row.place, messages, tools, tuple(row.value.get("gt") or ())))
        thoughts = {config.thinking_ratio > 0, config.thinking_ratio == 1}
        versions = [
            rendered(tokenizer, messages, tools, reader.data, row.place, True, thinking) for thinking in thoughts
        ]
        texts.append(max(versions, key=len))
        if len(texts) == _BATCH_ROWS:
            lengths += map(len, encode(tokenizer, texts))
            texts.clear()
            if progress:
                progress(row.done, reader.data.bytes)
    lengths += map(len, encode(tokenizer, texts)) if texts else ()
    return rows, np.array(lengths, dtype=np.int32)


def _check_gt(data: DataSet, rows: list[_Row], rewards: Sequence[Reward]) -> None:
    faults = [(row.place, fault) for row in rows if (fault := gt_fault(rewards, row.gt))]
    if faults:
        lines = data.places([place for place, _ in faults[:SHOWN_ROWS]]) + (", …" if len(faults) > SHOWN_ROWS else "")
        count = f"{len(faults):,} of {len(rows):,} rows of {data.path}"
        raise DataError(f"{count} cannot be rewarded ({lines}): {faults[0][1]}.", GT_HINT)


def _too_long(data: DataSet, rows: list[_Row], fits: np.ndarray, config: RolloutConfig) -> str:
    """The notice of prompts that are left out; DataError if none is left, or none may be left out."""
    out = [rows[i].place for i in np.flatnonzero(~fits)]
    lines = data.places(out[:SHOWN_ROWS]) + (", …" if len(out) > SHOWN_ROWS else "")
    told = f"{len(out):,} of {len(rows):,} prompts of {data.path} are longer than {config.max_seq_len} tokens ({lines})"
    if len(out) == len(rows):
        raise DataError(f"{told}.", f"Raise max_seq_len above {config.max_seq_len}.")
    if config.unlabelled_rows == "refuse":
        raise DataError(f"{told}.", "Shorten them, raise max_seq_len, or set unlabelled_rows to skip.")
    return f"{told}; left out."
