"""Conversations: prompts, labels, empty thoughts and random system prompts."""

import json
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from trainer.chat import (
    EMPTY_THINK,
    SYSTEM_PROMPTS,
    ChatMarks,
    answer_mask,
    chat_marks,
    conversation,
    drop_empty_thinks,
    render,
    render_prompt,
    system_prefixes,
    takes_system_prompt,
    without_empty_thinks,
)
from trainer.errors import BaseModelError
from trainer.tokenization import ChatTokenizer, encode, load_tokenizer

CHAT = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
DEFAULT_SYSTEM = (
    "{% if messages[0].role != 'system' %}<|im_start|>system\nYou help.<|im_end|>\n{% endif %}"
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
)
"""A ChatML template that writes a system message of its own, as MiniMind v2's and Qwen 2.5's do."""


@pytest.fixture
def tokenizer() -> ChatTokenizer:
    return load_tokenizer(None)


@pytest.fixture(scope="module")
def theirs(minimind: Path) -> ChatTokenizer:
    return load_tokenizer(str(minimind / "v3-dense" / "transformers-qwen3"))


@pytest.fixture(scope="module")
def expected(minimind: Path) -> dict[str, Any]:
    return json.loads((minimind / "losses-v3" / "expected.json").read_text("utf-8"))


def test_prompts_tokens_and_labels_are_those_of_minimind(theirs: ChatTokenizer, expected: dict[str, Any]) -> None:
    for case in expected["sft"]:
        text = render(theirs, *conversation(case))
        ids = np.array(encode(theirs, [text])[0])
        length = case["max_length"]
        labels = np.where(answer_mask(ids, chat_marks(theirs)), ids, -100)[:length]
        padding = length - len(labels)
        assert text == case["prompt"]
        assert [*ids[:length], *[0] * padding] == case["input_ids"]
        assert [*labels, *[-100] * padding] == case["labels"]


def test_preference_rows_get_the_same_mask_as_in_minimind(theirs: ChatTokenizer, expected: dict[str, Any]) -> None:
    sample = expected["dpo_sample"]
    for side in ("chosen", "rejected"):
        ids = np.array(encode(theirs, [render(theirs, sample["row"][side])])[0])
        mask = answer_mask(ids, chat_marks(theirs))[1:].astype(int).tolist()
        assert [*mask, *[0] * (len(sample[f"mask_{side}"]) - len(mask))] == sample[f"mask_{side}"]


def test_encoding_is_that_of_minimind(theirs: ChatTokenizer, expected: dict[str, Any]) -> None:
    assert dict(zip(expected["encode"], encode(theirs, list(expected["encode"])), strict=True)) == expected["encode"]


def test_prompts_to_answer_are_those_of_minimind(
    tokenizer: ChatTokenizer, theirs: ChatTokenizer, expected: dict[str, Any]
) -> None:
    question, prompts = [{"role": "user", "content": "Q"}], expected["generation_prompt"]
    for either in (tokenizer, theirs):
        assert render_prompt(either, question) == prompts["plain"] == prompts["enable_thinking_false"]
        assert render_prompt(either, question, thinking=True) == prompts["open_thinking_true"]


def test_prompts_of_v2_are_those_of_minimind(tokenizer: ChatTokenizer, minimind: Path) -> None:
    """v2's template is not at hand; this one behaves like it (contract section 3)."""
    prompts = json.loads((minimind / "losses-v2" / "expected.json").read_text("utf-8"))["generation_prompt"]
    tokenizer.chat_template = DEFAULT_SYSTEM.replace("You help.", "You are a helpful assistant") + (
        "{% if add_generation_prompt %}<|im_start|>assistant\n"
        "{% if enable_thinking is defined and not enable_thinking %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
    )
    question = [{"role": "user", "content": "Q"}]
    assert render_prompt(tokenizer, question) == prompts["enable_thinking_false"]
    assert render_prompt(tokenizer, question, thinking=True) == prompts["plain"] == prompts["open_thinking_true"]


def test_tools_and_calls_written_as_text_render_like_objects(tokenizer: ChatTokenizer) -> None:
    tools, calls = [{"name": "f", "parameters": {}}], [{"name": "f", "arguments": {"x": "é"}}]
    rows = [
        {
            "conversations": [
                {"role": "system", "content": "S", "tools": write(tools)},
                {"role": "user", "content": "Q"},
                {"role": "assistant", "content": "", "tool_calls": write(calls)},
                {"role": "tool", "content": "1"},
            ]
        }
        for write in (json.dumps, lambda value: value)
    ]
    texts = [render(tokenizer, *conversation(row)) for row in rows]
    assert texts[0] == texts[1]
    assert '{"name": "f", "arguments": {"x": "é"}}' in texts[0]
    assert "<tools>" in texts[0]


HEADER, END = (1, 7, 8), (2, 9)
A = [*HEADER]


@pytest.mark.parametrize(
    ("ids", "labelled"),
    [
        ([], []),
        ([1, 5, 2, 9], []),
        (A, []),
        ([*A, 5], [3]),
        ([*A, 5, 2], [3, 4]),
        ([*A, 5, 2, 9], [3, 4, 5]),
        ([*A, 2, 9], [3, 4]),
        ([*A, 5, 2, 9, 1, 6, 2, 9], [3, 4, 5]),
        ([*A, 5, 2, 9, *A, 6, 2, 9], [3, 4, 5, 9, 10, 11]),
        ([*A, 2, 5, 2, 9, 5], [3, 4, 5, 6]),
        ([*A, 5, *A, 6, 2, 9, 5], [3, 4, 5, 6, 7, 8, 9]),
        ([1, 7], []),
        ([2, 9, *A, 5], [5]),
    ],
)
def test_labels_begin_after_the_header_and_end_with_the_end(ids: list[int], labelled: list[int]) -> None:
    assert np.flatnonzero(answer_mask(np.array(ids, dtype=np.int64), ChatMarks(HEADER, END))).tolist() == labelled


def slow_mask(ids: list[int], header: list[int], end: list[int]) -> list[bool]:
    """The rule of labels, token by token."""
    mask, i = [False] * len(ids), 0
    while i < len(ids):
        if ids[i : i + len(header)] != header:
            i += 1
            continue
        i += len(header)
        while i < len(ids):
            if ids[i : i + len(end)] == end:
                for j in range(i, i + len(end)):
                    mask[j] = True
                i += len(end)
                break
            mask[i] = True
            i += 1
    return mask


def test_labels_follow_the_rule_on_random_tokens_at_every_cut() -> None:
    r = Random(3)
    for _ in range(300):
        ids = [token for _ in range(r.randint(0, 12)) for token in r.choice([HEADER, END, (5,), (1,), (2,), (7, 8)])]
        whole = answer_mask(np.array(ids, dtype=np.int64), ChatMarks(HEADER, END)).tolist()
        assert whole == slow_mask(ids, [*HEADER], [*END])
        for cut in range(len(ids)):
            assert whole[:cut] == slow_mask(ids[:cut], [*HEADER], [*END])


def test_all_empty_thoughts_of_a_text_are_removed_and_others_stay(tokenizer: ChatTokenizer) -> None:
    messages = [*CHAT, CHAT[0], {"role": "assistant", "content": "Hello", "reasoning_content": "hm"}, *CHAT]
    text = render(tokenizer, messages)
    assert text.count(EMPTY_THINK) == 2
    assert without_empty_thinks(text).count("<think>") == 1


def joins_line_breaks(tokenizer: ChatTokenizer) -> ChatTokenizer:
    """A small tokenizer with the same template whose tokens hold several line breaks."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    marks = ["<|im_start|>", "<|im_end|>", "<think>", "</think>"]
    trainer = trainers.BpeTrainer(
        vocab_size=290, special_tokens=marks, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    backend.train_from_iterator(["\n\n\n x", "\n\n", "\n\n\n\n", " \n", " x"] * 10, trainer)
    small = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<|im_end|>")
    small.chat_template = tokenizer.chat_template
    return small


@pytest.mark.parametrize("which", ["ours", "theirs", "plain tags", "joined line breaks"])
def test_tokens_without_empty_thoughts_equal_those_of_the_shorter_text(
    which: str, tokenizer: ChatTokenizer, request: pytest.FixtureRequest
) -> None:
    if which == "theirs":
        tokenizer = request.getfixturevalue("theirs")
    if which == "plain tags":  # as in MiniMind v2, where <think> is four ordinary tokens
        text = (
            tokenizer.backend_tokenizer.to_str().replace('"<think>"', '"<other>"').replace('"</think>"', '"</other>"')
        )
        template = tokenizer.chat_template
        tokenizer = type(tokenizer)(tokenizer_object=type(tokenizer.backend_tokenizer).from_str(text))
        tokenizer.chat_template = template
    if which == "joined line breaks":  # as in Qwen
        tokenizer = joins_line_breaks(tokenizer)
        assert len(tokenizer.encode("\n\n\n x")) == 2
    marks = chat_marks(tokenizer)
    assert marks.empty_think
    r, derived = Random(5), 0
    for _ in range(2000):
        answers = [
            "".join(r.choices(["a", "你", " ", "\n", "1", "。", "\t", "<", "é", "\u3000", "'s"], k=r.randint(0, 4)))
        ]
        answers += ["ok"] if r.random() < 0.5 else []
        text = render(tokenizer, [m for a in answers for m in (CHAT[0], {"role": "assistant", "content": a})])
        kept, bare = encode(tokenizer, [text, without_empty_thinks(text)])
        found = drop_empty_thinks(text, np.array(kept), marks)
        if found is not None:
            derived += 1
            assert found.tolist() == bare
    assert derived > 500


def test_a_system_prompt_is_a_prefix_of_tokens(tokenizer: ChatTokenizer) -> None:
    prefixes = system_prefixes(tokenizer)
    assert len(prefixes) == len(set(SYSTEM_PROMPTS)) == 10
    for prompt, prefix in zip(SYSTEM_PROMPTS, prefixes, strict=True):
        for messages in (CHAT, CHAT * 2, CHAT[:1]):
            plain, full = encode(
                tokenizer,
                [render(tokenizer, messages), render(tokenizer, [{"role": "system", "content": prompt}, *messages])],
            )
            assert [*prefix, *plain] == full


def test_templates_with_a_system_message_of_their_own_get_no_prefixes(tokenizer: ChatTokenizer) -> None:
    tokenizer.chat_template = DEFAULT_SYSTEM
    assert system_prefixes(tokenizer) == []


def test_only_rows_without_system_message_and_tools_take_a_random_prompt() -> None:
    assert takes_system_prompt(CHAT, None)
    assert not takes_system_prompt(CHAT, [{"name": "f"}])
    assert not takes_system_prompt([{"role": "system", "content": "S"}, *CHAT], None)


def test_other_chat_formats_are_refused_with_the_missing_token(tokenizer: ChatTokenizer, tmp_path: Path) -> None:
    content = json.loads(tokenizer.backend_tokenizer.to_str())
    text = json.dumps(content).replace("<|im_start|>", "<|start|>")
    (tmp_path / "tokenizer.json").write_text(text)
    (tmp_path / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|im_end|>"})
    )
    (tmp_path / "chat_template.jinja").write_text("{{ messages[0].content }}")
    with pytest.raises(BaseModelError, match=r"has no token <\|im_start\|>: its chat format is not ChatML"):
        chat_marks(load_tokenizer(str(tmp_path)))


def test_a_tokenizer_without_template_is_refused(tokenizer: ChatTokenizer) -> None:
    tokenizer.chat_template = None
    with pytest.raises(BaseModelError, match="has no chat template"):
        chat_marks(tokenizer)


def test_labels_of_v2_are_those_of_minimind(minimind: Path) -> None:
    """v2's tokenizer is not at hand, but its ids are, and its marks are known (contract section 4)."""
    marks = ChatMarks(header=(1, 1078, 538, 501, 201), end=(2, 201))
    for case in json.loads((minimind / "losses-v2" / "expected.json").read_text("utf-8"))["sft"]:
        ids = np.array(case["input_ids"])
        ids = ids[: np.flatnonzero(ids)[-1] + 1]  # without the padding
        labels = np.where(answer_mask(ids, marks), ids, -100)
        assert labels.tolist() == case["labels"][: len(labels)]
        assert (labels != -100).any() or case["max_length"] < 25
