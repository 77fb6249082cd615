"""What tests of the study behind a sweep have in common: its space, and short ways to ask and tell."""

import math
from typing import Any

from minimind_platform.sweeps.spec import SweepSpec, read_spec
from minimind_platform.sweeps.study import Studies, StudyTrial, SweepStudy

NUMBERS = {"learning_rate": {"low": 1e-5, "high": 1e-2, "log": True}, "batch_size": {"low": 8, "high": 64, "log": True}}
EXPERTS = {"use_moe": [False, True], "num_experts": {"low": 2, "high": 4, "when": {"use_moe": True}}}


def spec_of(search: Any = NUMBERS, objectives: Any = (), type_name: str = "pretrain", **options: Any) -> SweepSpec:
    return read_spec(type_name, {"data_path": "x.jsonl"}, search, {"pruner": "none"} | options, objectives)


def opened(url: str, name: str, spec: SweepSpec) -> SweepStudy:
    """As a process does that has just been started."""
    return Studies(url).open(name, spec)


def asked(study: SweepStudy) -> StudyTrial:
    trial = study.ask()
    assert trial is not None
    return trial


def cost(settings: dict[str, Any]) -> float:
    return abs(math.log(settings["learning_rate"] / 3e-4))


def trained(study: SweepStudy, *percents: int, value: float) -> tuple[int, bool]:
    """A training that reports a value that falls to `value`, until it is pruned."""
    number = asked(study).number
    for percent in percents:
        study.report(number, percent, value + 1 / percent)
        if study.should_prune(number):
            study.prune(number, "others are better")
            return number, True
    study.complete(number, [value])
    return number, False
