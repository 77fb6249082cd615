"""Data files: which there are, how many rows they have, and how long the rows are in tokens.

DataFiles(paths).listing()
DataFiles(paths).sample(path, tokenizer)      # up to 2,000 rows, tokenised; remembered until the file changes
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
MARKS = 2
"""Tokens that a training puts at the begin and end of a row."""


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
        """The JSONL files under these folders that a training may read, by path."""
        files = sorted({file for folder in folders for file in _jsonl_files(folder)})
        listed = map(self._dataset, filter(self._paths.allows, files[:MOST_FILES]))
        return [dataset for dataset in listed if dataset is not None]

    def sample(self, path: Path, tokenizer: Path) -> RowSample:
        """Rows and token lengths of a file, with the tokenizer in a `tokenizer.json`."""
        return self._remember("sample", path, (str(tokenizer),), lambda: _sample(path, tokenizer))

    def _dataset(self, path: Path) -> Dataset | None:
        """None if it has vanished; one that cannot be read has neither rows nor a format."""
        from trainer.rows import detect_format

        try:
            status = path.stat()
        except OSError:
            return None
        try:
            rows, found = self._remember("dataset", path, (), lambda: (_count(path), detect_format(path)))
        except OSError:
            rows, found = None, ""
        return Dataset(self._paths.shorten(path), path.name, status.st_size, rows, found, status.st_mtime)

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
        files = (Path(root) / name for name in names if name.endswith(".jsonl"))
        yield from (file for file in files if os.path.isfile(file))  # noqa: PTH113 - Path's raises without rights


def _count(path: Path) -> int | None:
    if path.stat().st_size > COUNTED_FILE:
        return None
    count, last = 0, b"\n"
    with path.open("rb") as file:
        while block := file.read(2**20):
            count += block.count(b"\n")
            last = block[-1:]
    return count + (last != b"\n")


def _sample(path: Path, tokenizer: Path) -> RowSample:
    from tokenizers import Tokenizer

    lines = list(_some_lines(path))
    counted = _count(path)
    mean = sum(map(len, lines)) / max(1, len(lines))
    rows = counted if counted is not None else round(path.stat().st_size / max(1.0, mean))
    try:
        loaded = Tokenizer.from_file(str(tokenizer))
    except Exception as error:  # the library raises nothing more precise
        raise PlatformError(f"The tokenizer {tokenizer} cannot be loaded: {error}.") from None
    encodings = loaded.encode_batch_fast([_text(line) for line in lines], add_special_tokens=False)
    lengths = tuple(len(encoding.ids) + MARKS for encoding in encodings)
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


def _text(line: bytes) -> str:
    """About what a training reads of a row, with the chat template around its messages."""
    from trainer.rows import row_texts

    try:
        row = json.loads(line)
        turns = row.get("conversations")
        text = "".join(map(_turn, turns)) if turns else "\n".join(row_texts(row))
    except (ValueError, TypeError, AttributeError, RecursionError):
        return ""  # the training will tell; here one bad row must not cost the estimate
    return text[:LONGEST_TEXT]


def _turn(message: dict[str, Any]) -> str:
    role, content = message.get("role", ""), message.get("content") or ""
    extra = "".join(json.dumps(message[key], ensure_ascii=False) for key in ("tools", "tool_calls") if message.get(key))
    think = f"<think>\n{message.get('reasoning_content') or ''}\n</think>\n\n" if role == "assistant" else ""
    return f"<|im_start|>{role}\n{think}{content}{extra}<|im_end|>\n"
