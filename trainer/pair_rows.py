"""Pairs of answers for training: cut, counted, and varied once and for all.

rows = load_pairs(config.data_path, config, tokenizer, Path("out/.cache/tokens"))
ids, labels = rows.answer(0, side=0)         # 0 chosen, 1 rejected

Empty thoughts are kept or dropped for both answers of a pair alike and the same in every epoch: a pair never differs in
them alone (contract section 6), and what the reference thinks of an answer needs to be worked out only once.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from trainer.batches import Batch
from trainer.configs import DPOConfig
from trainer.data import NO_LABEL, DataReport
from trainer.errors import DataError
from trainer.pair_batches import make_pair_batch
from trainer.pair_flaws import Flaw, PairFlaws
from trainer.rows import key_notices
from trainer.sources import Place
from trainer.token_cache import TokenCache, open_cache
from trainer.tokenization import ChatTokenizer


class PairRows:
    """Pairs that can be trained on, or some of them. Reads from disk when asked; safe to share between threads."""

    reference: np.ndarray | None = None
    """[pairs, 2] float32: the reference's log-probability of chosen and rejected; None until it is worked out."""

    def __init__(
        self,
        cache: TokenCache,
        limit: int,
        pairs: np.ndarray,
        keeps: np.ndarray,
        lengths: np.ndarray,
        report: DataReport,
    ) -> None:
        self._cache, self._limit = cache, limit
        self.pairs = pairs
        """Number of each pair in the data set."""
        self._keeps = keeps  # whether its empty thoughts stay
        self._sides = lengths
        self.lengths: np.ndarray = lengths.sum(axis=1, dtype=np.int32)
        """Tokens of each pair, both answers after the cut."""
        self.report = replace(report, rows=len(pairs), tokens=int(lengths.sum(dtype=np.int64)))

    def __len__(self) -> int:
        return len(self.pairs)

    def line(self, index: int) -> int:
        """The line of a pair in its file, from 1."""
        return self._place(index).number

    def places(self, indices: Sequence[int]) -> str:
        """Where pairs stand, for people: `line 3, 8 of dpo.jsonl`."""
        return f"{self._cache.data.places(self._place(int(i)) for i in indices)} of {self._cache.data.path}"

    def subset(self, indices: np.ndarray) -> "PairRows":
        """Some of these pairs."""
        picked = (self.pairs[indices], self._keeps[indices], self._sides[indices])
        return PairRows(self._cache, self._limit, *picked, self.report)

    def answer(self, index: int, side: int) -> tuple[np.ndarray, np.ndarray]:
        """The ids and labels of one answer with its question, both int64; a label is the id at its own place or -100.

        Args:
            index: which pair.
            side: 0 for chosen, 1 for rejected.
        """
        places = _places(self._cache, int(self.pairs[index]), side, bool(self._keeps[index]), self._limit)
        ids = self._cache.ids[places].astype(np.int64)
        assert self._cache.mask is not None  # conversations have one
        return ids, np.where(self._cache.mask[places], ids, NO_LABEL)

    def batch(self, indices: np.ndarray, epoch: int | None, packed: bool, pad_id: int) -> Batch:  # noqa: ARG002
        """The tensors of some pairs; they are the same in every epoch."""
        return make_pair_batch(self, indices, packed, pad_id)

    def _place(self, index: int) -> Place:
        return self._cache.place(2 * int(self.pairs[index]))


def load_pairs(
    path: str,
    config: DPOConfig,
    tokenizer: ChatTokenizer,
    cache_dir: Path,
    progress: Callable[[int, int], None] | None = None,
) -> PairRows:
    """Check a data file, tokenise it or find its tokens in the cache, and pick the pairs that can be trained on.

    Args:
        progress: called with (bytes done, bytes in all) while tokens are made.

    Raises:
        DataError: a row cannot be used, or none is left.
        BaseModelError: the tokenizer cannot express conversations.
    """
    cache = open_cache(path, config.data_format, tokenizer, cache_dir, progress)
    limit, everything = config.max_seq_len, len(cache.rows) // 2
    flaws = PairFlaws(cache.data)
    usable, kept, lengths = [np.empty(0, np.int64)], [np.empty(0, bool)], [np.empty((0, 2), np.int32)]
    cut = lost = tokens = 0
    for start, table in cache.rows.blocks():
        numbers = start // 2 + np.arange(len(table) // 2)
        keeps = _draws(config, numbers)
        whole = np.where(np.repeat(keeps, 2), table["length"], table["bare_length"]).reshape(-1, 2)
        found = _flaws(cache, table, numbers, keeps, whole, limit)
        for index in np.flatnonzero(found):
            row = table[2 * index]
            flaws.add(Place(int(row["file"]), int(row["line"])), Flaw(int(found[index])))
        good = found == Flaw.NONE
        whole = whole[good]
        sides = np.minimum(whole, limit)
        usable.append(numbers[good])
        kept.append(keeps[good])
        lengths.append(sides.astype(np.int32))
        cut += int((whole > sides).any(axis=1).sum())
        lost, tokens = lost + int((whole - sides).sum(dtype=np.int64)), tokens + int(whole.sum(dtype=np.int64))
    pairs = np.concatenate(usable)
    told = flaws.notices(everything, limit)
    _check_left(path, config, len(pairs), everything, told)
    notices = key_notices(cache.data, cache.ignored) + told
    if cut:
        some = f"{cut:,} of {len(pairs):,} pairs {'was' if cut == 1 else 'were'} cut"
        notices.append(f"{some} at max_seq_len {limit}, which drops {lost / tokens:.1%} of the tokens.")
    report = DataReport(path, cache.sha256, 0, 0, cut, everything - len(pairs), tuple(notices))
    return PairRows(cache, limit, pairs, np.concatenate(kept), np.concatenate(lengths), report)


def _draws(config: DPOConfig, numbers: np.ndarray) -> np.ndarray:
    """Whether the empty thoughts of each pair stay, by the seed and its number."""
    chances = (random.Random(f"{config.seed} {number}").random() for number in numbers.tolist())
    return np.fromiter((chance < config.empty_think_ratio for chance in chances), bool, len(numbers))


def _flaws(
    cache: TokenCache, table: np.ndarray, numbers: np.ndarray, keeps: np.ndarray, whole: np.ndarray, limit: int
) -> np.ndarray:
    """The `Flaw` of each pair of a part of the table."""
    found = table["flaw"][0::2].copy()
    first = table["first_label"].reshape(-1, 2)
    found[(found == Flaw.NONE) & ((first < 0) | (first >= limit)).any(axis=1)] = Flaw.CUT
    for index in np.flatnonzero((found == Flaw.NONE) & (whole >= limit).all(axis=1)):
        sides = (_places(cache, int(numbers[index]), side, bool(keeps[index]), limit) for side in (0, 1))
        if np.array_equal(*(cache.ids[places] for places in sides)):
            found[index] = Flaw.ALIKE
    return found


def _places(cache: TokenCache, pair: int, side: int, keep_thinks: bool, limit: int) -> slice:
    """Where the tokens of an answer lie in the cache, cut."""
    row = cache.rows[2 * pair + side]
    start, length = ("start", "length") if keep_thinks else ("bare_start", "bare_length")
    return slice(int(row[start]), int(row[start]) + min(int(row[length]), limit))


def _check_left(path: str, config: DPOConfig, usable: int, everything: int, told: list[str]) -> None:
    if not usable:
        hint = f"Raise max_seq_len above {config.max_seq_len}, or choose other data."
        raise DataError(f"No pair of {path} can be trained on: {' '.join(told)}", hint)
    if usable < everything and config.unlabelled_rows == "refuse":
        hint = "Change or remove them, or set unlabelled_rows to skip."
        raise DataError(f"Some pairs of {path} cannot be trained on: {' '.join(told)}", hint)
