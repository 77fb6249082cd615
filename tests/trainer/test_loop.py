"""The loop: the same losses however the work is cut up, stopped or resumed."""

import json
import math
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch._dynamo.utils import counters

from trainer.checkpoints import Checkpoints
from trainer.errors import BaseModelError, DataChangedError, DataError, DivergedError
from trainer.names import Env, Metric, Outcome, TaskFile
from trainer.optim import learning_rate

Make = Callable[..., Any]
Series = Callable[..., dict[int, float]]


def weights(loop: Any) -> dict[str, torch.Tensor]:
    return {n: p.detach().clone() for n, p in loop.model.named_parameters()}


def test_loss_falls(make_loop: Make, series: Series) -> None:
    assert make_loop(epochs=10).run() is Outcome.FINISHED
    losses = series("task")
    assert list(losses) == list(range(1, 101))
    assert losses[100] < losses[1] - 1


def test_same_seed_same_losses_and_another_seed_others(make_loop: Make, series: Series) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        make_loop(name, seed=seed).run()
    assert series("a") == series("b") != series("c")


@pytest.mark.parametrize(
    "split", [{"batch_size": 4, "accumulation_steps": 2}, {"batch_size": 1, "accumulation_steps": 8}]
)
def test_accumulation_weighs_every_token_the_same(make_loop: Make, series: Series, split: dict[str, int]) -> None:
    make_loop("whole", batch_size=8).run()
    make_loop("split", **split).run()
    whole, parts = series("whole"), series("split")
    assert whole.keys() == parts.keys()
    assert list(parts.values()) == pytest.approx(list(whole.values()), rel=2e-4)


def test_packing_changes_no_loss(make_loop: Make, series: Series) -> None:
    make_loop("packed", packing=True).run()
    make_loop("padded", packing=False).run()
    assert list(series("packed").values()) == pytest.approx(list(series("padded").values()), rel=2e-4)


@pytest.mark.skipif(not shutil.which("g++"), reason="torch.compile needs a C++ compiler on the CPU")
def test_compiling_changes_no_loss_and_is_kept_for_the_next_run(
    make_loop: Make, series: Series, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    torch._dynamo.reset()  # it compiles one function for a few models only, and other tests may have had theirs
    make_loop("compiled", compile=True, max_steps=6, num_hidden_layers=1).run()
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == str(tmp_path / ".cache" / "compile")
    make_loop("plain", max_steps=6, num_hidden_layers=1).run()
    assert list(series("compiled").values()) == pytest.approx(list(series("plain").values()), rel=2e-4)
    assert 1 in series("compiled", "perf/compile_seconds")
    assert series("plain", "perf/compile_seconds") == {}
    torch._dynamo.reset()
    hits = counters["inductor"]["fxgraph_cache_hit"]
    make_loop("again", compile=True, max_steps=2, num_hidden_layers=1).run()
    assert counters["inductor"]["fxgraph_cache_hit"] > hits


def test_the_last_partial_accumulation_counts(make_loop: Make) -> None:
    loop = make_loop(batch_size=4, accumulation_steps=8, epochs=1)  # 10 batches: steps of 8 and of 2
    before = weights(loop)
    assert loop.run() is Outcome.FINISHED
    assert loop.step == 2
    assert any(not torch.equal(before[name], now) for name, now in weights(loop).items())


@pytest.mark.parametrize("stop_at", [1, 7, 13])
@pytest.mark.fault("SIGTERM or stop by a person")
def test_a_stopped_and_resumed_run_equals_an_undisturbed_one_bit_for_bit(
    make_loop: Make, series: Series, rows: Any, stop_at: int, run_until: Callable[[Any, int], None]
) -> None:
    values = {"epochs": 2, "accumulation_steps": 1, "warmup_steps": 3, "held_out": rows}
    whole = make_loop("whole", **values)
    whole.run()
    first = make_loop("parts", **values)
    run_until(first, stop_at)
    second = make_loop("parts", **values)
    assert second.run() is Outcome.FINISHED
    assert series("parts") == series("whole")
    assert series("parts", "eval/loss") == series("whole", "eval/loss")
    ours, theirs = weights(second), weights(whole)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.fault("kill -9 trainer")
def test_a_killed_run_records_no_step_twice(make_loop: Make, series: Series, tmp_path: Path) -> None:
    """Killed at step 13 with a checkpoint of step 12: what is done again is not recorded again."""
    make_loop("whole").run()
    loop = make_loop("killed")
    update = loop._update

    def dying(*work: Any) -> Any:
        if loop.step == 13:
            raise KeyboardInterrupt
        return update(*work)

    loop._update = dying
    with pytest.raises(KeyboardInterrupt):
        loop.run()
    assert make_loop("killed").run() is Outcome.FINISHED
    lines = [json.loads(line) for line in (tmp_path / "killed" / "metrics.jsonl").read_text().splitlines()]
    steps = [r["step"] for r in lines if r["kind"] == "metrics" and Metric.LOSS in r["values"]]
    assert steps == list(range(1, 21))
    assert series("killed") == series("whole")


def test_max_steps_shortens_run_and_schedule(make_loop: Make, series: Series) -> None:
    loop = make_loop(max_steps=5, learning_rate=1e-3)
    loop.run()
    rates = series("task", "train/learning_rate")
    assert list(rates) == [1, 2, 3, 4, 5]
    assert rates[5] == pytest.approx(1e-4)


@pytest.mark.parametrize("version", ["v3", "v2"])
def test_learning_rate_is_minimind_s(make_loop: Make, minimind: Path, version: str) -> None:
    expected = json.loads((minimind / f"losses-{version}" / "expected.json").read_text())["get_lr"]
    assert len(expected) == 4
    config = make_loop(learning_rate=5e-4).config

    class Plan:
        total_steps = 0

        def batches_done(self, step: int) -> int:
            return step

    for key, value in expected.items():
        step, Plan.total_steps = map(int, key.split("/"))
        assert learning_rate(config, Plan(), step) == pytest.approx(value, rel=1e-9)  # type: ignore[arg-type]


def test_warmup_rises_from_zero(make_loop: Make, series: Series) -> None:
    make_loop(warmup_steps=4, learning_rate=1e-3).run()
    rates = list(series("task", "train/learning_rate").values())
    assert rates[:4] == sorted(rates[:4])
    assert rates[0] < 3e-4 and max(rates) < 1e-3


def test_evaluation_leaves_no_trace_in_the_training(make_loop: Make, series: Series, rows: Any) -> None:
    make_loop("without").run()
    make_loop("with", held_out=rows).run()
    assert series("with") == series("without")
    assert len(series("with", "eval/loss")) == 10


def test_eval_loss_is_the_mean_over_labelled_tokens(make_loop: Make, series: Series, rows: Any) -> None:
    loop = make_loop(held_out=rows, batch_size=4)
    four = loop._evaluate()
    loop.config = loop.config.model_copy(update={"batch_size": 7, "packing": False})
    loop.model.set_attn_implementation("sdpa")
    assert loop._evaluate() == pytest.approx(four, rel=1e-5)


# Checkpoints --------------------------------------------------------------------------------------------------------


def test_newest_and_best_checkpoints_are_kept(make_loop: Make, rows: Any, tmp_path: Path) -> None:
    loop = make_loop(held_out=rows, save_interval=2, keep_checkpoints=2)
    losses = iter([5.0, 1.0, 4.0, 3.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0])
    loop._evaluate = lambda: next(losses)
    loop.eval_interval = 1000
    loop.run()
    assert [c.step for c in Checkpoints(tmp_path / "task", 2).all()] == [4, 18, 20]
    assert (loop.session.best.step, loop.session.best.value) == (4, 1.0)


@pytest.mark.fault("corrupt checkpoint")
def test_a_damaged_checkpoint_is_passed_over_with_a_word(
    make_loop: Make, series: Series, tmp_path: Path, run_until: Callable[[Any, int], None]
) -> None:
    make_loop("whole").run()
    run_until(make_loop("damaged"), 13)
    newest = sorted((tmp_path / "damaged" / "checkpoints").iterdir())[-1] / "model.safetensors"
    content = bytearray(newest.read_bytes())
    content[-5] ^= 1
    newest.write_bytes(content)
    loop = make_loop("damaged")
    assert loop.run() is Outcome.FINISHED
    spool = (tmp_path / "damaged" / "metrics.jsonl").read_text()
    assert "step_000013 is damaged (model.safetensors has changed)" in spool
    assert series("damaged") == series("whole")


@pytest.mark.fault("corrupt checkpoint")
def test_a_damaged_checkpoint_takes_no_place_of_a_good_one(
    make_loop: Make, tmp_path: Path, run_until: Callable[[Any, int], None]
) -> None:
    values = {"save_interval": 5, "keep_checkpoints": 1, "epochs": 2}
    run_until(make_loop(**values), 11)
    checkpoints = Checkpoints(tmp_path / "task", 1)
    newest = checkpoints.all()[-1]
    (newest.path / "model.safetensors").write_bytes(b"")
    run_until(make_loop(**values), 13)
    assert newest.step not in [c.step for c in checkpoints.all()]
    found = checkpoints.newest_good()
    assert found is not None and found.step == 13


def test_a_stop_where_a_checkpoint_is_saves_no_second_one(
    make_loop: Make, tmp_path: Path, run_until: Callable[[Any, int], None]
) -> None:
    loop = make_loop(save_interval=5)
    run_until(loop, 5)
    records = (tmp_path / "task" / "metrics.jsonl").read_text()
    assert records.count('"kind": "checkpoint",') == 1
    again = make_loop(save_interval=5)
    again.session.stop_requested = True
    assert again.run() is Outcome.STOPPED
    assert (tmp_path / "task" / "metrics.jsonl").read_text().count('"kind": "checkpoint",') == 1
    assert again.last_loss == loop.last_loss


def test_a_stop_before_the_first_step_leaves_no_checkpoint(make_loop: Make, tmp_path: Path) -> None:
    loop = make_loop()
    loop.session.stop_requested = True
    assert loop.run() is Outcome.STOPPED
    assert Checkpoints(tmp_path / "task", 1).all() == []


@pytest.mark.fault("missing or changed data")
def test_changed_data_refuses_to_resume(make_loop: Make, rows: Any, run_until: Callable[[Any, int], None]) -> None:
    run_until(make_loop(), 5)
    with pytest.raises(DataError, match=r"rows\.jsonl has changed.*ffffffffffff.*000000000000"):
        make_loop(data=rows.changed()).run()


@pytest.mark.fault("missing or changed data")
def test_changed_data_resumes_by_force(
    make_loop: Make,
    make_rows: Make,
    series: Series,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    run_until: Callable[[Any, int], None],
) -> None:
    run_until(make_loop(), 5)
    more = make_rows(60, seed=3).changed()
    monkeypatch.setenv(Env.ATTEMPT, str(tmp_path / "attempt-2"))
    with pytest.raises(DataError, match="--force"):
        try:
            make_loop(data=more).run()
        except DataError as error:
            raise DataError(error.hint) from None
    (tmp_path / "attempt-2").mkdir()
    (tmp_path / "attempt-2" / TaskFile.FORCE).touch()
    assert make_loop(data=more).run() is Outcome.FINISHED
    assert list(series("task")) == list(range(1, 31))  # the steps of the new data, from the sixth on
    assert "going on with the new data" in (tmp_path / "task" / "metrics.jsonl").read_text()


@pytest.mark.fault("missing or changed data")
def test_a_changed_evaluation_file_refuses_to_resume_and_its_best_begins_anew(
    make_loop: Make, make_rows: Make, monkeypatch: pytest.MonkeyPatch, run_until: Callable[[Any, int], None]
) -> None:
    held_out, values = make_rows(8, seed=1), {"eval_data_path": "held.jsonl", "eval_interval": 2, "save_interval": 2}
    run_until(make_loop(held_out=held_out, **values), 5)
    again = make_loop(held_out=held_out, **values)
    assert again._resume()
    assert again.session.best.step in (2, 4)
    with pytest.raises(DataChangedError, match="has changed"):
        make_loop(held_out=held_out.changed(), **values).run()
    monkeypatch.setenv(Env.FORCE, "1")
    forced = make_loop(held_out=held_out.changed(), **values)
    assert forced._resume()
    assert forced.session.best.value is None


def test_the_held_out_part_of_the_data_is_no_file_of_its_own(
    make_loop: Make, make_rows: Make, run_until: Callable[[Any, int], None]
) -> None:
    held_out = make_rows(8, seed=1)
    run_until(make_loop(held_out=held_out), 5)
    assert make_loop(held_out=held_out.changed())._resume()


def test_another_batch_size_refuses_to_resume(make_loop: Make, run_until: Callable[[Any, int], None]) -> None:
    run_until(make_loop(), 5)
    with pytest.raises(BaseModelError, match="batch_size"):
        make_loop(batch_size=2).run()


# Bad numbers --------------------------------------------------------------------------------------------------------


def poison(loop: Any, step: int) -> None:
    """Make the loss of one step NaN."""
    update = loop._update

    def poisoned(*work: Any) -> Any:
        parameter = next(loop.model.parameters())
        handle = parameter.register_hook(lambda g: g * float("nan")) if loop.step + 1 == step else None
        result = update(*work)
        if handle:
            handle.remove()
        return result

    loop._update = poisoned


@pytest.mark.fault("NaN or infinite loss")
def test_nan_stops_with_step_and_lines_and_keeps_the_last_good_checkpoint(make_loop: Make, tmp_path: Path) -> None:
    loop = make_loop(save_interval=5)
    poison(loop, 8)
    with pytest.raises(DivergedError) as caught:
        loop.run()
    order = np.concatenate(loop.plan.step_rows(7)) + 1
    assert "step 8" in caught.value.message
    assert ", ".join(map(str, order)) in caught.value.message
    assert "the checkpoint of step 5 is good" in caught.value.hint
    assert [c.step for c in Checkpoints(tmp_path / "task", 3).all()] == [5]
    assert all(torch.isfinite(p).all() for p in loop.model.parameters())


@pytest.mark.fault("NaN or infinite loss")
def test_nan_can_be_skipped(make_loop: Make, tmp_path: Path) -> None:
    loop = make_loop(nan_policy="skip")
    poison(loop, 8)
    assert loop.run() is Outcome.FINISHED
    assert all(torch.isfinite(p).all() for p in loop.model.parameters())
    assert "Step 8 skipped" in (tmp_path / "task" / "metrics.jsonl").read_text()


def test_an_overflow_of_float16_is_no_divergence() -> None:
    from trainer.ranks import Ranks
    from trainer.window import StepResult, Window

    for overflows in (True, False):
        window = Window(overflows)
        for step, norm in ((1, 0.5), (2, math.inf), (3, 1.5)):
            window.add(StepResult(step, torch.tensor(2.0), torch.tensor(norm), count=10, tokens=12))
        closed = window.close(Ranks())
        assert (closed.bad is None) == overflows
        assert not overflows or closed.values[Metric.GRAD_NORM] == 1.0


def test_time_of_an_evaluation_is_not_time_of_the_steps() -> None:
    from trainer.ranks import Ranks
    from trainer.window import StepResult, Window

    window = Window()
    window.add(StepResult(1, torch.tensor(2.0), torch.tensor(1.0), count=10, tokens=100))
    time.sleep(0.05)
    window.leave_out(0.04)
    assert window.close(Ranks()).values[Metric.STEP_SECONDS] >= 0.01


@pytest.mark.fault("NaN or infinite loss")
def test_nan_is_never_the_best() -> None:
    from trainer.session import Best

    best = Best()
    assert not best.better("eval/loss", math.nan, 1)
    assert best.better("eval/loss", 2.0, 2)
    assert not best.better("eval/loss", math.nan, 3)
    assert best.step == 2


def test_infinite_values_become_json_null(make_loop: Make, tmp_path: Path) -> None:
    loop = make_loop()
    loop.session.spool.metrics(1, {"train/loss": math.inf, "train/loss_max": math.nan, "train/learning_rate": 0.1})
    record = json.loads((tmp_path / "task" / "metrics.jsonl").read_text())
    assert record["values"] == {"train/loss": None, "train/loss_max": None, "train/learning_rate": 0.1}


def test_the_best_is_the_lowest_loss_or_the_highest_reward() -> None:
    from trainer.session import Best

    loss, reward = Best(), Best()
    losses = (2.0, float("nan"), 3.0, 1.0)
    assert [loss.better("eval/loss", value, 1) for value in losses] == [True, False, False, True]
    assert [reward.better("eval/reward", value, 1) for value in (0.5, 0.2, 0.7)] == [True, False, True]
    assert (loss.value, reward.value) == (1.0, 0.7)
