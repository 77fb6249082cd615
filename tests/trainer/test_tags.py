"""Tags are found in real tokenizers, whatever stands beside them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trainer.batches import make_batch
from trainer.chat import answer_mask, chat_marks, conversation, render
from trainer.configs import parse_config
from trainer.data import Rows, load_rows
from trainer.errors import DataError
from trainer.recipes.reason import check_tags
from trainer.tags import TAGS, TagWeights
from trainer.tokenization import ChatTokenizer, encode, load_tokenizer, train_tokenizer

ANSWERS = [
    "<think>\n2 + 2 is 4, and 4 > 3 < 5\n</think>\n<answer>\n4\n</answer>",
    "<think>你好</think><answer>好的</answer>",
    "so it is:<answer>ans wer think</answer>.\n\n<answer>\n\n</answer>x",
    "<<answer>><</answer>></think",
    "<answer>'s <|buffer1|></answer><|im_start|>",
    "<Answer><answer ></ answer>",
]


@pytest.fixture(scope="module", params=["shipped", "minimind", "merging"])
def tokenizer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ChatTokenizer:
    if request.param == "shipped":
        return load_tokenizer(None)
    if request.param == "minimind":
        minimind = request.getfixturevalue("minimind")
        return load_tokenizer(str(minimind / "v3-dense" / "transformers-qwen3"))
    # One that has learnt pieces that reach over the ends of tags, such as `><` and `answer`
    folder = tmp_path_factory.mktemp("merging")
    text = "\n\n".join(f"{a}><answer>{n}</answer>.</answer>." for n in range(40) for a in ANSWERS)
    (folder / "text.txt").write_text(text, "utf-8")
    return load_tokenizer(str(train_tokenizer([folder / "text.txt"], folder / "tokenizer", vocab_size=348)))


def row_of(tokenizer: ChatTokenizer, answer: str) -> tuple[np.ndarray, np.ndarray]:
    text = render(tokenizer, *conversation({"conversations": chat(answer)}))
    ids = np.array(encode(tokenizer, [text])[0])
    return ids, np.where(answer_mask(ids, chat_marks(tokenizer)), ids, -100)


def chat(answer: str, question: str = "Write <think> and <answer>!") -> list[dict[str, str]]:
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]


def spans(text: str) -> Iterator[tuple[int, int]]:
    for tag in TAGS:
        start = text.find(tag)
        while start >= 0:
            yield start, start + len(tag)
            start = text.find(tag, start + 1)


@pytest.mark.parametrize("answer", ANSWERS)
def test_the_tokens_that_overlap_a_tag_weigh_more(tokenizer: ChatTokenizer, answer: str) -> None:
    """The reference are the tokenizer's own offsets into the text."""
    ids, labels = row_of(tokenizer, answer)
    text = render(tokenizer, *conversation({"conversations": chat(answer)}))
    encoding = tokenizer.backend_tokenizer.encode(text, add_special_tokens=False)
    assert encoding.ids == ids.tolist()
    begin = text.rindex("<|im_start|>assistant\n")
    inside = [(a, b) for a, b in spans(text) if a >= begin]
    expected = [
        10.0 if label != -100 and any(a < end and start < b for a, b in inside) else 1.0
        for (start, end), label in zip(encoding.offsets, labels, strict=True)
    ]
    weights = TagWeights(tokenizer, 10)(ids, labels)
    assert weights.dtype == np.float32
    assert weights.tolist() == expected
    assert 10.0 in expected


def test_tags_in_a_question_weigh_nothing_more(tokenizer: ChatTokenizer) -> None:
    ids, labels = row_of(tokenizer, "4")
    labels[:] = -100
    assert not TagWeights(tokenizer, 10)(ids, labels).tolist().count(10.0)


def test_no_tag_reaches_over_tokens_without_loss() -> None:
    tokenizer = load_tokenizer(None)
    ids = np.array(encode(tokenizer, ["<answer>"])[0])
    labels = ids.copy()
    assert TagWeights(tokenizer, 10)(ids, labels).tolist() == [10.0] * len(ids)
    labels[0] = -100
    assert TagWeights(tokenizer, 10)(ids, labels).tolist() == [1.0] * len(ids)


def test_pieces_of_tags_weigh_more_wherever_they_stand_in_the_mode_of_minimind(tokenizer: ChatTokenizer) -> None:
    ids, labels = row_of(tokenizer, ANSWERS[0])
    pieces = {i for tag in TAGS for i in tokenizer.encode(tag, add_special_tokens=False)}
    weights = TagWeights(tokenizer, 10, "token_ids")(ids, labels)
    expected = [10.0 if i in pieces and label != -100 else 1.0 for i, label in zip(ids, labels, strict=True)]
    assert weights.tolist() == expected


# Rows ---------------------------------------------------------------------------------------------------------------


def load(folder: Path, answers: list[str], **values: Any) -> Rows:
    path = folder / "reason.jsonl"
    path.write_text("".join(json.dumps({"conversations": chat(a)}) + "\n" for a in answers), "utf-8")
    config = parse_config("reason", {"data_path": str(path), "system_prompt_ratio": 0} | values)
    return load_rows(str(path), config, load_tokenizer(None), folder / "cache")


def test_rows_without_tags_are_counted_and_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = load(tmp_path, [ANSWERS[0], "4", ANSWERS[1], "<b>4</b>", "x"])
    check_tags(rows, TagWeights(load_tokenizer(None), 10))
    text = f"3 of 5 rows (60.0%) have neither thoughts nor an answer in tags (line 2, 4, 5 of {tmp_path}/reason.jsonl)."
    assert caplog.messages == [text]


def test_rows_with_tags_need_no_word(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    check_tags(load(tmp_path, [ANSWERS[0], "<answer>4</answer>"]), TagWeights(load_tokenizer(None), 10))
    assert not caplog.messages


def test_data_without_any_tag_is_refused(tmp_path: Path) -> None:
    """The empty thoughts that the template writes into every answer are none of the data's."""
    rows = load(tmp_path, ["4", "Five."])
    with pytest.raises(DataError, match=r"No row of .*reason\.jsonl has <think> or <answer>") as caught:
        check_tags(rows, TagWeights(load_tokenizer(None), 10))
    assert "type sft" in caught.value.hint


def test_weights_stand_at_their_targets_packed_and_padded(tmp_path: Path) -> None:
    tokenizer = load_tokenizer(None)
    rows = load(tmp_path, ANSWERS[:4])
    weigh = TagWeights(tokenizer, 10)
    rows.weigh = weigh
    packed = make_batch(rows, np.arange(4), 0, True, 0)
    padded = make_batch(rows, np.arange(4), 0, False, 0)
    assert packed.weights is not None and padded.weights is not None
    assert packed.weights.tolist() == padded.weights.tolist()
    assert packed.targets.tolist() == padded.targets.tolist()
    expected = []
    for index in range(4):
        ids, labels = rows.get(index, 0)
        expected += weigh(ids, labels)[1:][labels[1:] != -100].tolist()
    assert packed.weights.tolist() == expected
    assert make_batch(rows.subset(np.arange(2)), np.arange(2), None, True, 0).weights is None


def test_real_reasoning_rows_keep_their_thoughts_and_answers(real_data: Path, tmp_path: Path) -> None:
    tokenizer = load_tokenizer(None)
    lines = (real_data / "reason_real.jsonl").read_text("utf-8").splitlines()[:100]
    (tmp_path / "part.jsonl").write_text("\n".join(lines), "utf-8")
    config = parse_config("reason", {"data_path": "x", "max_seq_len": 2000})
    rows = load_rows(str(tmp_path / "part.jsonl"), config, tokenizer, tmp_path / "cache")
    weigh = TagWeights(tokenizer, 10)
    for index, line in enumerate(lines):
        content = json.loads(line)["conversations"][-1]["content"]
        thoughts, answer = content.removeprefix("<think>\n").split("\n</think>\n")
        ids, labels = rows.get(index, None)
        learnt = labels != -100
        text = tokenizer.decode(ids[learnt].tolist(), skip_special_tokens=False)
        assert text == f"<think>\n{thoughts}\n</think>\n\n{answer}<|im_end|>\n"
        tagged = ids[weigh(ids, labels) == 10]
        assert tokenizer.decode(tagged.tolist()) == "".join(TAGS)
