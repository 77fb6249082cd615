"""Reading a log that grows: whole lines, whole characters, no colours."""

import pytest

from minimind_platform.logs import LIMIT, last_lines, read_before, read_log


@pytest.fixture
def log(tmp_path):
    return tmp_path / "log.txt"


def read_all(path, limit):
    text, offset, seen = "", 0, []
    while True:
        chunk = read_log(path, offset, limit)
        if chunk.end == offset:
            return text, seen
        text, offset = text + chunk.text, chunk.end
        seen.append(chunk)


def test_a_log_that_is_not_there_yet_is_empty(log):
    assert read_log(log).text == ""
    assert read_log(log, 10).reset


def test_an_unfinished_line_waits_for_its_end(log):
    log.write_text("one\ntw")
    first = read_log(log)
    assert (first.text, first.end) == ("one\n", 4)
    log.write_text("one\ntwo\n")
    assert read_log(log, first.end).text == "two\n"


def test_the_last_line_of_an_ended_task_is_whole(log):
    log.write_text("one\ntw")
    assert read_log(log, 4, ended=True).text == "tw"


def test_the_tail_begins_with_a_whole_line(log):
    log.write_text("".join(f"line {n}\n" for n in range(10_000)))
    chunk = read_log(log, -1, 1000)
    assert chunk.text.startswith("line ")
    assert chunk.text.endswith("line 9999\n")
    assert chunk.begin > 0
    assert chunk.end == chunk.size


@pytest.mark.parametrize("limit", [16, 17, 100, 4096])
def test_chunks_give_the_whole_text_with_whole_characters(log, limit):
    text = "".join(f"第{n}步 loss 😀\n" for n in range(200)) + "很" * 100 + "\n"
    log.write_text(text)
    assert read_all(log, limit)[0] == text


def test_the_tail_inside_one_long_line_keeps_characters_whole(log):
    log.write_text("很" * 1000)
    assert "�" not in read_log(log, -1, 100).text


def test_a_shortened_log_is_read_anew(log):
    log.write_text("a\n" * 100)
    end = read_log(log).end
    log.write_text("b\n")
    chunk = read_log(log, end)
    assert chunk.reset
    assert chunk.text == "b\n"


def test_no_more_than_the_limit_is_read(log):
    log.write_bytes(b"x" * 99 + b"\n" + b"y\n" * 500_000)
    assert len(read_log(log, 0, 10**9).text) <= LIMIT


def test_colours_and_redrawn_lines_become_plain(log):
    log.write_bytes(b"\x1b[1;31mred\x1b[0m\r\n\x1b]0;title\x07 10%\r 50%\r100%\n\x00bell\x07\n")
    assert read_log(log).text == "red\n100%\nbell\n"


def test_bytes_that_are_no_text_do_no_harm(log):
    log.write_bytes(b"\xff\xfe ok\n")
    assert read_log(log).text.endswith(" ok\n")


def test_last_lines_include_an_unfinished_one(log):
    log.write_text("a\nb\nc")
    assert last_lines(log, 2) == ["b", "c"]
    assert last_lines(log.with_name("none"), 2) == []


def test_reading_back_gives_the_whole_text_once(log):
    text = "".join(f"第{n}步 loss 😀\n" for n in range(200)) + "很" * 100 + "\n"
    log.write_text(text)
    for limit in (16, 100, 4096):
        begin, read = len(text.encode()), ""
        while begin:
            chunk = read_before(log, begin, limit)
            assert chunk.end == begin
            begin, read = chunk.begin, chunk.text + read
        assert read == text
    assert read_before(log, 10**9).reset


def test_colours_are_kept_where_they_are_wanted_and_nothing_else_is(log):
    first, redrawn = (
        b"\x1b[1;31mred\x1b[0m\x1b[2J\x1b]0;title\x07\x1b[31 q\n",
        b"\x1b[32m10%\r20%\r\x1b[0m\x1b[33m30%\r\n",
    )
    log.write_bytes(first + redrawn + b"\x07a\x1bb\n")
    assert read_log(log, colours=True).text == "\x1b[1;31mred\x1b[0m\n\x1b[32m\x1b[0m\x1b[33m30%\nab\n"
    assert read_before(log, log.stat().st_size, colours=True).text == read_log(log, colours=True).text


def test_a_line_that_is_still_written_shows_its_last_state(log):
    log.write_bytes(b"done\n 10%\r 20%")
    chunk = read_log(log)
    assert (chunk.text, chunk.end, chunk.unfinished) == ("done\n", 5, " 20%")
    assert read_log(log, ended=True).unfinished == ""
