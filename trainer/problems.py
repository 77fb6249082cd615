"""What is wrong with settings, as sentences for people, from what pydantic says.

except ValidationError as error:
    raise SettingsError(problems_of(cls, values, error))
"""

import os
import re
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from trainer.errors import FieldError, FieldListError, Problem

if TYPE_CHECKING:
    from trainer.configs import TrainConfig


def problems_of(cls: "type[TrainConfig]", values: dict[str, Any], error: ValidationError) -> list[Problem]:
    """Every problem that pydantic found, and those that it did not come to, each at its field.

    Args:
        cls: the config class.
        values: what was to be checked, by field name.
        error: what came of it.
    """
    problems: list[Problem] = []
    for item in error.errors():
        context = item.get("ctx", {})
        cause = context.get("error")
        if isinstance(cause, FieldError):
            problems.append(cause.problem)
            continue
        if isinstance(cause, FieldListError):
            problems += cause.problems
            continue
        name = str(item["loc"][0]) if item["loc"] else ""
        limits = {key: value for key, value in context.items() if isinstance(value, str | int | float)}
        details = limits | {"value": item["input"]} if item["type"] != "missing" else limits
        problems.append(Problem(name, item["type"], _sentence(cls, name, item), details))
    return problems + _size_problems(cls, values, {p.field for p in problems})


def _size_problems(cls: "type[TrainConfig]", values: dict[str, Any], bad: set[str]) -> list[Problem]:
    """The cross-field checks that pydantic leaves out while single fields are wrong, on the rest of the fields."""
    if not bad:
        return []
    good = {name: value for name, value in values.items() if name in cls.model_fields and name not in bad}
    try:
        cls.model_validate({"data_path": "x"} | good)
    except ValidationError as error:
        causes = [item.get("ctx", {}).get("error") for item in error.errors()]
        return [c.problem for c in causes if isinstance(c, FieldError) and c.problem.field not in bad]
    return []


def _sentence(cls: "type[TrainConfig]", name: str, item: Any) -> str:
    if item["type"] == "extra_forbidden":
        known = ", ".join(sorted(n for n in cls.model_fields if _alike(n, name)))
        return f"There is no setting {name!r} in {cls.type}." + (f" Did you mean {known}?" if known else "")
    if item["type"] == "missing" or (item["type"] == "string_too_short" and item["input"] == ""):
        return "Required, but empty."
    if item["type"] == "string_pattern_mismatch" and name == "device":
        return f"Use auto, cpu, cuda or cuda:N, got {item['input']!r}."
    if item["type"] == "string_pattern_mismatch":
        return f"Use letters, digits, '.', '_' and '-', at most 64, got {item['input']!r}."
    return f"{item['msg']}, got {item['input']!r}."


def _alike(known: str, typed: str) -> bool:
    words = set(re.split(r"[_-]", typed)) - {""}
    return bool(words & set(known.split("_")))


def more_than_cores(processes: int) -> Problem | None:
    """More processes than this machine has cores for, or None."""
    here = cores()
    if processes <= here:
        return None
    text = f"{processes} is more than the {here} cores that this machine lets it use. Lower it."
    return Problem("num_processes", "more_than_cores", text, {"processes": processes, "cores": here})


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
