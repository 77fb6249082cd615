"""The Data page as Python makes it."""

import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from fake_data import HTML
from fake_platform import FakePlatform

from dash_app.pages import new_task
from dash_app.texts import LANGUAGES, texts
from dash_app.ui import is_page, page_for
from minimind_platform.views import Dataset
from trainer.hub_files import ITEMS


def walk(component: Any) -> list[Any]:
    if isinstance(component, list | tuple):
        return [found for item in component for found in walk(item)]
    children = getattr(component, "children", None)
    return [component, *walk(children)] if hasattr(component, "to_plotly_json") else [component]


def text_of(component: Any) -> str:
    return "".join(str(c) for c in walk(component) if isinstance(c, str | int | float))


def page(platform: FakePlatform, query: dict[str, str], language: str = "en") -> Any:
    return page_for(platform, "/data", query, texts(language))  # type: ignore[arg-type]


def by_id(page: Any) -> dict[str, Any]:
    return {c.id: c for c in walk(page) if isinstance(getattr(c, "id", None), str)}


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_list_shows_data_sets_and_everything_that_can_be_fetched(platform: FakePlatform, language: str) -> None:
    shown = text_of(page(platform, {}, language))
    assert all(dataset.path in shown for dataset in platform.data)
    assert all(item.name in shown and item.path in shown for item in ITEMS.values())
    if language == "en":
        assert all(item.about in shown for item in ITEMS.values())


def test_everything_that_can_be_fetched_is_described_in_chinese() -> None:
    assert set(texts("zh").hub_texts) == set(ITEMS)
    assert all(re.search(r"[\u4e00-\u9fff]", text) for text in texts("zh").hub_texts.values())


def test_a_folder_tells_how_many_files_it_has(platform: FakePlatform) -> None:
    platform.data.append(Dataset("dataset/wiki", "wiki/", 3_000, 30, "pretrain", 1.0, 12))
    assert "12 files" in text_of(page(platform, {}))
    assert "12 files" in text_of(page(platform, {"path": "dataset/wiki"}))


def test_no_data_sets_say_where_to_put_some(platform: FakePlatform) -> None:
    platform.data.clear()
    shown = text_of(page(platform, {}))
    assert "No data sets yet" in shown
    assert str(platform.settings.data_dir) in shown
    assert "pretrain_t2t_mini" in shown


def test_the_mirror_in_use_is_named(platform: FakePlatform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "https://mirror.example")
    assert "https://mirror.example" in text_of(page(platform, {}))


def test_train_on_this_opens_the_form_with_the_data(platform: FakePlatform) -> None:
    opened = by_id(page(platform, {"path": "dataset/samples/sft.jsonl"}))
    query = {key: values[0] for key, values in parse_qs(urlsplit(opened["data-train"].href).query).items()}
    assert query == {"type": "sft", "data": "dataset/samples/sft.jsonl"}
    form = by_id(new_task.layout(platform, query | {"max_seq_len": "64"}, texts("en")))  # type: ignore[arg-type]
    assert form["field-data_path"].value == "dataset/samples/sft.jsonl"
    assert form["task-type"].value == "sft"
    assert form["field-max_seq_len"].value == "64"


def test_weights_with_a_tokenizer_of_their_own_fill_in_both(platform: FakePlatform) -> None:
    query = {"type": "sft", "base": "out/hub/minimind-3-pytorch/pretrain_768.pth", "tokenizer": "out/hub/t"}
    form = by_id(new_task.layout(platform, query, texts("en")))  # type: ignore[arg-type]
    assert form["field-from_weight"].value == query["base"]
    assert form["field-tokenizer_path"].value == "out/hub/t"


def test_what_no_training_reads_has_no_button_to_train(platform: FakePlatform) -> None:
    opened = by_id(page(platform, {"path": "dataset/notes.jsonl"}))
    assert "data-train" not in opened
    assert opened["data-type"].value in [option["value"] for option in opened["data-type"].options]


def test_type_and_length_come_from_the_address_else_from_the_format(platform: FakePlatform) -> None:
    plain = by_id(page(platform, {"path": "dataset/samples/sft.jsonl"}))
    default = platform.training_types()["sft"].defaults["max_seq_len"]
    assert (plain["data-type"].value, plain["data-length"].value) == ("sft", str(default))
    query = {"path": "dataset/samples/sft.jsonl", "type": "pretrain", "max_seq_len": "512"}
    asked = by_id(page(platform, query))
    assert (asked["data-type"].value, asked["data-length"].value) == ("pretrain", "512")
    odd = by_id(page(platform, query | {"type": HTML, "max_seq_len": HTML}))
    assert (odd["data-type"].value, odd["data-length"].value) == ("sft", str(default))


def test_a_file_that_is_gone_and_names_with_markup(platform: FakePlatform) -> None:
    assert "There is no such data set" in text_of(page(platform, {"path": f"dataset/{HTML}"}))
    platform.data.append(Dataset(f"dataset/{HTML}.jsonl", f"{HTML}.jsonl", 3, None, "sft"))
    assert f"{HTML}.jsonl" in text_of(page(platform, {"path": f"dataset/{HTML}.jsonl"}))
    assert is_page("/data")


def test_assets_stay_text(platform: FakePlatform) -> None:
    script = Path("dash_app/assets/75-data.js")
    source = (Path(__file__).parents[2] / script).read_text(encoding="utf-8")
    assert "textContent = span.text" in source
