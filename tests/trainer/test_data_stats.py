"""Statistics and previews: the same numbers and labels as the training has, and what people and pages read."""

import gzip
import json
import os
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trainer import data_cli
from trainer.configs import parse_config
from trainer.data import NO_LABEL, Rows, load_rows
from trainer.data_preview import preview
from trainer.data_stats import data_stats, histogram
from trainer.errors import BaseModelError, DataError
from trainer.samples import generate
from trainer.tokenization import ChatTokenizer, load_tokenizer

CHAT = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello there"}]


@pytest.fixture(scope="module")
def tokenizer() -> ChatTokenizer:
    return load_tokenizer(None)


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {path.stem: path for path in generate(tmp_path_factory.mktemp("data"), rows=80)}


def write(path: Path, *rows: Any) -> Path:
    path.parent.mkdir(exist_ok=True)
    lines = [row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows]
    path.write_text("".join(line + "\n" for line in lines), "utf-8")
    return path


def trained(path: Path, name: str, tokenizer: ChatTokenizer, length: int) -> Rows:
    config = parse_config(name, {"data_path": str(path), "max_seq_len": length})
    return load_rows(str(path), config, tokenizer, path.parent / "cache")


@pytest.mark.parametrize("name", ["pretrain", "sft"])
@pytest.mark.parametrize("length", [24, 64, 340])
def test_numbers_are_those_of_the_training(
    samples: dict[str, Path], tokenizer: ChatTokenizer, name: str, length: int
) -> None:
    path = samples[name]
    rows = trained(path, name, tokenizer, length)
    found = data_stats(path, name, tokenizer, length)
    everything = found["rows"]
    assert everything == len(path.read_text("utf-8").splitlines())
    assert found["unlabelled_rows"] == rows.report.unlabelled == everything - len(rows)
    assert found["sha256"] == rows.report.sha256
    labels = [rows.get(index, None)[1] for index in range(len(rows))]
    assert found["labelled_tokens"] == sum(int((row[1:] != NO_LABEL).sum()) for row in labels)
    if not found["unlabelled_rows"]:
        assert found["tokens"] - found["truncated_tokens"] == rows.report.tokens
        assert found["truncated_rows"] == rows.report.truncated


def test_every_row_is_in_the_histogram_and_lengths_are_exact(
    samples: dict[str, Path], tokenizer: ChatTokenizer
) -> None:
    found = data_stats(samples["sft"], "sft", tokenizer, 768)
    lengths = trained(samples["sft"], "sft", tokenizer, 32_000).lengths
    steps = found["histogram"]
    assert sum(step["rows"] for step in steps) == found["rows"] == len(lengths)
    for step in steps:
        assert step["rows"] == int(((lengths >= step["low"]) & (lengths <= step["high"])).sum())
    assert found["length"] == {
        "min": lengths.min(),
        "median": round(float(np.median(lengths)), 1),
        "mean": round(float(lengths.mean()), 1),
        "p95": round(float(np.percentile(lengths, 95)), 1),
        "max": lengths.max(),
    }


@pytest.mark.parametrize(
    ("lengths", "expected"),
    [
        ([5], [(0, 0, 0), (1, 1, 0), (2, 2, 0), (3, 3, 0), (4, 4, 0), (5, 5, 1)]),
        ([1] * 100 + [2] * 99 + [900], [(0, 0, 0), (1, 1, 100), (2, 2, 99), (3, 900, 1)]),
    ],
)
def test_few_very_long_rows_do_not_flatten_a_histogram(lengths: list[int], expected: list[tuple[int, ...]]) -> None:
    found = histogram(np.array(lengths, dtype=np.int32))
    assert [(step["low"], step["high"], step["rows"]) for step in found] == expected


def test_rows_that_say_the_same_are_counted_with_their_lines(tmp_path: Path, tokenizer: ChatTokenizer) -> None:
    one, other = {"conversations": CHAT}, {"conversations": [CHAT[0], {"role": "assistant", "content": "Bye"}]}
    call = {
        "conversations": [CHAT[0], {"role": "assistant", "content": "", "tool_calls": [{"name": "f", "arguments": {}}]}]
    }
    call_other = json.loads(json.dumps(call).replace('"f"', '"g"'))
    write(tmp_path / "set" / "a.jsonl", one, other, one, call, call_other)
    write(tmp_path / "set" / "b.jsonl", "", {"messages": CHAT, "id": 7}, other | {"id": 9})
    found = data_stats(tmp_path / "set", "sft", tokenizer, 768)
    assert found["duplicate_rows"] == 3
    assert found["duplicate_lines"] == ["a.jsonl line 3", "b.jsonl line 2", "b.jsonl line 3"]
    assert [(file["name"], file["rows"]) for file in found["files"]] == [("a.jsonl", 5), ("b.jsonl", 2)]
    assert found["notices"] == ["b.jsonl: key id is ignored."]


def test_bad_rows_are_left_out_and_told(tmp_path: Path, tokenizer: ChatTokenizer) -> None:
    path = write(tmp_path / "a.jsonl", {"text": "a"}, *["{"] * 7, {"text": "b"}, {"text": ""})
    found = data_stats(path, "pretrain", tokenizer, 340)
    assert (found["rows"], found["bad_rows"], len(found["errors"]), found["unlabelled_rows"]) == (3, 7, 5, 1)
    assert found["errors"][0]["message"].startswith(f"{path} line 2: not valid JSON")


def test_rows_that_the_template_refuses_are_bad_rows(tmp_path: Path) -> None:
    tokenizer = load_tokenizer(None)
    tokenizer.chat_template = (
        "{% for m in messages %}{% if m.content == 'no' %}{{ raise_exception('never') }}{% endif %}"
        "<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    )
    refused = {"conversations": [{"role": "user", "content": "no"}, CHAT[1]]}
    path = write(tmp_path / "a.jsonl", {"conversations": CHAT}, refused, {"conversations": CHAT})
    found = data_stats(path, "sft", tokenizer, 768)
    assert (found["rows"], found["bad_rows"], found["duplicate_lines"]) == (2, 1, ["line 3"])
    assert "line 2: the tokenizer's chat template refuses it (never)" in found["errors"][0]["message"]
    assert "never" in preview(path, "sft", tokenizer, 768)["rows"][1]["error"]["message"]


def test_data_without_one_usable_row_has_empty_numbers(tmp_path: Path, tokenizer: ChatTokenizer) -> None:
    found = data_stats(write(tmp_path / "a.jsonl", "{", {"text": None}), "pretrain", tokenizer, 340)
    assert (found["rows"], found["bad_rows"], found["tokens"], found["histogram"]) == (0, 2, 0, [])
    with pytest.raises(DataError, match="only blank lines"):
        data_stats(write(tmp_path / "b.jsonl", "", ""), "pretrain", tokenizer, 340)


def test_a_file_that_ends_early_has_the_numbers_of_its_begin(tmp_path: Path, tokenizer: ChatTokenizer) -> None:
    raw = "".join(json.dumps({"text": os.urandom(40).hex()}) + "\n" for _ in range(3000)).encode()
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(raw)[:-2000])
    found = data_stats(path, "pretrain", tokenizer, 340)
    assert 0 < found["rows"] < 3000
    assert "is damaged" in found["errors"][-1]["message"]


def test_a_pair_is_cut_and_labelled_as_two(tmp_path: Path, tokenizer: ChatTokenizer) -> None:
    long = [CHAT[0], {"role": "assistant", "content": "1" * 100}]
    path = write(tmp_path / "a.jsonl", {"chosen": CHAT, "rejected": long})
    one = data_stats(write(tmp_path / "b.jsonl", {"conversations": CHAT}), "sft", tokenizer, 60)
    two = data_stats(write(tmp_path / "c.jsonl", {"conversations": long}), "sft", tokenizer, 60)
    both = data_stats(path, "dpo", tokenizer, 60)
    for key in ("tokens", "labelled_tokens", "truncated_tokens"):
        assert both[key] == one[key] + two[key]
    assert (both["truncated_rows"], both["length"]["max"]) == (1, two["length"]["max"])


def test_prompts_of_rlaif_end_where_the_model_begins(samples: dict[str, Path], tokenizer: ChatTokenizer) -> None:
    found = data_stats(samples["rlaif"], "rlaif", tokenizer, 340)
    assert found["labelled_tokens"] == found["unlabelled_rows"] == 0 < found["tokens"]
    (row,) = preview(samples["rlaif"], "rlaif", tokenizer, 340, rows=1)["rows"]
    (span,) = row["spans"]
    assert "<|im_start|>assistant\n" in span["text"] and not span["loss"]
    assert span["text"].count("<|im_end|>") == span["text"].count("<|im_start|>") - 1


@pytest.mark.parametrize("name", ["pretrain", "sft"])
@pytest.mark.parametrize("length", [30, 340])
def test_a_preview_shows_the_text_and_the_labels_of_the_training(
    samples: dict[str, Path], tokenizer: ChatTokenizer, name: str, length: int
) -> None:
    rows = trained(samples[name], name, tokenizer, length)
    shown = preview(samples[name], name, tokenizer, length, rows=20)
    assert shown["total_rows"] == len(samples[name].read_text("utf-8").splitlines())
    by_line = {f"line {rows.line(index)}": rows.get(index, None) for index in range(len(rows))}
    for row in shown["rows"]:
        spans = [span for span in row["spans"] if not span.get("cut")]
        assert sum(span["tokens"] for span in row["spans"]) == row["tokens"]
        assert row["cut_at"] == (length if row["tokens"] > length else None)
        assert all(one["loss"] != two["loss"] for one, two in pairwise(spans))
        if row["where"] not in by_line:
            assert not any(span["loss"] for span in spans)
            continue
        ids, labels = by_line[row["where"]]
        assert sum(span["tokens"] for span in spans) == len(ids)
        if row["cut_at"] is None:
            assert "".join(span["text"] for span in spans) == tokenizer.decode(ids)
        loss = [state for span in spans for state in [span["loss"]] * span["tokens"]]
        assert loss[1:] == (labels[1:] != NO_LABEL).tolist() and not loss[0]


def test_a_preview_begins_where_it_is_told_and_counts_what_there_is(tmp_path: Path, tokenizer: ChatTokenizer) -> None:
    rows = [{"text": str(number)} for number in range(6)]
    write(tmp_path / "set" / "a.jsonl", *rows[:3], "", "{")
    write(tmp_path / "set" / "b.jsonl", *rows[3:])
    shown = preview(tmp_path / "set", "pretrain", tokenizer, 340, start=2, rows=3)
    assert [row["where"] for row in shown["rows"]] == ["a.jsonl line 3", "a.jsonl line 5", "b.jsonl line 1"]
    assert "error" in shown["rows"][1] and shown["rows"][1]["spans"] == []
    assert shown["total_rows"] == 7
    assert preview(tmp_path / "set", "pretrain", tokenizer, 340, start=7)["rows"] == []


def test_long_rows_show_only_the_begin_of_what_is_cut(tmp_path: Path, tokenizer: ChatTokenizer) -> None:
    (row,) = preview(write(tmp_path / "a.jsonl", {"text": "1" * 9000}), "pretrain", tokenizer, 50)["rows"]
    assert row["spans"][-1]["tokens"] == row["tokens"] - 50
    assert len(row["spans"][-1]["text"]) < 1100
    assert row["spans"][-2]["text"].endswith("1<|im_end|>")


def test_pairs_are_shown_as_two_parts(samples: dict[str, Path], tokenizer: ChatTokenizer) -> None:
    row = preview(samples["dpo"], "dpo", tokenizer, 340, rows=1)["rows"][0]
    assert [part["name"] for part in row["parts"]] == ["chosen", "rejected"]
    for part in row["parts"]:
        assert any(span["loss"] for span in part["spans"]) and not part["spans"][0]["loss"]


def test_conversations_need_a_template(samples: dict[str, Path]) -> None:
    tokenizer = load_tokenizer(None)
    tokenizer.chat_template = None
    with pytest.raises(BaseModelError, match="no chat template"):
        data_stats(samples["sft"], "sft", tokenizer, 340)
    assert data_stats(samples["pretrain"], "pretrain", tokenizer, 340)["rows"] == 80


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    code = data_cli.main([str(word) for word in words])
    return int(code), *capsys.readouterr()


def test_programs_read_one_line_of_json_and_progress_beside_it(
    samples: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(capsys, "stats", samples["sft"], "--type", "lora", "--max_seq_len", 100, "--json")
    (line,) = out.splitlines()
    found = json.loads(line)
    assert (code, found["format"], found["max_seq_len"]) == (0, "sft", 100)
    assert set(found) == {
        *("path", "format", "sha256", "bytes", "files", "rows", "bad_rows", "errors", "notices", "tokens"),
        *("labelled_tokens", "max_seq_len", "truncated_rows", "truncated_tokens", "unlabelled_rows"),
        *("duplicate_rows", "duplicate_lines", "length", "histogram"),
    }
    size = samples["sft"].stat().st_size
    assert [json.loads(line) for line in err.splitlines()][-1] == {"done": size, "total": size}
    code, out, _ = run(capsys, "preview", samples["dpo"], "--start", 1, "--rows", 1, "--json")
    assert (code, json.loads(out)["rows"][0]["where"]) == (0, "line 2")
    code, out, _ = run(capsys, "check", samples["dpo"], "--type", "sft", "--json")
    assert (code, json.loads(out)["bad_rows"]) == (2, 8)


def test_paths_are_those_of_the_shell_else_those_of_the_settings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    home, here = tmp_path / "home", tmp_path / "here"
    (home / "dataset").mkdir(parents=True)
    write(home / "dataset" / "one.jsonl", {"text": "1"}, {"text": "2"})
    write(here / "here.jsonl", {"text": "1"})
    write(home / "here.jsonl", {"text": "1"}, {"text": "2"})
    monkeypatch.chdir(here)
    monkeypatch.setenv("MINIMIND_HOME", str(home))
    assert "2 good rows, 0 bad" in run(capsys, "check", "dataset/one.jsonl")[1]
    assert "1 good row, 0 bad" in run(capsys, "check", "here.jsonl")[1]
    assert f"no file {here / 'none.jsonl'}" in run(capsys, "check", "none.jsonl")[2]


def test_people_read_tables(samples: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a", "b"):
        write(tmp_path / "set" / f"{name}.jsonl", *[{"text": "1" * n, "id": n} for n in range(1, 9)], "{")
    code, out, _ = run(capsys, "stats", tmp_path / "set", "--max_seq_len", 8)
    assert code == 0
    for expected in (
        "rows              16 good, 2 bad\n",
        "tokens a row      3 to 10, median 6.5, mean 6.5, 95 % up to 10\n",
        "cut at 8          4 rows (25.0 %), 6 tokens (5.8 %)\n",
        "without loss      16.3 % of the tokens that are left\n",
        "repeated          8 rows: b.jsonl line 1, b.jsonl line 2, b.jsonl line 3, b.jsonl line 4, b.jsonl line 5, …\n",
        "  3 –  3  ████████████████████████████████████████ 2\n",
        "a.jsonl and 1 more file: key id is ignored.\n",
        f"{tmp_path}/set/a.jsonl line 9: not valid JSON",
    ):
        assert expected in out
    code, out, _ = run(capsys, "check", tmp_path / "set")
    assert code == 2
    assert "file             rows        size\n  a.jsonl             8" in out
    code, out, _ = run(capsys, "preview", samples["sft"], "--rows", 1)
    assert (code, out.count("▶")) == (0, out.count("◀"))
    assert "<|im_start|>assistant\n▶<think>" in out


def test_what_cannot_be_read_is_told_in_a_sentence(
    samples: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in ("check", "stats", "preview"):
        code, out, err = run(capsys, command, tmp_path / "none.jsonl", "--json")
        assert (code, out, err.startswith("There is no file")) == (2, "", True)
        code, _, err = run(capsys, command, samples["sft"].parent)
        assert code == 2 and "are of several formats: dpo.jsonl is dpo, " in err and "--type: pretrain, sft" in err
        code, _, err = run(capsys, command, write(tmp_path / "a.jsonl", {"x": 1}))
        assert code == 2 and "is in no format that we know" in err
    code, _, err = run(capsys, "stats", samples["sft"], "--tokenizer_path", tmp_path)
    assert code == 2 and "No tokenizer in" in err
    for wrong in ("7", "40000", "many"):
        with pytest.raises(SystemExit):
            run(capsys, "stats", samples["sft"], "--max_seq_len", wrong)
