"""Which settings a sweep searches, and where: read from what people write, proposed from the fields of the configs.

    params = read_space("sft", {"learning_rate": (1e-5, 1e-3), "batch_size": [8, 16]})
    params = read_space("sft", ["learning_rate", "warmup_steps"])          # the ranges that the fields propose

What does not fit is told as `Problem`s with the field `search.<setting>`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from minimind_platform.errors import Problem, SettingsError
from trainer.configs import config_class, own_names
from trainer.fields import ConfigField, config_fields

Kind = Literal["float", "int", "choice"]
SEARCHABLE = ("int", "float", "bool", "choice", "weight", "dataset")
"""Kinds of fields whose values can be searched; the last two among given choices only."""
KEYS = ("low", "high", "log", "step", "choices", "when")
MAX_CHOICES = 100
PROPOSED_WHEN = {"use_moe": {"architecture": ("v3",)}}
"""Conditions of proposals, so that all of them together make settings that a training accepts."""


@dataclass(frozen=True)
class Param:
    """One searched setting: a range of numbers, or a list of choices."""

    name: str
    """The setting."""
    kind: Kind
    low: int | float = 0
    high: int | float = 0
    """Both ends belong to the range."""
    log: bool = False
    """Whether factors count rather than differences."""
    step: int | float = 0
    """Distance of the values from low on; 0 for any value."""
    choices: tuple[Any, ...] = ()
    when: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    """It is searched only if each of these settings has one of these values; else it keeps its fixed value."""

    @property
    def count(self) -> int | None:
        """How many values it has, or None for any number."""
        if self.kind == "choice":
            return len(self.choices)
        if self.kind == "float" and not self.step:
            return None
        if self.log:
            return None if self.high - self.low > 1000 else int(self.high - self.low) + 1
        return int((self.high - self.low) / (self.step or 1) + 1e-9) + 1

    @property
    def values(self) -> tuple[Any, ...]:
        """All of its values, lowest first. Asked only where `count` is a number."""
        if self.kind == "choice":
            return self.choices
        step = self.step or 1
        # Rounded, because 0.1 + 2 · 0.1 is not 0.3
        return tuple(_number(self.kind, round(self.low + step * i, 12)) for i in range(self.count or 0))

    @property
    def top(self) -> float:
        """The largest value: the high end, or what steps reach of it."""
        if not self.step:
            return self.high
        return round(self.low + self.step * math.floor((self.high - self.low) / self.step + 1e-9), 12)

    def contains(self, value: Any) -> bool:
        """Whether it is one of the values."""
        if self.kind == "choice":
            return value in self.choices
        steps = (value - self.low) / self.step if self.step else 0
        return self.low <= value <= self.high and abs(steps - round(steps)) < 1e-8

    @property
    def text(self) -> str:
        """In short, such as `1e-05 – 0.005, log`."""
        if self.kind == "choice":
            shown = ", ".join(str(choice) for choice in self.choices)
        else:
            parts = [
                f"{self.low:g} – {self.high:g}",
                "log" if self.log else "",
                f"step {self.step:g}" if self.step else "",
            ]
            shown = ", ".join(part for part in parts if part)
        conditions = (f"{name} = {' or '.join(map(str, values))}" for name, values in self.when.items())
        return " if ".join([shown, " and ".join(conditions)]) if self.when else shown

    def as_dict(self) -> dict[str, Any]:
        """As `read_space` takes it, without what is not used."""
        shown: dict[str, Any] = (
            {"choices": list(self.choices)} if self.kind == "choice" else {"low": self.low, "high": self.high}
        )
        shown |= {"log": True} if self.log else {}
        shown |= {"step": self.step} if self.step else {}
        return shown | ({"when": {name: list(values) for name, values in self.when.items()}} if self.when else {})


def _number(kind: Kind, value: float) -> float:
    return int(value) if kind == "int" else float(value)


def searchable(type_name: str) -> list[ConfigField]:
    """Settings of a training type that can be searched, in the order of its form."""
    return [f for f in config_fields(config_class(type_name)) if f.kind in SEARCHABLE]


def proposal(config_field: ConfigField) -> Param | None:
    """The range that a field proposes, or None if a person must say it."""
    name, when = config_field.name, PROPOSED_WHEN.get(config_field.name, {})
    if found := config_field.search:
        kind: Kind = "int" if config_field.kind == "int" else "float"
        return Param(name, kind, found.low, found.high, found.log, found.step, when=when)
    if config_field.kind in ("bool", "choice"):
        return Param(name, "choice", choices=config_field.choices or (False, True), when=when)
    return None


def read_space(type_name: str, search: Sequence[str] | Mapping[str, Any]) -> list[Param]:
    """Read a search space.

    Args:
        type_name: the training type.
        search: a name or names of settings, whose proposed ranges are taken; or by name None for that range, a list of
            choices, a pair (low, high), or a dict with `low`, `high`, `log`, `step`, or `choices`, and `when`: by the
            name of another setting the values with which this one is searched.

    Raises:
        SettingsError: with everything that is wrong.
    """
    cls = config_class(type_name)
    fields = {f.name: f for f in config_fields(cls)}
    names = [search] if isinstance(search, str) else search
    wanted = own_names(cls, dict(names) if isinstance(names, Mapping) else dict.fromkeys(names))
    problems: list[Problem] = []
    params = []
    for name, given in wanted.items():
        try:
            params.append(_param(cls.type, fields, str(name), given))
        except _WrongError as wrong:
            problems.append(wrong.problem)
    for param in params:
        problems += _condition_problems(param, {p.name: p for p in params}, fields)
    if not wanted:
        problems.append(Problem("search", "empty_space", "Choose at least one setting to search."))
    if problems:
        raise SettingsError(problems)
    return _ordered(params)


def read_value(type_name: str, name: str, given: Any) -> Any:
    """One value of a setting, from what a form or a command line gives.

    Raises:
        SettingsError: it is none; the problem names the setting.
    """
    config_field = next(f for f in config_fields(config_class(type_name)) if f.name == name)
    try:
        return _value(config_field, given)
    except _WrongError as wrong:
        raise SettingsError([replace(wrong.problem, field=name)]) from None


class _WrongError(Exception):
    def __init__(self, name: str, code: str, message: str, **values: Any) -> None:
        self.problem = Problem(f"search.{name}", code, message, {"name": name} | values)


def _param(type_name: str, fields: Mapping[str, ConfigField], name: str, given: Any) -> Param:
    if name not in fields:
        raise _WrongError(name, "unknown_setting", f"There is no setting {name!r} in {type_name}.", type=type_name)
    config_field = fields[name]
    if config_field.kind not in SEARCHABLE:
        raise _WrongError(name, "not_searchable", f"{name} cannot be searched; give it one value.")
    if given is None:
        found = proposal(config_field)
        if found is None:
            raise _WrongError(name, "no_proposal", f"There is no usual range of {name}; say where to search.")
        return found
    parts = _parts(name, config_field, given)
    conditions = parts.get("when") or {}
    if not isinstance(conditions, Mapping):
        text = f"Say by another setting with which of its values {name} is searched, got {conditions!r}."
        raise _WrongError(name, "bad_condition", text, value=str(conditions))
    when = {str(key): tuple(_list(values)) for key, values in conditions.items()}
    if "choices" in parts:
        return Param(name, "choice", choices=_choices(config_field, parts["choices"]), when=when)
    return _range(config_field, parts, when)


def _parts(name: str, config_field: ConfigField, given: Any) -> dict[str, Any]:
    if isinstance(given, Param):
        return given.as_dict()
    if isinstance(given, Mapping):
        unknown = [str(key) for key in given if key not in KEYS]
        if unknown:
            raise _WrongError(
                name, "unknown_part", f"{', '.join(unknown)} is unknown; use {', '.join(KEYS)}.", part=unknown[0]
            )
        if "choices" not in given and not {"low", "high"} <= given.keys():
            usual = proposal(config_field)  # such as only {"when": …}
            return (usual.as_dict() if usual else {}) | dict(given)
        return dict(given)
    numeric = config_field.kind in ("int", "float")
    if isinstance(given, tuple) and len(given) == 2 and numeric:
        usual = config_field.search
        return {
            "low": given[0],
            "high": given[1],
            "log": bool(usual and usual.log) and _value(config_field, given[0]) > 0,
        }
    return {"choices": _list(given)}


def _list(given: Any) -> list[Any]:
    return list(given) if isinstance(given, Sequence | set) and not isinstance(given, str) else [given]


def _choices(config_field: ConfigField, given: Any) -> tuple[Any, ...]:
    name = config_field.name
    values = [_value(config_field, value) for value in _list(given)]
    if not values:
        raise _WrongError(name, "no_choices", f"Give {name} at least one value to choose from.")
    if len(values) > MAX_CHOICES:
        raise _WrongError(
            name, "too_many_choices", f"Give at most {MAX_CHOICES} values, got {len(values)}.", most=MAX_CHOICES
        )
    return tuple(dict.fromkeys(values))


def _range(config_field: ConfigField, parts: Mapping[str, Any], when: dict[str, tuple[Any, ...]]) -> Param:
    name = config_field.name
    if config_field.kind not in ("int", "float"):
        raise _WrongError(name, "not_a_number", f"{name} has no range; give it choices.")
    if "low" not in parts or "high" not in parts:
        raise _WrongError(name, "no_range", f"Give {name} a low and a high end, or choices.")
    low, high = _value(config_field, parts["low"]), _value(config_field, parts["high"])
    step = _value(config_field, parts["step"]) if parts.get("step") else 0
    log = _truth(name, parts.get("log", False))
    if low > high:
        raise _WrongError(
            name, "low_above_high", f"The low end {low:g} is above the high end {high:g}.", low=low, high=high
        )
    if log and low <= 0:
        raise _WrongError(name, "log_of_zero", f"A logarithmic range must begin above 0, got {low:g}.", low=low)
    if step < 0 or (log and step):
        raise _WrongError(name, "bad_step", "A step must be above 0, and a logarithmic range has none.", step=step)
    kind: Kind = "int" if config_field.kind == "int" else "float"
    return Param(name, kind, low, high, log, step, when=when)


def _value(config_field: ConfigField, given: Any) -> Any:
    """A value of the field's kind, from what a form or a command line gives."""
    kind, name = config_field.kind, config_field.name
    if kind == "bool":
        return _truth(name, given)
    if kind not in ("int", "float"):
        return str(given).strip()
    try:
        number = float(given)
    except (TypeError, ValueError):
        raise _WrongError(name, "not_a_number", f"{given!r} is not a number.", value=str(given)) from None
    if not math.isfinite(number) or isinstance(given, bool) or (kind == "int" and number != int(number)):
        what = "whole number" if kind == "int" else "number"
        raise _WrongError(name, "not_a_number", f"{given!r} is not a {what}.", value=str(given))
    return int(number) if kind == "int" else number


def _truth(name: str, given: Any) -> bool:
    text = str(given).strip().lower()
    if text not in ("true", "false", "1", "0"):
        raise _WrongError(name, "not_true_or_false", f"{given!r} is neither true nor false.", value=str(given))
    return text in ("true", "1")


def _condition_problems(param: Param, params: Mapping[str, Param], fields: Mapping[str, ConfigField]) -> list[Problem]:
    problems = []
    for other, values in param.when.items():
        if other == param.name or other not in fields:
            text = f"{param.name} depends on {other!r}, which is no other setting of this training."
            problems.append(_WrongError(param.name, "unknown_condition", text, other=other).problem)
        elif not values:
            text = f"Say with which values of {other} {param.name} is searched."
            problems.append(_WrongError(param.name, "empty_condition", text, other=other).problem)
        elif _circular(param.name, other, params):
            text = f"{param.name} and {other} depend on each other."
            problems.append(_WrongError(param.name, "circular_condition", text, other=other).problem)
    return problems


def _circular(name: str, other: str, params: Mapping[str, Param]) -> bool:
    seen, ahead = set(), [other]
    while ahead:
        at = ahead.pop()
        if at == name:
            return True
        if at not in seen and at in params:
            seen.add(at)
            ahead += params[at].when
    return False


def _ordered(params: list[Param]) -> list[Param]:
    """Those that others depend on first, else as given."""
    done: list[Param] = []
    left = list(params)
    while left:
        names = {p.name for p in left}
        free = next(p for p in left if not names & p.when.keys())
        done.append(free)
        left.remove(free)
    return done


def active(params: Sequence[Param], settings: Mapping[str, Any]) -> list[Param]:
    """Those that are searched when the settings are these; `settings` is asked for conditions only."""
    return [p for p in params if holds(p, settings)]


def holds(param: Param, settings: Mapping[str, Any]) -> bool:
    """Whether the condition of a searched setting is met."""
    return all(_same(settings.get(name), values) for name, values in param.when.items())


def _same(value: Any, values: Sequence[Any]) -> bool:
    return any(value == one or str(value).lower() == str(one).lower() for one in values)


def middle(params: Sequence[Param], settings: Mapping[str, Any]) -> dict[str, Any]:
    """A point in the middle of the space; `settings` is asked for conditions, beside what is chosen."""
    chosen: dict[str, Any] = {}
    for param in params:
        if holds(param, {**settings, **chosen}):
            chosen[param.name] = _middle(param)
    return chosen


def _middle(param: Param) -> Any:
    if param.kind == "choice":
        return param.choices[len(param.choices) // 2]
    value = math.sqrt(param.low * param.high) if param.log else (param.low + param.high) / 2
    if param.step:
        value = param.low + round((value - param.low) / param.step) * param.step
    return int(value) if param.kind == "int" else value
