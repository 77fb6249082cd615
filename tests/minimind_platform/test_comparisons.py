"""Runs side by side: of tasks and of others, with the way to MLflow's own comparison."""

import json
from urllib.parse import parse_qs, unquote

import pytest

from minimind_platform.comparisons import MOST_RUNS, Comparisons, checked, compare_link
from minimind_platform.curves.history import RunFacts
from minimind_platform.errors import NotFoundError, PlatformError


def facts(run_id: str, experiment: str = "1") -> RunFacts:
    return RunFacts(run_id, f"run {run_id}", "KILLED", experiment, 1.0, 2.0, None, {"lr": "0.1"})


def test_each_run_is_compared_once_and_twenty_are_the_most() -> None:
    assert checked(["a", "b", "a"]) == ["a", "b"]
    assert len(checked([str(number) for number in range(MOST_RUNS)])) == MOST_RUNS
    with pytest.raises(PlatformError, match="At most 20 runs can be compared, got 21"):
        checked([str(number) for number in range(MOST_RUNS + 1)])


def test_the_same_comparison_opens_in_mlflow() -> None:
    assert compare_link([facts("a")]) == ""
    page, _, query = compare_link([facts("a", "2"), facts("b", "1")]).partition("?")
    asked = {key: unquote(value[0]) for key, value in parse_qs(query).items()}
    assert page == "/mlflow/#/compare-runs"
    assert json.loads(asked["runs"]) == ["a", "b"] and json.loads(asked["experiments"]) == ["1", "2"]


class KnownCurves:
    """Knows run a, and not b."""

    def facts(self, run_id: str) -> tuple[RunFacts, list[str]]:
        if run_id != "a":
            raise NotFoundError
        return facts("a"), ["loss"]

    def read(self, run_id: str, *_: object) -> str:
        return self.facts(run_id)[0].name


class NoTasks:
    def get(self, _run_id: str) -> None:
        return None


def test_runs_that_are_gone_are_named_and_the_others_shown() -> None:
    comparisons = Comparisons(NoTasks(), None, KnownCurves())  # type: ignore[arg-type]
    found = comparisons.of(["a", "b"])
    assert [run.facts.id for run in found.runs] == ["a"] and found.missing == ["b"]
    assert found.runs[0].state == "STOPPED"
    assert found.runs[0].link == "/mlflow/#/experiments/1/runs/a/model-metrics?workflowType=machine_learning"
    assert comparisons.curves(["a", "b"], ["loss"]) == {"a": "run a"}
