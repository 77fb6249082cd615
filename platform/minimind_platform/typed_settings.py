"""Settings as values rather than as the texts that a form holds, and as calls that make the same training.

typed("sft", {"epochs": "3"}) == {"epochs": 3}
as_command("sft", {"data_path": "my data.jsonl"})     # minimind submit sft --data_path 'my data.jsonl'
"""

import json
import math
import pprint
import shlex
from contextlib import suppress
from typing import Any

from trainer.configs import config_class
from trainer.fields import ConfigField, config_fields

WIDTH = 100


def typed(type_name: str, values: dict[str, Any]) -> dict[str, Any]:
    """The values that are meant by texts, in the order of a form; what cannot be meant stays text."""
    fields = config_fields(config_class(type_name))
    return {field.name: _meant(field, values[field.name]) for field in fields if field.name in values}


def as_command(type_name: str, values: dict[str, Any], name: str = "", priority: int = 0) -> str:
    """The line for a shell that submits the same training."""
    options = [_option(key, _argument(value)) for key, value in typed(type_name, values).items()]
    options += [_option("name", name)] if name else []
    options += [_option("priority", str(priority))] if priority else []
    line = " ".join([f"minimind submit {type_name}", *options])
    return line if len(line) <= WIDTH else " \\\n  ".join([f"minimind submit {type_name}", *options])


def as_python(type_name: str, values: dict[str, Any], name: str = "", priority: int = 0) -> str:
    """The lines of Python that submit the same training."""
    settings = pprint.pformat(typed(type_name, values), sort_dicts=False, width=WIDTH - 4).replace("\n", "\n    ")
    given = [repr(type_name), settings]
    given += [f"name={name!r}"] if name else []
    given += [f"priority={priority}"] if priority else []
    inside = "".join(f"    {part},\n" for part in given)
    return f"from minimind_platform import Platform\n\nplatform = Platform()\ntask = platform.submit(\n{inside})\n"


def _meant(field: ConfigField, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    with suppress(ValueError):
        if field.kind == "int":
            return int(value)
        if field.kind == "float":
            number = float(value)
            return number if math.isfinite(number) else value
        if field.kind == "rewards":
            return json.loads(value)
        if field.kind == "bool" and value in ("true", "false"):
            return value == "true"
    return value


def _argument(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _option(name: str, value: str) -> str:
    """An option for a shell; a value that looks like an option itself is joined to it."""
    return shlex.quote(f"--{name}={value}") if value.startswith("-") else f"--{name} {shlex.quote(value)}"
