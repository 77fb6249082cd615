"""The form of a new task as Python makes it: from fields, with values to begin with, advice and a plan."""

import re
from typing import Any

import pytest
from dash import html
from fake_platform import FakePlatform
from page_parts import by_id, text_of, walk

from dash_app import forms, plans, start_form
from dash_app.pages import new_task
from dash_app.texts import LANGUAGES, texts
from minimind_platform.views import Preflight
from trainer.advice import advice
from trainer.configs import TRAINING_TYPES, parse_config


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("type_name", TRAINING_TYPES)
def test_every_field_has_an_input_a_label_and_a_help(platform: FakePlatform, language: str, type_name: str) -> None:
    page = new_task.layout(platform, {"type": type_name}, texts(language))  # type: ignore[arg-type]
    parts = by_id(page)
    labels = {c.html_for for c in walk(page) if getattr(c, "html_for", None)}
    for name, field in forms.type_fields(platform.training_types(), type_name).items():
        assert f"field-{name}" in parts
        assert f"field-{name}" in labels
        assert parts[f"entry-{name}"].hidden is False
        assert len(text_of(parts[f"help-{name}"])) > 5, field


def test_weights_are_picked_for_the_student_and_for_the_teacher(platform: FakePlatform) -> None:
    page = new_task.layout(platform, {"type": "distill"}, texts("en"))  # type: ignore[arg-type]
    parts = by_id(page)
    picks = {
        name: [c.to_plotly_json()["props"]["data-value"] for c in parts[f"picks-{name}"].children]
        for name in ("from_weight", "from_teacher_weight")
    }
    assert picks["from_weight"][0] == "none"  # a student may start from nothing, a teacher may not
    assert picks["from_teacher_weight"] == picks["from_weight"][1:]
    assert any(value.startswith("models:/") for value in picks["from_teacher_weight"])
    assert any(value.endswith(".pth") for value in picks["from_teacher_weight"])


@pytest.mark.parametrize("type_name", TRAINING_TYPES)
def test_the_settings_that_a_card_folds_away_are_counted(platform: FakePlatform, type_name: str) -> None:
    parts = by_id(new_task.layout(platform, {"type": type_name}, texts("en")))  # type: ignore[arg-type]
    assert {group for group in forms.GROUPS if not parts[f"group-{group}"].hidden} >= {"data", "model", "training"}
    for group in forms.shown_groups(platform.training_types(), type_name):
        fold = by_id(parts[f"advanced-{group}"])
        shown = [c for name, c in fold.items() if name.startswith("entry-") and not c.hidden]
        assert text_of(parts[f"count-{group}"]) == f"{len(shown)} more"
        assert shown


def test_without_any_model_the_teacher_s_list_says_so(platform: FakePlatform) -> None:
    platform.versions, platform.files = [], []
    page = new_task.layout(platform, {"type": "distill"}, texts("en"))  # type: ignore[arg-type]
    assert "No models yet" in text_of(by_id(page)["pick-from_teacher_weight"])


def change(platform: FakePlatform, before: str, **form: Any) -> new_task.Updates:
    values = forms.default_values(platform.training_types(), before) | form.pop("values", {})
    whole = {
        "type": before,
        "preset": "minimind-3",
        "start": "",
        "trigger": "",
        "tried": False,
        "values": values,
    } | form
    return new_task.changes(platform, whole, before, texts("en"))  # type: ignore[arg-type]


def test_a_change_of_type_keeps_what_a_person_changed(platform: FakePlatform) -> None:
    updates = change(platform, "pretrain", type="sft", values={"batch_size": "7"})
    assert updates["field-learning_rate"] == {"value": "1e-5"}
    assert updates["field-from_weight"] == {"value": "pretrain"}
    assert "field-batch_size" not in updates
    assert updates["entry-system_prompt_ratio"] == {"hidden": False}


def test_what_a_setting_means_follows_the_type(platform: FakePlatform) -> None:
    updates = change(platform, "dpo", type="grpo")
    assert "Longest prompt" in text_of(updates["help-max_seq_len"]["children"])
    assert "Longest prompt" in text_of(updates["label-max_seq_len"]["children"])
    assert "0 – 10" in text_of(updates["help-beta"]["children"])
    assert "> 0" in text_of(change(platform, "grpo", type="dpo")["help-beta"]["children"])
    assert "help-epochs" not in change(platform, "grpo", type="grpo")
    shown = by_id(new_task.layout(platform, {"type": "spo"}, texts("zh")))  # type: ignore[arg-type]
    assert "提示" in text_of(shown["help-max_seq_len"])


def test_from_scratch_is_offered_where_it_can_be_chosen(platform: FakePlatform) -> None:
    updates = {"lora": change(platform, "sft", type="lora"), "sft": change(platform, "lora", type="sft")}
    found = {name: str(update["pick-from_weight"]["children"]) for name, update in updates.items()}
    assert "From scratch" in found["sft"] and "From scratch" not in found["lora"] and "models:/" in found["lora"]
    assert "pick-from_weight" not in change(platform, "sft", type="reason")


def test_a_preset_fills_in_the_sizes(platform: FakePlatform) -> None:
    updates = change(platform, "pretrain", preset="tiny", trigger="preset")
    assert updates["field-hidden_size"] == {"value": "128"}
    assert updates["field-num_hidden_layers"] == {"value": "2"}
    assert change(platform, "pretrain", values={"hidden_size": "640"})["preset"] == {"value": ""}


@pytest.mark.parametrize("type_name", TRAINING_TYPES)
def test_values_to_begin_with_are_offered_where_there_are_some(platform: FakePlatform, type_name: str) -> None:
    t, kind = texts("zh"), platform.training_types()[type_name]
    parts = by_id(new_task.layout(platform, {"type": type_name}, t))  # type: ignore[arg-type]
    assert parts["starts"].hidden == (not kind.starts) and parts["presets"].hidden == kind.needs_base
    assert [option["value"] for option in parts["start"].options] == [*kind.starts, ""]
    assert parts["start"].value == ("minimind" if kind.starts else "")
    assert bool(text_of(parts["base-note"])) == (type_name != "pretrain")  # sizes are those of the weights
    assert all(re.search(r"[\u4e00-\u9fff]", text) for start in kind.starts.values() for text in t.start(start))
    for name in kind.starts:
        updates = change(platform, type_name, start=name, trigger="start")
        held = {key.removeprefix("field-"): now["value"] for key, now in updates.items() if key.startswith("field-")}
        again = change(platform, type_name, start=name, values=held)
        assert "start" not in again and not any(key.startswith("field-") for key in again)


def test_what_is_set_beside_the_values_to_begin_with_wins(platform: FakePlatform) -> None:
    updates = change(platform, "grpo", start="short-answers", trigger="start")
    assert updates["field-learning_rate"] == {"value": "0.0001"}
    assert updates["field-rewards"]["value"].startswith('[{"kind": "answer"')
    assert "sums" in updates["start-help"]["children"]
    held = {key.removeprefix("field-"): now["value"] for key, now in updates.items() if key.startswith("field-")}
    changed = change(platform, "grpo", start="short-answers", values=held | {"num_generations": "12"})
    assert changed["start"] == {"value": ""} and "field-num_generations" not in changed
    types = platform.training_types()
    spo = start_form.switched_values(types, "grpo", "spo", forms.default_values(types, "grpo") | held)
    assert (spo["batch_size"], spo["accumulation_steps"], spo["max_gen_len"]) == ("128", "1", "32")
    typed = forms.default_values(types, "grpo") | held | {"epochs": "7"}
    dpo = start_form.switched_values(types, "grpo", "dpo", typed)
    assert (dpo["learning_rate"], dpo["beta"], dpo["epochs"]) == ("4e-8", "0.15", "7")
    switched = change(platform, "grpo", type="sft", start="minimind")
    assert switched["starts"] == {"hidden": True} and switched["presets"] == {"hidden": False}


def test_an_empty_form_complains_only_after_a_try(platform: FakePlatform) -> None:
    assert change(platform, "pretrain")["error-data_path"] == {"children": None}
    tried = change(platform, "pretrain", tried=True, values={"epochs": "many"})
    assert tried["error-data_path"]["children"] == "Required, but empty."
    assert "many" in text_of(tried["form-summary"]["children"])


def test_a_copied_form_submits_what_the_task_had(platform: FakePlatform) -> None:
    page = by_id(new_task.layout(platform, {"clone": "a2"}, texts("zh")))  # type: ignore[arg-type]
    assert page["field-hidden_size"].value == "512"
    assert page["task-name"].value == "pretrain-512d-8l"
    values = {name: page[f"field-{name}"].value for name in forms.type_fields(platform.training_types(), "pretrain")}
    form = {
        "type": "pretrain",
        "name": "",
        "priority": "0",
        "key": "k",
        "parent": page["new-task"].to_plotly_json()["props"]["data-parent"],
        "values": values,
    }
    updates, made = new_task.submission(platform, form, texts("zh"))  # type: ignore[arg-type]
    assert made
    copy = platform.task(updates["url"]["href"].removeprefix("/tasks/"))
    original = platform.task("a2")
    assert copy.parent_id == original.id
    assert copy.config == original.config | {"save_dir": copy.config["save_dir"]}


def test_the_plan_tells_how_much_is_trained(platform: FakePlatform) -> None:
    page = plans.plan(Preflight(1_300_000, 100, 5000, 40, 9.0, 10**6, 900.0, "", trainable=8192), texts("en"))
    assert text_of(by_id(page)["plan-trainable"]) == "8,192"
    whole = plans.plan(Preflight(1_300_000, 100, 5000, 40, 9.0, 10**6, 900.0, ""), texts("en"))
    assert "plan-trainable" not in by_id(whole)


def test_a_form_that_comes_with_data_has_its_plan(platform: FakePlatform) -> None:
    filled = new_task.layout(platform, {"data": platform.data[0].path}, texts("en"))  # type: ignore[arg-type]
    assert text_of(by_id(filled)["plan-steps"]) == "20,000"
    assert "plan-steps" not in by_id(new_task.layout(platform, {}, texts("en")))  # type: ignore[arg-type]


def test_advice_is_told_at_its_field_in_each_language(platform: FakePlatform) -> None:
    kind = platform.training_types()["dpo"]
    config = parse_config("dpo", {"data_path": "x"})
    for language, told in (("en", "Learning rate: With 4e-08 the model hardly"), ("zh", "学习率: 学习率 4e-08")):
        first, second = plans.advice(advice(config, 63, 419), kind, texts(language))
        assert text_of(first).startswith(told)
        assert "8" in text_of(second) and "#field-eval_fraction" in str(second)
        (button,) = [part for part in walk(first) if type(part).__name__ == "Button"]
        assert button.to_plotly_json()["props"]["data-value"] == "5e-5"


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_plan_of_a_training_by_rewards_tells_no_time(language: str) -> None:
    facts = {"answers_a_step": 128, "written_a_step": 4096, "memory_bytes": 26 * 10**6}
    found = Preflight(1_300_000, 900, 40_000, 60, None, 10**7, None, "", **facts)
    page = by_id(html.Div(plans.plan(found, texts(language))))
    assert "plan-time" not in page and text_of(page["plan-answers"]) == "128"
    assert "4,096" in text_of(page["plan-written"]) and "26" in text_of(page["plan-memory"])
