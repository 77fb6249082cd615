"""The pages' content as Python makes it: lists, charts, versions, and user text as text."""

import gzip
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from fake_data import HTML
from fake_platform import FakePlatform
from fastapi.testclient import TestClient
from httpx import Response
from page_parts import by_id, text_of, walk

import dash_app
from dash_app import formats
from dash_app.attempts import attempts_panel
from dash_app.charts import BY_REWARDS, Chart, groups
from dash_app.pages import models, new_task, task, trash
from dash_app.statics import PLOTLY_FILE, PLOTLY_VERSION
from dash_app.texts import LANGUAGES, texts
from dash_app.ui import page_for
from minimind_platform.attempts import attempts_of
from minimind_platform.tasks import Task, TaskEvent
from trainer.configs import TRAINING_TYPES
from trainer.names import Metric

FOLDER = Path(dash_app.__file__).parent


@pytest.mark.parametrize(
    "path", ["/tasks", "/new", "/new?", "/models", "/tasks/a2", "/tasks/c4", "/tasks/nope", f"/{HTML}"]
)
@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.fault("script in a name, log or error")
def test_pages_hold_user_text_only_as_text(platform: FakePlatform, path: str, language: str) -> None:
    page = page_for(platform, path, {"clone": "c4", "base": HTML}, texts(language))  # type: ignore[arg-type]
    for component in walk(page):
        kind = type(component).__name__
        assert kind not in ("Markdown", "DangerouslySetInnerHTML", "Iframe")
        assert not getattr(component, "dangerously_allow_html", False)


@pytest.mark.fault("script in a name, log or error")
def test_scripts_never_write_markup() -> None:
    for path in FOLDER.glob("assets/*.js"):
        source = path.read_text(encoding="utf-8")
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", source), path
        named = source.replace("http://www.w3.org/2000/svg", "")  # what drawings are called; nobody is asked
        assert not re.search(r"https?://", named), path


def test_nothing_is_loaded_from_elsewhere() -> None:
    for path in [*FOLDER.glob("assets/*.css"), *FOLDER.rglob("*.py")]:
        assert not re.search(r"(url\(|src=|href=)[\"']?https?://", path.read_text(encoding="utf-8")), path


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
    client.cookies.set("lang", language)
    for answer in (asked(client, "/new"), client.get("/_dash-layout", headers={"Referer": "http://localhost/new"})):
        assert answer.status_code == 200
        assert texts(language)("page.failed") in json.dumps(answer.json(), ensure_ascii=False)


def asked(client: TestClient, path: str, first: str = "") -> Response:
    """What Dash answers when the address becomes this."""
    inputs = [{"id": "url", "property": name, "value": value} for name, value in (("pathname", path), ("search", ""))]
    outputs = [{"id": "page", "property": "children"}, {"id": "first-page", "property": "data"}]
    body = {
        "output": "..page.children...first-page.data..",
        "outputs": outputs,
        "inputs": inputs,
        "state": [{"id": "first-page", "property": "data", "value": first}],
        "changedPropIds": ["url.pathname"],
    }
    return client.post("/_dash-update-component", json=body)


def test_the_page_that_a_browser_opens_comes_with_the_frame_and_is_not_made_twice(client: TestClient) -> None:
    def frame(path: str) -> str:
        return json.dumps(client.get("/_dash-layout", headers={"Referer": f"http://localhost{path}"}).json())

    opened = frame("/tasks/a2?x=1")
    assert "data-page-token" in opened and '"/tasks/a2?x=1"' in opened
    assert "data-page-token" not in frame("/nowhere")
    assert "data-page-token" not in client.get("/_dash-layout").text
    assert "page" not in asked(client, "/tasks", first="/tasks").json()["response"]
    assert "page" in asked(client, "/tasks", first="/models").json()["response"]


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


def test_the_trash_says_how_long_it_keeps_things(platform: FakePlatform) -> None:
    def told(language: str) -> str:
        return text_of(trash.layout(platform, texts(language)))  # type: ignore[arg-type]

    assert "until you remove them for good" in told("en")
    platform.settings = replace(platform.settings, trash_days=30)
    assert "for 30 days" in told("en") and "保留 30 天" in told("zh")
