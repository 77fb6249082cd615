"""Reads a log while it grows, by byte offsets.

chunk = read_log(task_dir / "log.txt")               # the tail
chunk = read_log(path, chunk.end)                    # what came since
chunk = read_before(path, chunk.begin)               # what stands before
"""

from pathlib import Path

from minimind_platform.log_text import coloured, plain
from minimind_platform.views import LogChunk

LIMIT = 256 * 1024
"""Most bytes of one chunk."""
SMALLEST = 16
"""Room for one character at least, so that a reader always gets on."""
MOST_UNFINISHED = 4096
"""Most bytes that are shown of a line that is still written, such as a progress bar."""


def read_log(
    path: Path, offset: int = -1, limit: int = 65_536, *, ended: bool = False, colours: bool = False
) -> LogChunk:
    """Read whole lines.

    Args:
        path: the log; it may not exist yet.
        offset: byte to begin at, the `end` of the chunk before; -1 for the tail.
        limit: most bytes to read, up to 256 KiB.
        ended: nobody writes any more, so a last line without end is whole.
        colours: keep the codes of colours.
    """
    limit = max(SMALLEST, min(limit, LIMIT))
    shown = coloured if colours else plain
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            reset = offset > size
            tail = offset < 0 or reset
            begin = max(0, size - limit) if tail else offset
            file.seek(begin)
            raw = file.read(limit)
            if tail and begin > 0:  # it begins inside a line, perhaps inside a character
                skipped = raw.find(b"\n") + 1 or _partial_head(raw)
                begin, raw = begin + skipped, raw[skipped:]
    except FileNotFoundError:
        return LogChunk("", 0, 0, 0, offset > 0)
    cut = len(raw) if ended and begin + len(raw) == size else _cut(raw, limit)
    unfinished = raw[cut:][-MOST_UNFINISHED:] if begin + len(raw) == size else b""
    return LogChunk(shown(raw[:cut]), begin, begin + cut, size, reset, shown(unfinished))


def read_before(path: Path, end: int, limit: int = 65_536, *, colours: bool = False) -> LogChunk:
    """Read the whole lines before a byte.

    Args:
        path: the log.
        end: byte that they end at, the `begin` of another chunk.
        limit: most bytes to read, up to 256 KiB.
        colours: keep the codes of colours.
    """
    limit = max(SMALLEST, min(limit, LIMIT))
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            begin = max(0, min(end, size) - limit)
            file.seek(begin)
            raw = file.read(max(0, min(end, size) - begin))
    except FileNotFoundError:
        return LogChunk("", 0, 0, 0, True)
    if begin:
        skipped = raw.find(b"\n", 0, len(raw) - 1) + 1 or _partial_head(raw)
        begin, raw = begin + skipped, raw[skipped:]
    return LogChunk((coloured if colours else plain)(raw), begin, begin + len(raw), size, end > size)


def last_lines(path: Path, count: int) -> list[str]:
    """The last lines of a log, also one that is not complete."""
    text = b""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            begin = max(0, size - LIMIT)
            file.seek(begin)
            text = file.read(LIMIT)
    except FileNotFoundError:
        return []
    if begin:
        text = text[text.find(b"\n") + 1 :]
    return plain(text).splitlines()[-count:]


def _cut(raw: bytes, limit: int) -> int:
    """Where to end: behind the last whole line, or inside it only if the line alone fills the chunk."""
    end = raw.rfind(b"\n") + 1
    if end or len(raw) < limit:
        return end
    tail = next((back for back in range(1, min(4, len(raw)) + 1) if raw[-back] & 0xC0 != 0x80), 0)
    return len(raw) - tail if tail and raw[-tail] >= 0xC0 else len(raw)


def _partial_head(raw: bytes) -> int:
    """Bytes at the begin that belong to a character before."""
    return next((index for index, byte in enumerate(raw[:4]) if byte & 0xC0 != 0x80), 0)
