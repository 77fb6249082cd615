"""The watchdog: what it sees, what it leaves in peace, what is done then."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from trainer.names import Outcome
from trainer.session import Session
from trainer.spool import read_records
from trainer.watchdog import IdleGpu, LossSpike, SlowData, StalledStep

Make = Callable[..., Any]
HEALTHY = json.loads(Path(__file__).with_name("healthy_losses.json").read_text())


def alarms(losses: list[float]) -> list[int]:
    spike = LossSpike()
    return [step for step, loss in enumerate(losses, 1) if spike.take(loss)]


def test_twenty_healthy_trainings_raise_no_alarm() -> None:
    assert len(HEALTHY) == 20 and all(len(run["losses"]) >= 30 for run in HEALTHY)
    assert {(run["type"], run["seed"]): found for run in HEALTHY if (found := alarms(run["losses"]))} == {}


@pytest.mark.parametrize("run", HEALTHY, ids=lambda run: f"{run['type']}-{run['seed']}")
def test_a_healthy_training_whose_loss_doubles_raises_one(run: dict[str, Any]) -> None:
    until = 2 * len(run["losses"]) // 3
    losses = run["losses"][:until] + [2 * loss for loss in run["losses"][until:]]
    first = alarms(losses)[0]
    assert until + 5 <= first <= until + 10


def test_single_jumps_are_noise_and_a_new_level_is_told_once() -> None:
    noise = random.Random(1)
    losses = [3 + noise.gauss(0, 0.1) for _ in range(300)]
    assert alarms([9.0 if step % 25 == 0 else loss for step, loss in enumerate(losses)]) == []
    assert alarms(losses[:100] + [loss + 5 for loss in losses]) == [105]
    assert alarms([3.0] * 100 + [9.0] * 10 + [3.0] * 50 + [9.0] * 10) == [105, 165]


@pytest.mark.fault("trainer hangs")
def test_a_step_stalls_when_it_takes_ten_times_as_long_and_a_minute() -> None:
    stalled = StalledStep()
    for second in range(0, 80, 10):
        stalled.begin(second)
        stalled.end(second + 9)
    stalled.begin(100)
    assert not stalled.look(189)
    assert "90 s already; the others took 9 s" in stalled.look(190)
    assert not stalled.look(500)  # told once
    stalled.end(600)
    assert not stalled.look(5000)  # between steps there is none that stalls


def test_short_steps_stall_after_a_minute_and_the_first_ones_never() -> None:
    stalled = StalledStep()
    stalled.begin(0)
    assert not stalled.look(3000)
    for second in range(8):
        stalled.begin(second)
        stalled.end(second + 0.01)
    stalled.begin(10)
    assert not stalled.look(69) and stalled.look(70)


def test_data_is_slow_when_most_of_a_minute_goes_into_it() -> None:
    slow, fast = SlowData(), SlowData()
    assert [bool(fast.take(0.4, 1.0)) for _ in range(300)].count(True) == 0
    told = [step for step in range(300) if slow.take(0.6, 1.0)]
    assert told == [59]


def test_a_gpu_is_idle_after_five_minutes_without_work() -> None:
    idle = IdleGpu()
    told = [t for t in range(0, 1200, 10) if idle.take(0 if t != 100 else 50, t)]
    assert told == [410]


def test_what_is_done_is_up_to_the_settings(make_loop: Make, tmp_path: Path) -> None:
    expected = {
        "off": ([], Outcome.FINISHED, [10]),
        "mark": ([("loss_spike", None)], Outcome.FINISHED, [10]),
        "notify": ([("loss_spike", True)], Outcome.FINISHED, [10]),
        "save": ([("loss_spike", True)], Outcome.FINISHED, [4, 10]),
        "stop": ([("loss_spike", True)], Outcome.STOPPED, [4]),
    }
    for action, (events, outcome, saved) in expected.items():
        loop = make_loop(action, max_steps=10, save_interval=10, watch_loss_spike=action)
        loop.watch._spike.take = lambda _loss, loop=loop: "It rises." if loop.step == 4 else ""
        assert loop.run() is outcome
        found = [r for r, _ in read_records(tmp_path / action / "metrics.jsonl") if r["kind"] == "event"]
        assert [(r["name"], r.get("notify")) for r in found] == events
        assert [c.step for c in loop.checkpoints.all()] == saved
        if action == "stop":
            loop.session.end(outcome)
            result = json.loads((tmp_path / action / "result.json").read_text())
            assert (result["error"], result["error_class"]) == ("It rises.", "watchdog")


def test_the_watchdog_changes_no_loss(make_loop: Make, series: Callable[..., dict[int, float]]) -> None:
    make_loop("watched", max_steps=8).run()
    off = {
        f"watch_{name}": "off" for name in ("nan", "loss_spike", "stalled_step", "slow_data", "idle_gpu", "low_disk")
    }
    make_loop("alone", max_steps=8, **off).run()
    assert series("watched") == series("alone")


def test_a_nan_is_told_before_the_training_ends(make_loop: Make, tmp_path: Path) -> None:
    loop = make_loop(max_steps=5)
    next(loop.model.parameters()).data.fill_(float("nan"))
    with pytest.raises(Exception, match="not finite"):
        loop.run()
    found = [r for r, _ in read_records(tmp_path / "task" / "metrics.jsonl") if r["kind"] == "event"]
    assert [(r["name"], r["step"], r["notify"]) for r in found] == [("nan", 1, True)]
    assert isinstance(loop.session, Session)
