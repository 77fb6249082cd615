"""Rows of token ids and labels for training: cut, counted, and varied the same way on every run.

rows = load_rows(config.data_path, config, tokenizer, Path("out/.cache/tokens"))
ids, labels = rows.get(0, epoch=1)
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from trainer.chat import NO_SYSTEM_PROMPTS, system_prefixes
from trainer.configs import SFTConfig, TrainConfig
from trainer.errors import DataError
from trainer.row_tokens import text_edges
from trainer.rows import key_notices
from trainer.sources import Place
from trainer.token_cache import TokenCache, open_cache
from trainer.tokenization import ChatTokenizer

if TYPE_CHECKING:
    from trainer.batches import Batch

NO_LABEL = -100
"""Label of a token without loss, as PyTorch's cross-entropy ignores it."""
SHOWN_ROWS = 3
"""Lines that are named of rows that cannot be trained on."""


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
    weigh: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None
    """Gives each token of a row, from its ids and labels, its weight in the loss; None where all weigh the same."""

    def __init__(self, source: _Source, indices: np.ndarray, lengths: np.ndarray, report: DataReport) -> None:
        self._source = source
        self._indices = indices  # of the rows in the data set
        self.lengths = lengths
        self.report = replace(report, rows=len(indices), tokens=int(lengths.sum(dtype=np.int64)))

    def __len__(self) -> int:
        return len(self._indices)

    def line(self, index: int) -> int:
        """The line of a row in its file, from 1."""
        return self._source.cache.place(int(self._indices[index])).number

    def places(self, indices: Sequence[int]) -> str:
        """Where rows stand, for people: `line 3, 8 of sft.jsonl`, or `a.jsonl line 3; b.jsonl line 8 of folder`."""
        cache = self._source.cache
        return f"{cache.data.places(cache.place(int(self._indices[i])) for i in indices)} of {cache.data.path}"

    def subset(self, indices: np.ndarray) -> "Rows":
        """Some of these rows; the same row varies in the same way as here."""
        return Rows(self._source, self._indices[indices], self.lengths[indices], self.report)

    def batch(self, indices: np.ndarray, epoch: int | None, packed: bool, pad_id: int) -> "Batch":
        """Some rows as the tensors of one forward pass; see `trainer.batches.make_batch`."""
        from trainer.batches import make_batch  # torch, which looking at data does not need

        return make_batch(self, indices, epoch, packed, pad_id)

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
    notices = key_notices(cache.data, cache.ignored)
    source = _source(cache, config, tokenizer, notices)
    found = _look_through(cache, source)
    everything, count = len(cache.rows), len(found.indices)
    if count < everything:
        lines = cache.data.places(found.skipped) + (", …" if everything - count > len(found.skipped) else "")
        skipped = everything - count
        if config.unlabelled_rows == "refuse" and count:
            share = f"{skipped:,} of {everything:,} rows of {path} cannot be trained on"
            hint = "Change or remove them, or set unlabelled_rows to skip."
            raise DataError(f"{share}: {_reason(config)} ({lines}).", hint)
        notices.append(f"{_count(skipped, everything)} skipped: {_reason(config)} ({lines}).")
    if not count:
        hint = "Add text the model can learn from."
        if found.has_label:
            hint = f"Raise max_seq_len above {config.max_seq_len}."
        raise DataError(f"No row of {path} can be trained on: {_reason(config)}.", hint)
    if found.cut:
        share = found.lost / found.tokens
        cut = _count(found.cut, everything)
        notices.append(f"{cut} cut at max_seq_len {config.max_seq_len}, which drops {share:.1%} of the tokens.")
    report = DataReport(path, cache.sha256, 0, 0, found.cut, everything - count, tuple(notices))
    return Rows(source, found.indices, found.lengths, report)


@dataclass
class _Usable:
    """The rows that can be trained on, and what was counted on the way."""

    indices: np.ndarray
    lengths: np.ndarray
    skipped: list[Place]
    """The first rows that cannot."""
    has_label: bool
    """Whether any row has a token with loss, cut or not."""
    cut: int
    lost: int
    """Tokens that the cut takes from usable rows."""
    tokens: int
    """Tokens of usable rows before the cut."""


def _look_through(cache: TokenCache, source: _Source) -> _Usable:
    """Go through the table of rows, a part at a time."""
    none = np.empty(0, dtype=np.int32)
    found = _Usable(none, none, [], False, 0, 0, 0)
    indices, lengths = [none], [none]
    own = len(source.begin) + len(source.end)
    for start, table in cache.rows.blocks():
        usable = (table["first_label"] >= 0) & (table["first_label"] < source.room)
        for row in table[~usable][: SHOWN_ROWS - len(found.skipped)]:
            found.skipped.append(Place(int(row["file"]), int(row["line"])))
        found.has_label |= bool((table["first_label"] >= 0).any())
        whole = table["length"][usable]
        kept = np.minimum(whole, source.room)
        indices.append((start + np.flatnonzero(usable)).astype(np.int32))
        lengths.append((kept + own).astype(np.int32))
        found.cut += int((whole > kept).sum())
        found.lost += int((whole - kept).sum(dtype=np.int64))
        found.tokens += int(whole.sum(dtype=np.int64))
    found.indices, found.lengths = np.concatenate(indices), np.concatenate(lengths)
    return found


def _source(cache: TokenCache, config: TrainConfig, tokenizer: ChatTokenizer, notices: list[str]) -> _Source:
    nothing = np.empty(0, dtype=np.int64)
    if not isinstance(config, SFTConfig):
        begin, end = text_edges(tokenizer)
        return _Source(cache, config.max_seq_len, config.seed, begin, end, [], 0.0, 1.0)
    prefixes = system_prefixes(tokenizer) if config.system_prompt_ratio else []
    if config.system_prompt_ratio and not prefixes:
        notices.append(NO_SYSTEM_PROMPTS)
    ratio = config.system_prompt_ratio if prefixes else 0.0
    return _Source(cache, config.max_seq_len, config.seed, nothing, nothing, prefixes, ratio, config.empty_think_ratio)


def _reason(config: TrainConfig) -> str:
    if config.data_format == "pretrain":
        return "the text is empty"
    return f"no assistant answer within the first {config.max_seq_len} tokens"


def _count(some: int, everything: int) -> str:
    return f"{some:,} of {everything:,} rows {'was' if some == 1 else 'were'}"
