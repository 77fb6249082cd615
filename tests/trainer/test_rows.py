"""Data files: what is read, and what each fault is called."""

import json
from pathlib import Path
from typing import Any

import pytest

from trainer import streams
from trainer.errors import DataError
from trainer.rows import check_rows, detect_format, read_rows
from trainer.sources import Place

CHAT = {"conversations": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]}
GOOD: dict[str, dict[str, Any]] = {
    "pretrain": {"text": "a"},
    "sft": CHAT,
    "dpo": {"chosen": CHAT["conversations"], "rejected": CHAT["conversations"]},
    "rlaif": {"conversations": [CHAT["conversations"][0], {"role": "assistant", "content": ""}], "gt": ["4"]},
}


def write(folder: Path, *lines: Any) -> Path:
    """A file of rows; bytes and text go in as they are."""
    raw = [line if isinstance(line, bytes) else str(line).encode() for line in map(as_line, lines)]
    path = folder / "data.jsonl"
    path.write_bytes(b"\n".join(raw) + b"\n")
    return path


def as_line(line: Any) -> Any:
    return json.dumps(line, ensure_ascii=False) if isinstance(line, dict) else line


def fault(path: Path, name: str) -> str:
    """Message and hint of the error that reading ends with."""
    with pytest.raises(DataError) as caught:
        list(read_rows(path, name))
    return f"{caught.value.message} {caught.value.hint}"


@pytest.mark.parametrize("name", GOOD)
def test_rows_come_with_their_line_numbers_and_blank_lines_are_skipped(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, "", GOOD[name], "   ", "\r", GOOD[name])
    assert list(read_rows(path, name)) == [(Place(0, 2), GOOD[name]), (Place(0, 5), GOOD[name])]


@pytest.mark.parametrize("name", GOOD)
def test_the_format_is_seen_from_the_first_rows(tmp_path: Path, name: str) -> None:
    assert detect_format(write(tmp_path, GOOD[name], GOOD[name])) == name


def test_no_format_is_seen_in_mixed_broken_or_missing_files(tmp_path: Path) -> None:
    assert detect_format(write(tmp_path, {"text": "a"}, CHAT)) == ""
    assert detect_format(write(tmp_path, "{")) == ""
    assert detect_format(write(tmp_path, {"other": 1})) == ""
    assert detect_format(tmp_path / "none.jsonl") == ""


@pytest.mark.fault("missing or changed data")
def test_a_missing_file_is_told_with_its_absolute_path_and_similar_names(tmp_path: Path) -> None:
    write(tmp_path, CHAT)
    text = fault(tmp_path / "dta.jsonl", "sft")
    assert text == f"There is no file {tmp_path}/dta.jsonl. Did you mean data.jsonl?"
    assert f"The folder {tmp_path}/no does not exist" in fault(tmp_path / "no" / "data.jsonl", "sft")


def test_empty_files_and_files_of_blank_lines_differ(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_bytes(b"")
    assert "is empty (0 bytes)" in fault(path, "sft")
    assert "has no rows, only blank lines" in fault(write(tmp_path, "", "  "), "sft")
    path.write_bytes(b"\xef\xbb\xbf\n")
    assert "has no rows, only blank lines" in fault(path, "sft")


@pytest.mark.fault("bad row in the data")
def test_broken_json_is_told_with_line_and_column(tmp_path: Path) -> None:
    path = write(tmp_path, CHAT, '{"conversations": [] "x": 1}')
    assert fault(path, "sft").startswith(f"{path} line 2: not valid JSON (Expecting ',' delimiter at column 22).")


@pytest.mark.fault("bad row in the data")
def test_a_byte_order_mark_at_the_beginning_is_accepted(tmp_path: Path) -> None:
    path = write(tmp_path, b"\xef\xbb\xbf" + json.dumps({"text": "你好"}).encode())
    assert [row for _, row in read_rows(path, "pretrain")] == [{"text": "你好"}]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b'{"text": "\xff"}', "line 2: not UTF-8 (byte 11 is 0xff). Save it as UTF-8."),
        (b'{"text": "a\0b"}', "line 2: NUL byte at byte 12. The file is damaged"),
        ("[1, 2]", "line 2: a JSON array, not an object. Write each row as {...}."),
        ("3", "line 2: a JSON number 3, not an object."),
        ("null", "line 2: a JSON null, not an object."),
        ('{"text": "\\ud83d"}', "line 2: half of a surrogate pair"),
        ("[" * 100_000, "line 2: JSON that cannot be read"),
        ({"body": "x", "id": 1}, "line 2: no text (keys found: body, id; expected: text)."),
        ({}, "line 2: no text (keys found: none; expected: text)."),
        (CHAT, "This looks like SFT data; choose training type sft."),
        (GOOD["dpo"], "This looks like DPO data; choose training type dpo."),
        (GOOD["rlaif"], "This looks like RLAIF data; choose training type rlaif."),
        ({"text": None}, "line 2: text is null, not a string."),
        ({"text": 7}, "line 2: text is number 7, not a string."),
        ({"text": ["a"]}, "line 2: text is array, not a string."),
    ],
)
@pytest.mark.fault("bad row in the data")
def test_faults_of_pretraining_rows(tmp_path: Path, line: Any, expected: str) -> None:
    assert expected in fault(write(tmp_path, {"text": "fine"}, line), "pretrain")


def turn(**message: Any) -> dict[str, Any]:
    return {"conversations": [{"role": "user", "content": "Hi"}, message]}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ({"text": "a"}, "This looks like pretraining data; choose training type pretrain."),
        ({"messages": []}, "messages is empty."),
        ({"messages": [{"role": "x"}]}, "the role of message 1 of messages is 'x'."),
        ({"conversations": []}, "conversations is empty."),
        ({"conversations": "Hi"}, "conversations is string, not a list of messages."),
        ({"conversations": ["Hi"]}, "message 1 of conversations is string, not an object."),
        (turn(role="gpt", content="a"), "the role of message 2 of conversations is 'gpt'. Use one of system, user"),
        (turn(content="a"), "the role of message 2 of conversations is missing (keys found: content)."),
        (turn(role="assistant", content=None), "content of message 2 of conversations is null, not a string."),
        (turn(role="assistant"), "content of message 2 of conversations is missing, not a string."),
        (turn(role="assistant", content=["a"]), "content of message 2 of conversations is array, not a string."),
        (turn(role="assistant", content="", tool_calls="[{"), "tool_calls of message 2 of conversations is text that"),
        (turn(role="assistant", content="", tool_calls="3"), "tool_calls of message 2 of conversations is not a list"),
        (turn(role="system", content="", tools=[1]), "tools of message 2 of conversations is not a list of objects."),
        (turn(role="assistant", content="", reasoning_content=1), "reasoning_content of message 2 of conversations is"),
        (GOOD["rlaif"], "the last answer is empty, so there is nothing to learn from. This looks like RLAIF data."),
    ],
)
@pytest.mark.fault("bad row in the data")
def test_faults_of_conversations(tmp_path: Path, line: Any, expected: str) -> None:
    assert expected in fault(write(tmp_path, line), "sft")


def test_faults_of_dpo_and_rlaif_rows(tmp_path: Path) -> None:
    assert "no rejected (keys found: chosen" in fault(write(tmp_path, {"chosen": CHAT["conversations"]}), "dpo")
    assert "rejected is empty" in fault(write(tmp_path, GOOD["dpo"] | {"rejected": []}), "dpo")
    assert "gt is string, not a list of strings" in fault(write(tmp_path, GOOD["rlaif"] | {"gt": "4"}), "rlaif")


@pytest.mark.parametrize("calls", ['[{"name": "f", "arguments": {}}]', [{"name": "f", "arguments": {}}], "", None])
def test_tool_calls_may_be_json_text_objects_or_nothing(tmp_path: Path, calls: Any) -> None:
    path = write(tmp_path, turn(role="assistant", content="", tool_calls=calls, reasoning_content=None))
    assert check_rows(path, "sft").rows == 1


def test_a_call_without_content_is_a_full_answer(tmp_path: Path) -> None:
    path = write(tmp_path, turn(role="assistant", content=None, tool_calls=[{"name": "f", "arguments": {}}]))
    assert check_rows(path, "sft").rows == 1


def test_a_json_array_over_many_lines_is_explained(tmp_path: Path) -> None:
    assert "one JSON object on each line, not one array" in fault(write(tmp_path, "[", "{}", "]"), "sft")


def test_utf_16_is_named(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_bytes(json.dumps(CHAT).encode("utf-16"))
    assert "line 1: the file is UTF-16. Save it as UTF-8." in fault(path, "sft")


@pytest.mark.fault("bad row in the data")
def test_a_line_over_the_limit_is_refused_and_the_next_one_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "LINE_LIMIT", 2**20)
    size = 2**20 - len(json.dumps({"text": ""}))
    path = write(tmp_path, {"text": "x" * size}, {"text": "x" * (size + 1)}, {"text": "x" * (3 * size)}, {"text": "y"})
    result = check_rows(path, "pretrain")
    assert (result.rows, result.bad) == (2, 2)
    assert [error.message for error in result.errors] == [f"{path} line {n}: longer than 1 MB." for n in (2, 3)]


def test_the_limit_is_eight_megabytes() -> None:
    assert streams.LINE_LIMIT == 8 * 1024 * 1024


def test_a_check_counts_all_bad_lines_and_keeps_the_first(tmp_path: Path) -> None:
    result = check_rows(write(tmp_path, *[{"text": "a"}, "{", {"x": 1}] * 3), "pretrain", limit_errors=4)
    assert (result.rows, result.bad, len(result.errors)) == (3, 6, 4)
    assert [error.message.split(": ")[0][-6:] for error in result.errors] == ["line 2", "line 3", "line 5", "line 6"]


def test_a_check_of_a_missing_file_tells_so_without_raising(tmp_path: Path) -> None:
    result = check_rows(tmp_path / "none.jsonl", "sft")
    assert result.rows == 0
    assert "There is no file" in result.errors[0].message


def test_reading_stops_at_the_row_that_is_asked_for(tmp_path: Path) -> None:
    stream = read_rows(write(tmp_path, CHAT, "{"), "sft")
    assert next(stream) == (Place(0, 1), CHAT)
    with pytest.raises(DataError):
        next(stream)


def test_real_files_are_recognised_and_good(real_data: Path) -> None:
    formats = {path.name.removesuffix("_real.jsonl"): detect_format(path) for path in real_data.glob("*.jsonl")}
    assert formats == {
        "pretrain": "pretrain",
        "sft": "sft",
        "dpo": "dpo",
        "lora_identity": "sft",
        "rlaif_math": "rlaif",
        "reason": "sft",
    }
    assert check_rows(real_data / "sft_real.jsonl", "sft").bad == 0
