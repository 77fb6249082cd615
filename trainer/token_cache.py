"""Tokens of a data set on disk: made once for its files and a tokenizer, then read by every run.

    cache = open_cache("dataset/sft.jsonl", "sft", tokenizer, Path("out/.cache/tokens"))
    row = cache.rows[0]
    cache.ids[row["start"] : row["start"] + row["length"]]

A cache is a folder named by the contents it was made from, written beside its place and renamed when complete. It
knows nothing of max_seq_len, so that changing that costs nothing.
"""

import errno
import hashlib
import json
import os
import shutil
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trainer.array_files import ArrayFile
from trainer.chat import ChatMarks, chat_marks
from trainer.configs import MAX_POSITIONS
from trainer.errors import DataError, DiskError
from trainer.row_tokens import RowTokens, pair_tokens, sft_tokens, text_tokens
from trainer.rows import Row, RowReader
from trainer.sources import DataSet, Place, open_data
from trainer.tokenization import ChatTokenizer, tokenizer_hash

VERSION = 3
STORED_TOKENS = MAX_POSITIONS + 1
"""Tokens kept of a row: one more than any model can take, so that a cut row is known to be one."""
ROW = np.dtype(
    [
        ("start", "<i8"),  # first token of the row in `ids`
        ("bare_start", "<i8"),  # the same of the row without empty thoughts; equal to start if it has none
        ("length", "<i4"),
        ("bare_length", "<i4"),
        ("first_label", "<i4"),  # -1 if no token carries loss
        ("file", "<i4"),
        ("line", "<i4"),
        ("takes_system", "<i4"),  # 1 if a random system prompt may stand before it
        ("flaw", "<i4"),  # of one of a pair: why it teaches nothing, a `Flaw`
    ]
)
_FILES = ("ids.bin", "mask.bin", "rows.bin")
_BATCH_ROWS = 1000
_BATCH_BYTES = 2**20
_UNUSED_SECONDS = 30 * 86_400
_ABANDONED_SECONDS = 86_400

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class TokenCache:
    """The tokens of a data set, read from disk as they are needed."""

    sha256: str
    data: DataSet
    ids: ArrayFile
    mask: ArrayFile | None
    """1 where a token carries loss; None where all do."""
    rows: ArrayFile
    """One `ROW` for each row of the data set; of pairs two, chosen and then rejected."""
    ignored: list[set[str]]
    """Keys without use, of each file."""

    def place(self, row: int) -> Place:
        """Where a row stands in the data set."""
        found = self.rows[row]
        return Place(int(found["file"]), int(found["line"]))


def open_cache(
    path: str | Path,
    format: str,  # noqa: A002
    tokenizer: ChatTokenizer,
    cache_dir: Path,
    progress: Progress | None = None,
) -> TokenCache:
    """Open the cache of a data set, and make it first if it is missing or damaged.

    Args:
        progress: called with (bytes done, bytes in all) while the cache is being made.

    Raises:
        DataError: a row cannot be used.
        DiskError: the cache cannot be written.
    """
    reader = RowReader(path, format)
    reader.check_begins()  # wrong files are told at once, not after reading all of them
    data = reader.data
    marks = chat_marks(tokenizer) if format != "pretrain" else None
    state, sha256 = data.state(), data.sha256()
    template = str(tokenizer.chat_template) if marks else ""
    key = hashlib.sha256(f"{VERSION} {sha256} {tokenizer_hash(tokenizer)} {format} {template}".encode()).hexdigest()
    folder = cache_dir / key[:32]
    if cache := _load(folder, sha256, data):
        with suppress(OSError):  # only says that the cache is in use; not worth failing for
            os.utime(folder)
        return cache
    try:
        _build(folder, reader, tokenizer, marks, progress)
        _tidy(cache_dir)
    except OSError as error:
        full = "the disk is full" if error.errno == errno.ENOSPC else error.strerror
        raise DiskError(f"The token cache {folder} cannot be written: {full}.", "Free some space.") from error
    cache = _load(folder, sha256, data)
    if open_data(path).state() != state or not cache:
        shutil.rmtree(folder, ignore_errors=True)
        raise DataError(f"{path} changed while it was being read.", "Start again when it is complete.")
    return cache


def _load(folder: Path, sha256: str, data: DataSet) -> TokenCache | None:
    """The cache in a folder, or None if it is missing, incomplete or damaged."""
    try:
        meta = json.loads((folder / "meta.json").read_text("utf-8"))
        if any(_crc32(folder / name) != crc for name, crc in meta["crc32"].items()):
            return None
        ids = ArrayFile(folder / "ids.bin", np.dtype(meta["ids"]))
        mask = ArrayFile(folder / "mask.bin", np.dtype(np.uint8)) if meta["mask"] else None
        ignored = [set(keys) for keys in meta["ignored"]]
        return TokenCache(sha256, data, ids, mask, ArrayFile(folder / "rows.bin", ROW), ignored)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _crc32(file: Path) -> int:
    crc = 0
    with file.open("rb") as stream:
        while block := stream.read(2**20):
            crc = zlib.crc32(block, crc)
    return crc


def _build(
    folder: Path, reader: RowReader, tokenizer: ChatTokenizer, marks: ChatMarks | None, progress: Progress | None
) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f"{folder.name}.tmp-", dir=folder.parent))
    dtype = np.dtype(np.uint16 if len(tokenizer) <= 2**16 else np.uint32)
    total = reader.data.bytes
    try:
        with ExitStack() as stack:
            ids, mask, rows = (stack.enter_context((temporary / name).open("wb")) for name in _FILES)
            written = 0
            for batch in row_batches(reader.rows()):
                each = 2 if reader.format == "dpo" else 1
                table = np.zeros(each * len(batch), dtype=ROW)
                for index, row in enumerate(_tokens(batch, reader, tokenizer, marks)):
                    table[index] = _table_row(row, batch[index // each].place, written)
                    for part in row.parts:
                        ids.write(part.astype(dtype).tobytes())
                        written += len(part)
                    for part in row.masks:
                        mask.write(part.astype(np.uint8).tobytes())
                rows.write(table.tobytes())
                if progress:
                    progress(min(batch[-1].done, total), total)
        meta = {
            "ids": dtype.name,
            "mask": bool(marks),
            "ignored": [sorted(keys) for keys in reader.ignored],
            "crc32": {name: _crc32(temporary / name) for name in _FILES},
        }
        (temporary / "meta.json").write_text(json.dumps(meta), "utf-8")
        _publish(temporary, folder, reader.data)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _tokens(
    batch: list[Row], reader: RowReader, tokenizer: ChatTokenizer, marks: ChatMarks | None
) -> Iterator[RowTokens]:
    if marks is None:
        return text_tokens(batch, tokenizer, STORED_TOKENS)
    make = pair_tokens if reader.format == "dpo" else sft_tokens
    return make(batch, reader.data, tokenizer, marks, STORED_TOKENS)


def _table_row(tokens: RowTokens, place: Place, start: int) -> tuple[int, ...]:
    first, last = tokens.parts[0], tokens.parts[-1]
    bare_start = start + len(first) if len(tokens.parts) == 2 else start
    labels = np.flatnonzero(tokens.masks[0]) if tokens.masks else np.arange(min(len(first), 1))
    first_label = int(labels[0]) if len(labels) else -1
    return start, bare_start, len(first), len(last), first_label, *place, int(tokens.takes_system), int(tokens.flaw)


def row_batches(rows: Iterator[Row]) -> Iterator[list[Row]]:
    """Rows in groups that are tokenised together. Small ones: tokens take up to fifty times the memory of the text."""
    batch: list[Row] = []
    size = 0
    for row in rows:
        batch.append(row)
        size += row.size
        if len(batch) == _BATCH_ROWS or size > _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _publish(temporary: Path, folder: Path, data: DataSet) -> None:
    """Move a finished cache to its place. Where another process was faster with a good one, that stays."""
    while True:
        try:
            temporary.rename(folder)
            return
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        if _load(folder, "", data):
            return
        damaged = Path(tempfile.mkdtemp(prefix=f"{folder.name}.tmp-", dir=folder.parent))
        with suppress(FileNotFoundError):  # another process may be moving it too
            folder.rename(damaged)
        shutil.rmtree(damaged, ignore_errors=True)


def _tidy(cache_dir: Path) -> None:
    """Remove what crashed processes left behind, and caches that nobody used for a month."""
    for folder in cache_dir.iterdir():
        with suppress(FileNotFoundError):  # other processes tidy up too
            age = time.time() - folder.stat().st_mtime
            if age > (_ABANDONED_SECONDS if ".tmp-" in folder.name else _UNUSED_SECONDS):
                shutil.rmtree(folder, ignore_errors=True)
