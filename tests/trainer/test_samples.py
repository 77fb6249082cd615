"""The sample data: every format, true sums, the same bytes for the same seed."""

import json
import re
import time
from pathlib import Path
from random import Random
from typing import Any

import pytest

from trainer.errors import DataError
from trainer.rows import check_rows, detect_format
from trainer.sample_sums import SUMS, calculation, days, giving, program, sequence, sharing, shopping, walking
from trainer.sample_texts import TEXTS, article
from trainer.samples import SHARES, generate

FORMATS = {
    "pretrain": "pretrain",
    "sft": "sft",
    "lora_identity": "sft",
    "dpo": "dpo",
    "rlaif": "rlaif",
    "reason": "sft",
    "arithmetic_sft": "sft",
    "arithmetic_rlaif": "rlaif",
}


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_every_format_is_written_and_passes_its_check(tmp_path: Path) -> None:
    paths = generate(tmp_path / "samples", rows=400)
    assert [path.stem for path in paths] == list(FORMATS)
    for path in paths:
        assert detect_format(path) == FORMATS[path.stem]
        result = check_rows(path, FORMATS[path.stem])
        assert (result.rows, result.bad) == (round(400 * SHARES[path.stem]), 0)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    first, again, other = (generate(tmp_path / name, seed, rows=50) for name, seed in (("a", 1), ("b", 1), ("c", 2)))
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in again]
    assert all(p.read_bytes() != q.read_bytes() for p, q in zip(first, other, strict=True))


def test_the_default_size_is_made_in_seconds_without_repeated_rows(tmp_path: Path) -> None:
    begin = time.process_time()
    paths = generate(tmp_path)
    assert time.process_time() - begin < 2
    rows = rows_of(paths[0])
    assert len(rows) == len({row["text"] for row in rows}) == 5000


def test_half_of_the_rows_are_chinese(tmp_path: Path) -> None:
    texts = [row["text"] for row in rows_of(generate(tmp_path, rows=200)[0])]
    chinese = [sum("\u4e00" <= c <= "\u9fff" for c in text) > len(text) / 5 for text in texts]
    assert 80 <= sum(chinese) <= 120


def test_nothing_else_stays_in_the_folder(tmp_path: Path) -> None:
    generate(tmp_path, rows=5)
    generate(tmp_path, rows=5)
    assert sorted(path.stem for path in tmp_path.iterdir()) == sorted(FORMATS)


def test_small_sums_are_right(tmp_path: Path) -> None:
    paths = {path.stem: path for path in generate(tmp_path, rows=500)}
    pairs = [(r["conversations"][0]["content"], r["gt"][0]) for r in rows_of(paths["arithmetic_rlaif"])]
    pairs += [tuple(m["content"] for m in r["conversations"]) for r in rows_of(paths["arithmetic_sft"])]
    for question, answer in pairs:
        a, sign, b, *_ = question.split()
        assert int(answer) == (int(a) + int(b) if sign == "+" else int(a) - int(b)) >= 0


def test_less_than_one_row_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="rows is 0"):
        generate(tmp_path, rows=0)


@pytest.mark.parametrize("maker", [calculation, giving, shopping, sharing, walking])
@pytest.mark.parametrize("zh", [True, False])
def test_every_equation_in_the_samples_is_true(maker: Any, zh: bool) -> None:
    for seed in range(200):
        text = maker(Random(seed), zh).answer
        equations = re.findall(r"(\d+(?: [+×÷-] \d+)+) = (\d+)", text)
        assert equations
        for left, right in equations:
            assert eval(left.replace("×", "*").replace("÷", "/")) == int(right), text


@pytest.mark.parametrize("zh", [True, False])
def test_the_next_number_of_a_sequence_follows_its_rule(zh: bool) -> None:
    for seed in range(100):
        piece = sequence(Random(seed), zh)
        a, b, *_, last = [int(number) for number in re.findall(r"\d+", piece.question)]
        assert int(piece.result) in (last + b - a, last * 2)


@pytest.mark.parametrize("maker", [calculation, giving, shopping, sharing, walking])
@pytest.mark.parametrize("zh", [True, False])
def test_answers_to_check_are_whole_numbers_that_stand_in_the_answer(maker: Any, zh: bool) -> None:
    for seed in range(200):
        piece = maker(Random(seed), zh)
        assert re.fullmatch(r"\d+", piece.result)
        assert re.search(rf"(?<!\d){piece.result}(?!\d)", piece.answer)


@pytest.mark.parametrize("zh", [True, False])
def test_programs_return_what_is_said(zh: bool) -> None:
    for seed in range(50):
        piece = program(Random(seed), zh)
        code = piece.question.split("```python\n")[1].split("```")[0]
        name, x = re.findall(r"def (\w+)", code)[0], re.findall(r"x = (\d+)", piece.question)[0]
        space: dict[str, Any] = {}
        exec(code, space)
        assert str(space[name](int(x))) == piece.result


def test_days_are_counted_right() -> None:
    names = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
    for seed in range(100):
        piece = days(Random(seed), zh=False)
        start, count = re.findall(r"Today is (\w+)\. .*? (\d+) days", piece.question)[0]
        move = -int(count) if "ago" in piece.question else int(count)
        assert piece.result == names[(names.index(start) + move) % 7]


@pytest.mark.parametrize("maker", [*TEXTS, *SUMS])
def test_no_piece_has_an_unfilled_place_or_doubled_mark(maker: Any) -> None:
    for seed in range(100):
        for zh in (True, False):
            piece = maker(Random(seed), zh)
            for text in (piece.question, piece.answer, piece.text):
                assert text == text.strip() and text
                assert not re.search(
                    r"[{}]|\bNone\b|  (?!  )\S|\.\.|。。|，，|\ba [aeiou]\w+", text.replace("    ", "")
                ), text


def test_articles_follow_the_sound() -> None:
    assert [article(word) for word in ("owl", "cat", "insect")] == ["an owl", "a cat", "an insect"]


def test_conversations_have_tools_thoughts_and_several_turns(tmp_path: Path) -> None:
    messages = [row["conversations"] for row in rows_of(generate(tmp_path, rows=1000)[1])]
    assert any("tool_calls" in m for conversation in messages for m in conversation)
    assert any("reasoning_content" in m for conversation in messages for m in conversation)
    assert any(m["role"] == "system" and "tools" not in m for conversation in messages for m in conversation)
    assert any([m["role"] for m in conversation] == ["user", "assistant"] * 2 for conversation in messages)


def test_chosen_and_rejected_answer_the_same_question_differently(tmp_path: Path) -> None:
    for row in rows_of(generate(tmp_path, rows=500)[3]):
        assert row["chosen"][0] == row["rejected"][0]
        assert row["chosen"][1]["content"] != row["rejected"][1]["content"]


def test_rows_to_reason_about_have_thoughts_and_an_answer(tmp_path: Path) -> None:
    for row in rows_of(generate(tmp_path, rows=100)[5]):
        assert re.fullmatch(
            r"<think>\n.+\n</think>\n<answer>\n.+\n</answer>", row["conversations"][1]["content"], re.DOTALL
        )
