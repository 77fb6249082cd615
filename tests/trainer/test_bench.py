"""The benchmarks call the loop as it is now."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

BENCH = Path(__file__).parents[2] / "bench"


def test_a_measured_step_learns_as_a_step_of_a_training(make_loop: Callable[..., Any], series: Any) -> None:
    spec = importlib.util.spec_from_file_location("train_throughput", BENCH / "train_throughput.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    make_loop("whole", log_interval=1, epochs=1).run()
    step = module.one_step(make_loop("measured", epochs=1))
    losses = [float(step()[0]) for _ in range(3)]
    assert losses == pytest.approx(list(series("whole").values())[:3])
