"""Conversations as text and tokens: the tokenizer's chat template, which tokens carry loss, and small variations.

    messages, tools = conversation({"conversations": [{"role": "user", "content": "Hi"}]})
    text = render(tokenizer, messages, tools)

Loss falls on what the assistant writes: everything after `<|im_start|>assistant\\n` up to and with `<|im_end|>\\n`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jinja2 import TemplateError

from trainer.errors import BaseModelError
from trainer.row_formats import parsed
from trainer.tokenization import ChatTokenizer, encode

EMPTY_THINK = "<think>\n\n</think>\n\n"
SYSTEM_PROMPTS = (
    "你是 MiniMind，一个小巧的语言模型，请认真回答每个问题。",
    "请用简单明了的中文回答，不确定的地方直接说明。",
    "你是一位耐心的老师，会一步一步地讲清楚道理。",
    "你负责协助用户完成日常工作，回答要准确、简短。",
    "请先想清楚再作答，结论放在最前面。",
    "You are MiniMind, a small language model that answers with care.",
    "Answer in plain words, and say so when you are not sure.",
    "You are a patient teacher who explains one step at a time.",
    "Help the user with everyday work. Keep answers short and correct.",
    "Think first, then answer; put the conclusion at the beginning.",
)
"""What a random system prompt is drawn from."""
NO_SYSTEM_PROMPTS = (
    "No random system prompts (system_prompt_ratio): this tokenizer's chat template writes a system message of its own "
    "where there is none, or refuses any."
)
"""The notice where `system_prefixes` is empty."""
_PROBES: tuple[list[dict[str, Any]], ...] = (
    [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}],
    [{"role": "user", "content": "a"}],
)


@dataclass(frozen=True)
class ChatMarks:
    """The token sequences around an assistant's answer."""

    header: tuple[int, ...]
    """`<|im_start|>assistant\\n`"""
    end: tuple[int, ...]
    """`<|im_end|>\\n`"""
    empty_think: tuple[int, ...] = ()
    """The tokens of an empty thought; () where they depend on what follows."""


def check_template(tokenizer: ChatTokenizer) -> None:
    """See that conversations can become text at all.

    Raises:
        BaseModelError: the tokenizer has no chat template.
    """
    if not tokenizer.chat_template:
        raise BaseModelError(
            f"The tokenizer {tokenizer.name_or_path} has no chat template, so it cannot be trained on conversations.",
            "Choose a tokenizer with one, or pretrain on plain text.",
        )


def chat_marks(tokenizer: ChatTokenizer) -> ChatMarks:
    """The marks of a ChatML tokenizer.

    Raises:
        BaseModelError: the tokenizer has no chat template, or one of another kind.
    """
    check_template(tokenizer)
    name = tokenizer.name_or_path
    missing = [mark for mark in ("<|im_start|>", "<|im_end|>") if mark not in tokenizer.get_vocab()]
    if missing:
        raise BaseModelError(
            f"The tokenizer {name} has no token {' and '.join(missing)}: its chat format is not ChatML, the only one "
            "that can be trained on.",
            "Choose a MiniMind or Qwen tokenizer.",
        )
    header, end = encode(tokenizer, ["<|im_start|>assistant\n", "<|im_end|>\n"])
    return ChatMarks(tuple(header), tuple(end), _empty_think(tokenizer, tuple(header)))


def _empty_think(tokenizer: ChatTokenizer, header: tuple[int, ...]) -> tuple[int, ...]:
    if "ByteLevel" not in str(tokenizer.backend_tokenizer.pre_tokenizer):
        return ()  # others may join a line break with the word after it
    start = "<|im_start|>assistant\n"
    bare, full = encode(tokenizer, [f"{start}x", f"{start}{EMPTY_THINK}x"])
    rest = bare[len(header) :]
    found = tuple(full[len(header) : len(full) - len(rest)])
    return found if (*header, *found, *rest) == tuple(full) and (*header, *rest) == tuple(bare) else ()


def conversation(row: dict[str, Any]) -> tuple[list[dict[str, Any]], list[Any] | None]:
    """The messages and tools of a row, with JSON text turned into objects, as chat templates want them."""
    tools = parsed(row.get("tools") or row.get("functions"))
    messages = []
    for message in row["conversations"]:
        tools = tools or parsed(message.get("tools") or message.get("functions"))
        kept: dict[str, Any] = {"role": message["role"], "content": message.get("content") or ""}
        if isinstance(message.get("reasoning_content"), str):
            kept["reasoning_content"] = message["reasoning_content"]
        if calls := parsed(message.get("tool_calls")):
            kept["tool_calls"] = calls
        messages.append(kept)
    return messages, tools or None


def render(tokenizer: ChatTokenizer, messages: list[dict[str, Any]], tools: list[Any] | None = None) -> str:
    """A whole conversation as the text to train on."""
    return tokenizer.apply_chat_template(messages, tools=tools, tokenize=False)  # type: ignore[return-value]


def render_prompt(
    tokenizer: ChatTokenizer, messages: list[dict[str, Any]], tools: list[Any] | None = None, thinking: bool = False
) -> str:
    """A conversation as the text that the model goes on from. `thinking`: with thoughts first."""
    options = {"add_generation_prompt": True, "open_thinking": thinking, "enable_thinking": thinking}
    return tokenizer.apply_chat_template(messages, tools=tools, tokenize=False, **options)  # type: ignore[return-value]


def without_empty_thinks(text: str) -> str:
    """The text without its empty thoughts, all of them."""
    return text.replace(EMPTY_THINK, "")


def drop_empty_thinks(text: str, ids: np.ndarray, marks: ChatMarks) -> np.ndarray | None:
    """The tokens of `without_empty_thinks(text)`, from those of the text, which is much faster than tokenising again.

    None where that does not hold: white space after a thought would join with the line break before it.
    """
    pieces = text.split(EMPTY_THINK)
    if not marks.empty_think or any(piece[:1].isspace() or not piece for piece in pieces[1:]):
        return None
    places = _occurrences(ids, marks.empty_think)
    if len(places) != len(pieces) - 1:
        return None
    kept = np.ones(len(ids), dtype=bool)
    for place in places:
        kept[place : place + len(marks.empty_think)] = False
    return ids[kept]


def takes_system_prompt(messages: list[dict[str, Any]], tools: list[Any] | None) -> bool:
    """Whether a random system prompt may stand before these messages."""
    return messages[0]["role"] != "system" and not tools


def answer_mask(ids: np.ndarray, marks: ChatMarks) -> np.ndarray:
    """True where a token carries loss. An answer that does not end is labelled to the last token."""
    mask = np.zeros(len(ids), dtype=bool)
    ends = _occurrences(ids, marks.end)
    for header in _occurrences(ids, marks.header):
        start = header + len(marks.header)
        following = ends[np.searchsorted(ends, start) :]
        stop = int(following[0]) + len(marks.end) if len(following) else len(ids)
        mask[start:stop] = True
    return mask


def _occurrences(ids: np.ndarray, pattern: Sequence[int]) -> np.ndarray:
    """Where the pattern begins."""
    places = np.flatnonzero(ids == pattern[0])
    places = places[places <= len(ids) - len(pattern)]
    for offset, token in enumerate(pattern[1:], 1):
        places = places[ids[places + offset] == token]
    return places


def system_prefixes(tokenizer: ChatTokenizer) -> list[np.ndarray]:
    """Each random system prompt as the tokens to put before a conversation.

    Empty for templates where that would not equal rendering the prompt with the conversation, because they write a
    system message of their own, and for those that refuse one.
    """
    prefixes = [_prefix(tokenizer, prompt) for prompt in SYSTEM_PROMPTS]
    return [] if any(prefix is None for prefix in prefixes) else [p for p in prefixes if p is not None]


def _prefix(tokenizer: ChatTokenizer, prompt: str) -> np.ndarray | None:
    found: list[int] | None = None
    for probe in _PROBES:
        try:
            plain = render(tokenizer, probe)
            full = render(tokenizer, [{"role": "system", "content": prompt}, *probe])
        except (TemplateError, TypeError):
            return None
        if not full.endswith(plain):
            return None
        prefix, plain_ids, full_ids = encode(tokenizer, [full.removesuffix(plain), plain, full])
        if prefix + plain_ids != full_ids or found not in (None, prefix):
            return None
        found = prefix
    return np.array(found, dtype=np.int64)
