"""Pairs for training: MiniMind's ids and labels, one draw a pair, and pairs that teach nothing left out and named."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trainer.chat import EMPTY_THINK
from trainer.configs import parse_config
from trainer.data import NO_LABEL
from trainer.data_stats import data_stats
from trainer.errors import DataError
from trainer.pair_flaws import Flaw, pair_flaw
from trainer.pair_rows import PairRows, load_pairs
from trainer.rows import check_rows
from trainer.tokenization import ChatTokenizer, load_tokenizer


@pytest.fixture(scope="module")
def tokenizer() -> ChatTokenizer:
    return load_tokenizer(None)


def pair(chosen: str | dict[str, Any], rejected: str | dict[str, Any], question: str = "Hi") -> dict[str, Any]:
    def messages(answer: str | dict[str, Any]) -> list[dict[str, Any]]:
        said = {"content": answer} if isinstance(answer, str) else answer
        return [{"role": "user", "content": question}, {"role": "assistant"} | said]

    return {"chosen": messages(chosen), "rejected": messages(rejected)}


def write(folder: Path, *rows: dict[str, Any]) -> Path:
    path = folder / "dpo.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return path


def load(path: Path, tokenizer: ChatTokenizer, **values: Any) -> PairRows:
    config: Any = parse_config("dpo", {"data_path": str(path)} | values)
    return load_pairs(str(path), config, tokenizer, path.parent / "cache")


def answers(count: int) -> list[dict[str, Any]]:
    return [pair(f"Yes, {i} is a good one.", f"No {i}") for i in range(count)]


# Against MiniMind ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("version", "folder"), [("v3", "v3-dense/transformers-qwen3")])
def test_ids_and_masks_are_those_of_minimind(minimind: Path, tmp_path: Path, version: str, folder: str) -> None:
    case = json.loads((minimind / f"losses-{version}" / "expected.json").read_text("utf-8"))["dpo_sample"]
    theirs = load_tokenizer(str(minimind / folder))
    rows = load(write(tmp_path, case["row"]), theirs, max_seq_len=48, empty_think_ratio=1)
    for side, name in enumerate(("chosen", "rejected")):
        ids, labels = rows.answer(0, side)
        padding = len(case[f"y_{name}"]) + 1 - len(ids)
        assert [*ids[1:], *[0] * padding] == case[f"y_{name}"]
        assert [*ids, *[0] * padding][:-1] == case[f"x_{name}"]
        assert [*(labels[1:] != NO_LABEL).astype(int), *[0] * padding] == case[f"mask_{name}"]


# One draw a pair ----------------------------------------------------------------------------------------------------


def test_empty_thoughts_stay_or_go_in_both_answers_alike(tmp_path: Path, tokenizer: ChatTokenizer) -> None:
    rows = load(write(tmp_path, *answers(200)), tokenizer)
    kept = [[EMPTY_THINK in tokenizer.decode(rows.answer(i, side)[0]) for side in (0, 1)] for i in range(200)]
    assert all(chosen == rejected for chosen, rejected in kept)
    assert 20 < sum(chosen for chosen, _ in kept) < 60
    assert rows.lengths.tolist() == [sum(len(rows.answer(i, side)[0]) for side in (0, 1)) for i in range(200)]


def test_the_draw_depends_on_seed_and_row_alone(tmp_path: Path, tokenizer: ChatTokenizer) -> None:
    path = write(tmp_path, *answers(60))
    rows, other = load(path, tokenizer), load(path, tokenizer, seed=1)
    part = rows.subset(np.array([50, 3]))
    for index, of in enumerate((50, 3)):
        assert part.answer(index, 0)[0].tolist() == rows.answer(of, 0)[0].tolist()
    assert part.places([0, 1]) == f"line 51, 4 of {path}"
    first, second = (rows.batch(np.arange(60), epoch, True, 0).input_ids.tolist() for epoch in (0, 1))
    assert first == second
    assert first != other.batch(np.arange(60), 0, True, 0).input_ids.tolist()


@pytest.mark.parametrize(("ratio", "share"), [(0, 0), (1, 30)])
def test_all_or_none_of_the_empty_thoughts_stay(
    tmp_path: Path, tokenizer: ChatTokenizer, ratio: int, share: int
) -> None:
    rows = load(write(tmp_path, *answers(30)), tokenizer, empty_think_ratio=ratio)
    assert sum(EMPTY_THINK in tokenizer.decode(rows.answer(i, 1)[0]) for i in range(30)) == share


# Pairs that teach nothing -------------------------------------------------------------------------------------------

CALL = {"content": "", "tool_calls": [{"name": "now", "arguments": {}}]}


@pytest.mark.parametrize(
    ("row", "flaw"),
    [
        (pair("a", "b"), Flaw.NONE),
        (pair("a", "a"), Flaw.SAME),
        (pair({"content": "a", "reasoning_content": ""}, "a"), Flaw.SAME),
        (pair({"content": "a", "reasoning_content": "hm"}, "<think>hm</think>a"), Flaw.SAME),
        (pair("<think>\n\n</think>\n\na", "a"), Flaw.TAGS),
        (pair("a</think>", "a"), Flaw.TAGS),
        (pair({"content": "a", "reasoning_content": "hm"}, "a"), Flaw.NONE),
        (pair("", "b"), Flaw.EMPTY),
        (pair("a", "<think>\n\n</think> "), Flaw.EMPTY),
        (pair(CALL, "b"), Flaw.NONE),
        (pair(CALL, CALL), Flaw.SAME),
        ({"chosen": pair("a", "b")["chosen"][:1], "rejected": pair("a", "b")["rejected"]}, Flaw.EMPTY),
    ],
)
def test_what_is_wrong_with_a_pair(row: dict[str, Any], flaw: Flaw) -> None:
    assert pair_flaw(row) is flaw


def test_pairs_that_teach_nothing_are_left_out_and_named(tmp_path: Path, tokenizer: ChatTokenizer) -> None:
    long = "The same for a long time. " * 40
    path = write(
        tmp_path,
        pair("a", "a"),
        pair("Good", "Bad"),
        pair("<think></think>a", "a"),
        pair("", "b"),
        pair("a", "b", question=long),
        pair(long + "yes", long + "no"),
        pair("c", "c"),
    )
    rows = load(path, tokenizer, max_seq_len=100)
    assert (len(rows), rows.line(0), rows.report.rows, rows.report.unlabelled) == (1, 2, 1, 6)
    same = "2 of 7 pairs teach nothing: chosen and rejected are the same (line 1, 7)."
    tags = "1 of 7 pair teaches nothing: chosen and rejected differ in nothing but think tags (line 3)."
    empty = "1 of 7 pair teaches nothing: chosen or rejected has no answer at its end (line 4)."
    cut = "1 of 7 pair teaches nothing: no answer within the first 100 tokens of chosen or rejected (line 5)."
    alike = "1 of 7 pair teaches nothing: chosen and rejected are the same within the first 100 tokens (line 6)."
    assert rows.report.notices == (same, tags, empty, cut, alike)
    assert data_stats(path, "dpo", tokenizer, 100)["notices"] == [same, tags, empty, cut, alike]
    assert check_rows(path, "dpo").notices == [same, tags, empty]
    with pytest.raises(DataError, match=r"Some pairs of .*: 2 of 7 pairs teach nothing"):
        load(path, tokenizer, max_seq_len=100, unlabelled_rows="refuse")


def test_data_without_one_good_pair_is_refused(tmp_path: Path, tokenizer: ChatTokenizer) -> None:
    with pytest.raises(DataError, match=r"No pair of .* can be trained on: 1 of 1 pair teaches nothing: .* the same"):
        load(write(tmp_path, pair("a", "a")), tokenizer)


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"chosen": [], "rejected": pair("a", "b")["rejected"]}, "line 2: chosen is empty"),
        ({"chosen": pair("a", "b")["chosen"]}, r"line 2: no rejected \(keys found: chosen"),
        ({"conversations": pair("a", "b")["chosen"]}, "line 2: no chosen and rejected .*looks like SFT data"),
        (pair("a", {"content": None}), "line 2: content of message 2 of rejected is null, not a string"),
        (pair("a", {"content": "b", "tool_calls": "{"}), "line 2: tool_calls of message 2 of rejected is text"),
    ],
)
def test_bad_rows_are_told_by_line(tmp_path: Path, tokenizer: ChatTokenizer, row: dict[str, Any], told: str) -> None:
    with pytest.raises(DataError) as caught:
        load(write(tmp_path, pair("a", "b"), row), tokenizer)
    assert re.search(told, f"{caught.value.message} {caught.value.hint}")


# Batches ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("packed", [True, False])
def test_a_batch_has_the_chosen_answers_and_then_the_rejected_ones(
    tmp_path: Path, tokenizer: ChatTokenizer, packed: bool
) -> None:
    rows = load(write(tmp_path, *answers(5)), tokenizer)
    rows.reference = np.arange(10, dtype=np.float32).reshape(5, 2)
    batch = rows.batch(np.array([4, 1]), 0, packed, 0)
    sequences = [rows.answer(i, side) for side in (0, 1) for i in (4, 1)]
    labelled = [int((labels[1:] != NO_LABEL).sum()) for _, labels in sequences]
    assert (batch.count, batch.tokens) == (2, sum(len(ids) for ids, _ in sequences))
    assert batch.extras["labels"].tolist() == labelled
    assert batch.extras["answer_of"].tolist() == [i for i, count in enumerate(labelled) for _ in range(count)]
    assert batch.extras["reference"].tolist() == [8, 2, 9, 3]
    assert batch.targets.tolist() == [t for ids, lab in sequences for t in ids[1:][lab[1:] != NO_LABEL]]


def test_real_pairs_load_and_count(tmp_path: Path, tokenizer: ChatTokenizer, real_data: Path) -> None:
    config: Any = parse_config("dpo", {"data_path": "x"})
    report = load_pairs(str(real_data / "dpo_real.jsonl"), config, tokenizer, tmp_path / "cache").report
    assert report.rows + report.unlabelled == 419
    assert report.rows > 350
