"""Tokens of a data file on disk: made once for a file and tokenizer, then mapped into memory by every run.

    cache = open_cache("dataset/sft.jsonl", "sft", tokenizer, Path("out/.cache/tokens"))
    cache.ids[cache.rows["start"][0]:][:cache.rows["length"][0]]

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
from typing import Any

import numpy as np
from jinja2 import TemplateError

from trainer.chat import (
    EMPTY_THINK,
    ChatMarks,
    answer_mask,
    chat_marks,
    conversation,
    drop_empty_thinks,
    render,
    takes_system_prompt,
    without_empty_thinks,
)
from trainer.configs import MAX_POSITIONS
from trainer.errors import DataError, DiskError
from trainer.rows import scan_rows
from trainer.tokenization import ChatTokenizer, encode, tokenizer_hash

VERSION = 1
STORED_TOKENS = MAX_POSITIONS + 1
"""Tokens kept of a row: one more than any model can take, so that a cut row is known to be one."""
ROW = np.dtype(
    [
        ("start", "<i8"),  # first token of the row in `ids`
        ("bare_start", "<i8"),  # the same of the row without empty thoughts; equal to start if it has none
        ("length", "<i4"),
        ("bare_length", "<i4"),
        ("first_label", "<i4"),  # -1 if no token carries loss
        ("line", "<i4"),
        ("takes_system", "<i4"),  # 1 if a random system prompt may stand before it
    ]
)
_FILES = ("ids.bin", "mask.bin", "rows.bin")
_BATCH_ROWS = 1000
_BATCH_BYTES = 4 * 2**20
_UNUSED_SECONDS = 30 * 86_400
_ABANDONED_SECONDS = 86_400

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class TokenCache:
    """The tokens of a file, mapped from disk."""

    sha256: str
    ids: np.ndarray
    mask: np.ndarray | None
    """1 where a token carries loss; None where all do."""
    rows: np.ndarray
    """One `ROW` for each row of the file."""


def open_cache(
    path: str | Path,
    format: str,  # noqa: A002
    tokenizer: ChatTokenizer,
    cache_dir: Path,
    progress: Progress | None = None,
) -> TokenCache:
    """Open the cache of a data file, and make it first if it is missing or damaged.

    Args:
        progress: called with (bytes done, bytes in all) while the cache is being made.

    Raises:
        DataError: a row cannot be used.
        DiskError: the cache cannot be written.
    """
    next(scan_rows(path, format))  # a wrong file is told at once, not after reading all of it
    marks = chat_marks(tokenizer) if format == "sft" else None
    state = _state(path)
    sha256 = _file_sha256(Path(path))
    template = str(tokenizer.chat_template) if marks else ""
    key = hashlib.sha256(f"{VERSION} {sha256} {tokenizer_hash(tokenizer)} {format} {template}".encode()).hexdigest()
    folder = cache_dir / key[:32]
    if cache := _load(folder, sha256):
        with suppress(OSError):  # only says that the cache is in use; not worth failing for
            os.utime(folder)
        return cache
    try:
        _build(folder, Path(path), tokenizer, marks, progress)
        _tidy(cache_dir)
    except OSError as error:
        full = "the disk is full" if error.errno == errno.ENOSPC else error.strerror
        raise DiskError(f"The token cache {folder} cannot be written: {full}.", "Free some space.") from error
    cache = _load(folder, sha256)
    if _state(path) != state or not cache:
        shutil.rmtree(folder, ignore_errors=True)
        raise DataError(f"{path} changed while it was being read.", "Start again when it is complete.")
    return cache


def _state(path: str | Path) -> tuple[int, int]:
    stat = Path(path).stat()
    return stat.st_size, stat.st_mtime_ns


def _file_sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _load(folder: Path, sha256: str) -> TokenCache | None:
    """The cache in a folder, or None if it is missing, incomplete or damaged."""
    try:
        meta = json.loads((folder / "meta.json").read_text("utf-8"))
        if any(_crc32(folder / name) != crc for name, crc in meta["crc32"].items()):
            return None
        ids = _mapped(folder / "ids.bin", np.dtype(meta["ids"]))
        mask = _mapped(folder / "mask.bin", np.dtype(np.uint8)) if meta["mask"] else None
        return TokenCache(sha256, ids, mask, np.fromfile(folder / "rows.bin", dtype=ROW))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _mapped(file: Path, dtype: np.dtype) -> np.ndarray:
    if not file.stat().st_size:  # nothing to map
        return np.empty(0, dtype)
    return np.memmap(file, dtype=dtype, mode="r")


def _crc32(file: Path) -> int:
    crc = 0
    with file.open("rb") as stream:
        while block := stream.read(2**20):
            crc = zlib.crc32(block, crc)
    return crc


def _build(
    folder: Path, path: Path, tokenizer: ChatTokenizer, marks: ChatMarks | None, progress: Progress | None
) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f"{folder.name}.tmp-", dir=folder.parent))
    dtype = np.dtype(np.uint16 if len(tokenizer) <= 2**16 else np.uint32)
    total = path.stat().st_size
    try:
        with ExitStack() as stack:
            ids, mask, rows = (stack.enter_context((temporary / name).open("wb")) for name in _FILES)
            written = 0
            for batch, done in _batches(path, "sft" if marks else "pretrain"):
                tokens = _chat_tokens(batch, path, tokenizer, marks) if marks else _plain_tokens(batch, tokenizer)
                table = np.zeros(len(batch), dtype=ROW)
                for index, row in enumerate(tokens):
                    table[index] = row.table_row(batch[index][0], written)
                    for part in row.parts:
                        ids.write(part.astype(dtype).tobytes())
                        written += len(part)
                    for part in row.masks:
                        mask.write(part.astype(np.uint8).tobytes())
                rows.write(table.tobytes())
                if progress:
                    progress(min(done, total), total)
        crcs = {name: _crc32(temporary / name) for name in _FILES}
        meta = {"ids": dtype.name, "mask": bool(marks), "crc32": crcs}
        (temporary / "meta.json").write_text(json.dumps(meta), "utf-8")
        _publish(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@dataclass(frozen=True)
class _Tokens:
    """The tokens of a row: as it stands, and without empty thoughts if that differs."""

    parts: list[np.ndarray]
    masks: list[np.ndarray]
    takes_system: bool = False

    def table_row(self, line: int, start: int) -> tuple[int, ...]:
        first, last = self.parts[0], self.parts[-1]
        bare_start = start + len(first) if len(self.parts) == 2 else start
        labels = np.flatnonzero(self.masks[0]) if self.masks else np.arange(min(len(first), 1))
        first_label = int(labels[0]) if len(labels) else -1
        return start, bare_start, len(first), len(last), first_label, line, int(self.takes_system)


def _batches(path: Path, format: str) -> Iterator[tuple[list[tuple[int, dict[str, Any]]], int]]:  # noqa: A002
    """Rows in groups that fit into memory, each with the bytes read up to its end."""
    batch: list[tuple[int, dict[str, Any]]] = []
    begin = done = 0
    for line, done, row in scan_rows(path, format):
        batch.append((line, row))
        if len(batch) == _BATCH_ROWS or done - begin > _BATCH_BYTES:
            yield batch, done
            batch, begin = [], done
    if batch:
        yield batch, done


def _plain_tokens(batch: list[tuple[int, dict[str, Any]]], tokenizer: ChatTokenizer) -> Iterator[_Tokens]:
    for ids in _arrays(tokenizer, [row["text"] for _, row in batch]):
        yield _Tokens([ids[:STORED_TOKENS]], [])


def _chat_tokens(
    batch: list[tuple[int, dict[str, Any]]], path: Path, tokenizer: ChatTokenizer, marks: ChatMarks
) -> Iterator[_Tokens]:
    texts, takes_system = [], []
    for line, row in batch:
        messages, tools = conversation(row)
        try:
            texts.append(render(tokenizer, messages, tools))
        except (TemplateError, TypeError) as error:
            raise DataError(f"{path} line {line}: the tokenizer's chat template refuses it ({error}).") from error
        takes_system.append(takes_system_prompt(messages, tools))
    for text, ids, may in zip(texts, _arrays(tokenizer, texts), takes_system, strict=True):
        parts = [ids]
        if EMPTY_THINK in text:
            bare = drop_empty_thinks(text, ids, marks)
            parts += _arrays(tokenizer, [without_empty_thinks(text)]) if bare is None else [bare]
        parts = [part[:STORED_TOKENS] for part in parts]
        yield _Tokens(parts, [answer_mask(part, marks) for part in parts], may)


def _arrays(tokenizer: ChatTokenizer, texts: list[str]) -> list[np.ndarray]:
    return [np.array(ids, dtype=np.int64) for ids in encode(tokenizer, texts)]


def _publish(temporary: Path, folder: Path) -> None:
    """Move a finished cache to its place. Where another process was faster with a good one, that stays."""
    while True:
        try:
            temporary.rename(folder)
            return
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        if _load(folder, ""):
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
