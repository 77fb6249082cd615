"""Charts of sweeps, as figures from trials."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fake_data import HTML
from fake_platform import FakePlatform

import dash_app
from dash_app import space_charts, sweep_charts
from dash_app.sweep_charts import counted, kind_of
from dash_app.texts import texts
from minimind_platform.sweeps.views import Sweep, Trial, TrialState

t = texts("en")


@pytest.fixture
def sweep(platform: FakePlatform) -> Sweep:
    return platform.sweeps.get("lr-and-batch")


@pytest.fixture
def trials(platform: FakePlatform, sweep: Sweep) -> list[Trial]:
    return platform.sweeps.trials(sweep.id)


def trace(figure: sweep_charts.Figure, name: str) -> dict[str, Any]:
    return next(one for one in figure["data"] if one["name"] == name)


def test_each_trial_has_its_place_in_the_history(sweep: Sweep, trials: list[Trial]) -> None:
    figure = sweep_charts.history(sweep, trials, t)
    numbers = {one["name"]: one["customdata"] for one in figure["data"] if "customdata" in one}
    assert numbers["left out"] == [10] and numbers["over a limit"] == [7] and numbers["failed"] == [5, 14, 23]
    assert set(numbers["ended early"]) == {trial.number for trial in trials if trial.state == TrialState.PRUNED}
    assert numbers["complete"] == [trial.number for trial in counted(trials)]
    best = trace(figure, "best so far")
    assert best["y"][-1] == sweep.best_values[0][0] and best["x"][-1] == trials[-1].number
    assert list(best["y"]) == sorted(best["y"], reverse=True)


def test_the_best_so_far_grows_where_more_is_better(platform: FakePlatform) -> None:
    sweep = platform.sweeps.get("loss-and-speed")
    figure = sweep_charts.history(sweep, platform.sweeps.trials(sweep.id), t, objective=1)
    best = trace(figure, "best so far")
    assert list(best["y"]) == sorted(best["y"]) and len(set(best["y"])) > 1
    assert "more is better" in figure["layout"]["yaxis"]["title"]["text"]


def test_the_front_joins_those_that_no_other_trial_beats(platform: FakePlatform) -> None:
    sweep = platform.sweeps.get("loss-and-speed")
    figure = sweep_charts.front(sweep, platform.sweeps.trials(sweep.id), t)
    joined = trace(figure, "not beaten")
    assert sorted(joined["customdata"]) == sorted(sweep.best)
    assert list(joined["x"]) == sorted(joined["x"]) and list(joined["y"]) == sorted(joined["y"])


def test_curves_on_the_way_are_thinned_but_keep_their_ends(sweep: Sweep, trials: list[Trial]) -> None:
    long = replace(trials[0], number=99, intermediate={percent: percent / 100 for percent in range(1, 101)})
    figure = sweep_charts.intermediate(sweep, [*trials, long], t)
    complete = trace(figure, "complete")
    own = [x for x, number in zip(complete["x"], complete["customdata"], strict=True) if number == 99]
    assert own[0] == 1 and own[-2:] == [100, None] and len(own) <= sweep_charts.MOST_POINTS + 3
    pruned = trace(figure, "ended early")
    assert pruned["line"]["color"] == "--mute" and max(x for x in pruned["x"] if x) == 30
    assert set(trace(figure, "Best trial")["customdata"]) == set(sweep.best)


def test_the_timeline_shows_who_had_which_device_when(sweep: Sweep, trials: list[Trial]) -> None:
    waiting = Trial(77, TrialState.WAITING, {})
    figure = sweep_charts.timeline(sweep, [*trials, waiting], t, now=trials[-1].started_at or 0 + 60)
    shown = [number for one in figure["data"] for number in one["customdata"]]
    assert sorted(shown) == [trial.number for trial in trials]
    failed = trace(figure, "failed")
    assert failed["y"] == [trials[number].device for number in failed["customdata"]]
    assert failed["x"] == [round(1000 * (trials[number].seconds or 0)) for number in failed["customdata"]]


def test_parallel_lines_go_through_settings_on_their_scale(sweep: Sweep, trials: list[Trial]) -> None:
    figure = space_charts.parallel(sweep, trials, t)
    numbers = {number for one in figure["data"] for number in one["customdata"]}
    assert numbers == {trial.number for trial in counted(trials)}
    best = figure["data"][-1]
    assert set(best["customdata"]) == set(sweep.best) and best["line"]["color"] == "--second-line"
    rate = trials[sweep.best[0]].params["learning_rate"]
    low, high = 1e-5, 1e-3
    expected = (space_charts.math.log(rate) - space_charts.math.log(low)) / space_charts.math.log(high / low)
    assert best["y"][0] == pytest.approx(expected, abs=1e-4)
    assert best["y"][len(sweep.spec.params)] == 0  # the best value is the smallest
    assert figure["layout"]["xaxis"]["ticktext"][-1] == "eval/loss"


def test_a_setting_that_was_not_searched_has_no_point(platform: FakePlatform) -> None:
    space = {"packing": None, "warmup_steps": {"low": 0, "high": 10, "when": {"packing": [True]}}}
    id_ = platform.sweeps.add("60", "conditional", 0.0, platform.sweeps.get("just-begun").state, space, {})
    for number, params in enumerate([{"packing": True, "warmup_steps": 4}, {"packing": False}, {"packing": False}]):
        trial = Trial(number, TrialState.COMPLETE, params, (2.0 + number,))
        platform.sweeps.made[id_].append(trial)
    platform.sweeps._count(id_)
    sweep, trials = platform.sweeps.get(id_), platform.sweeps.trials(id_)
    slices = space_charts.slices(sweep, trials, t)
    assert [len(one["x"]) for one in slices["data"]] == [3, 1]
    lines = space_charts.parallel(sweep, trials, t)
    assert -0.1 in lines["data"][0]["y"] and lines["layout"]["yaxis"]["range"][0] < -0.1
    assert "empty" in space_charts.contour(sweep, trials, t, "packing", "warmup_steps")


@pytest.mark.parametrize("columns", [1, 2, 4])
def test_slices_have_a_panel_a_setting(sweep: Sweep, trials: list[Trial], columns: int) -> None:
    figure = space_charts.slices(sweep, trials, t, columns=columns)
    axes = [axis for name, axis in figure["layout"].items() if name.startswith("xaxis")]
    assert len(axes) == len(sweep.spec.params)
    assert axes[0]["type"] == "log" and axes[1]["ticktext"] == ["8", "16", "32", "64"]
    assert all(0 <= axis["domain"][0] < axis["domain"][1] <= 1 for axis in axes)
    assert figure["height"] == 80 + 210 * -(-4 // columns)


def test_the_map_is_near_the_trials_that_it_is_made_of(sweep: Sweep, trials: list[Trial]) -> None:
    figure = space_charts.contour(sweep, trials, t, "learning_rate", "batch_size")
    surface, dots = figure["data"]
    assert len(surface["z"]) == len(surface["z"][0]) == space_charts.GRID
    values = [trial.values[0] for trial in counted(trials)]
    flat = [value for row in surface["z"] for value in row]
    assert min(values) <= min(flat) and max(flat) <= max(values)
    assert surface["x"][0] == pytest.approx(1e-5) and surface["x"][-1] == pytest.approx(1e-3)
    assert set(dots["y"]) <= {0, 1, 2, 3}  # choices by their place
    assert "empty" in space_charts.contour(sweep, trials, t, "batch_size", "batch_size")
    assert "empty" in space_charts.contour(sweep, trials, t, "batch_size", "nope")


def test_importance_is_read_from_the_top(sweep: Sweep) -> None:
    figure = space_charts.importance({"learning_rate": 0.7, "batch_size": 0.3}, t)
    assert figure["data"][0]["y"] == ["Batch size", "Learning rate"] and figure["data"][0]["text"] == ["30 %", "70 %"]
    assert "empty" in space_charts.importance({}, t)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_without_trials_each_chart_says_what_it_waits_for(platform: FakePlatform, language: str) -> None:
    words, sweep = texts(language), platform.sweeps.get("just-begun")
    figures = [
        sweep_charts.history(sweep, [], words),
        sweep_charts.front(sweep, [], words),
        sweep_charts.intermediate(sweep, [], words),
        sweep_charts.timeline(sweep, [], words, 0),
        space_charts.parallel(sweep, [], words),
        space_charts.slices(sweep, [], words),
    ]
    assert all(len(figure["empty"]) > 5 for figure in figures)


def test_what_people_wrote_is_text_in_a_chart(platform: FakePlatform) -> None:
    space = {"from_weight": {"choices": [HTML, "pretrain"]}, "batch_size": None}
    id_ = platform.sweeps.add("61", "odd", 0.0, platform.sweeps.get("just-begun").state, space, {"pruner": "none"})
    platform.sweeps.add_trials(id_, 12)
    sweep, trials = platform.sweeps.get(id_), platform.sweeps.trials(id_)
    made = [
        sweep_charts.history(sweep, trials, t),
        space_charts.parallel(sweep, trials, t),
        space_charts.slices(sweep, trials, t),
        space_charts.contour(sweep, trials, t, "from_weight", "batch_size"),
    ]
    assert "<img" not in json.dumps(made) and "&lt;" in json.dumps(made)


def test_colours_are_those_of_the_themes(sweep: Sweep, trials: list[Trial]) -> None:
    figures = [
        sweep_charts.history(sweep, trials, t),
        sweep_charts.timeline(sweep, trials, t, 0),
        space_charts.parallel(sweep, trials, t),
        space_charts.contour(sweep, trials, t, "learning_rate", "batch_size"),
    ]
    used = set(re.findall(r'"(--[\w-]+)"', json.dumps(figures)))
    folder = Path(dash_app.__file__).parent / "assets"
    styles = "".join(path.read_text(encoding="utf-8") for path in folder.glob("4*.css"))
    assert used and all(styles.count(f"{name}:") == 2 for name in used)  # light and dark
    assert "#" not in json.dumps([one["line"] for one in figures[2]["data"]])


def test_every_kind_of_trial_has_a_look(trials: list[Trial]) -> None:
    assert {kind_of(trial) for trial in trials} == set(sweep_charts.LOOKS)
