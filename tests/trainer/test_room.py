"""Checkpoints and a disk that fills up: what is skipped, what is told, what is kept."""

import json
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from trainer import room
from trainer.checkpoints import Checkpoints
from trainer.errors import DiskError
from trainer.names import Outcome
from trainer.spool import read_records

Make = Callable[..., Any]
Series = Callable[..., dict[int, float]]
FEW_BYTES = 20_000
"""More than a spool has, less than a checkpoint."""


@contextmanager
def full_disk() -> Iterator[None]:
    """Files may not grow beyond `FEW_BYTES`, as on a disk that is nearly full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    previous = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (FEW_BYTES, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, previous)


def full_at(loop: Any, steps: set[int]) -> None:
    """Have the disk refuse what is saved at these steps."""
    save = loop.saver.save

    def saving(**how: Any) -> None:
        if loop.step not in steps:
            return save(**how)
        with full_disk():
            return save(**how)

    loop.saver.save = saving


def events(folder: Path) -> list[tuple[int, str]]:
    found = (record for record, _ in read_records(folder / "metrics.jsonl"))
    return [(r["step"], r["name"]) for r in found if r["kind"] == "event"]


@pytest.mark.fault("disk full at a checkpoint")
def test_a_checkpoint_that_the_disk_refuses_is_skipped_and_the_training_goes_on(
    make_loop: Make, series: Series, rows: Any, tmp_path: Path
) -> None:
    make_loop("undisturbed", max_steps=10, save_interval=4, eval_interval=2, held_out=rows).run()
    loop = make_loop(max_steps=10, save_interval=4, eval_interval=2, held_out=rows)
    full_at(loop, {4})
    assert loop.run() is Outcome.FINISHED
    assert series("task") == series("undisturbed") and series("task", "eval/loss") == series("undisturbed", "eval/loss")
    assert events(tmp_path / "task") == [(4, "checkpoint_skipped")]
    checkpoints = Checkpoints(tmp_path / "task", 3)
    assert [c.step for c in checkpoints.all()] == [6, 8, 10]  # 6: the next occasion
    best = loop.session.best
    assert best.step != 4 and checkpoints.at(best.step).path.is_dir()
    assert not list(checkpoints.folder.glob(".*"))


@pytest.mark.fault("disk full at a checkpoint")
def test_nothing_that_can_be_saved_for_long_ends_the_training(make_loop: Make, tmp_path: Path) -> None:
    loop = make_loop(max_steps=20, save_interval=2, eval_interval=50)
    full_at(loop, {4, 6, 8})
    with pytest.raises(DiskError, match="step 8 could not be written"):
        loop.run()
    assert events(tmp_path / "task") == [(4, "checkpoint_skipped"), (6, "checkpoint_skipped")]
    assert [c.step for c in Checkpoints(tmp_path / "task", 3).all()] == [2]


def test_the_last_checkpoint_is_never_skipped(make_loop: Make) -> None:
    loop = make_loop(max_steps=4, save_interval=4)
    full_at(loop, {4})
    with pytest.raises(DiskError, match="step 4 could not be written"):
        loop.run()


def test_twice_the_size_of_a_checkpoint_must_be_free_and_a_warning_comes_before(
    make_loop: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = make_loop(max_steps=10, save_interval=2, eval_interval=50)
    size = 0
    free = {2: 9.0, 4: 3.9, 6: 2.5, 8: 1.9, 10: 9.0}

    def free_bytes(folder: Path) -> int:
        nonlocal size
        if not size and (kept := loop.checkpoints.all()):
            size = room._size_of(kept[-1])
        return int(free[loop.step] * (size or 1e9))

    monkeypatch.setattr(room, "free_bytes", free_bytes)
    assert loop.run() is Outcome.FINISHED
    assert events(tmp_path / "task") == [(4, "low_disk"), (8, "checkpoint_skipped")]
    assert {4, 6, 10} <= {c.step for c in loop.checkpoints.all()} <= {2, 4, 6, 10}


def test_the_first_checkpoint_is_guessed_well_enough(make_loop: Make) -> None:
    loop = make_loop(max_steps=1)
    guess = loop.saver._room._size
    loop.run()
    assert guess == pytest.approx(room._size_of(loop.checkpoints.all()[-1]), rel=0.3)


def test_the_newest_the_best_and_those_of_every_so_many_steps_stay(make_loop: Make, rows: Any) -> None:
    loop = make_loop(held_out=rows, max_steps=12, save_interval=1, keep_checkpoints=2, keep_best=3, keep_every=5)
    losses = iter([5.0, 1.0, 4.0, 2.0, 6.0, 7.0, 3.0, 9.0, 8.0, 11.0, 12.0, 13.0])
    loop._evaluate = lambda: next(losses)
    loop.eval_interval = 1000
    loop.run()
    assert [c.step for c in loop.checkpoints.all()] == [2, 4, 5, 7, 10, 11, 12]


def test_the_best_of_rewards_are_the_highest(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, 1, best=2)
    for step, value in enumerate([0.5, 0.9, 0.1, 0.8, 0.2], 1):
        folder = checkpoints.at(step).path
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text(json.dumps({"files": {}, "metric": "eval/reward", "value": value}))
    assert [c.step for c in checkpoints.surplus(None)] == [1, 3]
