"""The texts in every language: none is missing, and problems read well in each."""

import ast
import re
import string
from pathlib import Path
from typing import Any

import pytest
from fake_platform import FakePlatform

import dash_app
from dash_app.texts import LANGUAGES, pick_texts, texts
from minimind_platform.errors import Problem, SettingsError
from trainer.configs import parse_config

FOLDER = Path(dash_app.__file__).parent


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_setting_has_a_label_in_every_language(platform: FakePlatform, language: str) -> None:
    t = texts(language)
    types = platform.training_types().values()
    fields = {field.name for kind in types for field in kind.fields}
    own = {
        f"{group}.{field.name}" for kind in types for group in (kind.name, kind.data_format) for field in kind.fields
    }
    assert fields <= set(t.labels) <= fields | own
    if language != "en":
        assert fields <= set(t.helps) <= fields | own
        assert all(re.search(r"[\u4e00-\u9fff]", text) for text in t.helps.values())
        for name in fields:  # told apart where English does, and only there
            told = {(field.help, t.help(field, kind)) for kind in types for field in kind.fields if field.name == name}
            assert len({english for english, _ in told}) == len({other for _, other in told}) == len(told), told


def test_all_languages_have_the_same_texts_with_the_same_gaps() -> None:
    def gaps(text: str) -> set[str]:
        return {name for _, name, _, _ in string.Formatter().parse(text) if name}

    first, *others = [pages.TEXTS for pages, _ in LANGUAGES.values()]
    for other in others:
        assert set(other) == set(first)
        assert {k: gaps(v) for k, v in other.items()} == {k: gaps(v) for k, v in first.items()}


def test_every_text_that_code_asks_for_exists() -> None:
    keys = texts("en").pages
    for path in FOLDER.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and getattr(node.func, "id", "") == "t"
                and isinstance(node.args[0], ast.Constant)
            ):
                assert node.args[0].value in keys, path
    for path in FOLDER.glob("assets/*.js"):
        for key in re.findall(r'\btext\("(\w[\w.]*)"', path.read_text(encoding="utf-8")):
            assert f"js.{key}" in keys, path


def codes_in_code() -> set[str]:
    """The problem codes that the sources of trainer and platform hold; a command line speaks English only."""
    root = FOLDER.parent
    found: set[str] = set()
    for path in [*root.glob("trainer/*.py"), *root.glob("platform/minimind_platform/*.py")]:
        if path.name.startswith("cli"):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and getattr(node.func, "id", "") in ("Problem", "FieldProblem")
                and len(node.args) > 1
            ):
                code = node.args[1]
                found |= {code.value} if isinstance(code, ast.Constant) else set()
    return found


def test_every_problem_of_ours_is_said_in_chinese() -> None:
    assert codes_in_code() <= set(texts("zh").problems)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"data_path": ""},
        {"data_path": "x" * 5000},
        {"data_path": "x", "epochs": "2.5", "learning_rate": "fast", "use_moe": "perhaps", "batch_size": 0},
        {"data_path": "x", "eval_fraction": 0.9, "nope": 1},
        {"data_path": "x", "learning_rate": 1, "grad_clip": "nan", "warmup_steps": None, "dtype": "int8"},
        {"data_path": "x", "device": "tpu"},
        {"data_path": "x", "hidden_size": 100}, {"data_path": "x", "hidden_size": 24},
        {"data_path": "x", "num_key_value_heads": 3}, {"data_path": "x", "use_moe": True, "architecture": "v2"},
        {"data_path": "x", "use_moe": True, "num_experts_per_tok": 9},
        {"data_path": 3, "seed": 2**40},
    ],
)  # fmt: skip
def test_every_problem_of_settings_reads_as_chinese(values: dict[str, Any]) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_config("sft", values)
    for problem in caught.value.problems:
        assert re.search(r"[\u4e00-\u9fff]", texts("zh").problem(problem)), problem
        assert "{" not in texts("en").problem(problem)


def test_a_problem_without_its_values_falls_back_to_its_sentence() -> None:
    assert texts("zh").problem(Problem("x", "less_than", "Too large.")) == "Too large."
    assert texts("zh").problem(Problem("x", "never_heard", "Odd.")) == "Odd."


def test_reasons_read_as_chinese_where_they_are_known() -> None:
    assert texts("zh").reason("its turn, on cuda:0") == "轮到它了，使用 cuda:0"
    assert texts("zh").reason("something new") == "something new"
    assert texts("en").reason("submitted") == "submitted"


@pytest.mark.parametrize(
    ("cookie", "header", "expected"),
    [
        (None, None, "en"),
        ("zh", "en", "zh"),
        (None, "zh-CN,zh;q=0.9", "zh"),
        (None, "fr, zh-TW;q=0.5", "zh"),
        ("xx", "de", "en"),
    ],
)
def test_the_language_is_the_chosen_one_else_the_browsers(
    cookie: str | None, header: str | None, expected: str
) -> None:
    assert pick_texts(cookie, header).language == expected
