"""What a model answered while it was trained by rewards, read from the end of a file that grows.

page = read_samples(task_dir / "samples.jsonl")                 # the newest
page = read_samples(path, SampleQuery(before=page.older))            # those before them
page = read_samples(path, SampleQuery(order="least"))                # the worst of the newest 2,000
"""

import heapq
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, takewhile
from pathlib import Path
from typing import Any, BinaryIO, Literal

from minimind_platform.views import Sample, SamplePage

BLOCK = 1 << 16
MOST = 200
"""Samples of one page."""
PAGE_BYTES = 1 << 20
"""A page ends after so much text, however few samples it holds."""
SEARCHED_BYTES = 1 << 24
"""One call reads no more than this; a search goes on from there with the next."""
COMPARED = 2_000
"""Newest samples that the least and the most reward are found among."""

Order = Literal["newest", "least", "most"]


@dataclass(frozen=True)
class SampleQuery:
    """Which samples to read."""

    order: Order = "newest"
    """newest first, or by reward, among the newest `COMPARED`."""
    low: float | None = None
    """Smallest reward."""
    high: float | None = None
    first_step: int | None = None
    last_step: int | None = None
    before: int | None = None
    """Byte that the samples stand before, `older` of the page before; None for the end of the file."""
    limit: int = 20

    def takes(self, sample: Sample) -> bool:
        """Whether a sample is query."""
        return _within(sample.reward, self.low, self.high) and _within(sample.step, self.first_step, self.last_step)


def read_samples(path: Path, query: SampleQuery | None = None) -> SamplePage:
    """One page of samples.

    Args:
        path: the file; it may not exist yet. Lines that are not whole, or no samples, are passed over.
        query: which ones; the newest if left out.
    """
    query = query or SampleQuery()
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            end = size if query.before is None else max(0, min(query.before, size))
            if query.order == "newest":
                found, older = _newest(file, end, query)
            else:
                found, older = _by_reward(file, end, query), None
    except FileNotFoundError:
        return SamplePage([], None, 0)
    return SamplePage(found, older, size)


def _newest(file: BinaryIO, end: int, query: SampleQuery) -> tuple[list[Sample], int | None]:
    limit, found, text, begin = _limit(query), [], 0, end
    for begin, line in lines_before(file, end):
        sample = _sample(begin, line)
        if sample and query.takes(sample):
            found.append(sample)
            text += len(line)
        if len(found) == limit or text > PAGE_BYTES or end - begin > SEARCHED_BYTES:
            break
    return found, begin or None


def _by_reward(file: BinaryIO, end: int, query: SampleQuery) -> list[Sample]:
    lines = takewhile(lambda item: end - item[0] <= SEARCHED_BYTES, lines_before(file, end))
    samples = (_sample(begin, line) for begin, line in lines)
    newest = islice((s for s in samples if s and s.reward is not None and query.takes(s)), COMPARED)
    pick = heapq.nsmallest if query.order == "least" else heapq.nlargest
    return pick(_limit(query), newest, key=lambda sample: sample.reward or 0.0)


def lines_before(file: BinaryIO, end: int) -> Iterator[tuple[int, bytes]]:
    """The lines before a byte, last first, each with the byte that it begins at. What stands after the last line break
    is the first of them, without one."""
    rest, place = b"", end
    while place > 0:
        start = max(0, place - BLOCK)
        file.seek(start)
        block = file.read(place - start) + rest
        head = block.find(b"\n") + 1 if start else 0  # up to there it is the end of a line that begins before
        if start and not head:
            head = len(block)
        stop = len(block)
        while stop > head:
            begin = block.rfind(b"\n", head, stop - 1) + 1 or head
            yield start + begin, block[begin:stop]
            stop = begin
        rest, place = block[:head], start


def _sample(begin: int, line: bytes) -> Sample | None:
    """A line as a sample; None for what is half written, or none."""
    if not line.endswith(b"\n"):
        return None
    try:
        row = json.loads(line)
        return Sample(
            at=begin,
            step=int(row["step"]),
            prompt=str(row["prompt"]),
            completion=str(row["completion"]),
            gt=[str(answer) for answer in row.get("gt") or ()],
            reward=_number(row.get("reward")),
            rewards={str(name): _number(value) for name, value in (row.get("rewards") or {}).items()},
            advantage=_number(row.get("advantage")),
            tokens=int(row.get("tokens") or 0),
            ended=bool(row.get("ended", True)),
            problem=str(row.get("problem") or ""),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _within(value: float | None, low: float | None, high: float | None) -> bool:
    if low is None and high is None:
        return True
    return value is not None and (low is None or value >= low) and (high is None or value <= high)


def _limit(query: SampleQuery) -> int:
    return max(1, min(query.limit, MOST))
