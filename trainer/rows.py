"""Reading data files: JSONL, one row a line, in MiniMind's formats. Every fault is told with its line and a way out.

    for line, row in read_rows("dataset/sft.jsonl", "sft"): ...

| format | row |
|---|---|
| pretrain | `{"text": "..."}` |
| sft | `{"conversations": [{"role": "user", "content": "..."}, {"role": "assistant", "content": "..."}]}` |
| dpo | `{"chosen": [messages], "rejected": [messages]}` |
| rlaif | as sft with an empty last answer; `gt` lists the right answers, if there are any |
"""

import difflib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainer.errors import DataError

LINE_LIMIT = 8 * 2**20
"""Longest line in bytes. A longer one is nearly always a file that is not JSONL."""
KEYS = {"pretrain": ("text",), "sft": ("conversations",), "dpo": ("chosen", "rejected"), "rlaif": ("conversations",)}
"""The keys that a row of each format must have; more keys are allowed and ignored."""
ROLES = ("system", "user", "assistant", "tool")
NAMES = {"pretrain": "pretraining", "sft": "SFT", "dpo": "DPO", "rlaif": "RLAIF"}
EMPTY_ANSWERS = ("", "无")
"""What stands for "to be written by the model" in the last turn of RLAIF data."""


class _RowError(Exception):
    """What is wrong with a row; the caller knows file and line."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


@dataclass(frozen=True)
class RowCheck:
    """What `check_rows` found."""

    format: str
    rows: int
    """Good rows."""
    bad: int
    errors: tuple[DataError, ...]
    """The first bad lines, or the reason why the file cannot be read at all."""


def read_rows(path: str | Path, format: str) -> Iterator[tuple[int, dict[str, Any]]]:  # noqa: A002
    """Yield (line number from 1, row) without loading the file.

    Raises:
        DataError: at the first row that cannot be used, or if there is no row at all.
    """
    for line, _, row in scan_rows(path, format):
        yield line, row


def scan_rows(path: str | Path, format: str) -> Iterator[tuple[int, int, dict[str, Any]]]:  # noqa: A002
    """As `read_rows`, with the number of bytes read so far in the middle."""
    check = _CHECKS[format]
    empty = True
    for line, done, raw in _lines(_readable(path)):
        try:
            row = _parse(raw, line)
            if row is None:
                continue
            check(row)
        except _RowError as error:
            raise _located(path, line, error) from None
        empty = False
        yield line, done, row
    if empty:
        raise DataError(f"{path} has no rows, only blank lines.", "Write one JSON object on each line.")


def check_rows(path: str | Path, format: str, limit_errors: int = 5) -> RowCheck:  # noqa: A002
    """Read a whole file and collect its bad lines instead of stopping at the first."""
    rows, bad = 0, 0
    errors: list[DataError] = []
    try:
        for line, _, raw in _lines(_readable(path)):
            try:
                row = _parse(raw, line)
                if row is not None:
                    _CHECKS[format](row)
                    rows += 1
            except _RowError as error:
                bad += 1
                if len(errors) < limit_errors:
                    errors.append(_located(path, line, error))
        if not rows + bad:
            raise DataError(f"{path} has no rows, only blank lines.", "Write one JSON object on each line.")
    except DataError as error:
        errors.append(error)
    return RowCheck(format, rows, bad, tuple(errors))


def detect_format(path: str | Path, rows: int = 20) -> str:
    """The format of a file by its first rows: pretrain, sft, dpo, rlaif, or "" if they do not agree on one."""
    found: set[str] = set()
    try:
        for line, _, raw in _lines(_readable(path)):
            row = _parse(raw, line)
            if row is not None:
                found.add(row_format(row))
                rows -= 1
            if not rows:
                break
    except (DataError, _RowError):
        return ""
    if found == {"sft", "rlaif"}:  # single empty answers happen in SFT data
        return "sft"
    return found.pop() if len(found) == 1 else ""


def row_format(row: dict[str, Any]) -> str:
    """The format that a row looks like, or ""."""
    if isinstance(row.get("conversations"), list):
        last = row["conversations"][-1] if row["conversations"] else None
        if isinstance(last, dict) and last.get("role") == "assistant" and not last.get("tool_calls"):
            return "rlaif" if last.get("content") in EMPTY_ANSWERS else "sft"
        return "sft"
    return next((name for name in ("dpo", "pretrain") if all(key in row for key in KEYS[name])), "")


def row_texts(row: dict[str, Any]) -> Iterator[str]:
    """Every text that a person wrote in a row of any format, without roles and JSON."""
    if isinstance(row.get("text"), str):
        yield row["text"]
    for key in ("conversations", "chosen", "rejected"):
        for message in row.get(key) or ():
            yield from (message[k] for k in ("reasoning_content", "content") if isinstance(message.get(k), str))


def parsed(value: Any) -> list[Any]:
    """Tools or tool calls as a list: MiniMind v3 keeps them as JSON text, others as objects."""
    if isinstance(value, str):
        value = json.loads(value) if value.strip() else []
    if isinstance(value, dict):
        return [value]
    return value or []


def _readable(path: str | Path) -> Path:
    file = Path(path)
    if file.is_dir():
        inside = sorted(p.name for p in file.glob("*.jsonl"))[:3]
        hint = f"Choose a file in it, such as {', '.join(inside)}." if inside else "Choose a JSONL file."
        raise DataError(f"{path} is a folder, not a file.", hint)
    if not file.exists():
        raise DataError(f"There is no file {file.absolute()}.", _similar(file))
    if not file.is_file():
        raise DataError(f"{path} is not an ordinary file.", "Choose a JSONL file.")
    if not file.stat().st_size:
        raise DataError(f"{path} is empty (0 bytes).", "Write one JSON object on each line.")
    return file


def _similar(file: Path) -> str:
    if not file.absolute().parent.is_dir():
        return f"The folder {file.absolute().parent} does not exist either."
    names = [p.name for p in file.absolute().parent.iterdir() if p.is_file()]
    alike = difflib.get_close_matches(file.name, names, n=3, cutoff=0.5)
    return f"Did you mean {' or '.join(alike)}?" if alike else "Check the spelling, or give an absolute path."


def _lines(file: Path) -> Iterator[tuple[int, int, bytes]]:
    """Yield (number, bytes so far, line). A line over the limit is cut, so that its fault can be told."""
    try:
        with file.open("rb") as stream:
            number = done = 0
            while raw := stream.readline(LINE_LIMIT + 2):
                number += 1
                done += len(raw)
                rest = raw
                while len(raw) > LINE_LIMIT + 1 and rest and not rest.endswith(b"\n"):
                    rest = stream.readline(2**20)
                    done += len(rest)
                yield number, done, raw
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror or error}.", "Check its permissions.") from None


def _parse(raw: bytes, line: int) -> dict[str, Any] | None:
    """The row on a line, or None if the line is blank."""
    if len(raw) > LINE_LIMIT + 1:
        raise _RowError(f"longer than {LINE_LIMIT // 2**20} MB", "Split the text into several rows.")
    if line == 1 and raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise _RowError("the file is UTF-16", "Save it as UTF-8.")
    if b"\0" in raw:
        raise _RowError(f"NUL byte at byte {raw.index(0) + 1}", "The file is damaged; copy or export it again.")
    try:
        text = raw.decode("utf-8-sig" if line == 1 else "utf-8").strip()
        row = json.loads(text) if text else None
    except UnicodeDecodeError as error:
        raise _RowError(
            f"not UTF-8 (byte {error.start + 1} is 0x{raw[error.start]:02x})", "Save it as UTF-8."
        ) from None
    except json.JSONDecodeError as error:
        hint = "A data file holds one JSON object on each line, not one array." if raw.lstrip().startswith(b"[") else ""
        raise _RowError(f"not valid JSON ({error.msg} at column {error.colno})", hint) from None
    except (ValueError, RecursionError) as error:
        raise _RowError(f"JSON that cannot be read ({error})") from None
    if b"\\u" in raw and _has_lone_surrogate(row):
        raise _RowError("half of a surrogate pair, such as \\ud83d alone, which is no character")
    if text and not isinstance(row, dict):
        raise _RowError(f"a JSON {_kind(row)}, not an object", "Write each row as {...}.")
    return row


def _has_lone_surrogate(row: Any) -> bool:
    try:
        json.dumps(row, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False


def _check_keys(row: dict[str, Any], name: str) -> None:
    missing = [key for key in KEYS[name] if key not in row]
    if not missing:
        return
    found = ", ".join(list(row)[:8]) or "none"
    looks = row_format(row)
    hint = f"This looks like {NAMES[looks]} data; choose training type {looks}." if looks else ""
    if not looks and "messages" in row and "conversations" in missing:
        hint = "Rename messages to conversations."
    raise _RowError(f"no {' and '.join(missing)} (keys found: {found}; expected: {', '.join(KEYS[name])})", hint)


def _check_pretrain(row: dict[str, Any]) -> None:
    _check_keys(row, "pretrain")
    if not isinstance(row["text"], str):
        raise _RowError(f"text is {_kind(row['text'])}, not a string", "Write the text in quotes, or drop the row.")


def _check_sft(row: dict[str, Any]) -> None:
    _check_keys(row, "sft")
    _check_messages(row["conversations"], "conversations")
    if "gt" in row and row_format(row) == "rlaif":
        raise _RowError("the last answer is empty, so there is nothing to learn from", "This looks like RLAIF data.")


def _check_rlaif(row: dict[str, Any]) -> None:
    _check_keys(row, "rlaif")
    _check_messages(row["conversations"], "conversations")
    gt = row.get("gt", [])
    if not isinstance(gt, list) or not all(isinstance(answer, str) for answer in gt):
        raise _RowError(f"gt is {_kind(gt)}, not a list of strings", 'Write it as "gt": ["72"].')


def _check_dpo(row: dict[str, Any]) -> None:
    _check_keys(row, "dpo")
    _check_messages(row["chosen"], "chosen")
    _check_messages(row["rejected"], "rejected")


_CHECKS: dict[str, Callable[[dict[str, Any]], None]] = {
    "pretrain": _check_pretrain,
    "sft": _check_sft,
    "dpo": _check_dpo,
    "rlaif": _check_rlaif,
}


def _check_messages(messages: Any, key: str) -> None:
    if not isinstance(messages, list):
        raise _RowError(f"{key} is {_kind(messages)}, not a list of messages")
    if not messages:
        raise _RowError(f"{key} is empty", "Write at least one message, or drop the row.")
    for index, message in enumerate(messages, 1):
        where = f"message {index} of {key}"
        if not isinstance(message, dict):
            raise _RowError(f"{where} is {_kind(message)}, not an object")
        if message.get("role") not in ROLES:
            found = repr(message["role"]) if "role" in message else f"missing (keys found: {', '.join(message)})"
            raise _RowError(f"the role of {where} is {found}", f"Use one of {', '.join(ROLES)}.")
        _check_message(message, where)


def _check_message(message: dict[str, Any], where: str) -> None:
    for key in ("tools", "functions", "tool_calls"):
        try:
            items = parsed(message.get(key))
        except ValueError as error:
            raise _RowError(f"{key} of {where} is text that is not valid JSON ({error})") from None
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise _RowError(f"{key} of {where} is not a list of objects")
    content = message.get("content")
    if not isinstance(content, str) and not (content is None and message.get("tool_calls")):
        found = "missing" if "content" not in message else _kind(content)
        raise _RowError(f"content of {where} is {found}, not a string", 'Write "" for an empty one.')
    if not isinstance(message.get("reasoning_content", ""), str | None):
        raise _RowError(f"reasoning_content of {where} is {_kind(message['reasoning_content'])}, not a string")


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    return {dict: "object", list: "array", str: "string"}.get(type(value), f"number {value!r}"[:40])


def _located(path: str | Path, line: int, error: _RowError) -> DataError:
    return DataError(f"{path} line {line}: {error.message}.", error.hint)
