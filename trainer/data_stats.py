"""Numbers about a data set as a training would see it: rows, tokens, what is cut, what carries loss, what is twice.

    found = data_stats("dataset/sft.jsonl", "sft", tokenizer, max_seq_len=768)
    found["rows"], found["length"]["p95"]

Lengths and tokens are those before the cut, with all that the chat template adds; labelled tokens are counted after it.
"""

import json
from array import array
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from trainer.errors import DataError
from trainer.pair_flaws import Flaw, PairFlaws, pair_flaw
from trainer.row_parts import Part, RowParts
from trainer.rows import FileRows, Row, RowReader, key_notices
from trainer.sources import DataSet, Place
from trainer.token_cache import row_batches
from trainer.tokenization import ChatTokenizer

SHOWN = 5
"""Errors and places of repeated rows that are told."""
_BINS = 16
_MESSAGE_PARTS = ("role", "reasoning_content", "content", "tool_calls")


def data_stats(
    path: str | Path,
    format: str,  # noqa: A002
    tokenizer: ChatTokenizer,
    max_seq_len: int,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Read a whole data set and count. The answer is plain enough for JSON; docs/data.md tells each key.

    Args:
        progress: called with (bytes done, bytes in all).

    Raises:
        DataError: nothing of it can be read.
        BaseModelError: the tokenizer cannot express conversations.
    """
    reader = RowReader(path, format)
    counts = _Counts(reader.data, max_seq_len, labels=format != "rlaif")
    parts, flaws = RowParts(reader.data, format, tokenizer), PairFlaws(reader.data)
    total = reader.data.bytes
    try:
        for batch in row_batches(reader.rows(counts.bad)):
            for row, found in parts.of(batch):
                if isinstance(found, DataError):
                    counts.bad(row.place, found)
                else:
                    counts.add(row, found)
                    if format == "dpo":
                        flaws.add(row.place, _flaw(row, found, max_seq_len))
            if progress:
                progress(min(batch[-1].done, total), total)
    except DataError as error:
        counts.errors.append(error)
        if not counts.rows + counts.bad_rows:
            raise
    return {
        "path": str(path),
        "format": format,
        "sha256": reader.data.sha256(),
        "bytes": total,
        **counts.result(),
        "notices": key_notices(reader.data, reader.ignored) + flaws.notices(counts.rows, max_seq_len),
    }


def _flaw(row: Row, pair: list[Part], limit: int) -> Flaw:
    """Why a pair teaches nothing. Empty thoughts, which a training drops from most pairs, are counted here."""
    flaw = pair_flaw(row.value)
    if flaw is Flaw.NONE and not all((part.loss & part.kept(limit)).any() for part in pair):
        return Flaw.CUT
    chosen, rejected = (part.ids[:limit] for part in pair)
    return Flaw.ALIKE if flaw is Flaw.NONE and np.array_equal(chosen, rejected) else flaw


class _Counts:
    """What is counted on the way. A row takes 16 bytes here, however long it is."""

    def __init__(self, data: DataSet, limit: int, labels: bool) -> None:
        self._data, self._limit, self._labels = data, limit, labels
        self._files = [FileRows(file.name, 0, file.stat().st_size) for file in data.files]
        self._lengths, self._lines, self._hashes = array("i"), array("i"), array("Q")
        self.bad_rows = 0
        self.errors: list[DataError] = []
        self._tokens = self._labelled = self._cut_rows = self._cut_tokens = self._unlabelled = 0

    @property
    def rows(self) -> int:
        """Good rows so far."""
        return len(self._lengths)

    def bad(self, _place: Place, error: DataError) -> None:
        """Count a row that cannot be used."""
        self.bad_rows += 1
        if len(self.errors) < SHOWN:
            self.errors.append(error)

    def add(self, row: Row, parts: list[Part]) -> None:
        """Count a row."""
        self._files[row.place.file].rows += 1
        self._lengths.append(max(len(part.ids) for part in parts))
        self._lines.append(row.place.number)
        self._hashes.append(_hash(row.value))
        cut, learns = 0, True
        for part in parts:
            labelled = int((part.loss & part.kept(self._limit)).sum())
            learns = learns and labelled > 0
            self._tokens += len(part.ids)
            self._labelled += labelled
            cut += max(0, len(part.ids) - self._limit)
        self._cut_tokens += cut
        self._cut_rows += cut > 0
        self._unlabelled += self._labels and not learns

    def result(self) -> dict[str, Any]:
        """All of it."""
        repeated = self._repeated()
        lengths = np.frombuffer(self._lengths, dtype=np.int32) if self._lengths else np.zeros(1, dtype=np.int32)
        p95, median = np.percentile(lengths, (95, 50))
        return {
            "files": [{"name": file.name, "rows": file.rows, "bytes": file.bytes} for file in self._files],
            "rows": self.rows,
            "bad_rows": self.bad_rows,
            "errors": [{"message": error.message, "hint": error.hint} for error in self.errors],
            "tokens": self._tokens,
            "labelled_tokens": self._labelled,
            "max_seq_len": self._limit,
            "truncated_rows": self._cut_rows,
            "truncated_tokens": self._cut_tokens,
            "unlabelled_rows": self._unlabelled,
            "duplicate_rows": len(repeated),
            "duplicate_lines": [self._data.where(self._place(int(index))) for index in repeated[:SHOWN]],
            "length": {
                "min": int(lengths.min()),
                "median": round(float(median), 1),
                "mean": round(float(lengths.mean()), 1),
                "p95": round(float(p95), 1),
                "max": int(lengths.max()),
            },
            "histogram": histogram(lengths) if self._lengths else [],
        }

    def _repeated(self) -> np.ndarray:
        """Numbers, in order, of the rows whose texts were there before."""
        hashes = np.frombuffer(self._hashes, dtype=np.uint64) if self._hashes else np.empty(0, dtype=np.uint64)
        order = np.argsort(hashes, kind="stable")
        ordered = hashes[order]
        return np.sort(order[1:][ordered[1:] == ordered[:-1]])

    def _place(self, index: int) -> Place:
        before = np.cumsum([file.rows for file in self._files])
        return Place(int(np.searchsorted(before, index, side="right")), self._lines[index])


def _hash(row: dict[str, Any]) -> int:
    """Hash of what a row says, whoever wrote it down in which order."""
    if isinstance(row.get("text"), str) and "conversations" not in row:
        raw = row["text"].encode("utf-8", "surrogatepass")
    else:
        turns = [row[key] for key in ("conversations", "chosen", "rejected") if key in row]
        said = [[[message.get(key) for key in _MESSAGE_PARTS] for message in messages] for messages in turns]
        raw = json.dumps(said, sort_keys=True).encode()
    return int.from_bytes(blake2b(raw, digest_size=8).digest(), "little")


def histogram(lengths: np.ndarray) -> list[dict[str, int]]:
    """Rows by length, in steps of one round width; the longest few share the last step."""
    most, longest = int(np.percentile(lengths, 98)), int(lengths.max())
    width = _round_up(max(1, -(-(most + 1) // _BINS)))
    count = most // width + 1
    rows = np.bincount(np.minimum(lengths // width, count), minlength=count + 1)
    bins = [{"low": i * width, "high": (i + 1) * width - 1, "rows": int(rows[i])} for i in range(count)]
    if rows[count]:
        bins.append({"low": count * width, "high": longest, "rows": int(rows[count])})
    return bins


def _round_up(width: int) -> int:
    """The next of 1, 2, 5, 10, 20, 50, …"""
    power = 1
    while True:
        for digit in (1, 2, 5):
            if digit * power >= width:
                return digit * power
        power *= 10
