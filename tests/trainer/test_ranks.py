"""Several processes train as one does: real processes on the CPU, with gloo."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trainer.names import Metric
from trainer.ranks import Ranks

Make = Callable[..., Any]
Series = Callable[..., dict[int, float]]
STEPS = {"epochs": 3, "batch_size": 4}  # 30 steps
RUNS: dict[str, dict[str, Any]] = {
    "packed": STEPS,
    "padded": STEPS | {"packing": False},
    "accumulated": {"epochs": 5, "batch_size": 3, "accumulation_steps": 2, "rows": 37},  # a last batch of one row
    "mixture": STEPS | {"use_moe": True, "num_experts": 2, "learning_rate": 1e-3},
    "grpo": {"type_name": "grpo", "epochs": 5},
    "spo": {"type_name": "spo", "epochs": 10},
    "ppo": {"type_name": "ppo", "epochs": 5, "held_out": 2},
    "pairs": {"type_name": "dpo", "epochs": 2, "batch_size": 3, "rows": 37},
    "sharded": STEPS | {"parallel": "fsdp"},
    "sharded_again": {"epochs": 5, "batch_size": 3, "accumulation_steps": 2, "rows": 37, "parallel": "fsdp"},
}


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory, together: Make, loops_in: Make, make_rows: Make) -> Path:
    """The task directories of all `RUNS`, done by two processes; and "parts", begun by one, and gone on with by two,
    first as replicas, then in shards, twice."""
    folder = tmp_path_factory.mktemp("two")
    with loops_in(folder) as make:
        loop = make("parts", make_rows(40), make_rows(10, seed=1), **STEPS)
        loop._one_step = stop_after(loop, 7)
        loop.run()
    sharded = STEPS | {"parallel": "fsdp"}
    parts = [("parts", 14, STEPS), ("parts", 18, sharded), ("parts", 21, sharded)]
    together(folder, [(name, 0, values) for name, values in RUNS.items()] + parts)
    return folder


@pytest.mark.parametrize("name", RUNS)
def test_two_processes_train_as_one(
    two: Path,
    make_loop: Make,
    make_rows: Make,
    prefer: Make,
    make_pairs: Make,
    make_rollouts: Make,
    series_of: Series,
    tmp_path: Path,
    name: str,
) -> None:
    values = dict(RUNS[name])
    rows = values.pop("rows", 40)
    if name in ("grpo", "spo", "ppo"):
        make_rollouts(values.pop("type_name"), name, **values).run()
    elif name == "pairs":
        prefer(name, data=make_pairs(rows), held_out=make_pairs(10, seed=1), **values).run()
    else:
        make_loop(name, make_rows(rows), make_rows(10, seed=1), **values).run()
    close = {"mixture": 1e-2}.get(name, 1e-4)  # its balancing loss is that of each process's rows
    for key in (Metric.LOSS, Metric.LOSS_MIN, Metric.GRAD_NORM, Metric.LEARNING_RATE, Metric.TOKENS, Metric.EVAL_LOSS):
        one, both = series_of(tmp_path / name, key), series_of(two / name, key)
        assert list(one) == list(both)
        assert list(both.values()) == pytest.approx(list(one.values()), rel=close, abs=1e-6)
    assert len(series_of(two / name, Metric.LOSS)) >= 15


def test_a_run_goes_on_with_another_number_of_processes(
    two: Path, loops_in: Make, make_loop: Make, make_rows: Make, series_of: Series, tmp_path: Path
) -> None:
    """One process, then two replicas, then two shards, twice, then one again."""
    data, held_out = make_rows(40), make_rows(10, seed=1)
    make_loop("whole", data, held_out, **STEPS).run()
    written = two / "parts" / "checkpoints" / "step_000021" / "trainer_state"
    assert sorted(p.name for p in written.glob("*.safetensors")) == [f"optimizer-0000{i}.safetensors" for i in (0, 1)]
    assert not list((two / "parts" / "checkpoints" / ".shards.tmp").iterdir())
    with loops_in(two) as make:
        make("parts", data, held_out, **STEPS).run()
    whole, parts = series_of(tmp_path / "whole", Metric.LOSS), series_of(two / "parts", Metric.LOSS)
    assert list(parts) == list(whole)
    assert list(parts.values()) == pytest.approx(list(whole.values()), rel=1e-4)
    begins = [json.loads(line) for line in (two / "parts" / "metrics.jsonl").read_text().splitlines()]
    assert [record["step"] for record in begins if record["kind"] == "begin"] == [0, 7, 14, 18, 21]


def stop_after(loop: Any, step: int) -> Callable[[], bool]:
    one_step = loop._one_step

    def stopping() -> bool:
        loop.session.stop_requested = loop.step == step
        return one_step()

    return stopping


def test_rows_are_shared_by_their_tokens() -> None:
    random = np.random.default_rng(0)
    lengths = random.integers(1, 500, size=1000)
    for rows, count in ((64, 2), (7, 3), (2, 4), (1, 2)):
        indices = random.permutation(1000)[:rows]
        parts = [Ranks(rank, count).part(indices, lengths) for rank in range(count)]
        assert sorted(np.concatenate(parts)) == sorted(indices)
        places = [[list(indices).index(row) for row in part] for part in parts]
        assert places == [sorted(part) for part in places]
        tokens = [lengths[part].sum() for part in parts]
        assert max(tokens) - min(tokens) <= lengths[indices].max()
        assert sum(len(part) > 0 for part in parts) == min(rows, count)
