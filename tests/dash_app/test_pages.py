"""The pages' content as Python makes it: forms from fields, lists, plans, and user text as text."""

import gzip
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from dash import html
from fake_data import HTML
from fake_platform import FakePlatform
from fastapi.testclient import TestClient
from page_parts import by_id, text_of, walk

import dash_app
from dash_app import formats, forms, plans, start_form
from dash_app.attempts import attempts_panel
from dash_app.charts import BY_REWARDS, Chart, groups
from dash_app.pages import models, new_task, task
from dash_app.statics import PLOTLY_FILE, PLOTLY_VERSION
from dash_app.texts import LANGUAGES, texts
from dash_app.ui import page_for
from minimind_platform.attempts import attempts_of
from minimind_platform.tasks import Task, TaskEvent
from minimind_platform.views import Preflight
from trainer.advice import advice
from trainer.configs import TRAINING_TYPES, parse_config
from trainer.names import Metric

FOLDER = Path(dash_app.__file__).parent


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


@pytest.mark.parametrize(
    "path", ["/tasks", "/new", "/new?", "/models", "/tasks/a2", "/tasks/c4", "/tasks/nope", f"/{HTML}"]
)
@pytest.mark.parametrize("language", LANGUAGES)
def test_pages_hold_user_text_only_as_text(platform: FakePlatform, path: str, language: str) -> None:
    page = page_for(platform, path, {"clone": "c4", "base": HTML}, texts(language))  # type: ignore[arg-type]
    for component in walk(page):
        kind = type(component).__name__
        assert kind not in ("Markdown", "DangerouslySetInnerHTML", "Iframe")
        assert not getattr(component, "dangerously_allow_html", False)


def test_scripts_never_write_markup() -> None:
    for path in FOLDER.glob("assets/*.js"):
        source = path.read_text(encoding="utf-8")
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", source), path
        named = source.replace("http://www.w3.org/2000/svg", "")  # what drawings are called; nobody is asked
        assert not re.search(r"https?://", named), path


def test_nothing_is_loaded_from_elsewhere() -> None:
    for path in [*FOLDER.glob("assets/*.css"), *FOLDER.rglob("*.py")]:
        assert not re.search(r"(url\(|src=|href=)[\"']?https?://", path.read_text(encoding="utf-8")), path


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


def test_settings_that_differ_from_the_default_are_marked(platform: FakePlatform) -> None:
    rows = [c for c in walk(task.layout(platform, "a2", texts("en"))) if getattr(c, "className", "") == "changed"]  # type: ignore[arg-type]
    assert [text_of(row) for row in rows] == [
        "Training datadata_pathdataset/samples/pretrain.jsonlchanged–",
        "Widthhidden_size512changed768",
    ]


def test_models_are_found_by_words_and_their_absence_is_explained(platform: FakePlatform) -> None:
    t = texts("en")
    assert "minimind-sft" in text_of(models.lists(platform, "SFT tiny", t))  # type: ignore[arg-type]
    assert "pretrain_768" not in text_of(models.lists(platform, "SFT tiny", t))  # type: ignore[arg-type]
    assert t("models.none_match", words="zzz") in text_of(models.lists(platform, "zzz", t))  # type: ignore[arg-type]
    platform.tracking = False
    assert t("models.away") in text_of(models.lists(platform, "", t))  # type: ignore[arg-type]
    platform.files.clear()
    platform.tracking, platform.versions = True, []
    assert t("models.empty") in text_of(models.lists(platform, "", t))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("language", "told"), [("en", "adapters of minimind-sft/1"), ("zh", "minimind-sft/1 的适配器")]
)
def test_adapters_name_their_base(platform: FakePlatform, language: str, told: str) -> None:
    version = replace(platform.versions[0], type="lora", lora_rank=16, base="models:/minimind-sft/1")
    assert told in text_of(models.version_row(version, texts(language)))
    assert told not in text_of(models.version_row(replace(version, lora_rank=0), texts(language)))


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


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("type_name", sorted(TRAINING_TYPES))
def test_every_chart_of_a_type_is_described(platform: FakePlatform, type_name: str, language: str) -> None:
    running = platform.task("a2")
    rewards = [{"kind": "answer"}, {"kind": "regex", "name": "polite"}]
    running = replace(running, type=type_name, config=running.config | {"rewards": rewards, "beta": 0.1})
    platform.all[running.id] = running
    page = by_id(task.layout(platform, "a2", texts(language)))  # type: ignore[arg-type]
    specs = json.loads(page["charts"].to_plotly_json()["props"]["data-groups"])
    charts = [chart for group in specs for chart in group["charts"]]
    lines = [line for chart in charts for line in chart["lines"]]
    assert all(part["title"] for part in [*specs, *charts]) and all(line["label"] for line in lines)
    assert len({chart["key"] for chart in charts}) == len(charts)
    metrics = [line["metric"] for line in lines]
    assert len(set(metrics)) == len(metrics)
    assert {Metric.LOSS, Metric.GRAD_NORM, Metric.MFU, Metric.GPU_MEMORY_MB, Metric.STEP_SECONDS} <= set(metrics)
    assert charts[0]["key"] == ("reward" if type_name in BY_REWARDS else "loss") and charts[0]["always"]
    loss = next(chart["lines"][0] for chart in charts if chart["key"] == "loss")
    assert (loss["low"], loss["high"]) == (Metric.LOSS_MIN, Metric.LOSS_MAX)
    assert ("tile-reward" in page) == (type_name in BY_REWARDS)


def charts_of(running: Task) -> dict[str, Chart]:
    return {chart.key: chart for group in groups(running) for chart in group.charts}


def test_each_reward_has_a_curve_in_words(platform: FakePlatform) -> None:
    running = platform.task("a2")
    rewards = [{"kind": "answer", "name": ""}, {"kind": "regex", "name": "polite"}]
    by_rewards = replace(running, type="spo", config={"rewards": rewards, "beta": 0.0})
    found = charts_of(by_rewards)
    metrics = [line.metric for line in found["each_reward"].lines]
    assert metrics == ["reward/answer", "eval/answer", "reward/polite", "eval/polite"]
    labels = [line["label"] for line in found["each_reward"].spec(texts("zh"))["lines"]]
    assert labels == ["正确答案", "正确答案（评估）", "polite", "polite（评估）"]
    assert "distance" not in found  # without beta there is no reference to be far from
    alone = replace(by_rewards, config={"rewards": rewards[:1], "beta": 0.1})
    assert {"distance"} == set(charts_of(alone)) - set(found)


def test_a_version_by_rewards_shows_its_reward_not_a_loss(platform: FakePlatform) -> None:
    version = replace(platform.versions[0], eval_loss=None, eval_reward=0.25)
    assert "reward 0.2500" in text_of(models.version_row(version, texts("en")))
    assert "奖励 0.2500" in text_of(models.version_row(version, texts("zh")))
    platform.versions = [version]
    page = by_id(new_task.layout(platform, {"type": "sft"}, texts("en")))  # type: ignore[arg-type]
    assert "reward 0.2500" in text_of(page["picks-from_weight"])


def test_a_version_beyond_the_first_ones_has_all_cells(platform: FakePlatform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "MOST_ROWS", 1)
    t = texts("en")
    for words in ("minimind-sft", ""):
        page = walk(models.lists(platform, words, t))  # type: ignore[arg-type]
        [_, row, *_] = [c for c in page if type(c).__name__ == "Tr"]
        assert len(row.children) == len(models.version_columns(t, with_task=True))
        assert ("sft-tiny" if words else "tiny-first-try") in text_of(row)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_page_that_fails_says_so(
    client: TestClient, platform: FakePlatform, monkeypatch: pytest.MonkeyPatch, language: str
) -> None:
    def datasets() -> None:
        raise OSError("no disk")

    monkeypatch.setattr(platform, "datasets", datasets)
    inputs = [{"id": "url", "property": name, "value": value} for name, value in (("pathname", "/new"), ("search", ""))]
    outputs = {"id": "page", "property": "children"}
    body = {"output": "page.children", "outputs": outputs, "inputs": inputs, "changedPropIds": ["url.pathname"]}
    client.cookies.set("lang", language)
    answer = client.post("/_dash-update-component", json=body)
    assert answer.status_code == 200
    assert texts(language)("page.failed") in json.dumps(answer.json(), ensure_ascii=False)


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (formats.whole(12613), "12,613"), (formats.short(1_310_000), "1.3 M"), (formats.short(512), "512"),
        (formats.size(2_100_000_000), "2.1 GB"), (formats.size(999), "999 B"), (formats.size(999_600), "1.0 MB"),
        (formats.duration(200, texts("en")), "3 min 20 s"), (formats.duration(0.2, texts("en")), "< 1 s"),
        (formats.duration(90_000, texts("zh")), "1 天 1 小时"), (formats.setting(1e-05), "1e-5"),
        (formats.setting(0.0005), "0.0005"), (formats.loss(None), "–"),
        (formats.rate(0.0005), "5.00e-4"), (formats.rate(0.002), "0.002"),
    ],
)  # fmt: skip
def test_numbers_read_well(made: str, expected: str) -> None:
    assert made == expected


def test_the_plotting_script_is_of_the_version_of_the_package() -> None:
    import plotly

    whole = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
    with whole.open(encoding="utf-8") as file:
        head = file.read(200)
    assert f"plotly.js v{PLOTLY_VERSION}" in head
    assert f"v{PLOTLY_VERSION}" in gzip.decompress(PLOTLY_FILE.read_bytes())[:300].decode()
    assert f"?v={PLOTLY_VERSION}" in (FOLDER / "assets" / "62-plot.js").read_text(encoding="utf-8")


def test_pages_are_json(platform: FakePlatform) -> None:
    page = page_for(platform, "/tasks/c4", {}, texts("zh"))  # type: ignore[arg-type]
    json.dumps(page, default=lambda c: c.to_plotly_json())


TRIED = [
    TaskEvent(0, 0, "", "QUEUED", "submitted"),
    TaskEvent(1, 1, "QUEUED", "STARTING", "its turn, on cuda:0"),
    TaskEvent(2, 1, "STARTING", "RUNNING", "its trainer runs"),
    TaskEvent(61, 1, "RUNNING", "LOST", "Out of memory: 78.0 of 79.0 GB.", "out_of_memory"),
    TaskEvent(61, 1, "LOST", "QUEUED", "to be resumed", "", {"batch_size": 16, "accumulation_steps": 2}),
    TaskEvent(62, 2, "QUEUED", "STARTING", "its turn, on cuda:0"),
    TaskEvent(90, 2, "RUNNING", "LOST", "lost with its process"),
    TaskEvent(90, 2, "LOST", "QUEUED", "to be resumed after a pause of 15 s"),
    TaskEvent(95, 3, "QUEUED", "STARTING", "its turn, on cuda:0"),
]


@pytest.mark.parametrize(("language", "words"), [("en", "Out of memory"), ("zh", "内存不足")])
def test_each_attempt_is_shown_with_its_end_and_what_was_changed(language: str, words: str) -> None:
    tried = attempts_of(TRIED)
    assert [(a.number, a.error_class, a.overrides.get("batch_size")) for a in tried] == [
        (1, "out_of_memory", None), (2, "", 16), (3, "", 16),
    ]  # fmt: skip
    assert tried[2].ended_at is None and tried[1].ending == "lost with its process"
    panel = attempts_panel(tried, texts(language))
    assert panel is not None
    told = text_of(panel)
    assert words in told and "batch_size 16, accumulation_steps 2" in told
    assert attempts_panel(tried[:1], texts(language)) is None
