"""Prompts: what the chat template makes of them, and what it refuses."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trainer.errors import BaseModelError, DataError
from trainer.prompts import Prompts, load_prompts
from trainer.rl_config import GRPOConfig
from trainer.tokenization import ChatTokenizer, load_tokenizer

V2 = (
    "{% if messages[0].role != 'system' %}<|im_start|>system\nYou are a helpful assistant<|im_end|>\n{% endif %}"
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and not enable_thinking %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)
"""As MiniMind v2's: a thought is asked for by not closing one."""
NO_SYSTEM = (
    "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}<|im_start|>assistant\n"
)


@pytest.fixture
def tokenizer() -> ChatTokenizer:
    return load_tokenizer(None)


def load(folder: Path, tokenizer: ChatTokenizer, *conversations: list[tuple[str, str]], **values: Any) -> Prompts:
    path = folder / "prompts.jsonl"
    messages = [[{"role": role, "content": text} for role, text in each] for each in conversations]
    path.write_text("".join(json.dumps({"conversations": each, "gt": ["2"]}) + "\n" for each in messages))
    config = GRPOConfig.model_validate({"data_path": str(path), "from_weight": "base"} | values)
    return load_prompts(str(path), config, tokenizer)


@pytest.mark.parametrize(("template", "opened"), [("", True), (V2, False)])
def test_a_prompt_thinks_where_its_template_opened_a_thought(
    tmp_path: Path, tokenizer: ChatTokenizer, template: str, opened: bool
) -> None:
    tokenizer.chat_template = template or tokenizer.chat_template
    prompts = load(tmp_path, tokenizer, [("user", "1 + 1?")], thinking_ratio=1)
    prompt = prompts.get(0, 0)
    assert tokenizer.decode(prompt.ids).endswith(
        "assistant\n<think>\n" if opened else "?<|im_end|>\n<|im_start|>assistant\n"
    )
    assert prompt.thinking is prompts.get(0, None).thinking is opened
    plain = load(tmp_path, tokenizer, [("user", "1 + 1?")], thinking_ratio=0).get(0, 0)
    assert tokenizer.decode(plain.ids).endswith("</think>\n\n")
    assert not plain.thinking


def test_a_tokenizer_without_template_is_told(tmp_path: Path, tokenizer: ChatTokenizer) -> None:
    tokenizer.chat_template = None
    with pytest.raises(BaseModelError, match="has no chat template"):
        load(tmp_path, tokenizer, [("user", "Hi")])


def test_prompts_that_the_template_refuses_are_told_with_their_line(tmp_path: Path, tokenizer: ChatTokenizer) -> None:
    tokenizer.chat_template = NO_SYSTEM
    rows = [[("user", "Hi")], [("system", "S"), ("user", "Hi")]]
    with pytest.raises(DataError, match=r"prompts\.jsonl.*2.*template refuses it \(System role not supported\)"):
        load(tmp_path, tokenizer, *rows)


def test_a_template_without_system_messages_gets_no_random_ones(tmp_path: Path, tokenizer: ChatTokenizer) -> None:
    tokenizer.chat_template = NO_SYSTEM
    prompts = load(tmp_path, tokenizer, [("user", "Hi")], system_prompt_ratio=1)
    assert "refuses any" in prompts.report.notices[-1]
    assert np.array_equal(prompts.get(0, 1).ids, prompts.get(0, None).ids)
