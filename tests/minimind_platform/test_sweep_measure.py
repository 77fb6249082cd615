"""What a trial has reached, read from the records of its task."""

import json
import math

import pytest

from minimind_platform.sweeps.measure import Measure
from minimind_platform.sweeps.spec import Objective


def write(path, *records):
    with (path / "metrics.jsonl").open("a", encoding="utf-8") as file:
        for record in records:
            file.write(json.dumps(record) + "\n")


def metrics(step, **values):
    return {"kind": "metrics", "step": step, "values": {name.replace("__", "/"): v for name, v in values.items()}}


BEGIN = {"kind": "begin", "step": 0, "total_steps": 40}


def test_values_are_taken_as_the_objective_says(tmp_path) -> None:
    write(tmp_path, BEGIN, metrics(1, eval__loss=3.0), metrics(2, eval__loss=1.0), metrics(3, eval__loss=2.0))
    for taken, direction, value in (("best", "minimize", 1.0), ("best", "maximize", 3.0), ("last", "minimize", 2.0)):
        measure = Measure(
            tmp_path, [Objective.model_validate({"metric": "eval/loss", "direction": direction, "taken": taken})]
        )
        measure.read()
        assert measure.values() == [value]
    measure = Measure(tmp_path, [Objective(metric="eval/loss", taken="mean")])
    measure.read()
    assert measure.values() == [2.0]


def test_reports_are_by_percent_and_come_as_the_file_grows(tmp_path) -> None:
    measure = Measure(tmp_path, [Objective(metric="eval/loss")])
    measure.read()
    assert measure.missing() == ["eval/loss"] and measure.reports == {}
    write(tmp_path, BEGIN, metrics(1, train__loss=9.0), metrics(4, eval__loss=3.0))
    measure.read()
    assert measure.reports == {10: 3.0} and measure.metrics == {"train/loss", "eval/loss"}
    write(tmp_path, metrics(5, eval__loss=2.5), metrics(40, eval__loss=2.0), metrics(41, eval__loss=1.0))
    measure.read()
    assert measure.reports == {10: 3.0, 13: 2.5, 100: 2.0} and measure.missing() == []


def test_memory_is_the_largest_of_the_gpu_where_there_is_one(tmp_path) -> None:
    measure = Measure(tmp_path, [Objective(metric="eval/loss")])
    write(tmp_path, BEGIN, metrics(1, system__memory_mb=500.0), metrics(2, system__memory_mb=400.0))
    measure.read()
    assert measure.memory_mb == 500.0
    write(tmp_path, metrics(3, system__memory_mb=900.0, system__gpu_memory_mb=700.0))
    measure.read()
    assert measure.memory_mb == 700.0


@pytest.mark.parametrize("taken", ["best", "last", "mean"])
def test_a_value_that_is_no_number_is_not_taken_for_one(tmp_path, taken) -> None:
    measure = Measure(tmp_path, [Objective.model_validate({"metric": "eval/loss", "taken": taken})])
    write(tmp_path, BEGIN, metrics(1, eval__loss=None))
    measure.read()
    assert not math.isfinite(measure.values()[0]) and math.isnan(measure.reports[3])


def test_a_damaged_line_costs_itself_only(tmp_path) -> None:
    measure = Measure(tmp_path, [Objective(metric="eval/loss")])
    write(tmp_path, BEGIN)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"kind": "metrics", "st\n')
    write(tmp_path, metrics(4, eval__loss=3.0))
    measure.read()
    assert measure.values() == [3.0]
