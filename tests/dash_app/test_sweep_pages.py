"""The pages of sweeps as Python makes them: the form, its problems at their inputs, and one sweep."""

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest
from fake_data import HTML
from fake_platform import FakePlatform
from test_pages import by_id, text_of, walk

import minimind_platform.sweeps
from dash_app import forms
from dash_app.pages import new_sweep, sweep
from dash_app.sweep_form import option_values
from dash_app.texts import LANGUAGES, texts
from dash_app.ui import is_page, page_for
from minimind_platform.errors import Problem, SettingsError
from minimind_platform.sweeps.space import read_space
from minimind_platform.sweeps.spec import Options, read_spec
from trainer.configs import TRAINING_TYPES

DATA = "dataset/samples/sft.jsonl"
SEARCH: dict[str, Any] = {"learning_rate": {"low": "1e-5", "high": "1e-3", "log": True}}


def form_of(platform: FakePlatform, type_name: str = "sft", **more: Any) -> dict[str, Any]:
    """What the script sends of a form with data and one setting to search."""
    values = forms.default_values(platform.training_types(), type_name) | {"data_path": DATA} | more.pop("values", {})
    options = option_values(platform.sweeps.options()) | more.pop("options", {})
    options.pop("priority")
    form = {
        "type": type_name, "preset": "", "start": "", "name": "", "priority": "0", "trigger": "", "tried": False,
        "values": values, "search": SEARCH, "options": options, "key": "k",
        "objectives": [{"metric": "eval/loss", "direction": "", "taken": ""}],
    }  # fmt: skip
    return form | more


def changed(platform: FakePlatform, **more: Any) -> dict[str, dict[str, Any]]:
    form = form_of(platform, **more)
    return new_sweep.changes(platform, form, form["type"], texts("en"))  # type: ignore[arg-type]


def placed(updates: dict[str, dict[str, Any]]) -> dict[str, str]:
    """The problems that the script puts at their inputs, by the input."""
    return {one["target"]: one["text"] for one in updates["sweep-told"]["data"]["problems"]}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("type_name", TRAINING_TYPES)
def test_the_form_of_every_type_has_all_inputs(platform: FakePlatform, language: str, type_name: str) -> None:
    page = new_sweep.layout(platform, {"type": type_name}, texts(language))  # type: ignore[arg-type]
    parts = by_id(page)
    labels = {c.html_for for c in walk(page) if getattr(c, "html_for", None)}
    for name in set(Options.model_fields) - {"priority"}:
        assert f"option-{name}" in parts and f"option-{name}" in labels
        assert len(text_of(parts[f"option-{name}-help"])) > 5
    assert {"task-type", "preset", "start", "task-name", "task-priority"} <= set(parts)  # as the form of a task
    begin = json.loads(parts["new-sweep"].to_plotly_json()["props"]["data-begin"])
    known = {setting["name"]: setting for setting in begin["told"]["settings"]}
    assert known["learning_rate"]["usual"]["log"] is True and known["seed"]["usual"] is None
    assert begin["told"]["metrics"][0] in begin["told"]["usual"] and begin["search"] == {}


def test_options_are_said_in_every_language() -> None:
    for language in LANGUAGES:
        assert set(texts(language).sweep_options) == set(Options.model_fields)
    assert set(texts("zh").sweep_option_helps) == set(Options.model_fields)


def test_what_is_searched_leaves_the_form_and_comes_back(platform: FakePlatform) -> None:
    updates = changed(platform)
    assert updates["entry-learning_rate"]["hidden"] is True and updates["entry-batch_size"]["hidden"] is False
    assert changed(platform, search={})["entry-learning_rate"]["hidden"] is False


def test_the_plan_tells_one_trial_and_the_whole(platform: FakePlatform) -> None:
    parts = by_id(changed(platform, options={"n_trials": "10", "parallel": "4"})["plan"]["children"])
    assert text_of(parts["plan-steps"]) == "20,000"
    assert text_of(parts["plan-sweep-combinations"]) == "any number"
    assert text_of(parts["plan-sweep-device_time"]) == "≈ 15 h 3 min"
    assert text_of(parts["plan-sweep-time"]) == "≈ 4 h 31 min"  # three rounds
    grid = {"learning_rate": {"choices": ["1e-4", "1e-3"]}, "packing": {"choices": ["true", "false"]}}
    parts = by_id(changed(platform, search=grid, options={"sampler": "grid", "n_trials": "9"})["plan"]["children"])
    assert text_of(parts["plan-sweep-combinations"]) == text_of(parts["plan-sweep-trials"]) == "4"


def test_an_empty_form_complains_only_after_a_try(platform: FakePlatform) -> None:
    updates = changed(platform, search={}, values={"data_path": ""})
    assert placed(updates) == {} and updates["error-data_path"]["children"] is None
    tried = changed(platform, search={}, values={"data_path": ""}, tried=True)
    assert placed(tried) == {"space-add": "Choose at least one setting to search."}
    assert tried["error-data_path"]["children"] == "Required, but empty."
    assert len([c for c in walk(tried["form-summary"]["children"]) if type(c).__name__ == "Li"]) == 2


def test_problems_stand_at_their_inputs_all_at_once(platform: FakePlatform) -> None:
    search = {
        "learning_rate": {"low": "1", "high": "0.1", "log": False},
        "batch_size": {"choices": []},
        "warmup_steps": {"low": "0", "high": "9", "log": True},
        "epochs": {"low": "1", "high": "x", "log": False},
    }
    updates = changed(
        platform, search=search, values={"grad_clip": "-1"}, options={"n_trials": "0", "hours": "soon", "seed": "-1"}
    )
    found = placed(updates)
    assert set(found) == {
        "search-learning_rate", "search-batch_size", "search-warmup_steps", "search-epochs",
        "option-n_trials", "option-hours", "option-seed",
    }  # fmt: skip
    assert "above the high end" in found["search-learning_rate"] and "'x' is not a" in found["search-epochs"]
    assert updates["error-grad_clip"]["children"].startswith("Must be at least 0")
    several = changed(platform, objectives=[{"metric": "eval/loss"}, {"metric": "eval/loss"}])
    assert set(placed(several)) & {"option-pruner", "goal-1-metric"}


def test_what_is_searched_is_not_missed_among_the_fixed_settings(platform: FakePlatform) -> None:
    updates = changed(platform, search={"data_path": {"choices": []}}, values={"data_path": ""}, tried=True)
    assert "at least one value" in placed(updates)["search-data_path"]
    assert len([c for c in walk(updates["form-summary"]["children"]) if type(c).__name__ == "Li"]) == 1


def test_a_name_of_both_an_option_and_a_setting_is_told_where_it_was_typed(platform: FakePlatform) -> None:
    updates = changed(platform, values={"seed": "-5"})
    assert placed(updates) == {} and updates["error-seed"]["children"]
    updates = changed(platform, options={"seed": "-5"})
    assert set(placed(updates)) == {"option-seed"} and updates["error-seed"]["children"] is None


def test_a_setting_that_another_type_does_not_have_is_left_behind(platform: FakePlatform) -> None:
    form = form_of(platform, "lora", search=SEARCH | {"lora_rank": {"low": "4", "high": "8"}})
    updates = new_sweep.changes(platform, form | {"type": "sft"}, "lora", texts("en"))  # type: ignore[arg-type]
    assert updates["sweep-told"]["data"]["type"] == "sft" and placed(updates) == {}


def test_a_sweep_is_made_once_with_what_the_form_says(platform: FakePlatform) -> None:
    form = form_of(platform, name=" mine ", priority="10", options={"n_trials": "7", "patience": ""})
    for _ in range(2):
        updates, made = new_sweep.submission(platform, form, texts("en"))  # type: ignore[arg-type]
    assert made
    found = platform.sweeps.get("mine")
    assert updates["url"]["href"] == f"/sweeps/{found.id}" and len(platform.sweeps.all) == 5
    assert (found.spec.n_trials, found.spec.patience, found.spec.priority) == (7, 0, 10)
    assert found.spec.values == {"data_path": DATA} and found.spec.objectives[0].taken == "best"
    again = form | {"key": "other"}
    updates, made = new_sweep.submission(platform, again, texts("en"))  # type: ignore[arg-type]
    assert not made and "mine" in str(updates["error-name"]["children"])


def test_a_copied_sweep_submits_what_the_other_had(platform: FakePlatform) -> None:
    page = by_id(new_sweep.layout(platform, {"like": "53"}, texts("zh")))  # type: ignore[arg-type]
    begin = json.loads(page["new-sweep"].to_plotly_json()["props"]["data-begin"])
    original = platform.sweeps.get("53").spec
    values = {name: page[f"field-{name}"].value for name in forms.type_fields(platform.training_types(), "sft")}
    options = {name: page[f"option-{name}"].value for name in set(Options.model_fields) - {"priority"}}
    form = form_of(platform, values=values, options=options, search=begin["search"], objectives=begin["goals"])
    updates, made = new_sweep.submission(platform, form | {"name": "copy"}, texts("zh"))  # type: ignore[arg-type]
    assert made, updates
    copy = platform.sweeps.get("copy").spec
    assert copy.model_dump() == original.model_dump() | {"values": copy.values}
    assert {name: str(value) for name, value in copy.values.items()} == {
        name: str(value) for name, value in original.values.items()
    }


def test_a_task_brings_its_settings(platform: FakePlatform) -> None:
    page = by_id(new_sweep.layout(platform, {"clone": "a2"}, texts("en")))  # type: ignore[arg-type]
    assert page["field-hidden_size"].value == "512" and page["form-type"].data == "pretrain"


@pytest.mark.parametrize("language", LANGUAGES)
def test_one_sweep_tells_what_it_searches(platform: FakePlatform, language: str) -> None:
    page = sweep.layout(platform, "lr-and-batch", texts(language))  # type: ignore[arg-type]
    parts = by_id(page)
    setup = text_of(parts["panel-setup"])
    assert "1e-05 – 0.001, log" in setup and "8, 16, 32, 64" in setup and DATA in setup and "tpe" in setup
    charts = [name for name in parts if name.startswith("chart-")]
    assert charts[0] == "chart-history" and len(charts) == 7
    assert "chart-front" in by_id(sweep.layout(platform, "53", texts(language)))  # type: ignore[arg-type]
    assert parts["compare-link"].href == f"/api/sweeps/{platform.sweeps.by_name('lr-and-batch')}/compare"
    assert "action-clone" in parts


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    "path", ["/sweeps", "/sweeps/new", "/sweeps/51", "/sweeps/52", "/sweeps/54", "/sweeps/nope", f"/sweeps/{HTML}"]
)
def test_pages_hold_user_text_only_as_text(platform: FakePlatform, path: str, language: str) -> None:
    page = page_for(platform, path, {"like": "51", "clone": HTML}, texts(language))  # type: ignore[arg-type]
    json.dumps(page, default=lambda c: c.to_plotly_json())
    for component in walk(page):
        assert type(component).__name__ not in ("Markdown", "DangerouslySetInnerHTML", "Iframe")
    assert is_page(path) or "/" in path.removeprefix("/sweeps/")
    if path.endswith("nope"):
        assert texts(language)("sweep.not_found") in text_of(page)


def test_every_problem_of_a_sweep_is_said_in_chinese() -> None:
    folder = Path(minimind_platform.sweeps.__file__).parent
    codes = set()
    for path in folder.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = getattr(getattr(node, "func", None), "id", "")
            if name in ("Problem", "FieldError", "_WrongError") and len(node.args) > 1:  # type: ignore[attr-defined]
                code = node.args[1]  # type: ignore[attr-defined]
                codes |= {code.value} if isinstance(code, ast.Constant) else set()
    assert codes >= {"low_above_high", "grid_too_large", "empty_space"}
    assert codes <= set(texts("zh").problems)


@pytest.mark.parametrize(
    "search",
    [
        [], ["nope"], ["device"], ["max_seq_len"], {"batch_size": {"lo": 1}}, {"batch_size": []},
        {"batch_size": list(range(1, 200))}, {"batch_size": "x"}, {"max_seq_len": {"low": 9}},
        {"dtype": {"low": 1, "high": 2}}, {"batch_size": (9, 3)}, {"warmup_steps": {"low": 0, "high": 9, "log": True}},
        {"batch_size": {"low": 1, "high": 9, "step": -1}}, {"packing": ["perhaps"]},
        {"batch_size": {"low": 1, "high": 9, "when": {"nope": [1]}}},
        {"batch_size": {"low": 1, "high": 9, "when": {"packing": []}}},
        {"packing": {"when": {"use_moe": [True]}}, "use_moe": {"when": {"packing": [True]}}},
    ],
)  # fmt: skip
def test_every_problem_of_a_space_reads_as_chinese(search: Any) -> None:
    with pytest.raises(SettingsError) as caught:
        read_space("sft", search)
    for problem in caught.value.problems:
        assert re.search(r"[\u4e00-\u9fff]", texts("zh").problem(problem)), problem


@pytest.mark.parametrize(
    ("options", "objectives"),
    [
        ({"n_trials": 0}, ()), ({"sampler": "guess"}, ()), ({"sampler": "grid"}, ()), ({"odd": 1}, ()),
        ({"sampler": "grid", "n_trials": 2}, ()), ({}, ["eval/loss", "train/loss"]), ({}, ["eval/loss", "eval/loss"]),
        ({"sampler": "cmaes", "pruner": "none"}, ["eval/loss", "train/loss"]), ({}, [{"metric": ""}]),
        ({}, [{"metric": "eval/loss", "direction": "up"}]), ({"pruner": "none"}, ["a", "b", "c", "d", "e"]),
    ],
)  # fmt: skip
def test_every_problem_of_options_reads_as_chinese(options: dict[str, Any], objectives: Any) -> None:
    space = {"batch_size": [8, 16, 32], "packing": None} if "n_trials" in options else {"learning_rate": None}
    with pytest.raises(SettingsError) as caught:
        read_spec("sft", {"data_path": DATA}, space, options, objectives)
    for problem in caught.value.problems:
        assert re.search(r"[\u4e00-\u9fff]", texts("zh").problem(problem)), problem


def test_what_nobody_translated_stays_as_it_came() -> None:
    assert texts("zh").problem(Problem("search.x", "never_heard", "Odd.")) == "Odd."
