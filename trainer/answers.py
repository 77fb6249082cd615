"""The answer in a text, and whether it is the right one.

same_number("… so she has \\boxed{1,234.50} dollars.", ("1234.5",))     # True
same_text("<answer>Yes</answer>", ("yes",))                            # True
"""

import re
import unicodedata
from collections.abc import Sequence
from fractions import Fraction

_WIDE = str.maketrans("０１２３４５６７８９．％／－−–", "0123456789.%/---")
"""Full-width digits and signs of Chinese texts; a full-width comma stays one, for it stands between numbers."""
_BRACE = re.compile(r"\\boxed\{|\{|\}")
_TAGGED = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)
_TEX_FRACTION = re.compile(r"\\[dt]?frac\{\s*(\d+)\s*\}\{\s*(\d+)\s*\}")
_TEX_SPACE = re.compile(r"\{,\}|\\[,!]")
_CURRENCY = r"[$€£¥￥₩₹]"
_NUMBER = re.compile(
    r"(?:(?<![\w.)\]}])(?P<sign>-))?"  # 5-3 holds 3, not -3
    rf"(?:\\?{_CURRENCY}\s?(?P<late>-)?)?"
    r"(?:(?P<top>\d+)\s?/\s?(?P<bottom>0*[1-9]\d*)|(?P<whole>\d{1,3}(?:,\d{3})+(?!\d)|\d+)?(?P<part>\.\d+)?)"
)
_LONGEST = 200
"""Digits of a number; no right answer is longer."""


def same_number(text: str, right: Sequence[str]) -> bool:
    """Whether the last number of the answer in a text equals that of a right answer. 12.50 equals 12.5, 3/4 equals
    0.75, and signs of currency and percent do not count.

    Raises:
        ValueError: no right answer holds a number.
    """
    wanted = [number for number in (last_number(answer_in(answer)) for answer in right) if number is not None]
    if not wanted:
        raise ValueError(f"gt {list(right)!r} holds no number; for answers in words set mode to exact")
    return last_number(answer_in(text)) in wanted


def has_number(right: Sequence[str]) -> bool:
    """Whether one of these answers holds a number."""
    return any(last_number(answer_in(answer)) is not None for answer in right)


def same_text(text: str, right: Sequence[str]) -> bool:
    """Whether the answer in a text is one of the right ones, whatever its case, width and white space around it.

    Raises:
        ValueError: there is no right answer.
    """
    if not right:
        raise ValueError("the row has no right answers in gt")
    return _plain(answer_in(text)) in {_plain(answer) for answer in right}


def answer_in(text: str) -> str:
    """What stands in the last <answer>…</answer>, else in the last \\boxed{…}, else after the thought, else all."""
    if tagged := _TAGGED.findall(text):
        return tagged[-1]
    boxed = _boxed(text)
    return text.rpartition("</think>")[2] if boxed is None else boxed


def last_number(text: str) -> Fraction | None:
    """The last number of a text, exactly; None if it has none."""
    text = _TEX_FRACTION.sub(r"\1/\2", _TEX_SPACE.sub(lambda m: "," if m[0] == "{,}" else "", text.translate(_WIDE)))
    found = None
    for match in _NUMBER.finditer(text):
        if match["top"] or match["whole"] or match["part"]:
            found = match
    if found is None or len(found[0]) > _LONGEST:
        return None
    if found["top"]:
        value = Fraction(int(found["top"]), int(found["bottom"]))
    else:
        value = Fraction((found["whole"] or "0").replace(",", "") + (found["part"] or ""))
    return -value if found["sign"] or found["late"] else value


def _boxed(text: str) -> str | None:
    """The inside of the last \\boxed{…} that is closed; braces may stand in it."""
    opened: list[tuple[int, bool]] = []
    last, inside = -1, None
    for brace in _BRACE.finditer(text):
        if brace[0] != "}":
            opened.append((brace.end(), brace[0] != "{"))
        elif opened:
            begin, boxed = opened.pop()
            if boxed and begin > last:
                last, inside = begin, text[begin : brace.start()]
    return inside


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text).strip().casefold()
