"""Rewards in the form and on a task's page."""

import json
import re
from collections.abc import Iterator
from typing import Annotated, Any

import pytest
from fake_platform import FakePlatform

from dash_app import forms, reward_form
from dash_app.pages import new_task, task
from dash_app.texts import LANGUAGES, texts
from trainer.configs import TRAINING_TYPES, SFTConfig
from trainer.fields import reward_kinds
from trainer.reward_specs import DEFAULT_REWARDS, RewardList
from trainer.shared_config import Setting

DEFAULT = '[{"kind": "answer", "weight": 1, "mode": "numeric"}, {"kind": "repetition", "weight": 1}]'
CHANGED = '[{"kind": "length", "max_chars": 400}]'


class RewardedConfig(SFTConfig):
    """A type with rewards."""

    type = "rewarded"
    title = "Rewarded"
    rewards: Annotated[RewardList, Setting("rewards", kind="rewards")] = DEFAULT_REWARDS
    """What is rewarded."""


@pytest.fixture(autouse=True)
def only_here() -> Iterator[None]:
    """Rewards in this type alone."""
    real = dict(TRAINING_TYPES)
    others = {name: cls for name, cls in real.items() if "rewards" not in cls.model_fields}
    TRAINING_TYPES.clear()
    TRAINING_TYPES.update(others | {"rewarded": RewardedConfig})
    yield
    TRAINING_TYPES.clear()
    TRAINING_TYPES.update(real)  # in their order


def shown(part: Any) -> str:
    return json.dumps(part, default=lambda inner: inner.to_plotly_json(), ensure_ascii=False)


def form(platform: FakePlatform, **values: str) -> dict[str, Any]:
    held = forms.default_values(platform.training_types(), "rewarded") | {"data_path": "dataset/samples/sft.jsonl"}
    return {"type": "rewarded", "preset": "", "start": "", "trigger": "", "tried": True, "values": held | values,
            "name": "", "priority": "0", "key": "", "parent": ""}  # fmt: skip


def test_the_field_holds_the_rewards_as_text(platform: FakePlatform) -> None:
    values = forms.default_values(platform.training_types(), "rewarded")
    assert values["rewards"] == DEFAULT
    page = shown(new_task.layout(platform, {"type": "rewarded"}, texts("en")))  # type: ignore[arg-type]
    assert '"id": "reward-cards"' in page and '"id": "reward-add"' in page
    assert json.dumps(DEFAULT, ensure_ascii=False) in page


def test_the_card_is_hidden_where_nothing_is_rewarded(platform: FakePlatform) -> None:
    hidden = {"type": "sft", "preset": "", "start": "", "trigger": "task-type", "tried": False, "values": {}}
    updates = new_task.changes(platform, hidden, "rewarded", texts("en"))  # type: ignore[arg-type]
    assert updates["group-rewards"] == {"hidden": True}
    back = new_task.changes(platform, hidden | {"type": "rewarded"}, "sft", texts("en"))  # type: ignore[arg-type]
    assert back["group-rewards"] == {"hidden": False} and back["field-rewards"] == {"value": DEFAULT}


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_problem_names_its_reward_and_option(platform: FakePlatform, language: str) -> None:
    t = texts(language)
    wrong = '[{"kind": "answer", "mode": "fuzzy"}, {"kind": "regex", "weight": "much"}, {"kind": "taste"}]'
    updates = new_task.changes(platform, form(platform, rewards=wrong), "rewarded", t)  # type: ignore[arg-type]
    lines = [line.to_plotly_json()["props"] for line in updates["error-rewards"]["children"]]
    places = [(line["data-number"], line["data-option"]) for line in lines]
    assert places == [("1", "mode"), ("2", "weight"), ("2", "pattern"), ("3", "kind")]
    assert lines[2]["data-inner"] == t.problems["missing"]
    assert "much" in lines[1]["data-inner"] and lines[1]["data-inner"] in lines[1]["children"]
    assert all("{" not in line["children"] for line in lines)
    summary = shown(updates["form-summary"]["children"])
    assert all(f'"href": "#reward-{number}-{option}"' in summary for number, option in places)


@pytest.mark.parametrize("language", LANGUAGES)
def test_text_that_is_no_list_is_told_below_the_cards(platform: FakePlatform, language: str) -> None:
    updates = new_task.changes(platform, form(platform, rewards="[{"), "rewarded", texts(language))  # type: ignore[arg-type]
    (line,) = updates["error-rewards"]["children"]
    assert '[{"kind": "answer"}]' in line.children
    assert line.to_plotly_json()["props"]["data-number"] == ""


def test_a_copied_task_has_the_same_rewards_and_a_short_form_of_them(platform: FakePlatform) -> None:
    updates, made = new_task.submission(platform, form(platform, rewards=CHANGED), texts("en"))  # type: ignore[arg-type]
    assert made
    task_id = updates["url"]["href"].removeprefix("/tasks/")
    assert platform.task(task_id).config["rewards"][0] == {
        "kind": "length", "weight": 0.5, "name": "", "min_chars": 20, "max_chars": 400,
    }  # fmt: skip
    copied = shown(new_task.layout(platform, {"clone": task_id}, texts("en")))  # type: ignore[arg-type]
    text = '[{"kind": "length", "weight": 0.5, "min_chars": 20, "max_chars": 400}]'
    assert json.dumps(text) in copied
    again, made = new_task.submission(platform, form(platform, rewards=text), texts("en"))  # type: ignore[arg-type]
    assert made
    copy = platform.task(again["url"]["href"].removeprefix("/tasks/"))
    assert copy.config["rewards"] == platform.task(task_id).config["rewards"]
    settings = shown(task.layout(platform, task_id, texts("en")))  # type: ignore[arg-type]
    assert '"length ×0.5 (max_chars 400)"' in settings and '"answer ×1, repetition ×1"' in settings


def test_every_kind_and_option_is_said_in_chinese() -> None:
    t = texts("zh")
    chinese = re.compile(r"[\u4e00-\u9fff]")
    for kind in reward_kinds().values():
        assert chinese.search(t.reward(kind) + t.reward_help(kind)) and chinese.search(t.reward_help(kind))
        for field in kind.fields:
            assert chinese.search(t.option(field.name)), field.name
            assert chinese.search(t.option_help(kind.kind, field)), f"{kind.kind}.{field.name}"


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_option_has_a_label(language: str) -> None:
    names = {field.name for kind in reward_kinds().values() for field in kind.fields}
    assert set(texts(language).options) == names


def test_cards_know_what_each_kind_needs() -> None:
    (field,) = [f for f in forms.union_fields(FakePlatform(None).training_types()).values() if f.kind == "rewards"]  # type: ignore[arg-type]
    cards, _, _ = reward_form.composer(field, DEFAULT, reward_kinds(), texts("en"))
    kinds = {kind["kind"]: kind for kind in json.loads(cards.to_plotly_json()["props"]["data-kinds"])}
    assert [option["name"] for option in kinds["answer"]["options"]] == ["weight", "mode", "name"]
    assert kinds["answer"]["options"][1]["choices"] == ["numeric", "exact"]
    assert kinds["length"]["options"][0]["default"] == 0.5 and kinds["regex"]["options"][1]["required"]
