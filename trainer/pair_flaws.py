"""Pairs of a better and a worse answer that teach nothing, however they are cut: found, counted and told.

flaws = PairFlaws(data)
flaws.add(place, pair_flaw(row))
flaws.notices(rows=419)         # a training leaves them out and tells the same
"""

import re
from enum import IntEnum
from typing import Any

from trainer.row_formats import parsed
from trainer.sources import DataSet, Place

SHOWN_PAIRS = 3
"""Pairs of each flaw whose lines are told."""
_TAGS = re.compile(r"\s*</?think>\s*")


class Flaw(IntEnum):
    """Why a pair cannot be learned from."""

    NONE = 0
    SAME = 1
    TAGS = 2
    EMPTY = 3
    CUT = 4
    """No answer of chosen or rejected begins before the cut at max_seq_len."""
    ALIKE = 5
    """They differ only after that cut."""


_TEXTS = {
    Flaw.SAME: "chosen and rejected are the same",
    Flaw.TAGS: "chosen and rejected differ in nothing but think tags",
    Flaw.EMPTY: "chosen or rejected has no answer at its end",
    Flaw.CUT: "no answer within the first {limit} tokens of chosen or rejected",
    Flaw.ALIKE: "chosen and rejected are the same within the first {limit} tokens",
}


def pair_flaw(row: dict[str, Any]) -> Flaw:
    """What is wrong with a checked row of format dpo, if anything."""
    chosen, rejected = (_said(row[key]) for key in ("chosen", "rejected"))
    if _no_answer(chosen) or _no_answer(rejected):
        return Flaw.EMPTY
    if chosen == rejected:
        return Flaw.SAME
    if [_bare(turn) for turn in chosen] == [_bare(turn) for turn in rejected]:
        return Flaw.TAGS
    return Flaw.NONE


Turn = tuple[str, str, list[Any]]


def _said(messages: list[dict[str, Any]]) -> list[Turn]:
    """Each message as role, text with its thoughts, and calls of tools."""
    return [(m["role"], _text(m), parsed(m.get("tool_calls"))) for m in messages]


def _text(message: dict[str, Any]) -> str:
    content, thoughts = message.get("content") or "", message.get("reasoning_content")
    return f"<think>{thoughts}</think>{content}" if thoughts else content


def _bare(turn: Turn) -> Turn:
    role, text, calls = turn
    return role, _TAGS.sub("", text).strip(), calls


def _no_answer(turns: list[Turn]) -> bool:
    role, text, calls = _bare(turns[-1])
    return role != "assistant" or not (text or calls)


class PairFlaws:
    """The flawed pairs of a data set."""

    def __init__(self, data: DataSet) -> None:
        self._data = data
        self._counts = dict.fromkeys(Flaw, 0)
        self._first: dict[Flaw, list[Place]] = {flaw: [] for flaw in Flaw}

    def add(self, place: Place, flaw: Flaw) -> None:
        """Take note of a pair; of a good one nothing."""
        self._counts[flaw] += 1
        if len(self._first[flaw]) < SHOWN_PAIRS:
            self._first[flaw].append(place)

    def notices(self, rows: int, limit: int = 0) -> list[str]:
        """A sentence for each flaw that was found.

        Args:
            rows: pairs in all.
            limit: max_seq_len, if pairs were cut.
        """
        told = []
        for flaw, text in _TEXTS.items():
            count, first = self._counts[flaw], self._first[flaw]
            if count:
                were = "pair teaches" if count == 1 else "pairs teach"
                lines = self._data.places(first) + (", …" if count > len(first) else "")
                told.append(f"{count:,} of {rows:,} {were} nothing: {text.format(limit=limit)} ({lines}).")
        return told
