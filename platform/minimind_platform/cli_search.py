"""A search space as people write it on a command line, one text a setting.

    read_search("sft", ["learning_rate=1e-5:1e-3:log", "batch_size=8,16,32", "warmup_steps"])

learning_rate                       the usual range
learning_rate=1e-5:1e-3:log         a range, by factors
batch_size=8:64:8                   a range in steps
batch_size=8,16,32                  choices; those with commas of their own as JSON, ["a,b", "c"]
num_experts=2,4 if use_moe=true     only with these values of other settings; `and` between several
"""

import json
import re
from collections.abc import Sequence
from typing import Any

from minimind_platform.errors import Problem, SettingsError
from trainer.configs import config_class, own_names
from trainer.fields import config_fields

NUMBERS = ("int", "float")


def read_search(type_name: str, texts: Sequence[str]) -> dict[str, Any]:
    """Read it; what the ranges and choices are worth is checked by `read_space`.

    Raises:
        SettingsError: with everything that cannot be understood.
    """
    cls = config_class(type_name)
    kinds = {f.name: f.kind for f in config_fields(cls)}
    space: dict[str, Any] = {}
    problems: list[Problem] = []
    for text in texts:
        body, _, condition = re.sub(r"\s+if\s+", "\0", text.strip(), count=1).partition("\0")
        given, equals, value = body.partition("=")
        [name] = own_names(cls, {_plain(given): None})
        try:
            if name in space:
                raise ValueError("It is there twice.")
            parts = _parts(value.strip(), kinds.get(name) in NUMBERS) if equals else None
            when = {key: chosen for key, chosen in map(_condition, re.split(r"\s+and\s+", condition)) if key}
            space[name] = {**(parts or {}), "when": own_names(cls, when)} if when else parts
        except ValueError as error:
            problems.append(Problem(f"search.{name}", "not_understood", f"{error} Got {text!r}.", {"value": text}))
    if problems:
        raise SettingsError(problems)
    return space


def _parts(text: str, is_number: bool) -> dict[str, Any]:
    if text.startswith("["):
        try:
            return {"choices": json.loads(text)}
        except ValueError:
            raise ValueError("This is no list in JSON.") from None
    if not text:
        raise ValueError("Write a range LOW:HIGH or choices A,B behind the =.")
    if not is_number or ":" not in text:
        return {"choices": [part.strip() for part in text.split(",") if part.strip()]}
    low, high, *more = (part.strip() for part in text.split(":"))
    if len(more) > 1:
        raise ValueError("A range is LOW:HIGH, LOW:HIGH:log or LOW:HIGH:STEP.")
    return {"low": low, "high": high} | ({"log": True} if more == ["log"] else {"step": more[0]} if more else {})


def _condition(text: str) -> tuple[str, list[str]]:
    name, equals, values = text.partition("=")
    if text and not equals:
        raise ValueError("A condition is SETTING=VALUE.")
    return _plain(name), [value.strip() for value in values.split(",") if value.strip()]


def _plain(name: str) -> str:
    return name.strip().replace("-", "_")
