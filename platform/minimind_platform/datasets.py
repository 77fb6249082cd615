"""Data files: which there are, how many rows they have, and how long the rows are in tokens.

DataFiles(paths).listing()
DataFiles(paths).sample(path, "sft", tokenizer)      # up to 2,000 rows, tokenised; remembered until the file changes
"""

import json
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minimind_platform.errors import PlatformError
from minimind_platform.paths import Paths
from minimind_platform.views import Dataset

SAMPLED_ROWS = 2_000
SPOTS = 20
"""Places in a large file that are sampled."""
SMALL_FILE = 4 * 2**20
COUNTED_FILE = 256 * 2**20
"""Rows of larger files are estimated: counting would take longer than a person waits."""
MOST_FILES = 1_000
LONGEST_TEXT = 200_000
"""Characters of a row that are tokenised; no training reads more."""
MESSAGE_TOKENS = 6
"""What the chat template puts around a message."""
THINK_TOKENS = 5
"""The empty <think> block of an answer."""


@dataclass(frozen=True)
class RowSample:
    """Rows of a file and the tokens of some of them."""

    rows: int
    lengths: tuple[int, ...]

    def tokens(self, longest: int) -> int:
        """Tokens of the whole file with rows cut at a length."""
        if not self.lengths:
            return 0
        return round(self.rows * sum(min(length, longest) for length in self.lengths) / len(self.lengths))


class DataFiles:
    """The data files under the allowed folders. What was read of a file is kept until it changes."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._lock = threading.Lock()
        self._known: dict[tuple[Any, ...], Any] = {}

    def listing(self, folders: list[Path]) -> list[Dataset]:
        """The JSONL files under these folders, by path."""
        files = sorted({file for folder in folders for file in _jsonl_files(folder)})
        return [self._dataset(file) for file in files[:MOST_FILES]]

    def sample(self, path: Path, row_format: str, tokenizer: Path) -> RowSample:
        """Rows and token lengths of a file, with the tokenizer in a `tokenizer.json`."""
        return self._remember(
            "sample", path, (row_format, str(tokenizer)), lambda: _sample(path, row_format, tokenizer)
        )

    def _dataset(self, path: Path) -> Dataset:
        from trainer.rows import detect_format

        rows, found = self._remember("dataset", path, (), lambda: (_count(path), detect_format(path)))
        return Dataset(self._paths.shorten(path), path.name, path.stat().st_size, rows, found)

    def _remember(self, kind: str, path: Path, extra: tuple[str, ...], read: Any) -> Any:
        status = path.stat()
        key = (kind, str(path), status.st_mtime_ns, status.st_size, *extra)
        if key not in self._known:
            value = read()
            with self._lock:
                while len(self._known) >= MOST_FILES:
                    self._known.pop(next(iter(self._known)))
                self._known[key] = value
        return self._known[key]


def _jsonl_files(folder: Path) -> Iterator[Path]:
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(root) / name for name in names if name.endswith(".jsonl") and (Path(root) / name).is_file())


def _count(path: Path) -> int | None:
    if path.stat().st_size > COUNTED_FILE:
        return None
    count, last = 0, b"\n"
    with path.open("rb") as file:
        while block := file.read(2**20):
            count += block.count(b"\n")
            last = block[-1:]
    return count + (last != b"\n")


def _sample(path: Path, row_format: str, tokenizer: Path) -> RowSample:
    from tokenizers import Tokenizer

    lines = list(_some_lines(path))
    counted = _count(path)
    mean = sum(map(len, lines)) / max(1, len(lines))
    rows = counted if counted is not None else round(path.stat().st_size / max(1.0, mean))
    try:
        loaded = Tokenizer.from_file(str(tokenizer))
    except Exception as error:  # the library raises nothing more precise
        raise PlatformError(f"The tokenizer {tokenizer} cannot be loaded: {error}.") from None
    texts, extra = zip(*(_text(line, row_format) for line in lines), strict=True) if lines else ((), ())
    encodings = loaded.encode_batch_fast(list(texts), add_special_tokens=False)
    lengths = tuple(len(encoding.ids) + more for encoding, more in zip(encodings, extra, strict=True))
    return RowSample(rows, lengths)


def _some_lines(path: Path) -> Iterator[bytes]:
    """Lines spread evenly over the file: all of them if it has few, else runs of neighbours at several spots."""
    size = path.stat().st_size
    with path.open("rb") as file:
        if size <= SMALL_FILE:
            lines = [line for line in file if line.strip()]
            yield from lines[:: max(1, -(-len(lines) // SAMPLED_ROWS))]
            return
        for spot in range(SPOTS):
            file.seek(size * spot // SPOTS)
            if spot:
                file.readline(SMALL_FILE)  # the rest of a line whose begin was not read
            for _ in range(SAMPLED_ROWS // SPOTS):
                line = file.readline(SMALL_FILE)
                if line.strip():
                    yield line


def _text(line: bytes, row_format: str) -> tuple[str, int]:
    """What is tokenised of a row, and the tokens that the training adds to it."""
    from trainer.rows import row_texts

    try:
        row = json.loads(line)
        text = "\n".join(row_texts(row))[:LONGEST_TEXT]
    except (ValueError, TypeError, AttributeError, RecursionError):
        return "", 0  # the training will tell; here one bad row must not cost the estimate
    if row_format == "pretrain":
        return text, 2
    messages = [m for m in row.get("conversations") or () if isinstance(m, dict)]
    return text, sum(MESSAGE_TOKENS + (THINK_TOKENS if m.get("role") == "assistant" else 0) for m in messages)
