"""Rows as a training sees them: the text with all that the chat template adds, and which of it carries loss.

preview("dataset/sft.jsonl", "sft", tokenizer, max_seq_len=768, start=0, rows=3)
"""

from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np

from trainer.errors import DataError
from trainer.row_parts import Part, RowParts
from trainer.rows import Row, RowReader, all_rows
from trainer.sources import DataSet, is_parquet
from trainer.streams import RowError, parquet_row_count
from trainer.tokenization import ChatTokenizer

COUNTED_BYTES = 64 * 2**20
"""Rows of larger data sets are not counted for a preview, unless the files tell."""
LONGEST_CUT = 1000
"""Tokens that are shown of what is cut off."""


def preview(
    path: str | Path,
    format: str,  # noqa: A002
    tokenizer: ChatTokenizer,
    max_seq_len: int,
    start: int = 0,
    rows: int = 5,
) -> dict[str, Any]:
    """Some rows, plain enough for JSON; docs/data.md tells each key.

    Args:
        start: rows to leave out at the begin.
        rows: rows to show.

    Raises:
        DataError: nothing can be read.
        BaseModelError: the tokenizer cannot express conversations.
    """
    reader = RowReader(path, format)
    parts = RowParts(reader.data, format, tokenizer)
    shown: list[dict[str, Any]] = []
    stream = (item for item in all_rows(reader.data) if not isinstance(item[2].value, bytes) or item[2].value.strip())
    passed = sum(1 for _ in islice(stream, start))
    for place, done, raw in islice(stream, rows):
        passed += 1
        found: list[Part] | DataError | RowError
        try:
            value = reader.checked(place, raw)
            if value is None:  # a line with nothing but a byte order mark
                continue
            found = next(parts.of([Row(place, done, raw.size, value)]))[1]
        except RowError as error:
            found = error
        about: dict[str, Any] = {"where": reader.data.where(place)}
        if isinstance(found, list):
            about |= _shown(found, tokenizer, max_seq_len)
        else:
            about |= {"tokens": 0, "cut_at": None, "spans": []}
            about["error"] = {"message": found.message, "hint": found.hint}
        shown.append(about)
    total = _total(reader.data)
    if total is None and reader.data.bytes <= COUNTED_BYTES:
        total = passed + sum(1 for _ in stream)
    return {"path": str(path), "format": format, "max_seq_len": max_seq_len, "total_rows": total, "rows": shown}


def _total(data: DataSet) -> int | None:
    """Rows, where the files tell by themselves."""
    return sum(map(parquet_row_count, data.files)) if all(map(is_parquet, data.files)) else None


def _shown(parts: list[Part], tokenizer: ChatTokenizer, limit: int) -> dict[str, Any]:
    tokens = max(len(part.ids) for part in parts)
    about: dict[str, Any] = {"tokens": tokens, "cut_at": limit if tokens > limit else None}
    spans = [_spans(part, tokenizer, limit) for part in parts]
    if len(parts) == 1:
        return about | {"spans": spans[0]}
    named = [{"name": part.name, "spans": spans} for part, spans in zip(parts, spans, strict=True)]
    return about | {"spans": [], "parts": named}


def _spans(part: Part, tokenizer: ChatTokenizer, limit: int) -> list[dict[str, Any]]:
    """Neighbouring tokens of the same kind as one text. What is cut off comes last, and only its begin."""
    kept = part.kept(limit)
    ids, loss = part.ids[kept], part.loss[kept]
    edges = [0, *(np.flatnonzero(loss[1:] != loss[:-1]) + 1).tolist(), len(ids)]
    spans = [
        {"text": _decoded(tokenizer, ids[begin:end]), "loss": bool(loss[begin]), "tokens": end - begin}
        for begin, end in pairwise(edges)
        if end > begin
    ]
    lost = part.ids[~kept]
    if len(lost):
        text = _decoded(tokenizer, lost[:LONGEST_CUT]) + ("…" if len(lost) > LONGEST_CUT else "")
        spans.append({"text": text, "loss": False, "tokens": len(lost), "cut": True})
    return spans


def _decoded(tokenizer: ChatTokenizer, ids: np.ndarray) -> str:
    return str(tokenizer.decode(ids.tolist(), skip_special_tokens=False, clean_up_tokenization_spaces=False))
