"""Looking for lines of a log by words, level and time, in pieces of a file that grows and is cut."""

import time

import pytest

from minimind_platform import log_search
from minimind_platform.log_search import Wanted, at_time, failed_at, find, level_of

BEGIN = 1_764_000_000


def stamp(seconds):
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(BEGIN + seconds))


@pytest.fixture
def log(tmp_path):
    """10,000 lines, one a second, with a traceback without times in their middle."""
    lines = [f"{stamp(n)} INFO step={n}\n" for n in range(10_000)]
    lines[5000] = f"{stamp(5000)} ERROR Traceback (most recent call last):\n" + "  File x, line 1\n" * 5000
    lines[5000] += "RuntimeError: Boom\n"
    lines[7000] = f"{stamp(7000)} WARNING slow\n"
    path = tmp_path / "log.txt"
    path.write_text("".join(lines))
    return path


def everything(path, wanted, limit=200):
    found, offset, calls = [], 0, 0
    while True:
        matches = find(path, wanted, offset, limit)
        found, offset, calls = found + matches.lines, matches.end, calls + 1
        if matches.done:
            return found, calls


@pytest.mark.parametrize("piece", [1000, 50_000, 1 << 23])
def test_every_line_is_found_once_whatever_the_pieces(log, monkeypatch, piece):
    monkeypatch.setattr(log_search, "PIECE", piece)
    found, calls = everything(log, Wanted("STEP=99"), limit=7)
    assert [line.text.partition("step=")[2] for line in found] == ["99", *map(str, range(990, 1000))] + [
        str(n) for n in range(9900, 10_000)
    ]
    raw = log.read_bytes()
    assert all(raw[line.at :].startswith(line.text.encode()) for line in found)
    assert calls > 15


def test_levels_are_those_of_the_trainer_of_python_and_of_libraries(log):
    assert [line.text for line in everything(log, Wanted(level="error"))[0]] == [
        f"{stamp(5000)} ERROR Traceback (most recent call last):",
        "RuntimeError: Boom",
    ]
    assert len(everything(log, Wanted(level="warning"))[0]) == 3
    assert [line.text for line in everything(log, Wanted("boom", "error"))[0]] == ["RuntimeError: Boom"]
    assert level_of(b"/a/b.py:3: UserWarning: odd") == "warning"
    assert level_of(b"\x1b[31m2026-11-23 13:26:15\x1b[0m CRITICAL x") == "error"
    assert level_of(b"2026-11-23 13:26:15 INFO no ERROR at all") == ""


def test_words_are_found_through_colours_and_in_all_alphabets(tmp_path):
    path = tmp_path / "log.txt"
    path.write_text("one\nlo\x1b[1mss=\x1b[0m2\nЖУК\n错误 x\n10% lost\r20% kept\n")
    shown = {words: [line.text for line in find(path, Wanted(words)).lines] for words in ("LOSS=2", "жук", "错误 X")}
    assert shown == {"LOSS=2": ["loss=2"], "жук": ["ЖУК"], "错误 X": ["错误 x"]}
    assert find(path, Wanted("lost")).lines == []
    found = find(path, Wanted("kept")).lines[0]
    assert path.read_bytes()[found.at :].startswith(b"10%")


def test_a_search_goes_on_while_the_file_grows_and_begins_anew_when_it_was_cut(tmp_path):
    path = tmp_path / "log.txt"
    path.write_text("match 1\nmatc")
    first = find(path, Wanted("match"))
    assert (first.done, first.end, [line.text for line in first.lines]) == (True, 8, ["match 1"])
    path.write_text("match 1\nmatch 2\n")
    assert [line.text for line in find(path, Wanted("match"), first.end).lines] == ["match 2"]
    path.write_text("match\n")
    again = find(path, Wanted("match"), 16)
    assert again.reset
    assert len(again.lines) == 1
    assert find(tmp_path / "none", Wanted("x")).done


def test_a_long_line_is_shown_where_the_words_are(tmp_path):
    path = tmp_path / "log.txt"
    path.write_text("x" * 5000 + "needle" + "y" * 5000 + "\n")
    text = find(path, Wanted("NEEDLE")).lines[0].text
    assert "needle" in text
    assert len(text) < 500


@pytest.mark.parametrize("second", [0, 1, 4999, 5000, 5001, 9999])
def test_a_moment_is_found_by_halving(log, second):
    offset = at_time(log, BEGIN + second + 0.7)
    assert log.read_bytes()[offset:].startswith(stamp(second).encode())


def test_moments_outside_of_the_log_give_its_ends(log, tmp_path):
    assert at_time(log, 1.0) == 0
    assert log.read_bytes()[at_time(log, BEGIN + 99_999) :].startswith(stamp(9999).encode())
    plain = tmp_path / "plain.txt"
    plain.write_text("no times\n" * 100_000)
    assert at_time(plain, BEGIN) == 0
    assert at_time(tmp_path / "none", BEGIN) == 0


def test_a_moment_is_found_in_a_log_that_was_cut_in_its_middle(log):
    raw = log.read_bytes()
    log.write_bytes(raw[:50_003] + b"\n[... 99 KB of this log were cut out here ...]\n" + raw[-100_003:])
    assert log.read_bytes()[at_time(log, BEGIN + 9_000) :].startswith(stamp(9000).encode())
    offset = at_time(log, BEGIN + 5_000)  # is gone: the first line after it
    assert log.read_bytes()[offset : offset + 19].decode() > stamp(5000)


@pytest.mark.parametrize(
    ("text", "error", "line"),
    [
        ("a\n2026-11-23 13:26:15 ERROR The loss became NaN. Lower it.\nend\n", "The loss became NaN.", 1),
        ("ERROR Traceback\n  File x\nRuntimeError: Boom\nbye\n", "something else", 2),
        ("a\nb\n\n", "something else", 1),
    ],
)
def test_the_line_that_tells_of_a_failure(tmp_path, text, error, line):
    path = tmp_path / "log.txt"
    path.write_text(text)
    found = failed_at(path, error)
    assert found.text == text.splitlines()[line]
    assert text[found.at :].startswith(found.text)


def test_an_empty_log_tells_of_no_failure(tmp_path):
    (tmp_path / "log.txt").write_text("")
    assert failed_at(tmp_path / "log.txt", "x") is None
    assert failed_at(tmp_path / "none", "x") is None
