"""Rows of token ids and labels for training: cut, counted, and varied the same way on every run.

rows = load_rows(config.data_path, config, tokenizer, Path("out/.cache/tokens"))
ids, labels = rows.get(0, epoch=1)
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from trainer.chat import system_prefixes
from trainer.configs import SFTConfig, TrainConfig
from trainer.errors import DataError
from trainer.token_cache import TokenCache, open_cache
from trainer.tokenization import ChatTokenizer

NO_LABEL = -100
"""Label of a token without loss, as PyTorch's cross-entropy ignores it."""


@dataclass(frozen=True)
class DataReport:
    """What a data file holds, for the log and for tags."""

    path: str
    sha256: str
    rows: int
    """Rows that are trained on."""
    tokens: int
    """Their tokens after the cut at max_seq_len."""
    truncated: int
    """Rows that were cut."""
    unlabelled: int
    """Rows that were skipped because nothing in them carries loss after the cut."""
    notices: tuple[str, ...]
    """Sentences for the log."""


@dataclass(frozen=True)
class _Source:
    """What all views of a file share."""

    cache: TokenCache
    limit: int
    seed: int
    begin: np.ndarray
    """Tokens put before every row: the begin token of pretraining, if the tokenizer has one."""
    end: np.ndarray
    """Tokens put after every row, whole or cut: the end token of pretraining."""
    prefixes: list[np.ndarray]
    """Random system prompts; empty for none."""
    system_ratio: float
    empty_think_ratio: float

    @property
    def room(self) -> int:
        """Tokens that a row itself may have."""
        return self.limit - len(self.begin) - len(self.end)


class Rows:
    """Rows that can be trained on, or some of them. Reads from disk when asked; safe to share between threads."""

    report: DataReport
    lengths: np.ndarray
    """Tokens of each row after the cut, without a random system prompt; int32."""

    def __init__(self, source: _Source, indices: np.ndarray, report: DataReport) -> None:
        self._source = source
        self._indices = indices  # of the rows in the file
        table = source.cache.rows[indices]
        own = len(source.begin) + len(source.end)
        self.lengths = (np.minimum(table["length"], source.room) + own).astype(np.int32)
        self.report = replace(report, rows=len(indices), tokens=int(self.lengths.sum(dtype=np.int64)))

    def __len__(self) -> int:
        return len(self._indices)

    def line(self, index: int) -> int:
        """The line of a row in its file, from 1."""
        return int(self._source.cache.rows["line"][self._indices[index]])

    def subset(self, indices: np.ndarray) -> "Rows":
        """Some of these rows; the same row varies in the same way as here."""
        return Rows(self._source, self._indices[indices], self.report)

    def get(self, index: int, epoch: int | None) -> tuple[np.ndarray, np.ndarray]:
        """The ids and labels of a row, both int64; a label is the id at its own place (not shifted) or -100.

        Args:
            epoch: decides the random variation, together with the seed and the row; None for none, as in evaluation.
        """
        source, number = self._source, int(self._indices[index])
        row = source.cache.rows[number]
        system, keep_thinks = _draw(source, number, epoch)
        start, length = ("start", "length") if keep_thinks else ("bare_start", "bare_length")
        places = slice(int(row[start]), int(row[start]) + min(int(row[length]), source.room))
        ids = np.concatenate([source.begin, source.cache.ids[places].astype(np.int64), source.end])
        if source.cache.mask is None:
            return ids, ids.copy()
        labels = np.where(source.cache.mask[places], ids, NO_LABEL)
        if system is not None and row["takes_system"]:
            with_system = np.concatenate([np.full(len(system), NO_LABEL), labels])[: source.limit]
            if (with_system != NO_LABEL).any():  # else the prompt would push the whole answer out
                return np.concatenate([system, ids])[: source.limit], with_system
        return ids, labels


def _draw(source: _Source, row: int, epoch: int | None) -> tuple[np.ndarray | None, bool]:
    """The random system prompt of a row in an epoch, or None, and whether its empty thoughts stay."""
    if epoch is None:
        return None, True
    draw = random.Random(f"{source.seed} {epoch} {row}")
    chance, choice, think = draw.random(), draw.random(), draw.random()
    system = source.prefixes[int(choice * len(source.prefixes))] if chance < source.system_ratio else None
    return system, think < source.empty_think_ratio


def load_rows(
    path: str,
    config: TrainConfig,
    tokenizer: ChatTokenizer,
    cache_dir: Path,
    progress: Callable[[int, int], None] | None = None,
) -> Rows:
    """Check a data file, tokenise it or find its tokens in the cache, and pick the rows that can be trained on.

    Args:
        progress: called with (bytes done, bytes in all) while tokens are made.

    Raises:
        DataError: a row cannot be used, or none is left.
        BaseModelError: the tokenizer cannot express conversations.
    """
    cache = open_cache(path, config.data_format, tokenizer, cache_dir, progress)
    notices: list[str] = []
    source = _source(cache, config, tokenizer, notices)
    table = cache.rows
    usable = (table["first_label"] >= 0) & (table["first_label"] < source.room)
    skipped = table["line"][~usable]
    if len(skipped):
        lines = ", ".join(str(line) for line in skipped[:3]) + (", …" if len(skipped) > 3 else "")
        notices.append(f"{_count(len(skipped), len(table))} skipped: {_reason(config)} (line {lines}).")
    if not usable.any():
        longest = int(table["first_label"].max(initial=-1)) < 0
        hint = "Add text the model can learn from." if longest else f"Raise max_seq_len above {config.max_seq_len}."
        raise DataError(f"No row of {path} can be trained on: {_reason(config)}.", hint)
    cut = usable & (table["length"] > source.room)
    if cut.any():
        lost = int((table["length"][cut] - source.room).sum(dtype=np.int64))
        share = lost / int(table["length"][usable].sum(dtype=np.int64))
        count = _count(int(cut.sum()), len(table))
        notices.append(f"{count} cut at max_seq_len {config.max_seq_len}, which drops {share:.1%} of the tokens.")
    report = DataReport(path, cache.sha256, 0, 0, int(cut.sum()), len(skipped), tuple(notices))
    return Rows(source, np.flatnonzero(usable), report)


def _source(cache: TokenCache, config: TrainConfig, tokenizer: ChatTokenizer, notices: list[str]) -> _Source:
    nothing = np.empty(0, dtype=np.int64)
    if not isinstance(config, SFTConfig):
        begin = nothing if tokenizer.bos_token_id is None else np.array([tokenizer.bos_token_id])
        last = tokenizer.pad_token_id if tokenizer.eos_token_id is None else tokenizer.eos_token_id
        return _Source(cache, config.max_seq_len, config.seed, begin, np.array([last]), [], 0.0, 1.0)
    prefixes = system_prefixes(tokenizer) if config.system_prompt_ratio else []
    if config.system_prompt_ratio and not prefixes:
        notices.append(
            "No random system prompts (system_prompt_ratio): this tokenizer's chat template writes a system message "
            "of its own where there is none."
        )
    ratio = config.system_prompt_ratio if prefixes else 0.0
    return _Source(cache, config.max_seq_len, config.seed, nothing, nothing, prefixes, ratio, config.empty_think_ratio)


def _reason(config: TrainConfig) -> str:
    if config.data_format == "pretrain":
        return "the text is empty"
    return f"no assistant answer within the first {config.max_seq_len} tokens"


def _count(some: int, everything: int) -> str:
    return f"{some:,} of {everything:,} rows {'was' if some == 1 else 'were'}"
