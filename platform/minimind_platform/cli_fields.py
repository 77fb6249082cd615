"""Command-line options for the settings of a training type, made from its config.

parser = argparse.ArgumentParser()
add_fields(parser, config_fields(config_class("sft")))
values = field_values(parser.parse_args(["--data-path", "dataset/sft.jsonl"]))
"""

import argparse
from collections.abc import Sequence
from typing import Any

from trainer.fields import ConfigField, told

GROUPS = {
    "data": "data",
    "model": "model",
    "rollout": "answers",
    "rewards": "rewards",
    "training": "training",
    "runtime": "device and speed",
    "care": "retries and watchdog",
    "output": "curves and checkpoints",
}
_PREFIX = "setting."


def add_fields(parser: argparse.ArgumentParser, fields: list[ConfigField]) -> None:
    """Add an option for every field, with `_` and with `-`. Values stay text; the config converts and checks them."""
    groups = {name: parser.add_argument_group(title) for name, title in GROUPS.items()}
    for field in fields:
        add_field(groups[field.group], field, field_dest(field))


def add_field(group: argparse._ActionsContainer, field: ConfigField, dest: str, names: Sequence[str] = ()) -> None:
    """Add one option.

    Args:
        group: where it goes.
        field: that it is for.
        dest: where its value goes.
        names: without dashes; those of the field when left out.
    """
    names = [spelling for name in (names or (field.name, *field.aliases)) for spelling in _spellings(name)]
    options: dict[str, Any] = {"metavar": field.kind.upper() if field.kind != "text" else "TEXT"}
    if field.kind == "bool":
        options = {"metavar": "true|false", "nargs": "?", "const": "true"}
    elif field.choices:
        options["metavar"] = "|".join(field.choices)
    help_text = _help(field).replace("%", "%%")
    group.add_argument(*names, dest=dest, default=argparse.SUPPRESS, help=help_text, **options)


def field_dest(field: ConfigField) -> str:
    """Where the value of a setting goes among the arguments."""
    return _PREFIX + field.name


def field_values(arguments: argparse.Namespace) -> dict[str, str]:
    """The settings that were given."""
    return {name.removeprefix(_PREFIX): v for name, v in vars(arguments).items() if name.startswith(_PREFIX)}


def given_values(arguments: argparse.Namespace) -> dict[str, Any]:
    """Settings as they were given: those of the preset, over them those to start from, over them single ones."""
    from trainer.presets import PRESETS
    from trainer.starts import starts_of

    values: dict[str, Any] = dict(PRESETS[arguments.preset].values) if arguments.preset else {}
    if start := getattr(arguments, "start", None):
        values |= starts_of(arguments.type)[start].values
    return values | field_values(arguments)


def _spellings(name: str) -> list[str]:
    return list(dict.fromkeys((f"--{name}", f"--{name.replace('_', '-')}")))


def _help(field: ConfigField) -> str:
    default = "required" if field.required else f"default: {_shown(told(field, field.default))}"
    return f"{field.help} [{', '.join(part for part in (field.range_text, default) if part)}]"


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "empty" if value == "" else f"{value:g}" if isinstance(value, float) else str(value)
