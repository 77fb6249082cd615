"""Settings as YAML for people to keep and change, and back, with what is wrong told by its line.

written = as_yaml("sft", {"data_path": "dataset/my.jsonl"}, name="first")
read = read_yaml(written)
read.type, read.values, read.problems
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import yaml

from minimind_platform.typed_settings import typed
from trainer.configs import TRAINING_TYPES, TYPE_ALIASES, config_class
from trainer.errors import Problem

LARGEST = 1 << 16
"""Most characters of settings as YAML."""
KEYS = ("type", "name", "priority", "settings")
CONFIG = "config"
"""What `config.json` in a task's folder says for settings; JSON is YAML, so that such a file can be read too."""


@dataclass
class ReadSettings:
    """What somebody has written, as far as it can be understood."""

    type: str = ""
    """"" if it is not told."""
    name: str | None = None
    priority: int | None = None
    values: dict[str, Any] = field(default_factory=dict)
    problems: list[tuple[int, Problem]] = field(default_factory=list)
    """What is wrong with the writing, with its line, from 1 on. Wrong values of settings `Platform.check` tells."""
    readable: bool = True
    """Whether it is YAML of this form at all."""
    lines: dict[str, list[int]] = field(default_factory=dict)
    """The line of each setting, then those of the items of its list."""

    def line_of(self, problem: Problem) -> int:
        """The line that a problem is about; 0 if it is about none, as a setting that is missing."""
        lines = self.lines.get(problem.field, [0])
        number = problem.values.get("number", 0)
        return lines[number] if isinstance(number, int) and number < len(lines) else lines[0]


def as_yaml(type_name: str, values: dict[str, Any], name: str = "", priority: int = 0) -> str:
    """A training as YAML: its type and the settings that are given, in the order of a form."""
    told: dict[str, Any] = {"type": type_name}
    told |= {"name": name} if name else {}
    told |= {"priority": priority} if priority else {}
    told["settings"] = typed(type_name, values)
    return yaml.safe_dump(told, sort_keys=False, allow_unicode=True, width=100)


def read_yaml(text: str) -> ReadSettings:
    """Understand what somebody has written. Nothing raises; what cannot be understood is a problem with its line."""
    read = ReadSettings()
    if len(text) > LARGEST:
        return _unreadable(read, 0, "yaml_long", f"Use at most {LARGEST:,} characters.", longest=LARGEST)
    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, _Loader)):
            return _unreadable(read, 0, "yaml_alias", "Write values out instead of naming others by *.")
        loader = _Loader(text)
        node = loader.get_single_node()
        content = loader.construct_document(node) if node else {}
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        why = error.problem or "not YAML"
        return _unreadable(read, mark.line + 1 if mark else 0, "yaml", f"This is not YAML: {why}.", reason=why)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        why = str(error).splitlines()[0]
        return _unreadable(read, 0, "yaml", f"This is not YAML: {why}.", reason=why)
    if not isinstance(content, dict):
        message = "Begin with type: and settings:, each setting in a line of its own below."
        return _unreadable(read, 1, "yaml_form", message)
    _take(read, content, node)
    return read


class _Loader(yaml.SafeLoader):
    """Plain values only; dates stay the text that they are, and a key that stands twice is an error."""

    yaml_implicit_resolvers: ClassVar = {
        first: [(tag, pattern) for tag, pattern in found if not tag.endswith("timestamp")]
        for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} stands twice", key.start_mark)
            if isinstance(key, yaml.ScalarNode):
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def _unreadable(read: ReadSettings, line: int, code: str, message: str, **values: Any) -> ReadSettings:
    read.problems.append((line, Problem("", code, message, values)))
    read.readable = False
    return read


def _take(read: ReadSettings, content: dict[Any, Any], node: Any) -> None:
    places = {key.value: (key.start_mark.line + 1, value) for key, value in (node.value if node else [])}
    for key in content:
        if key not in KEYS and key != CONFIG:
            message = f"There is no {key!r} here; use {', '.join(KEYS)}."
            read.problems.append((places[str(key)][0], Problem("", "yaml_key", message, {"key": str(key)})))
    if "type" in content:
        wanted = str(content["type"])
        read.type = TYPE_ALIASES.get(wanted, wanted)
        if read.type not in TRAINING_TYPES:
            known = ", ".join(TRAINING_TYPES)
            message = f"There is no training type {wanted!r}; use {known}."
            problem = Problem("", "yaml_type", message, {"value": wanted, "known": known})
            read.problems.append((places["type"][0], problem))
            read.type = ""
    read.name = None if content.get("name") is None else str(content["name"])
    priority = content.get("priority")
    if isinstance(priority, int) and not isinstance(priority, bool):
        read.priority = priority
    elif priority is not None:
        message = f"Use a whole number for priority, got {priority!r}."
        read.problems.append((places["priority"][0], Problem("", "yaml_priority", message, {"value": str(priority)})))
    where = CONFIG if CONFIG in content else "settings"
    settings = content.get(where)
    if settings is None:
        return
    if not isinstance(settings, dict):
        message = "Write each setting in a line of its own, as learning_rate: 0.001."
        read.problems.append((places[where][0], Problem("", "yaml_settings", message)))
        return
    read.values = {str(name): value for name, value in settings.items()}
    for key, value in places[where][1].value:
        items = value.value if isinstance(value, yaml.SequenceNode) else []
        read.lines[key.value] = [key.start_mark.line + 1, *(item.start_mark.line + 1 for item in items)]


def with_own_names(type_name: str, read: ReadSettings) -> None:
    """Take MiniMind's names of settings for ours, and tell of names that a type does not have. They leave `values`."""
    cls = config_class(type_name)
    for name, ours in cls.aliases.items():
        if name in read.values and ours not in read.values:
            read.values[ours] = read.values.pop(name)
            read.lines[ours] = read.lines[name]
    for name in [name for name in read.values if name not in cls.model_fields]:
        del read.values[name]
        message = f"There is no setting {name!r} in {type_name}."
        problem = Problem("", "yaml_unknown", message, {"value": name, "type": type_name})
        read.problems.append((read.lines.get(name, [0])[0], problem))
