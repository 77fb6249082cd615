"""Rows for training: cuts, labels, counts, and variation that repeats exactly."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trainer.chat import EMPTY_THINK, SYSTEM_PROMPTS
from trainer.configs import TRAINING_TYPES, TrainConfig, parse_config
from trainer.data import NO_LABEL, Rows, load_rows
from trainer.errors import DataError
from trainer.samples import generate
from trainer.tokenization import ChatTokenizer, load_tokenizer

CHAT = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello there"}]


@pytest.fixture(scope="module")
def tokenizer() -> ChatTokenizer:
    return load_tokenizer(None)


def settings(path: Path, name: str, **values: Any) -> TrainConfig:
    return parse_config(name, {"data_path": str(path)} | values)


def load(path: Path, name: str, tokenizer: ChatTokenizer, **values: Any) -> Rows:
    return load_rows(str(path), settings(path, name, **values), tokenizer, path.parent / "cache")


def write(folder: Path, *rows: dict[str, Any]) -> Path:
    path = folder / "data.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return path


def chats(folder: Path, count: int) -> Path:
    return write(
        folder, *[{"conversations": [CHAT[0], {"role": "assistant", "content": f"No {i}"}]} for i in range(count)]
    )


@pytest.mark.parametrize("name", TRAINING_TYPES)
def test_every_training_type_has_a_format(tmp_path: Path, name: str) -> None:
    others = {"pretrain": "pretrain", "dpo": "dpo", "grpo": "rlaif", "spo": "rlaif", "ppo": "rlaif"}
    assert settings(tmp_path, name).data_format == others.get(name, "sft")


def test_pretraining_rows_are_those_of_minimind(minimind: Path, tmp_path: Path) -> None:
    theirs = load_tokenizer(str(minimind / "v3-dense" / "transformers-qwen3"))
    for case in json.loads((minimind / "losses-v3" / "expected.json").read_text("utf-8"))["pretrain"]:
        rows = load(write(tmp_path, case["row"]), "pretrain", theirs, max_seq_len=case["max_length"])
        ids, labels = rows.get(0, epoch=0)
        padding = case["max_length"] - len(ids)
        assert [*ids, *[0] * padding] == case["input_ids"]
        assert [*labels, *[-100] * padding] == case["labels"]
        assert len(ids) == rows.lengths[0] == rows.report.tokens


def test_chat_rows_without_variation_are_those_of_minimind(minimind: Path, tmp_path: Path) -> None:
    theirs = load_tokenizer(str(minimind / "v3-dense" / "transformers-qwen3"))
    for case in json.loads((minimind / "losses-v3" / "expected.json").read_text("utf-8"))["sft"]:
        path = write(tmp_path, {"conversations": case["conversations"]})
        rows = load(path, "sft", theirs, max_seq_len=case["max_length"])
        ids, labels = rows.get(0, epoch=None)
        padding = case["max_length"] - len(ids)
        assert [*ids, *[0] * padding] == case["input_ids"]
        assert [*labels, *[-100] * padding] == case["labels"]
        assert ids.dtype == labels.dtype == np.int64


@pytest.mark.parametrize("length", range(8, 16))
def test_a_long_text_is_cut_but_keeps_its_end_token(tmp_path: Path, tokenizer: ChatTokenizer, length: int) -> None:
    path = write(tmp_path, {"text": "1" * 10})
    rows = load(path, "pretrain", tokenizer, max_seq_len=length)
    ids, labels = rows.get(0, epoch=None)
    one = tokenizer.encode("1")
    assert ids.tolist() == [1, *one * min(10, length - 2), 2]
    assert labels.tolist() == ids.tolist()
    assert rows.report.truncated == (length < 12)


def test_a_tokenizer_without_begin_token_starts_with_the_text(tmp_path: Path) -> None:
    tokenizer = load_tokenizer(None)
    tokenizer.bos_token = None
    ids, _ = load(write(tmp_path, {"text": "1" * 10}), "pretrain", tokenizer, max_seq_len=8).get(0, None)
    assert ids.tolist() == [*tokenizer.encode("1") * 7, 2]


def test_a_tokenizer_without_end_token_ends_with_padding(tmp_path: Path) -> None:
    tokenizer = load_tokenizer(None)
    tokenizer.eos_token = None
    ids, _ = load(write(tmp_path, {"text": "1"}), "pretrain", tokenizer).get(0, None)
    assert ids.tolist() == [1, *tokenizer.encode("1"), 0]


def test_empty_texts_are_skipped_and_counted(tmp_path: Path, tokenizer: ChatTokenizer) -> None:
    rows = load(write(tmp_path, {"text": ""}, {"text": "a"}, {"text": ""}), "pretrain", tokenizer)
    assert (len(rows), rows.line(0), rows.report.unlabelled) == (1, 2, 2)
    assert rows.report.notices == ("2 of 3 rows were skipped: the text is empty (line 1, 3).",)


@pytest.mark.parametrize("epoch", [None, 0, 1, 2, 3])
def test_at_every_length_rows_fit_and_have_a_label(tmp_path: Path, tokenizer: ChatTokenizer, epoch: int | None) -> None:
    path = write(tmp_path, {"conversations": [*CHAT, *CHAT]})
    whole, whole_labels = load(path, "sft", tokenizer).get(0, None)
    first_answer = int(np.argmax(whole_labels != NO_LABEL))
    assert first_answer == len(tokenizer.encode("<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"))
    for length in range(first_answer + 1, len(whole) + 3):
        values = {"max_seq_len": length, "system_prompt_ratio": 1, "empty_think_ratio": 0.5}
        rows = load(path, "sft", tokenizer, **values)
        ids, labels = rows.get(0, epoch)
        assert 1 < len(ids) == len(labels) <= length
        assert (labels != NO_LABEL).any()
        assert np.all((labels == NO_LABEL) | (labels == ids))
        assert labels[0] == NO_LABEL
        assert rows.lengths[0] == min(length, len(whole))


def test_rows_whose_question_fills_the_length_are_skipped_and_their_lines_named(
    tmp_path: Path, tokenizer: ChatTokenizer
) -> None:
    long = {"conversations": [{"role": "user", "content": "word " * 100}, CHAT[1]]}
    rows = load(write(tmp_path, long, {"conversations": CHAT}, *[long] * 3), "sft", tokenizer, max_seq_len=64)
    assert (len(rows), rows.report.rows, rows.report.unlabelled, rows.report.truncated) == (1, 1, 4, 0)
    assert rows.line(0) == 2
    text = "4 of 5 rows were skipped: no assistant answer within the first 64 tokens (line 1, 3, 4, …)."
    assert rows.report.notices == (text,)


def test_rows_without_a_label_can_be_refused(tmp_path: Path, tokenizer: ChatTokenizer) -> None:
    path = write(tmp_path, {"text": ""}, {"text": "a"}, *[{"text": ""}] * 4)
    with pytest.raises(DataError) as caught:
        load(path, "pretrain", tokenizer, unlabelled_rows="refuse")
    text = f"5 of 6 rows of {path} cannot be trained on: the text is empty (line 1, 3, 4, …)."
    assert caught.value.message == text
    assert caught.value.hint == "Change or remove them, or set unlabelled_rows to skip."
    assert len(load(write(tmp_path, {"text": "a"}), "pretrain", tokenizer, unlabelled_rows="refuse")) == 1


def test_rows_of_a_folder_are_named_with_their_file(tmp_path: Path, tokenizer: ChatTokenizer) -> None:
    folder = tmp_path / "set"
    for name in ("b", "a"):
        (folder / name).mkdir(parents=True)
        write(folder / name, {"text": ""}, {"text": "x", "id": 3}).rename(folder / f"{name}.jsonl")
    rows = load(folder, "pretrain", tokenizer)
    assert rows.places([1, 0]) == f"b.jsonl line 2; a.jsonl line 2 of {folder}"
    assert rows.report.notices == (
        "a.jsonl and 1 more file: key id is ignored.",
        "2 of 4 rows were skipped: the text is empty (a.jsonl line 1; b.jsonl line 1).",
    )
    assert rows.subset(np.array([1])).places([0]) == f"b.jsonl line 2 of {folder}"
    assert load(folder / "a.jsonl", "pretrain", tokenizer).places([0]) == f"line 2 of {folder}/a.jsonl"


def test_a_file_without_any_label_is_refused_with_the_way_out(tmp_path: Path, tokenizer: ChatTokenizer) -> None:
    with pytest.raises(DataError, match=r"No row of .* can be trained on: no assistant answer") as caught:
        load(write(tmp_path, {"conversations": CHAT}), "sft", tokenizer, max_seq_len=8)
    assert caught.value.hint == "Raise max_seq_len above 8."
    with pytest.raises(DataError) as caught:
        load(write(tmp_path, {"conversations": CHAT[:1]}), "sft", tokenizer)
    assert caught.value.hint == "Add text the model can learn from."


def test_cut_rows_are_counted_and_their_share_told(tmp_path: Path, tokenizer: ChatTokenizer) -> None:
    rows = load(write(tmp_path, {"text": "1" * 98}, {"text": "1" * 2}), "pretrain", tokenizer, max_seq_len=50)
    assert rows.report.truncated == 1
    assert rows.report.notices == ("1 of 2 rows was cut at max_seq_len 50, which drops 50.0% of the tokens.",)
    assert rows.report.tokens == 50 + 4


@pytest.mark.fault("bad row in the data")
def test_a_bad_row_anywhere_is_told_before_training(tmp_path: Path, tokenizer: ChatTokenizer) -> None:
    path = chats(tmp_path, 30)
    with path.open("a") as stream:
        stream.write('{"text": "a"}\n')
    with pytest.raises(DataError, match="line 31: no conversations"):
        load(path, "sft", tokenizer)


def test_variation_repeats_for_the_same_seed_epoch_and_row_and_differs_otherwise(
    tmp_path: Path, tokenizer: ChatTokenizer
) -> None:
    path = chats(tmp_path, 60)

    def all_rows(epoch: int, seed: int = 42) -> list[list[int]]:
        rows = load(path, "sft", tokenizer, seed=seed, system_prompt_ratio=0.5, empty_think_ratio=0.5)
        return [rows.get(i, epoch)[0].tolist() for i in range(len(rows))]

    assert all_rows(0) == all_rows(0)
    assert all_rows(0) != all_rows(1)
    assert all_rows(0) != all_rows(0, seed=43)


def test_shares_of_system_prompts_and_empty_thoughts_are_as_set(tmp_path: Path, tokenizer: ChatTokenizer) -> None:
    path = chats(tmp_path, 50)
    rows = load(path, "sft", tokenizer, system_prompt_ratio=0.3, empty_think_ratio=0.6)
    texts = [tokenizer.decode(rows.get(i, epoch)[0]) for epoch in range(20) for i in range(50)]
    with_system = [text for text in texts if "<|im_start|>system" in text]
    with_think = [text for text in texts if EMPTY_THINK in text]
    assert 0.25 < len(with_system) / len(texts) < 0.35
    assert 0.55 < len(with_think) / len(texts) < 0.65
    assert {text.split("\n")[1].removesuffix("<|im_end|>") for text in with_system} == set(SYSTEM_PROMPTS)
    both = sum("<|im_start|>system" in text for text in with_think) / len(with_think)
    assert 0.23 < both < 0.37  # the two are drawn independently


@pytest.mark.parametrize(("ratio", "share"), [(0.0, 0), (1.0, 20)])
def test_shares_of_none_and_all_are_exact(tmp_path: Path, tokenizer: ChatTokenizer, ratio: float, share: int) -> None:
    rows = load(chats(tmp_path, 20), "sft", tokenizer, system_prompt_ratio=ratio, empty_think_ratio=ratio)
    texts = [tokenizer.decode(rows.get(i, 5)[0]) for i in range(20)]
    assert sum("<|im_start|>system" in text for text in texts) == share
    assert sum(EMPTY_THINK in text for text in texts) == share


def test_evaluation_has_no_variation(tmp_path: Path, tokenizer: ChatTokenizer) -> None:
    rows = load(chats(tmp_path, 20), "sft", tokenizer, system_prompt_ratio=1, empty_think_ratio=0)
    for i in range(20):
        ids, _ = rows.get(i, None)
        assert tokenizer.decode(ids).startswith("<|im_start|>user")
        assert len(ids) == rows.lengths[i]


def test_a_system_prompt_carries_no_loss_and_leaves_the_row_as_it_is(tmp_path: Path, tokenizer: ChatTokenizer) -> None:
    rows = load(chats(tmp_path, 5), "sft", tokenizer, system_prompt_ratio=1, empty_think_ratio=1)
    for i in range(5):
        plain, plain_labels = rows.get(i, None)
        ids, labels = rows.get(i, 0)
        added = len(ids) - len(plain)
        assert added > 0 and np.all(labels[:added] == NO_LABEL)
        assert np.array_equal(ids[added:], plain) and np.array_equal(labels[added:], plain_labels)


def test_rows_with_system_message_or_tools_never_get_a_random_prompt(tmp_path: Path, tokenizer: ChatTokenizer) -> None:
    system = {"role": "system", "content": "S"}
    path = write(
        tmp_path,
        {"conversations": [system, *CHAT]},
        {"conversations": [{**CHAT[0], "tools": '[{"name": "f"}]'}, CHAT[1]]},
    )
    rows = load(path, "sft", tokenizer, system_prompt_ratio=1, empty_think_ratio=1)
    for i in range(2):
        assert np.array_equal(rows.get(i, 3)[0], rows.get(i, None)[0])


def test_templates_with_a_system_message_of_their_own_say_so(tmp_path: Path) -> None:
    tokenizer = load_tokenizer(None)
    tokenizer.chat_template = (
        "{% if messages[0].role != 'system' %}<|im_start|>system\nYou help.<|im_end|>\n{% endif %}"
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    )
    path = chats(tmp_path, 5)
    rows = load(path, "sft", tokenizer, system_prompt_ratio=1)
    assert "No random system prompts" in rows.report.notices[0]
    assert np.array_equal(rows.get(0, 1)[0], rows.get(0, None)[0])
    assert load(path, "sft", tokenizer, system_prompt_ratio=0).report.notices == ()


def test_a_part_of_the_rows_varies_like_the_whole(tmp_path: Path, tokenizer: ChatTokenizer) -> None:
    rows = load(chats(tmp_path, 20), "sft", tokenizer, system_prompt_ratio=0.5)
    part = rows.subset(np.array([3, 17, 5])).subset(np.array([1, 0]))
    assert [part.line(i) for i in range(len(part))] == [18, 4]
    assert part.lengths.tolist() == rows.lengths[[17, 3]].tolist()
    assert part.report.rows == 2 and part.report.tokens == sum(part.lengths)
    for epoch in (None, 0, 1):
        assert np.array_equal(part.get(0, epoch)[0], rows.get(17, epoch)[0])


def test_what_is_got_may_be_changed_without_changing_the_data(tmp_path: Path, tokenizer: ChatTokenizer) -> None:
    rows = load(write(tmp_path, {"text": "abc"}), "pretrain", tokenizer)
    ids, labels = rows.get(0, None)
    ids[:] = 0
    assert labels[0] == 1
    assert rows.get(0, None)[0][0] == 1


def test_another_length_needs_no_new_tokens(tmp_path: Path, tokenizer: ChatTokenizer) -> None:
    path = chats(tmp_path, 5)
    calls: list[tuple[int, int]] = []
    for length in (64, 32):
        config = settings(path, "sft", max_seq_len=length)
        load_rows(str(path), config, tokenizer, tmp_path / "cache", lambda *call: calls.append(call))
    assert len(calls) == 1


def test_all_samples_can_be_trained_on(tmp_path: Path, tokenizer: ChatTokenizer) -> None:
    for path in generate(tmp_path / "data", rows=100):
        if path.stem.endswith(("dpo", "rlaif")):
            continue
        name = "pretrain" if path.stem == "pretrain" else "sft"
        rows = load(path, name, tokenizer)
        assert rows.report.unlabelled == rows.report.truncated == 0
        assert rows.report.rows == len(rows) == len(path.read_text("utf-8").splitlines())


def test_real_conversations_load_and_count(tmp_path: Path, tokenizer: ChatTokenizer, real_data: Path) -> None:
    path = real_data / "sft_real.jsonl"
    report = load_rows(str(path), settings(path, "sft"), tokenizer, tmp_path).report
    assert report.rows + report.unlabelled == 1599
    assert report.truncated > 0


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "trainer.data_cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_command_line_writes_samples_and_checks_them(tmp_path: Path) -> None:
    made = run("sample", str(tmp_path), "--rows", "20", "--seed", "3")
    assert (made.returncode, made.stdout.count("KB")) == (0, 8)
    checked = run("check", str(tmp_path / "dpo.jsonl"))
    assert (checked.returncode, checked.stdout) == (0, f"{tmp_path}/dpo.jsonl: format dpo, 2 good rows, 0 bad\n")
    wrong = run("check", str(tmp_path / "dpo.jsonl"), "--type", "sft")
    assert wrong.returncode == 2
    assert "line 1: no conversations" in wrong.stdout and "choose training type dpo" in wrong.stdout


def test_the_command_line_tells_errors_without_a_traceback(tmp_path: Path) -> None:
    path = write(tmp_path, {"other": 1})
    for arguments in (["check", str(tmp_path / "none.jsonl")], ["check", str(path)], ["sample", str(path)]):
        result = run(*arguments)
        assert result.returncode == 2
        assert str(tmp_path) in result.stderr and "Traceback" not in result.stderr


def test_the_command_line_trains_a_tokenizer(tmp_path: Path) -> None:
    files = [str(path) for path in generate(tmp_path / "data", rows=60)]
    result = run("tokenizer", "train", *files, "--out", str(tmp_path / "new"), "--vocab_size", "500")
    assert result.returncode == 0, result.stderr
    assert len(load_tokenizer(str(tmp_path / "new"))) == 500


def test_checks_and_samples_load_neither_torch_nor_transformers() -> None:
    code = "import sys, trainer.data_cli; print([m for m in ('torch', 'transformers', 'numpy') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
