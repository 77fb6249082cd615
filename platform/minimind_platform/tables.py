"""Text for a terminal: aligned columns, also with Chinese, and times and sizes as people say them.

print(table(["ID", "NAME"], [["3d5cacd0", "中文名"]]))
"""

import re
import time
import unicodedata
from collections.abc import Iterable, Sequence

WIDEST = 40
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Columns two spaces apart; long cells are cut."""
    lines = [list(heads), *([_cell(text) for text in row] for row in rows)]
    widths = [max(width(line[column]) for line in lines) for column in range(len(heads))]
    return "\n".join(
        "  ".join(text + " " * (wide - width(text)) for text, wide in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def width(text: str) -> int:
    """Columns that a text takes on a terminal."""
    return sum(_columns(character) for character in text)


def moment(seconds: float | None) -> str:
    """A time on this machine's clock."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds)) if seconds else ""


def duration(seconds: float | None) -> str:
    """Such as 45 s, 12 min, 3.5 h, 2.1 days."""
    if seconds is None:
        return ""
    for limit, size, unit in ((90, 1, "s"), (5400, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            value = seconds / size
            return f"{value:.1f} {unit}" if unit == "h" else f"{value:.0f} {unit}"
    return f"{seconds / 86_400:.1f} days"


def size(count: float) -> str:
    """Bytes, such as 1.2 MB."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def amount(count: float) -> str:
    """A count, such as 63.9M."""
    for limit, unit in ((1e9, "B"), (1e6, "M"), (1e4, "k")):
        if count >= limit:
            return f"{count / (1e3 if unit == 'k' else limit):.1f}{unit}"
    return f"{count:.0f}"


def number(value: float | None) -> str:
    """A measured value; empty if there is none."""
    return "" if value is None else f"{value:.4g}"


def _cell(text: str) -> str:
    text = _CONTROL.sub(" ", text)
    if width(text) <= WIDEST:
        return text
    while width(text) > WIDEST - 1:
        text = text[:-1]
    return text + "…"


def _columns(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in ("Cf", "Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
