"""Looks for lines of a log by words, by level and by time, in bounded pieces of a file that may grow or be cut.

found = find(path, Wanted(words="nan", level="warning"))
found = find(path, wanted, found.end)             # goes on
at_time(path, 1764000000.0)                       # byte of the first line of that second
"""

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from minimind_platform.log_text import plain
from minimind_platform.views import LogLine, LogMatches

PIECE = 8 << 20
"""Most bytes that one call looks through: some hundredths of a second."""
MOST_LINES = 200
MOST_TEXT = 400
"""Most characters of a line that was found."""
MOST_WORDS = 200
WINDOW = 1 << 16
MOST_WITHOUT_TIME = 4 << 20
"""Bytes without a time stamp, as those of a long traceback, that a search by time reads at most."""
LEVELS = ("", "warning", "error")
_SIGNS = {
    "error": (b"ERROR", b"CRITICAL", b"FATAL", b"Traceback (most recent call last)", b"Error", b"Exception"),
    "warning": (b"WARN", b"Warning"),
}
_STAMP = rb"\[?(\d{4})-(\d\d)-(\d\d)[ T](\d\d):(\d\d):(\d\d)(?:[.,]\d+)?\]?"
_ERROR = re.compile(
    rb"^(?:%b\s+)?\[?(?:ERROR|CRITICAL|FATAL)\b|^Traceback \(most recent call last\)|^[\w.]*(?:Error|Exception)(?::|$)"
    % _STAMP
)
_WARNING = re.compile(rb"^(?:%b\s+)?\[?WARN(?:ING)?\b|^.{0,400}?\b\w*Warning: " % _STAMP)
_COLOUR = re.compile(rb"\x1b\[[0-9;:]*m")
_LINE_TIME = re.compile(rb"^(?:\x1b\[[0-9;:]*m)*" + _STAMP)


@dataclass(frozen=True)
class Wanted:
    """What is looked for; a line has all of it."""

    words: str = ""
    """Text as it stands in the line, in upper or lower case."""
    level: str = ""
    """warning, which has the errors too, error, or "" for all lines."""


def find(path: Path, wanted: Wanted, offset: int = 0, limit: int = MOST_LINES) -> LogMatches:
    """Look through one piece of a log.

    Args:
        path: the log; it may not exist yet.
        wanted: words and level.
        offset: byte to begin at, the `end` of the answer before.
        limit: most lines of the answer.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            reset = offset > size
            begin = 0 if reset else max(0, offset)
            file.seek(begin)
            block = file.read(PIECE)
    except FileNotFoundError:
        return LogMatches([], 0, 0, True, offset > 0)
    last = begin + len(block) >= size
    if not last:
        block = block[: block.rfind(b"\n") + 1 or len(block)]
    lines: list[LogLine] = []
    end = len(block)
    for start, stop in _candidates(block, wanted):
        if len(lines) == limit:
            end = start
            break
        if line := _line(block[start:stop], begin + start, wanted):
            lines.append(line)
    done = last and end == len(block)
    if done:
        end = block.rfind(b"\n") + 1  # a line that is still written is looked at again
    return LogMatches(lines, begin + end, size, done, reset)


def level_of(line: bytes) -> str:
    """error, warning, or "" for all others."""
    line = _COLOUR.sub(b"", line)
    return "error" if _ERROR.match(line) else "warning" if _WARNING.match(line) else ""


def at_time(path: Path, moment: float) -> int:
    """Byte where the first line of a second begins, or the last line with a time where all are older; 0 for a log
    without times.

    Args:
        path: the log, whose lines begin with a local time, but for those that belong to the line before.
        moment: seconds since 1970.
    """
    wanted = int(moment)
    try:
        with path.open("rb") as file:
            low, high = 0, file.seek(0, 2)
            while high - low > WINDOW:
                middle = (low + high) // 2
                found = next(_times(file, middle, min(high, middle + MOST_WITHOUT_TIME)), None)
                if found is None or found[1] >= wanted:
                    high = middle
                else:
                    low = found[0]
            newest = 0
            for newest, told in _times(file, low, low + WINDOW + MOST_WITHOUT_TIME):  # noqa: B007 - the last one counts
                if told >= wanted:
                    break
            return newest
    except FileNotFoundError:
        return 0


def failed_at(path: Path, error: str) -> LogLine | None:
    """The line that tells why a training failed: the last one with its error, else the last error, else the last."""
    try:
        with path.open("rb") as file:
            begin = max(0, file.seek(0, 2) - PIECE)
            file.seek(begin)
            block = file.read(PIECE)
    except FileNotFoundError:
        return None
    first = error.encode()[:120]
    place = block.rfind(first) if first else -1
    if place < 0:
        errors = [start for start, stop in _candidates(block, Wanted(level="error")) if level_of(block[start:stop])]
        place = errors[-1] if errors else len(block.rstrip()) - 1
    if place < 0:
        return None
    start, stop = _around(block, place)
    return LogLine(begin + start, plain(block[start:stop])[:MOST_TEXT], level_of(block[start:stop]))


def _candidates(block: bytes, wanted: Wanted) -> Iterator[tuple[int, int]]:
    """Lines that may be wanted, as begin and end in the block: those that have one of the signs to look for."""
    if wanted.level:
        yield from _with(block, _SIGNS["error"] + (_SIGNS["warning"] if wanted.level == "warning" else ()))
        return
    words = wanted.words.strip()[:MOST_WORDS]
    searched = _COLOUR.sub(b"", block) if b"\x1b" in block else block  # a colour may begin inside of a word
    if words.isascii() or words.lower() == words.upper():
        found = _with(searched.lower(), (words.lower().encode(),))
    else:
        either = "".join(f"(?:{re.escape(c.lower())}|{re.escape(c.upper())})" for c in words)
        found = _matching(searched, re.compile(either.encode()))
    yield from found if searched is block else _same_lines(block, searched, found)


def _same_lines(block: bytes, searched: bytes, found: Iterator[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """The lines of a block that were found in it without its colours."""
    ours = theirs = 0
    for start, _ in found:
        for _ in range(searched.count(b"\n", theirs, start)):
            ours = block.index(b"\n", ours) + 1
        theirs = start
        yield _around(block, ours)


def _with(block: bytes, signs: tuple[bytes, ...]) -> Iterator[tuple[int, int]]:
    """Lines with one of the signs, in order."""
    places = {sign: block.find(sign) for sign in signs}
    while places := {sign: place for sign, place in places.items() if place >= 0}:
        start, stop = _around(block, min(places.values()))
        yield start, stop
        for sign, place in places.items():
            if place < stop:
                places[sign] = block.find(sign, stop)


def _matching(block: bytes, pattern: re.Pattern[bytes]) -> Iterator[tuple[int, int]]:
    position = 0
    while found := pattern.search(block, position):
        start, stop = _around(block, found.start())
        yield start, stop
        position = stop


def _around(block: bytes, place: int) -> tuple[int, int]:
    """The line that a byte is in."""
    stop = block.find(b"\n", place)
    return block.rfind(b"\n", 0, place) + 1, len(block) if stop < 0 else stop


def _line(raw: bytes, at: int, wanted: Wanted) -> LogLine | None:
    """The line as people see it, if it is wanted: what a redrawn line showed before does not count."""
    level = level_of(raw)
    if (wanted.level == "error" and level != "error") or (wanted.level == "warning" and not level):
        return None
    text = plain(raw)
    place = text.lower().find(wanted.words.strip()[:MOST_WORDS].lower())
    if place < 0:
        return None
    begin = max(0, place - MOST_TEXT // 4) if place > MOST_TEXT // 2 else 0
    shown = text[begin : begin + MOST_TEXT]
    return LogLine(at, f"{'…' if begin else ''}{shown}{'…' if begin + MOST_TEXT < len(text) else ''}", level)


def _times(file: BinaryIO, begin: int, end: int) -> Iterator[tuple[int, float]]:
    """Where lines with a time begin between two bytes, and their times."""
    file.seek(max(0, begin - 1))
    position = (
        begin - 1 + len(file.readline(WINDOW)) if begin else 0
    )  # the byte before tells whether a line begins here
    while position < end and (line := file.readline(WINDOW)):
        if found := _LINE_TIME.match(line):
            yield position, _seconds(found)
        position += len(line)


def _seconds(found: re.Match[bytes]) -> float:
    year, month, day, hour, minute, second = (int(part) for part in found.groups())
    try:
        return time.mktime((year, month, day, hour, minute, second, 0, 0, -1))
    except (ValueError, OverflowError):
        return 0.0
