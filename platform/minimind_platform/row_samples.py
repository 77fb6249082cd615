"""How many rows a data set has and how long they are, without reading all of it.

count_rows(path)                       # None where counting would take longer than a person waits
sample_rows(path, tokenizer_json)      # up to 2,000 rows, tokenised
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from minimind_platform.errors import PlatformError
from trainer.errors import DataError
from trainer.row_formats import COLUMNS, KEYS, canonical, parsed, row_texts
from trainer.sources import is_parquet, open_data
from trainer.streams import parquet_row_count, raw_rows

SAMPLED_ROWS = 2_000
SPOTS = 20
"""Places in a large file, or files of a folder, that are sampled."""
SMALL_FILE = 4 * 2**20
COUNTED_BYTES = 256 * 2**20
"""Rows of more are estimated."""
COUNTED_PACKED = 32 * 2**20
"""The same for what must be unpacked first, in bytes when unpacked."""
LONGEST_TEXT = 200_000
"""Characters of a row that are tokenised; no training reads more."""
MARKS = 2
"""Tokens that a training puts at the begin and end of a row."""
_PACKED = (".gz", ".zst")


@dataclass(frozen=True)
class RowSample:
    """Rows of a data set and the tokens of some of them."""

    rows: int
    lengths: tuple[int, ...]
    """Of what goes through a model together: a row, or one of the two answers of a pair."""
    parts: int = 1
    """How many of these a row has."""

    def tokens(self, longest: int) -> int:
        """Tokens of the whole data set with rows cut at a length."""
        if not self.lengths:
            return 0
        return round(self.rows * self.parts * sum(min(length, longest) for length in self.lengths) / len(self.lengths))


def count_rows(path: Path) -> int | None:
    """Rows of a data set, blank lines among them; None if it is large or cannot be read."""
    try:
        files = open_data(path).files
        if sum(file.stat().st_size for file in files if not is_parquet(file)) > COUNTED_BYTES:
            return None
        counts = [_count(file) for file in files]
    except (DataError, OSError):
        return None
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None


def sample_rows(path: Path, tokenizer: Path) -> RowSample:
    """Rows and token lengths of a data set, with the tokenizer in a `tokenizer.json`."""
    from tokenizers import Tokenizer

    data = open_data(path)
    files = data.files[:: max(1, -(-len(data.files) // SPOTS))]
    rows, texts = 0.0, []
    for file in files:
        count, some = _file_sample(file, SAMPLED_ROWS // len(files))
        rows += count
        texts += [_texts(row) for row in some]
    counted = count_rows(path)
    share = sum(file.stat().st_size for file in files) / data.bytes
    try:
        loaded = Tokenizer.from_file(str(tokenizer))
    except Exception as error:  # the library raises nothing more precise
        raise PlatformError(f"The tokenizer {tokenizer} cannot be loaded: {error}.") from None
    flat = [text for row in texts for text in row]
    encodings = loaded.encode_batch_fast(flat, add_special_tokens=False)
    lengths = tuple(len(encoding.ids) + MARKS for encoding in encodings)
    parts = max(map(len, texts), default=1)
    return RowSample(counted if counted is not None else round(rows / share), lengths, parts)


def _count(file: Path) -> int | None:
    if is_parquet(file):
        return parquet_row_count(file)
    if file.name.lower().endswith(_PACKED):
        lines = size = 0
        for raw in raw_rows(file, COLUMNS):
            lines, size = raw.number, size + raw.size
            if size > COUNTED_PACKED:
                return None
        return lines
    count, last = 0, b"\n"
    with file.open("rb") as stream:
        while block := stream.read(2**20):
            count += block.count(b"\n")
            last = block[-1:]
    return count + (last != b"\n")


def _file_sample(file: Path, most: int) -> tuple[float, list[Any]]:
    """About how many rows a file has, and some of them."""
    size = file.stat().st_size
    if not is_parquet(file) and not file.name.lower().endswith(_PACKED):
        lines = list(_some_lines(file, most))
        return size / max(1.0, sum(map(len, lines)) / max(1, len(lines))), lines
    some, done, read = [], 0, 0
    for raw in islice(raw_rows(file, COLUMNS), most):  # the first: one cannot jump in it
        some.append(raw.value)
        done, read = raw.done, read + raw.size
        if read > SMALL_FILE:
            break
    rows = parquet_row_count(file) if is_parquet(file) else len(some) * size / max(1, done)
    return rows, some


def _some_lines(path: Path, most: int) -> Iterator[bytes]:
    """Lines spread evenly over a file: all of them if it has few, else runs of neighbours at several spots."""
    size = path.stat().st_size
    with path.open("rb") as file:
        if size <= SMALL_FILE:
            lines = [line for line in file if line.strip()]
            yield from lines[:: max(1, -(-len(lines) // most))]
            return
        for spot in range(SPOTS):
            file.seek(size * spot // SPOTS)
            if spot:
                file.readline(SMALL_FILE)  # the rest of a line whose begin was not read
            for _ in range(max(1, most // SPOTS)):
                line = file.readline(SMALL_FILE)
                if line.strip():
                    yield line


def _texts(value: Any) -> list[str]:
    """About what a training reads of a row, with the chat template around its messages: one text, or two of a pair."""
    try:
        row = canonical(value if isinstance(value, dict) else json.loads(value))
        turns = [row[key] for key in ("conversations", *KEYS["dpo"]) if row.get(key)]
        tools = json.dumps(parsed(row["tools"]), ensure_ascii=False) if row.get("tools") else ""
        texts = [tools + "".join(map(_turn, some)) for some in turns] or ["\n".join(row_texts(row))]
        "".join(texts).encode()
    except (ValueError, TypeError, AttributeError, RecursionError):
        return [""]  # the training will tell; here one bad row must not cost the estimate
    return [text[:LONGEST_TEXT] for text in texts]


def _turn(message: dict[str, Any]) -> str:
    role, content = message.get("role", ""), message.get("content") or ""
    extra = "".join(json.dumps(message[key], ensure_ascii=False) for key in ("tools", "tool_calls") if message.get(key))
    think = f"<think>\n{message.get('reasoning_content') or ''}\n</think>\n\n" if role == "assistant" else ""
    return f"<|im_start|>{role}\n{think}{content}{extra}<|im_end|>\n"
