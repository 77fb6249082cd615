"""Rows and pairs from memory, with random tokens."""

from dataclasses import replace
from typing import Any

import numpy as np


class ListRows:
    """Rows from memory, with the interface of `trainer.data.Rows`."""

    weigh = None

    def __init__(self, rows: list[tuple[np.ndarray, np.ndarray]]) -> None:
        from trainer.data import DataReport

        self.rows = rows
        self.lengths = np.array([len(ids) for ids, _ in rows])
        self.report = DataReport("rows.jsonl", "f" * 64, len(rows), sum(len(i) for i, _ in rows), 0, 0, ())

    def __len__(self) -> int:
        return len(self.rows)

    def line(self, index: int) -> int:
        return index + 1

    def places(self, indices: list[int]) -> str:
        return f"line {', '.join(str(i + 1) for i in indices)} of rows.jsonl"

    def batch(self, *args: Any) -> Any:
        from trainer.batches import make_batch

        return make_batch(self, *args)  # type: ignore[arg-type]

    def get(self, index: int, epoch: int | None) -> tuple[np.ndarray, np.ndarray]:
        return self.rows[index]

    def changed(self) -> "ListRows":
        other = ListRows(self.rows)
        other.report = replace(self.report, sha256="0" * 64)
        return other


def random_rows(count: int, seed: int = 0, vocabulary: int = 64, masked: bool = True) -> ListRows:
    """Rows of 4 to 24 tokens; the first third carries no loss, as a prompt would."""
    random = np.random.default_rng(seed)
    rows = []
    for _ in range(count):
        ids = random.integers(3, vocabulary, size=int(random.integers(4, 25)))
        labels = ids.copy()
        if masked:
            labels[: len(ids) // 3] = -100
        rows.append((ids, labels))
    return ListRows(rows)


class ListPairs:
    """Pairs from memory, with the interface of `trainer.pair_rows.PairRows`."""

    reference = None

    def __init__(self, answers: list[list[tuple[np.ndarray, np.ndarray]]]) -> None:
        from trainer.data import DataReport

        self.answers = answers
        self.lengths = np.array([sum(len(ids) for ids, _ in pair) for pair in answers])
        self.pairs = np.arange(len(answers))
        self.report = DataReport("pairs.jsonl", "f" * 64, len(answers), int(self.lengths.sum()), 0, 0, ())

    def __len__(self) -> int:
        return len(self.answers)

    def places(self, indices: list[int]) -> str:
        return f"line {', '.join(str(i + 1) for i in indices)} of pairs.jsonl"

    def answer(self, index: int, side: int) -> tuple[np.ndarray, np.ndarray]:
        return self.answers[index][side]

    def batch(self, indices: np.ndarray, _epoch: int | None, packed: bool, pad_id: int) -> Any:
        from trainer.pair_batches import make_pair_batch

        return make_pair_batch(self, indices, packed, pad_id)  # type: ignore[arg-type]


def random_pairs(count: int, seed: int = 0, vocabulary: int = 64) -> ListPairs:
    """Pairs with the same question: the chosen answer is of even tokens, the rejected one of odd ones."""
    random = np.random.default_rng(seed)
    pairs = []
    for _ in range(count):
        question, pair = random.integers(3, vocabulary, size=5), []
        for side in (0, 1):
            answer = 2 * random.integers(2, vocabulary // 2 - 1, size=int(random.integers(2, 12))) + side
            ids = np.concatenate([question, answer])
            pair.append((ids, np.concatenate([np.full(5, -100), answer])))
        pairs.append(pair)
    return ListPairs(pairs)
