"""The formats of rows: MiniMind's own, and others' spellings of them, which become MiniMind's when they are read.

| format | row |
|---|---|
| pretrain | `{"text": "..."}` |
| sft | `{"conversations": [{"role": "user", "content": "..."}, {"role": "assistant", "content": "..."}]}` |
| dpo | `{"chosen": [messages], "rejected": [messages]}` |
| rlaif | as sft with an empty last answer; `gt` lists the right answers, if there are any |

`messages` may stand for `conversations`, and `from` and `value` (ShareGPT) for `role` and `content`.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any

from trainer.streams import RowError

KEYS = {"pretrain": ("text",), "sft": ("conversations",), "dpo": ("chosen", "rejected"), "rlaif": ("conversations",)}
"""The keys that a row of each format must have; more keys are allowed and ignored."""
ROLES = ("system", "user", "assistant", "tool")
NAMES = {"pretrain": "pretraining", "sft": "SFT", "dpo": "DPO", "rlaif": "RLAIF"}
EMPTY_ANSWERS = ("", "无")
"""What stands for "to be written by the model" in the last turn of RLAIF data."""
TYPES = {
    **{name: name for name in KEYS},
    **dict.fromkeys(("full_sft", "lora", "reason", "distill", "distillation"), "sft"),
    **dict.fromkeys(("ppo", "grpo", "spo"), "rlaif"),
}
"""Data format by training type or format."""
_TOOLS = ("tools", "functions")
_USED = {
    "pretrain": frozenset(("text",)),
    "sft": frozenset(("conversations", *_TOOLS)),
    "dpo": frozenset(("chosen", "rejected", *_TOOLS)),
    "rlaif": frozenset(("conversations", "gt", *_TOOLS)),
}
COLUMNS = frozenset().union(*_USED.values()) | {"messages"}
"""Every key that some format uses."""
_MESSAGE_KEYS = frozenset(("role", "content", "reasoning_content", "tools", "functions", "tool_calls"))
_SHARE_KEYS = frozenset(("from", "value"))
_SHARE_ROLES = {"human": "user", "gpt": "assistant", "observation": "tool", "function_response": "tool"}
_TURNS = ("conversations", "chosen", "rejected")
_SPELLINGS = ("conversations", "messages")


def canonical(row: dict[str, Any]) -> dict[str, Any]:
    """A row with MiniMind's keys; the row itself if it has them."""
    if row.get("conversations") is None and row.get("messages") is not None:
        row = {"conversations": row["messages"]} | {key: row[key] for key in row if key not in _SPELLINGS}
    for key in _TURNS:
        turns = row.get(key)
        if isinstance(turns, list) and turns and isinstance(turns[0], dict) and _is_share(turns[0]):
            row = row | {key: [_from_share(turn) for turn in turns]}
    return row


def _is_share(turn: dict[str, Any]) -> bool:
    return "from" in turn and "role" not in turn


def _from_share(turn: Any) -> Any:
    if not isinstance(turn, dict) or not _is_share(turn):
        return turn
    rest = {key: turn[key] for key in turn if key not in _SHARE_KEYS}
    if turn["from"] == "function_call":
        return rest | {"role": "assistant", "content": "", "tool_calls": turn.get("value")}
    role = _SHARE_ROLES.get(turn["from"], turn["from"]) if isinstance(turn["from"], str) else turn["from"]
    return rest | {"role": role} | ({"content": turn["value"]} if "value" in turn else {})


def ignored_keys(row: dict[str, Any], format: str) -> set[str]:  # noqa: A002
    """The keys of a row as it was read that a format makes no use of; those of messages as `messages.weight`."""
    used = _USED[format]
    found = row.keys() - used
    turns = _TURNS
    if "messages" in found and row.get("conversations") is None and "conversations" in used:
        found.discard("messages")
        found.discard("conversations")
        turns = ("messages",)
    for key in turns:
        messages = row.get(key) if key in used or key == "messages" else None
        for message in messages if isinstance(messages, list) else ():
            if isinstance(message, dict) and not message.keys() <= _MESSAGE_KEYS:
                known = _MESSAGE_KEYS | _SHARE_KEYS if _is_share(message) else _MESSAGE_KEYS
                found |= {f"{key}.{name}" for name in message.keys() - known}
    return found


def row_format(row: dict[str, Any]) -> str:
    """The format that a canonical row looks like, or ""."""
    if isinstance(row.get("conversations"), list):
        last = row["conversations"][-1] if row["conversations"] else None
        if isinstance(last, dict) and last.get("role") == "assistant" and not last.get("tool_calls"):
            return "rlaif" if last.get("content") in EMPTY_ANSWERS else "sft"
        return "sft"
    return next((name for name in ("dpo", "pretrain") if all(row.get(key) is not None for key in KEYS[name])), "")


def row_texts(row: dict[str, Any]) -> Iterator[str]:
    """Every text that a person wrote in a row of any format, without roles and JSON."""
    if isinstance(row.get("text"), str):
        yield row["text"]
    for key in _TURNS:
        for message in row.get(key) or ():
            yield from (message[k] for k in ("reasoning_content", "content") if isinstance(message.get(k), str))


def parsed(value: Any) -> list[Any]:
    """Tools or tool calls as a list: MiniMind v3 keeps them as JSON text, others as objects, or as a list of texts."""
    if isinstance(value, str):
        value = json.loads(value) if value.strip() else []
    if isinstance(value, dict):
        return [value]
    if isinstance(value, list):
        return [json.loads(item) if isinstance(item, str) else item for item in value]
    return value or []


def check_row(row: dict[str, Any], format: str, turns: str = "conversations") -> None:  # noqa: A002
    """Check a canonical row.

    Args:
        turns: what the file calls the conversations.

    Raises:
        RowError: it cannot be used.
    """
    _check_keys(row, format)
    if format == "pretrain":
        if not isinstance(row["text"], str):
            raise RowError(f"text is {kind(row['text'])}, not a string", "Write the text in quotes, or drop the row.")
        return
    for key in KEYS[format]:
        _check_messages(row[key], turns if key == "conversations" else key)
    for key in _TOOLS:
        _check_objects(row.get(key), key)
    _CHECKS[format](row)


def _check_keys(row: dict[str, Any], name: str) -> None:
    missing = [key for key in KEYS[name] if key not in row]
    if not missing:
        return
    found = ", ".join(list(row)[:8]) or "none"
    looks = row_format(row)
    hint = f"This looks like {NAMES[looks]} data; choose training type {looks}." if looks else ""
    raise RowError(f"no {' and '.join(missing)} (keys found: {found}; expected: {', '.join(KEYS[name])})", hint)


def _check_sft(row: dict[str, Any]) -> None:
    if row.get("gt") is not None and row_format(row) == "rlaif":
        raise RowError("the last answer is empty, so there is nothing to learn from", "This looks like RLAIF data.")


def _check_rlaif(row: dict[str, Any]) -> None:
    gt = row.get("gt")
    if gt is not None and (not isinstance(gt, list) or not all(isinstance(answer, str) for answer in gt)):
        raise RowError(f"gt is {kind(gt)}, not a list of strings", 'Write it as "gt": ["72"].')


_CHECKS: dict[str, Callable[[dict[str, Any]], None]] = {
    "sft": _check_sft,
    "dpo": lambda _row: None,
    "rlaif": _check_rlaif,
}


def _check_messages(messages: Any, key: str) -> None:
    if not isinstance(messages, list):
        raise RowError(f"{key} is {kind(messages)}, not a list of messages")
    if not messages:
        raise RowError(f"{key} is empty", "Write at least one message, or drop the row.")
    for index, message in enumerate(messages, 1):
        where = f"message {index} of {key}"
        if not isinstance(message, dict):
            raise RowError(f"{where} is {kind(message)}, not an object")
        if message.get("role") not in ROLES:
            found = repr(message["role"])[:80] if "role" in message else _no_role(message)
            raise RowError(f"the role of {where} is {found}", f"Use one of {', '.join(ROLES)}.")
        _check_message(message, where)


def _no_role(message: dict[str, Any]) -> str:
    return f"missing (keys found: {', '.join(list(message)[:8])})"


def _check_message(message: dict[str, Any], where: str) -> None:
    for key in (*_TOOLS, "tool_calls"):
        if message.get(key):
            _check_objects(message[key], f"{key} of {where}")
    content = message.get("content")
    if not isinstance(content, str) and not (content is None and message.get("tool_calls")):
        found = "missing" if "content" not in message else kind(content)
        raise RowError(f"content of {where} is {found}, not a string", 'Write "" for an empty one.')
    if not isinstance(message.get("reasoning_content", ""), str | None):
        raise RowError(f"reasoning_content of {where} is {kind(message['reasoning_content'])}, not a string")


def _check_objects(value: Any, name: str) -> None:
    """Check tools or tool calls."""
    try:
        items = parsed(value)
    except (ValueError, RecursionError) as error:
        raise RowError(f"{name} is text that is not valid JSON ({error})") from None
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise RowError(f"{name} is not a list of objects")


def kind(value: Any) -> str:
    """What a value is, in JSON's words."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    names = {dict: "object", list: "array", str: "string", bytes: "binary data"}
    return names.get(type(value), f"number {value!r}"[:40])
