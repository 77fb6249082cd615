"""docs/data.md says what the code does."""

import json
import re
import shlex
from pathlib import Path

import pytest

from trainer import data_cli
from trainer.data_preview import preview
from trainer.data_stats import data_stats
from trainer.row_formats import canonical, row_format
from trainer.rows import check_rows
from trainer.samples import generate
from trainer.sources import SUFFIXES
from trainer.streams import LINE_LIMIT
from trainer.tokenization import load_tokenizer

TEXT = (Path(__file__).resolve().parents[1] / "docs" / "data.md").read_text("utf-8")
BLOCKS: dict[str, str] = dict(re.findall(r"```(\w*)\n(.*?)```", TEXT, re.DOTALL))


def test_every_row_that_is_shown_is_read(tmp_path: Path) -> None:
    rows = BLOCKS["json"].splitlines()
    formats = []
    for row in rows:
        formats.append(row_format(canonical(json.loads(row))))
        path = tmp_path / "row.jsonl"
        path.write_text(row + "\n", "utf-8")
        check = check_rows(path, formats[-1])
        assert (check.rows, check.errors, check.notices) == (1, [], [])
        shown = preview(path, formats[-1], load_tokenizer(None), 340)["rows"][0]
        assert "error" not in shown
    assert formats == ["pretrain", "sft", "sft", "sft", "sft", "sft", "dpo", "rlaif"]


def test_the_commands_that_are_shown_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    generate(tmp_path / "dataset" / "samples", rows=60)
    monkeypatch.chdir(tmp_path)
    commands = [shlex.split(line) for line in BLOCKS[""].splitlines()]
    assert [words[2] for words in commands] == ["check", "stats", "preview"]
    for words in commands:
        assert data_cli.main(words[2:]) == 0
    assert "── line 11, " in capsys.readouterr().out


def test_limits_and_keys_are_named(tmp_path: Path) -> None:
    assert all(f"`{suffix}`" in TEXT for suffix in SUFFIXES)
    assert f"larger than {LINE_LIMIT // 2**20} MB" in TEXT
    (tmp_path / "a.jsonl").write_text('{"text": "a"}\n')
    tokenizer = load_tokenizer(None)
    found = data_stats(tmp_path / "a.jsonl", "pretrain", tokenizer, 340)
    assert all(f"`{key}`" in TEXT for key in found)
    shown = preview(tmp_path / "a.jsonl", "pretrain", tokenizer, 340)
    assert all(f"`{key}`" in TEXT for key in (*shown, *shown["rows"][0], *shown["rows"][0]["spans"][0]))
