"""Bytes of a log as text that a terminal's tricks cannot reach: `plain` for programs, `coloured` for pages.

coloured(b"\\x1b[2J\\x1b[31mred\\x1b[0m 10%\\r\\x1b[31m 50%\\n") == "\\x1b[31m 50%\\n"
"""

import re

COLOUR = re.compile("\x1b\\[[0-9;:]{0,40}m")
"""What chooses colours and weights (SGR); nothing else of a terminal's language is kept."""
_ESCAPE = re.compile("\x1b(?:\\[[0-?]*[ -/]*[@-~]|\\][^\x07\x1b]*(?:\x07|\x1b\\\\)|[@-Z\\\\^_])")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_CONTROL_BUT_COLOUR = re.compile("(?!\x1b\\[[0-9;:]{0,40}m)[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_RESETS = ("\x1b[0m", "\x1b[m")


def plain(raw: bytes) -> str:
    """Without colours, and of a redrawn line only its last state."""
    return _CONTROL.sub("", "\n".join(_lines(_ESCAPE.sub("", _decoded(raw)))))


def coloured(raw: bytes) -> str:
    """The same with its colours. They hold to the end of a line, so that a line means the same wherever it is read."""
    text = _ESCAPE.sub(lambda found: found[0] if COLOUR.fullmatch(found[0]) else "", _decoded(raw))
    return _CONTROL_BUT_COLOUR.sub("", "\n".join(_lines(text)))


def _decoded(raw: bytes) -> str:
    return raw.decode("utf-8", errors="replace").replace("\r\n", "\n")


def _lines(text: str) -> list[str]:
    return [_last_state(line) if "\r" in line else line for line in text.split("\n")]


def _last_state(line: str) -> str:
    """What a line that was redrawn shows at last, in the colours that were chosen before."""
    before, _, last = line.rstrip("\r").rpartition("\r")
    chosen: list[str] = []
    for found in COLOUR.finditer(before):
        chosen = [] if found[0] in _RESETS else [*chosen[-7:], found[0]]
    return "".join(chosen) + last
