"""Every row once an epoch, in an order that only depends on the seed."""

from typing import Any

import numpy as np
import pytest

from trainer.batches import StepPlan, make_batch


@pytest.mark.parametrize(("rows", "batch", "accumulation"), [(10, 3, 2), (1, 4, 4), (16, 4, 4), (17, 4, 3)])
def test_every_row_is_used_once_an_epoch(rows: int, batch: int, accumulation: int) -> None:
    plan = StepPlan(rows, batch, accumulation, epochs=3, seed=7)
    orders = []
    for epoch in range(3):
        steps = range(epoch * plan.steps_per_epoch, (epoch + 1) * plan.steps_per_epoch)
        used = np.concatenate([i for step in steps for i in plan.step_rows(step)])
        assert sorted(used) == list(range(rows))
        orders.append(used.tolist())
    assert plan.total_steps == 3 * plan.steps_per_epoch
    assert rows == 1 or orders[0] != orders[1]


def test_order_depends_on_seed_and_epoch_only() -> None:
    first, second = StepPlan(50, 4, 2, 2, seed=1), StepPlan(50, 4, 2, 2, seed=1)
    second.step_rows(9)  # asked in another order
    for step in range(first.total_steps):
        for a, b in zip(first.step_rows(step), second.step_rows(step), strict=True):
            assert np.array_equal(a, b)
    assert not np.array_equal(StepPlan(50, 4, 2, 2, seed=2).step_rows(0)[0], first.step_rows(0)[0])


def test_batches_done_counts_the_partial_step() -> None:
    plan = StepPlan(rows=10, batch_size=1, accumulation=4, epochs=2, seed=0)
    assert [plan.batches_done(step) for step in range(7)] == [0, 4, 8, 10, 14, 18, 20]


def test_targets_are_the_labelled_next_tokens(rows: Any) -> None:
    for packed in (True, False):
        batch = make_batch(rows, np.array([0, 5, 2]), 0, packed, pad_id=0)
        flat = batch.input_ids.flatten()
        assert np.array_equal(flat[batch.predict_at + 1], batch.targets)
        expected = [ids[i] for index in (0, 5, 2) for ids, labels in [rows.get(index, 0)] for i in range(1, len(ids))
                    if labels[i] != -100]  # fmt: skip
        assert batch.targets.tolist() == expected
        assert batch.tokens == sum(len(rows.get(i, 0)[0]) for i in (0, 5, 2))


def test_padding_goes_to_the_asked_width(rows: Any) -> None:
    batch = make_batch(rows, np.array([0, 1]), 0, packed=False, pad_id=0, pad_to=64)
    assert batch.input_ids.shape == (2, 64)
