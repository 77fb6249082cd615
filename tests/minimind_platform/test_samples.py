"""Samples are read from the end of a file that grows, a page at a time."""

import json
from pathlib import Path
from typing import Any

import pytest

from minimind_platform import samples
from minimind_platform.cli import main
from minimind_platform.samples import SampleQuery, read_samples


def line(step: int, **values: Any) -> str:
    row = {"step": step, "prompt": "几加几？", "completion": f"answer {step}", "gt": ["4"], "reward": step / 10}
    return json.dumps(row | {"rewards": {"answer": 1.0}, "tokens": 3, "ended": True} | values, ensure_ascii=False)


def write(path: Path, *lines: str, end: str = "\n") -> Path:
    path.write_text("\n".join(lines) + end, encoding="utf-8")
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "samples.jsonl"


def steps(path: Path, **query: Any) -> list[int]:
    return [sample.step for sample in read_samples(path, SampleQuery(**query)).samples]


@pytest.mark.parametrize("block", [16, 97, 1 << 16])
def test_pages_go_back_to_the_first_sample_without_a_gap(
    file: Path, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(samples, "BLOCK", block)
    write(file, *(line(n, completion="长" * (n % 50)) for n in range(1, 101)))
    seen, before = [], None
    while True:
        page = read_samples(file, SampleQuery(before=before, limit=7))
        seen += [sample.step for sample in page.samples]
        if page.older is None:
            break
        before = page.older
    assert seen == list(range(100, 0, -1))


def test_lines_are_the_same_forwards_and_backwards(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "BLOCK", 4)
    for content in (b"", b"\n", b"a", b"a\n", b"\n\na\n", b"abcd\nefghijkl\n\nm", b"a" * 99 + b"\n", b"abc\nd"):
        file.write_bytes(content)
        with file.open("rb") as opened:
            found = list(samples.lines_before(opened, len(content)))
        assert [text for _, text in reversed(found)] == content.splitlines(keepends=True)
        assert [content[at : at + len(text)] == text for at, text in found] == [True] * len(found)


def test_a_line_that_is_half_written_waits_for_its_end(file: Path) -> None:
    write(file, line(1), line(2)[:30], end="")
    assert steps(file) == [1]
    write(file, line(1), line(2))
    assert steps(file) == [2, 1]


def test_what_a_killed_training_left_half_is_passed_over(file: Path) -> None:
    write(file, line(1), line(2)[:30] + line(2), "[]", "3", '{"step": 4}', "", line(5))
    assert steps(file) == [5, 1]


def test_no_file_is_no_samples(file: Path) -> None:
    page = read_samples(file)
    assert (page.samples, page.older, page.size) == ([], None, 0)


def test_everything_of_a_sample_is_kept(file: Path) -> None:
    write(file, line(3, advantage=-0.5, ended=False, problem="why", reward=float("nan"), rewards={"a": float("nan")}))
    (sample,) = read_samples(file).samples
    assert sample.at == 0
    assert (sample.prompt, sample.completion, sample.gt) == ("几加几？", "answer 3", ["4"])
    assert (sample.reward, sample.rewards, sample.advantage) == (None, {"a": None}, -0.5)
    assert (sample.tokens, sample.ended, sample.problem) == (3, False, "why")


def test_samples_are_picked_by_reward_and_by_step(file: Path) -> None:
    rewards = [0.5, -1.0, 2.0, float("nan"), 0.0, 2.0]
    write(file, *(line(n, reward=reward) for n, reward in enumerate(rewards, 1)))
    assert steps(file, low=0.0, high=1.0) == [5, 1]
    assert steps(file, high=0.0) == [5, 2]
    assert steps(file, first_step=2, last_step=4) == [4, 3, 2]
    assert steps(file, order="least", limit=3) == [2, 5, 1]
    assert steps(file, order="most", limit=2) == [6, 3]
    assert steps(file, order="most", last_step=4) == [3, 1, 2]


def test_a_long_file_is_searched_in_parts(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "SEARCHED_BYTES", 2_000)
    write(file, *(line(n) for n in range(1, 201)))
    page, rounds = read_samples(file, SampleQuery(last_step=1)), 1
    while not page.samples and page.older:
        page, rounds = read_samples(file, SampleQuery(last_step=1, before=page.older)), rounds + 1
    assert [sample.step for sample in page.samples] == [1] and rounds > 5
    assert steps(file, order="least", limit=1)[0] > 150


def test_only_the_end_of_a_large_file_is_read(file: Path) -> None:
    with file.open("wb") as opened:
        opened.seek(1 << 33)  # a hole of 8 GB
        opened.write(b"\n" + line(7).encode() + b"\n")
    assert file.stat().st_blocks * 512 < 1 << 20
    assert steps(file, limit=1) == [7]


def test_a_page_ends_early_where_texts_are_long(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "PAGE_BYTES", 5_000)
    write(file, *(line(n, completion="x" * 2_000) for n in range(1, 10)))
    page = read_samples(file)
    assert [sample.step for sample in page.samples] == [9, 8, 7]
    assert steps(file, before=page.older) == [6, 5, 4]


class Files:
    """The one task of a platform."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def samples(self, id: str, query: SampleQuery) -> Any:  # noqa: A002
        return read_samples(self.path, query)


def test_samples_on_the_command_line(file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    monkeypatch.setattr(samples, "SEARCHED_BYTES", 300)
    write(file, *(line(n, completion="one\ntwo\x1b[31m", ended=False) for n in range(1, 9)))
    platform: Any = Files(file)
    assert main(["samples", "ab12", "-n", "2", "--last-step", "3"], platform) == 0
    shown = capsys.readouterr().out
    assert (
        "Step 3  reward 0.3 (answer 1)  3 tokens, cut\n  asked    几加几？\n  answered one\n           two[31m" in shown
    )
    assert "Step 2 " in shown and "Step 4 " not in shown and "\x1b" not in shown
    assert main(["samples", "ab12", "--json", "--order", "most", "-n", "1"], platform) == 0
    assert json.loads(capsys.readouterr().out)[0]["step"] == 8
    assert main(["samples", "ab12", "--low", "9"], platform) == 0
    assert capsys.readouterr().out == "No samples.\n"
