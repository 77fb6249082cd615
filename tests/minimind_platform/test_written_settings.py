"""Settings as YAML, as a command and as Python: each makes the very same training as the form."""

import json
import random
import shlex
import subprocess
import sys
import types
from types import SimpleNamespace

import pytest

from minimind_platform.cli import _parser
from minimind_platform.cli_fields import given_values
from minimind_platform.typed_settings import as_command, as_python, typed
from minimind_platform.written_settings import as_yaml, read_yaml, with_own_names
from trainer.configs import TRAINING_TYPES, parse_config
from trainer.errors import Problem, SettingsError
from trainer.fields import config_fields

NASTY = 'it\'s "x" $HOME `ls` ; -- #\\ 数据: [1]'
NAME = "-a name: 1 'b'"
REWARDS = [{"kind": "answer", "weight": 0.5, "name": ""}, {"kind": "regex", "weight": 2.0, "pattern": "^'\"\\s*$"}]


def many_values(type_name):
    """Settings of a type that differ from the defaults, as many as go together."""
    random.seed(type_name)
    values = {"data_path": f"dataset/{NASTY}.jsonl"}
    base = {"from_weight": "models:/a/1"}
    if type_name == "distill":
        base["from_teacher_weight"] = "-teacher"
    values |= base
    for field in config_fields(TRAINING_TYPES[type_name]):
        other = {
            "int": (field.default or 0) + 1 if not field.required and field.kind == "int" else None,
            "float": (field.default or 0) * 0.5 + 1e-7 if not field.required and field.kind == "float" else None,
            "bool": not field.default,
            "choice": next((choice for choice in field.choices if choice != field.default), None),
            "text": NASTY,
            "rewards": REWARDS,
        }.get(field.kind)
        try:
            parse_config(type_name, values | {field.name: other})
        except SettingsError:
            continue
        if field.name not in values:
            values[field.name] = other
    return values


@pytest.fixture(params=TRAINING_TYPES)
def training(request):
    values = many_values(request.param)
    assert len(values) > 15
    texts = {
        name: json.dumps(value) if isinstance(value, list) else value if isinstance(value, bool) else str(value)
        for name, value in values.items()
    }
    return request.param, texts, parse_config(request.param, values)


def test_the_command_makes_the_same_training(training):
    type_name, texts, config = training
    line = as_command(type_name, texts, NAME, 7)
    script = f"minimind() {{ printf '%s\\0' \"$@\"; }}\n{line}\n"
    words = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True).stdout.split("\0")[:-1]
    arguments = _parser(words).parse_args(words)
    assert parse_config(arguments.type, given_values(arguments)) == config
    assert (arguments.type, arguments.name, arguments.priority) == (type_name, NAME, 7)


def test_the_python_call_makes_the_same_training(training, monkeypatch):
    type_name, texts, config = training
    made = []
    stand_in = types.ModuleType("minimind_platform")
    stand_in.Platform = lambda: SimpleNamespace(submit=lambda *given, **named: made.append((given, named)))
    monkeypatch.setitem(sys.modules, "minimind_platform", stand_in)
    exec(compile(as_python(type_name, texts, NAME, -10), "shown", "exec"), {})
    (given, named), *_ = made
    assert given[0] == type_name
    assert parse_config(*given) == config
    assert named == {"name": NAME, "priority": -10}


def test_yaml_and_back_is_the_same_training(training):
    type_name, texts, config = training
    read = read_yaml(as_yaml(type_name, texts, NAME, 7))
    with_own_names(type_name, read)
    assert read.problems == []
    assert (read.type, read.name, read.priority) == (type_name, NAME, 7)
    assert parse_config(type_name, read.values) == config


def test_short_calls_stand_in_one_line_and_have_only_what_was_given():
    values = {"data_path": "my data.jsonl", "epochs": "3", "use_moe": True}
    assert as_command("sft", values) == "minimind submit sft --data_path 'my data.jsonl' --use_moe true --epochs 3"
    assert shlex.split(as_command("sft", {"data_path": "-x"}))[-1] == "--data_path=-x"
    assert "priority" not in as_python("sft", values) + as_yaml("sft", values)
    assert "\\\n" in as_command("sft", values, "n" * 100)


def test_what_cannot_be_meant_stays_as_it_was_typed():
    values = {"epochs": "many", "learning_rate": "nan", "data_path": "123"}
    assert typed("sft", values) == values
    assert read_yaml(as_yaml("sft", values)).values == values


def test_all_that_is_wrong_is_told_with_its_line():
    text = """# a note
type: full_sft
nmae: x
priority: high
settings:
  data_path: a.jsonl
  use_compile: true
  epoch: 3
  learning_rate: 5e-4
  rewards:
    - kind: answer
    - kind: length
"""
    read = read_yaml(text)
    assert read.type == "sft"
    with_own_names("sft", read)
    assert [(line, problem.code) for line, problem in read.problems] == [
        (3, "yaml_key"), (4, "yaml_priority"), (8, "yaml_unknown"), (10, "yaml_unknown"),
    ]  # fmt: skip
    assert read.values == {"data_path": "a.jsonl", "learning_rate": "5e-4", "compile": True}
    assert read.line_of(Problem("compile", "x", "")) == 7
    assert read.line_of(Problem("rewards", "x", "", {"number": 2})) == 12
    assert read.line_of(Problem("epochs", "x", "")) == 0


@pytest.mark.parametrize(
    ("text", "line", "code"),
    [
        ("type: sft\nsettings: [1\n", 3, "yaml"),
        ("type: sft\ntype: dpo\n", 2, "yaml"),
        ("- 1\n- 2\n", 1, "yaml_form"),
        ("just words", 1, "yaml_form"),
        ("a: &x 1\nb: *x\n", 0, "yaml_alias"),
        ("a: !!python/object/apply:os.system ['true']\n", 1, "yaml"),
        ("[" * 5000 + "]" * 5000, 0, "yaml"),
        ("a: \x00", 0, "yaml"),
        ("x" * 70_000, 0, "yaml_long"),
    ],
)
def test_what_cannot_be_read_says_where_and_makes_nothing(text, line, code):
    read = read_yaml(text)
    assert not read.readable
    assert [(at, problem.code) for at, problem in read.problems] == [(line, code)]


@pytest.mark.parametrize("text", ["", "settings:\n", "# only a note\n", "type: sft\nsettings: {}\n"])
def test_nothing_given_is_nothing_wrong(text):
    read = read_yaml(text)
    assert (read.problems, read.values, read.readable) == ([], {}, True)


def test_wrong_forms_are_told_and_the_configuration_of_a_task_can_be_read():
    assert [(line, p.code) for line, p in read_yaml("type: x\nsettings: 3\n").problems] == [
        (1, "yaml_type"),
        (2, "yaml_settings"),
    ]
    read = read_yaml(json.dumps({"type": "sft", "config": {"data_path": "a.jsonl", "epochs": 2}}))
    assert (read.type, read.values, read.problems) == ("sft", {"data_path": "a.jsonl", "epochs": 2}, [])
    assert read_yaml("name: 2026-11-23\n").name == "2026-11-23"
