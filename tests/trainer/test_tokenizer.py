"""The shipped tokenizer, loading others, and training a new one."""

import json
import shutil
from pathlib import Path
from random import Random
from typing import Any

import pytest
from transformers import AutoTokenizer

from trainer.errors import BaseModelError, DataError
from trainer.samples import generate
from trainer.tokenization import (
    MARKS,
    SHIPPED,
    SPECIAL,
    ChatTokenizer,
    bytes_per_token,
    encode,
    file_rows,
    load_tokenizer,
    tokenizer_hash,
    train_tokenizer,
)
from trainer.tokenizer_files import tokenizer_fingerprint, words


@pytest.fixture(scope="module")
def shipped() -> ChatTokenizer:
    return load_tokenizer(None)


@pytest.fixture(scope="module")
def theirs(minimind: Path) -> ChatTokenizer:
    return load_tokenizer(str(minimind / "v3-dense" / "transformers-qwen3"))


def test_the_shipped_one_has_6400_entries_and_minimind_ids(shipped: ChatTokenizer) -> None:
    assert len(shipped) == 6400
    assert (shipped.pad_token_id, shipped.bos_token_id, shipped.eos_token_id) == (0, 1, 2)
    assert shipped.convert_tokens_to_ids([*SPECIAL, *MARKS]) == list(range(36))


def test_the_first_36_ids_and_their_kind_are_those_of_minimind(shipped: ChatTokenizer, theirs: ChatTokenizer) -> None:
    ours, others = shipped.added_tokens_decoder, theirs.added_tokens_decoder
    assert {i: (t.content, t.special) for i, t in ours.items()} == {
        i: (t.content, t.special) for i, t in others.items()
    }


def test_marks_of_thoughts_and_tools_stay_in_decoded_text(shipped: ChatTokenizer) -> None:
    ids = shipped.encode("<|im_start|>a<think>b</think><tool_call>c</tool_call><|im_end|>")
    assert shipped.decode(ids, skip_special_tokens=True) == "a<think>b</think><tool_call>c</tool_call>"


@pytest.mark.parametrize(
    "text", ["", " a  b\n\n\tc ", "你好，世界。", "😀é\u0000\u200d", "def f(x):\n    return 1\n", "١٢٣ 12.50"]
)
def test_every_text_comes_back_from_its_tokens(shipped: ChatTokenizer, text: str) -> None:
    assert shipped.decode(shipped.encode(text)) == text


def test_nothing_is_added_to_a_text(shipped: ChatTokenizer) -> None:
    assert shipped.encode("a") == encode(shipped, ["a"])[0]
    assert len(shipped.encode("a")) == 1


def test_no_token_joins_digits_or_line_breaks(shipped: ChatTokenizer) -> None:
    texts = [text for text in (shipped.decode([i]) for i in range(36, len(shipped))) if len(text) > 1]
    assert not [text for text in texts if sum(c.isdigit() for c in text) > 1 or "\n" in text]


def test_loading_with_transformers_gives_the_same_ids(shipped: ChatTokenizer, tmp_path: Path) -> None:
    shipped.save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "qwen3"}))
    text = "MiniMind 你好\n\n123 <think>\n\n</think>\n\nx"
    for other in (AutoTokenizer.from_pretrained(SHIPPED), load_tokenizer(str(tmp_path))):
        assert other.encode(text) == shipped.encode(text)


def test_the_hash_is_kept_by_saving_and_differs_between_tokenizers(
    shipped: ChatTokenizer, theirs: ChatTokenizer, tmp_path: Path
) -> None:
    shipped.save_pretrained(tmp_path)
    assert tokenizer_hash(shipped) == tokenizer_hash(SHIPPED) == tokenizer_hash(str(tmp_path))
    assert tokenizer_hash(theirs) != tokenizer_hash(shipped)


def test_the_files_alone_tell_the_same_hash(shipped: ChatTokenizer, minimind: Path, tmp_path: Path) -> None:
    shipped.save_pretrained(tmp_path)
    for folder in (SHIPPED, tmp_path, minimind / "v3-dense" / "transformers-qwen3"):
        assert tokenizer_fingerprint(folder) == tokenizer_hash(folder) != ""
        assert words(folder)
    assert tokenizer_fingerprint(tmp_path / "none") == ""
    (tmp_path / "tokenizer.json").write_text("{}")
    assert tokenizer_fingerprint(tmp_path) == "" and words(tmp_path) is None


@pytest.mark.parametrize("change", [{"tokenizer_class": "Qwen2Tokenizer"}, {"eos_token": "<new>"}])
def test_where_transformers_would_change_a_tokenizer_its_files_tell_no_hash(
    change: dict[str, str], tmp_path: Path
) -> None:
    shutil.copy(SHIPPED / "tokenizer.json", tmp_path)
    settings = json.loads((SHIPPED / "tokenizer_config.json").read_text())
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    assert tokenizer_fingerprint(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings | change))
    assert tokenizer_fingerprint(tmp_path) == ""


def test_the_hash_does_not_change_by_use() -> None:
    tokenizer = load_tokenizer(None)
    before = tokenizer_hash(tokenizer)
    tokenizer(["a", "b c"], padding=True, truncation=True, max_length=2)
    assert tokenizer_hash(tokenizer) == before


def test_padding_and_truncation_set_by_others_do_not_reach_encode() -> None:
    tokenizer = load_tokenizer(None)
    tokenizer(["a", "b c d e"], padding=True, truncation=True, max_length=2)
    assert [len(ids) for ids in encode(tokenizer, ["x", "x " * 50])] == [1, len(tokenizer.encode("x " * 50))]


def test_missing_and_damaged_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(BaseModelError, match=f"no tokenizer folder {tmp_path}/none"):
        load_tokenizer(str(tmp_path / "none"))
    with pytest.raises(BaseModelError, match=f"No tokenizer in {tmp_path}"):
        load_tokenizer(str(tmp_path))
    (tmp_path / "tokenizer.json").write_text("{")
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}')
    with pytest.raises(BaseModelError, match=f"in {tmp_path} cannot be loaded"):
        load_tokenizer(str(tmp_path))


def test_code_that_lies_beside_a_tokenizer_is_never_run(tmp_path: Path) -> None:
    shutil.copytree(SHIPPED, tmp_path, dirs_exist_ok=True)
    (tmp_path / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "Evil", "auto_map": {"AutoTokenizer": ["evil.Evil", None]}})
    )
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    with pytest.raises(BaseModelError, match="cannot be loaded"):
        load_tokenizer(str(tmp_path))
    assert not (tmp_path / "ran").exists()


def test_a_tokenizer_is_trained_on_any_data_file(tmp_path: Path) -> None:
    files = generate(tmp_path / "samples", rows=150)
    (tmp_path / "plain.txt").write_text("Plain text works too.\n\n也可以用普通文本。")
    out = train_tokenizer([*files, tmp_path / "plain.txt"], tmp_path / "tokenizer", vocab_size=800)
    tokenizer = load_tokenizer(str(out))
    assert len(tokenizer) == 800
    assert tokenizer.chat_template == load_tokenizer(None).chat_template
    assert tokenizer.convert_tokens_to_ids(["<|im_end|>", "</think>"]) == [2, 26]
    assert tokenizer.decode(tokenizer.encode("苹果 apples 12")) == "苹果 apples 12"
    with pytest.raises(DataError, match="already has a tokenizer"):
        train_tokenizer(files, out)


def test_training_with_too_little_text_or_entries_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("abc abc")
    with pytest.raises(DataError, match="Only 295 of 6,400 entries"):
        train_tokenizer([tmp_path / "a.txt"], tmp_path / "out")
    with pytest.raises(DataError, match="vocab_size 200 is too small; 292 are needed"):
        train_tokenizer([tmp_path / "a.txt"], tmp_path / "out", vocab_size=200)
    with pytest.raises(DataError, match="There is no file"):
        train_tokenizer([tmp_path / "b.jsonl"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["pretrain_real.jsonl", "sft_real.jsonl"])
def test_real_text_takes_hardly_more_tokens_than_with_minimind(
    shipped: ChatTokenizer, theirs: ChatTokenizer, real_data: Path, name: str
) -> None:
    texts = [text for row in list(file_rows(real_data / name))[9::10] for text in row]
    assert bytes_per_token(shipped, texts) > 0.98 * bytes_per_token(theirs, texts)


CONTENTS = [
    "",
    "hi",
    "你好\n",
    "\n\nlead",
    "<think>\nabc\n</think>\n\nxyz",
    "<think>a</think>b</think>\nc",
    "x</think>",
]
CONTENTS += ['{"a": "é<>&"}', "  spaces ", "<tool_response>\nq\n</tool_response>", 'a "q" \'s', "{{ x }}"]
CALLS: list[Any] = [None, [], [{"name": "f", "arguments": {"x": "é<&>", "y": [1, 2.5, None, True]}}]]
CALLS += [[{"type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}, {"name": "g", "arguments": {}}]]
TOOLS: list[Any] = [None, [], [{"name": "a"}, {"name": "b"}]]
TOOLS += [[{"type": "function", "function": {"name": "f", "description": 'd "x" é', "parameters": {}}}]]


def random_messages(r: Random) -> list[dict[str, Any]]:
    messages = []
    for _ in range(r.randint(1, 6)):
        role = r.choice(["system", "user", "assistant", "assistant", "tool", "tool"])
        message: dict[str, Any] = {"role": role, "content": r.choice(CONTENTS)}
        if role == "assistant" and r.random() < 0.4:
            message["reasoning_content"] = r.choice([None, "", "r", "\nrr\n\n", "想一想"])
        if role == "assistant" and r.random() < 0.4:
            message["tool_calls"] = r.choice(CALLS)
        messages.append(message)
    return messages


def test_the_template_renders_as_minimind_does(shipped: ChatTokenizer, theirs: ChatTokenizer) -> None:
    r = Random(7)
    for _ in range(3000):
        messages = random_messages(r)
        options: dict[str, Any] = {"tools": r.choice(TOOLS), "add_generation_prompt": r.random() < 0.5}
        if r.random() < 0.6:
            options["open_thinking"] = r.choice([True, False])
        ours = shipped.apply_chat_template(messages, tokenize=False, **options)
        assert ours == theirs.apply_chat_template(messages, tokenize=False, **options)
