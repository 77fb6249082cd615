"""Attempts with other settings than the task's own: what changes, and that it trains the same."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from trainer.batches import StepPlan
from trainer.errors import DivergedError
from trainer.failures import explain
from trainer.names import Env, ErrorClass, Metric, Outcome
from trainer.spool import read_records

Make = Callable[..., Any]
Series = Callable[..., dict[int, float]]


@pytest.fixture
def next_attempt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes the attempts that follow have other settings."""

    def begin(**values: Any) -> None:
        folder = tmp_path / "attempt-2"
        folder.mkdir(exist_ok=True)
        (folder / "overrides.json").write_text(json.dumps(values))
        monkeypatch.setenv(Env.ATTEMPT, str(folder))

    return begin


@pytest.mark.parametrize(("rows", "size", "accumulation"), [(100, 32, 1), (37, 6, 3), (5, 8, 2)])
def test_fewer_rows_at_once_are_the_same_rows_in_each_step_at_the_same_rate(
    rows: int, size: int, accumulation: int
) -> None:
    whole = StepPlan(rows, size, accumulation, 2, 42)
    for at_once in (size // 2, 1):
        split = StepPlan(rows, size, accumulation, 2, 42, at_once=at_once)
        assert split.total_steps == whole.total_steps
        for step in range(whole.total_steps):
            parts = split.step_rows(step)
            assert max(map(len, parts)) <= at_once
            assert np.array_equal(np.concatenate(parts), np.concatenate(whole.step_rows(step)))
            assert split.batches_done(step) == whole.batches_done(step)


def _short_of_memory(loop: Any, step: int) -> None:
    """Have a loop run out of memory in this step, as a GPU does."""
    update = loop._update

    def failing(*work: Any) -> Any:
        if loop.step + 1 == step:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")
        return update(*work)

    loop._update = failing


def test_a_training_without_enough_memory_goes_on_with_fewer_rows_and_the_same_losses(
    make_loop: Make, series: Series, rows: Any, next_attempt: Callable[..., None], tmp_path: Path
) -> None:
    values = {"held_out": rows, "save_interval": 3, "epochs": 2, "warmup_steps": 2, "batch_size": 12}
    make_loop("undisturbed", **values).run()
    loop = make_loop("short", **values)
    _short_of_memory(loop, 5)
    with pytest.raises(torch.OutOfMemoryError) as caught:
        loop.run()
    assert explain(caught.value, loop.config)[2] is ErrorClass.OUT_OF_MEMORY  # type: ignore[arg-type]
    next_attempt(batch_size=6, accumulation_steps=2)
    again = make_loop("short", **values)
    assert again.config.batch_size == 6
    assert again.run() is Outcome.FINISHED
    for key in (Metric.LOSS, Metric.LEARNING_RATE, Metric.GRAD_NORM, Metric.EVAL_LOSS):
        whole, parts = series("undisturbed", key), series("short", key)
        assert whole.keys() == parts.keys()
        assert list(parts.values()) == pytest.approx(list(whole.values()), rel=2e-4), key
    found = [record for record, _ in read_records(tmp_path / "short" / "metrics.jsonl")]
    [event] = [r for r in found if r["kind"] == "event"]
    assert event["name"] == "settings_changed" and event["step"] == 3
    assert "batch_size is 6 instead of 12, accumulation_steps is 2 instead of 1" in event["text"]
    tags = [r["values"] for r in found if r["kind"] == "tags"]
    assert {"minimind.overrides": '{"batch_size": 6, "accumulation_steps": 2}'} in tags


@pytest.mark.parametrize("kind", ["grpo", "spo"])
def test_answers_are_learned_from_in_parts_with_the_same_losses(
    make_rollouts: Make, series: Series, next_attempt: Callable[..., None], kind: str
) -> None:
    values = {"batch_size": 4, "accumulation_steps": 1, "max_steps": 3}
    make_rollouts(kind, "undisturbed", **values).run()
    next_attempt(batch_size=2, accumulation_steps=2)
    make_rollouts(kind, "parts", **values).run()
    whole, parts = series("undisturbed"), series("parts")
    assert list(parts.values()) == pytest.approx(list(whole.values()), rel=1e-3, abs=1e-5)


def test_a_training_that_diverged_goes_on_before_it_at_half_the_rate(
    make_loop: Make, series: Series, next_attempt: Callable[..., None], tmp_path: Path
) -> None:
    values = {"save_interval": 3, "max_steps": 8}
    loop = make_loop("task", **values)
    update = loop._update

    def breaking(*work: Any) -> Any:
        if loop.step + 1 == 6:
            next(loop.model.parameters()).data.fill_(float("nan"))
        return update(*work)

    loop._update = breaking
    with pytest.raises(DivergedError):
        loop.run()
    next_attempt(learning_rate=5e-3)
    assert make_loop("task", **values).run() is Outcome.FINISHED
    rates, losses = series("task", Metric.LEARNING_RATE), series("task")
    assert rates[7] < 0.6 * rates[5]
    assert losses[8] == losses[8]
    texts = [r["text"] for r, _ in read_records(tmp_path / "task" / "metrics.jsonl") if r["kind"] == "event"]
    assert sum("learning_rate is 0.005 instead of 0.01" in text for text in texts) == 1
